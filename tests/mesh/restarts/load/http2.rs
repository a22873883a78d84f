//! A client of HTTP/2.
//!
//! On `h2` itself, because hyper's client does not tell a request that no server has looked at from one that failed.

use std::io;

use h2::{RecvStream, client::SendRequest};
use http::{Request, Response, Version};

use super::{
    Task,
    door::{Door, Line},
};

type Connection = SendRequest<&'static [u8]>;

/// Requests on one connection, and on a new one where the server says that it takes no more of them.
pub(super) async fn client(door: Door, task: Task) -> io::Result<()> {
    let mut connection = open(&door).await?;
    while task.goes_on() {
        let answer = loop {
            match ask(&mut connection, door.host()).await? {
                Some(answer) => break answer,
                None => connection = open(&door).await?,
            }
        };
        let (head, mut body) = answer.into_parts();
        let mut text = Vec::new();
        while let Some(bytes) = body.data().await {
            let bytes = bytes.map_err(io::Error::other)?;
            let released = body.flow_control().release_capacity(bytes.len());
            released.map_err(io::Error::other)?;
            text.extend_from_slice(&bytes);
        }
        if !head.status.is_success() || text != b"ok" {
            return Err(io::Error::other(format!("answered: {head:?} {text:?}")));
        }
    }
    Ok(())
}

/// The answer to a request; none where the server says, on this connection, that it did not look at it.
async fn ask(connection: &mut Connection, host: &str) -> io::Result<Option<Response<RecvStream>>> {
    let request = Request::get(format!("http://{host}/")).version(Version::HTTP_2);
    let request = request.body(()).map_err(io::Error::other)?;
    let Ok(ready) = connection.clone().ready().await else {
        return Ok(None);
    };
    *connection = ready;
    let Ok((answer, _)) = connection.send_request(request, true) else {
        return Ok(None);
    };
    match answer.await {
        Ok(answer) => Ok(Some(answer)),
        // Of a request after the last one that it takes (RFC 9113 section 6.8); those that it took fail otherwise.
        Err(error) if error.is_go_away() && error.is_remote() => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

async fn open(door: &Door) -> io::Result<Connection> {
    let line: Box<dyn Line> = door.connect_for(b"h2").await?;
    let handshake = h2::client::Builder::new().handshake(line).await;
    let (requests, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(requests)
}
