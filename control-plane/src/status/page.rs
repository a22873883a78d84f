//! Answers of bounded size: pages of clients that stay right while clients come and go, and lists that are cut.

use meshlite_proto::v1;
use prost::Message;
use tonic::Status;

use crate::peers::{Everybody, key};

/// The most clients in one answer, and the most bytes: a gRPC client takes 4 MiB unless it is told otherwise.
const MOST_CLIENTS: usize = 1_000;
const MOST_BYTES: usize = 3 * 1024 * 1024;
/// The most bytes that one client may take; beyond it, rejections are left out.
const MOST_CLIENT_BYTES: usize = 512 * 1024;
/// Longer tokens are not ours.
const LONGEST_TOKEN: usize = 16 * 1024;
const SEPARATOR: char = '\0';

/// The page that was asked for. A token holds the last client of the page before: what comes and goes meanwhile moves no
/// other client into or out of sight.
pub(super) fn clients(
    everybody: Everybody,
    request: &v1::ListClientsRequest,
) -> Result<v1::ListClientsResponse, Status> {
    let after = token(&request.page_token)?;
    let wanted = usize::try_from(request.page_size).unwrap_or(MOST_CLIENTS);
    let size = match wanted {
        0 => MOST_CLIENTS,
        wanted => wanted.min(MOST_CLIENTS),
    };
    let is_next = |client: &v1::Client| match &after {
        Some((node, id, replica)) => key(client) > (node, id, replica),
        None => true,
    };
    let mut rest = everybody
        .clients
        .into_iter()
        .filter(is_next)
        .map(cut)
        .peekable();
    let mut page = Vec::new();
    let mut bytes = 0;
    while page.len() < size
        && let Some(client) = rest.next_if(|client| {
            bytes += client.encoded_len();
            page.is_empty() || bytes <= MOST_BYTES
        })
    {
        page.push(client);
    }
    let next_page_token = match (page.last(), rest.peek()) {
        (Some(last), Some(_)) => token_of(last),
        _ => String::new(),
    };
    Ok(v1::ListClientsResponse {
        clients: page,
        next_page_token,
        unreachable: everybody.unreachable,
    })
}

/// As many of these as one answer holds.
pub(super) fn fitting<M: Message>(messages: impl IntoIterator<Item = M>) -> Vec<M> {
    let mut bytes = 0;
    let fits = |message: &M| {
        bytes += message.encoded_len() + 8;
        bytes <= MOST_BYTES
    };
    messages.into_iter().take_while(fits).collect()
}

/// A client that fits.
pub(super) fn cut(mut client: v1::Client) -> v1::Client {
    while client.encoded_len() > MOST_CLIENT_BYTES && !client.rejections.is_empty() {
        client.rejections.truncate(client.rejections.len() / 2);
    }
    client
}

/// The key of a client in hexadecimal, so that nobody takes it for something to build on.
fn token_of(client: &v1::Client) -> String {
    let (node, id, replica) = key(client);
    let key = [node, id, replica].join(&SEPARATOR.to_string());
    key.bytes()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

type Key = (String, String, String);

fn token(text: &str) -> Result<Option<Key>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Status::invalid_argument("page_token is not one that this service gave out");
    if text.len() > LONGEST_TOKEN || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair.first()?)? * 16 + digit(pair.last()?)?))
        .collect();
    let key = bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(wrong)?;
    let parts: Vec<_> = key.split(SEPARATOR).collect();
    match parts[..] {
        [node, id, replica] => Ok(Some((node.into(), id.into(), replica.into()))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn client(n: u16, rejections: usize) -> v1::Client {
        v1::Client {
            identity: Some(v1::ClientIdentity {
                id: format!("id-{n:05}"),
                node_name: format!("node-{:05}", n / 2),
                ..v1::ClientIdentity::default()
            }),
            rejections: vec![
                v1::Rejection {
                    message: "x".repeat(1024),
                    ..v1::Rejection::default()
                };
                rejections
            ],
            ..v1::Client::default()
        }
    }

    fn everybody(ids: &BTreeSet<u16>) -> Everybody {
        Everybody {
            clients: ids.iter().map(|n| client(*n, 0)).collect(),
            unreachable: Vec::new(),
        }
    }

    fn request(page_size: u32, page_token: String) -> v1::ListClientsRequest {
        v1::ListClientsRequest {
            page_size,
            page_token,
            local_only: false,
        }
    }

    proptest! {
        #[test]
        fn whoever_stays_is_listed_exactly_once_while_others_come_and_go(
            stays in prop::collection::btree_set(0_u16..500, 0..60),
            moves in prop::collection::vec(prop::collection::btree_set(0_u16..500, 0..60), 1..9),
            size in 1_u32..20,
        ) {
            let mut seen: Vec<String> = Vec::new();
            let mut token = String::new();
            for n in 0.. {
                let present = stays.union(&moves[n % moves.len()]).copied().collect();
                let page = clients(everybody(&present), &request(size, token)).unwrap();
                prop_assert!(page.clients.len() <= size as usize);
                seen.extend(page.clients.iter().map(|c| c.identity.clone().unwrap().id));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            for n in stays {
                let id = format!("id-{n:05}");
                prop_assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1, "{}", id);
            }
        }

        #[test]
        fn a_token_from_outside_never_panics(text in "\\PC{0,40}|[0-9a-f]{0,40}") {
            // Whatever it is.
            drop(clients(everybody(&BTreeSet::from([1])), &request(0, text)));
        }
    }

    #[test]
    fn a_page_stays_below_what_a_client_takes() {
        let clients_with_much = Everybody {
            clients: (0..200).map(|n| client(n, 1_000)).collect(),
            unreachable: Vec::new(),
        };
        let mut token = String::new();
        let mut count = 0;
        loop {
            let everybody = clients_with_much.clone();
            let page = clients(everybody, &request(0, token)).unwrap();
            assert!(page.encoded_len() < 4 * 1024 * 1024);
            count += page.clients.len();
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(count, 200);
    }
}
