//! How endpoints are spoken to: the protocol, the TLS below it and the PROXY header before it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use meshlite_snapshot::{
    Cluster, Credential, ProxyProtocol, Snapshot, UpstreamProtocol, UpstreamTls,
};

use super::tls::Tls;

/// How endpoints are spoken to. Connections are shared by whatever has the same transport.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(super) id: TransportId,
    pub(crate) is_http2: bool,
    /// What it was made of.
    settings: Settings,
    /// How TLS is spoken, if it is. Where that cannot be, why: no connection is made then.
    pub(super) tls: Option<Result<Tls, String>>,
    pub(super) proxy: Option<ProxyProtocol>,
}

/// Another one for each transport of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransportId(u64);

/// All that two transports may differ in.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    protocol: UpstreamProtocol,
    tls: Option<UpstreamTls>,
    authorities: Option<Arc<Credential>>,
    identity: Option<Arc<Credential>>,
    proxy: Option<ProxyProtocol>,
}

/// The transports that have nothing to be told apart by.
const PLAIN_HTTP1: TransportId = TransportId(0);
const PLAIN_HTTP2: TransportId = TransportId(1);
static NEXT: AtomicU64 = AtomicU64::new(2);

impl Transport {
    /// A cluster's transport; the one that it had if that is the same.
    pub(crate) fn new(
        cluster: &Cluster,
        snapshot: &Snapshot,
        previous: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let settings = Settings::of(cluster, snapshot);
        if let Some(previous) = previous
            && previous.settings == settings
        {
            return Arc::clone(previous);
        }
        let is_http2 = matches!(
            settings.protocol,
            UpstreamProtocol::H2c | UpstreamProtocol::Https2
        );
        let tls = settings.tls.as_ref().map(|tls| {
            let authorities = settings.authorities.as_deref();
            Tls::new(tls, authorities, settings.identity.as_deref(), is_http2)
        });
        let proxy = settings.proxy;
        let id = match (&tls, proxy) {
            (None, None) if is_http2 => PLAIN_HTTP2,
            (None, None) => PLAIN_HTTP1,
            _ => TransportId(NEXT.fetch_add(1, Relaxed)),
        };
        Arc::new(Self {
            id,
            is_http2,
            settings,
            tls,
            proxy,
        })
    }

    /// Whether a connection may serve requests of several clients.
    pub(super) fn is_shared(&self) -> bool {
        self.proxy.is_none()
    }
}

impl Settings {
    fn of(cluster: &Cluster, snapshot: &Snapshot) -> Self {
        let has_tls = match cluster.protocol {
            UpstreamProtocol::Http1 | UpstreamProtocol::H2c => false,
            UpstreamProtocol::Https | UpstreamProtocol::Https2 => true,
        };
        let tls = has_tls.then(|| cluster.tls.clone().unwrap_or_default());
        let credential =
            |name: Option<&meshlite_snapshot::Name>| snapshot.credentials.get(name?).cloned();
        let named = tls.as_ref();
        Self {
            protocol: cluster.protocol,
            authorities: credential(named.and_then(|tls| tls.authorities.as_ref())),
            identity: credential(named.and_then(|tls| tls.identity.as_ref())),
            tls,
            proxy: cluster.send_proxy_protocol,
        }
    }
}
