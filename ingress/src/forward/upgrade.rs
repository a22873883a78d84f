//! Protocol upgrades: after the endpoint's 101, and not before, bytes go both ways as they are.

use std::fmt::Debug;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header,
    request::Parts,
};
use hyper::ext::Protocol;

use super::tunnel::tunnel;
use crate::{
    listen::{Incoming, Upgrading, Worker},
    pool::{Answer, Transport},
    reply::Reply,
    respond::{Body, Refusal},
    sanitise::{Malformed, Names},
    table::Route,
};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// A client's wish to go on with WebSocket frames.
#[derive(Debug)]
pub(super) struct Upgrade {
    client: Upgrading,
    /// By extended CONNECT (RFC 8441), which HTTP/2 has instead of upgrades.
    is_extended: bool,
}

impl Upgrade {
    /// The wish in a request, if it has one that can be met: for a WebSocket, without a body. It is a GET then.
    pub(super) fn take(parts: &mut Parts, names: Names, body: &Incoming) -> Option<Self> {
        let is_extended = is_extended_connect(parts);
        let is_upgrade = names.has(Names::UPGRADE) && is_upgrade(parts, body);
        if !is_extended && !is_upgrade {
            return None;
        }
        let client = Upgrading::on(parts, body)?;
        if is_extended {
            parts.method = Method::GET;
            parts.extensions.remove::<Protocol>();
        }
        Some(Self {
            client,
            is_extended,
        })
    }

    /// The wish, if it can be met over this transport. A client of HTTP/2 cannot go on without.
    pub(super) fn fit(
        upgrade: Option<Self>,
        transport: &Transport,
    ) -> Result<Option<Self>, Refusal> {
        match upgrade {
            Some(upgrade) if transport.is_http2 => {
                if upgrade.is_extended {
                    return Err(Malformed::Connect.into());
                }
                Ok(None)
            }
            upgrade => Ok(upgrade),
        }
    }

    /// Asks the endpoint.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        if self.is_extended {
            headers.insert(header::SEC_WEBSOCKET_KEY, random_key());
            headers
                .entry(header::SEC_WEBSOCKET_VERSION)
                .or_insert(VERSION);
        }
    }

    /// What the endpoint answers instead of its consent. A client of HTTP/2 would take some of that for consent.
    pub(super) fn refused(&self, status: StatusCode) -> Result<(), Refusal> {
        if self.is_extended && status.is_success() {
            return Err(Refusal::UnexpectedUpgrade);
        }
        Ok(())
    }

    /// Passes the endpoint's consent on, and then what both sides say until one has finished and the other too; `held` is
    /// what the tunnel counts as until then.
    pub(super) fn switch(
        self,
        reply: Reply<Answer>,
        held: impl Debug + 'static,
        route: &Route,
        worker: &Worker,
    ) -> Result<Response<Body>, Refusal> {
        let upstream = reply.body.into_upgraded().ok_or(Refusal::Garbled)?;
        let idle = route.timeouts.idle;
        drop(worker.tasks.spawn_local(async move {
            tunnel(self.client, upstream, idle).await;
            drop(held);
        }));
        let mut switched = Response::new(Body::Text(bytes::Bytes::new()));
        *switched.headers_mut() = reply.head.into_parts().headers;
        let headers = switched.headers_mut();
        if self.is_extended {
            headers.remove(header::SEC_WEBSOCKET_ACCEPT);
            headers.remove(header::CONTENT_LENGTH);
        } else {
            headers.insert(header::CONNECTION, UPGRADE);
            headers.insert(header::UPGRADE, WEBSOCKET);
            *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        Ok(switched)
    }
}

fn is_extended_connect(parts: &Parts) -> bool {
    parts.method == Method::CONNECT
        && parts.version == Version::HTTP_2
        && (parts.extensions.get::<Protocol>())
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

fn is_upgrade(parts: &Parts, body: &Incoming) -> bool {
    let Some(wanted) = parts.headers.get(header::UPGRADE) else {
        return false;
    };
    wanted.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
        && parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && body.is_end_stream()
        && !parts.headers.contains_key(header::TRANSFER_ENCODING)
        && names(&parts.headers, &header::UPGRADE)
}

/// Whether a Connection header names this option.
fn names(headers: &HeaderMap, option: &HeaderName) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|named| {
            named
                .trim_ascii()
                .eq_ignore_ascii_case(option.as_str().as_bytes())
        })
    })
}

/// Sixteen random bytes in base64, as HTTP/1.1 wants them (RFC 6455 section 4.1).
fn random_key() -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut key = *b"AAAAAAAAAAAAAAAAAAAAAA==";
    // The last digit before the padding has only two bits, and stays as it is.
    for digit in key.iter_mut().take(21) {
        *digit = DIGITS.get(fastrand::usize(..64)).copied().unwrap_or(b'A');
    }
    HeaderValue::from_bytes(&key).unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}
