//! The PROXY protocol header by which a load balancer tells whose connection it is (`HAProxy`'s `proxy-protocol.txt`).

mod header;

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use self::header::{FIRST, HEAD, LONGEST_LINE, Malformed, Version};

/// Why a connection has no header that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Both ends of a client's connection, as somebody before us sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Reads the header, and nothing after it. None where it says that the load balancer speaks for itself.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<Told>, ProxyError> {
    let mut head = [0; HEAD];
    let (first, last) = head.split_at_mut(FIRST);
    stream.read_exact(first).await?;
    match header::version(first)? {
        Version::Line => {
            let line = read_line(stream, first).await?;
            Ok(header::line(&line)?)
        }
        Version::Binary => {
            stream.read_exact(last).await?;
            let (command, length) = header::head(&head)?;
            let mut rest = vec![0; length];
            stream.read_exact(&mut rest).await?;
            Ok(header::binary(command, &rest)?)
        }
    }
}

/// The rest of a line that begins with `first`.
async fn read_line(stream: &mut TcpStream, first: &[u8]) -> Result<Vec<u8>, ProxyError> {
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        let left = LONGEST_LINE.saturating_sub(line.len());
        if left == 0 {
            return Err(Malformed::Line.into());
        }
        // What follows the line belongs to the client, so it is looked at before it is taken.
        let mut ahead = [0; LONGEST_LINE];
        let seen = stream
            .peek(ahead.get_mut(..left).unwrap_or_default())
            .await?;
        let ahead = ahead.get(..seen).unwrap_or_default();
        let end = ahead.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(seen, |end| end + 1);
        if taken == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let from = line.len();
        line.resize(from + taken, 0);
        stream
            .read_exact(line.get_mut(from..).unwrap_or_default())
            .await?;
        if end.is_some() && !line.ends_with(b"\r\n") {
            return Err(Malformed::Line.into());
        }
    }
    Ok(line)
}
