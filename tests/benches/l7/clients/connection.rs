//! Answers of HTTP/1.1, as far as these clients need them.

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::origin::header;

/// The longest head.
const LONGEST: usize = 16 << 10;

/// Reads a head to its end, byte by byte, so that nothing behind it is taken; says its status, and itself in lower case.
pub(super) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> anyhow::Result<(u16, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < LONGEST, "the head has no end");
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let status = head.split(' ').nth(1).context("no status")?;
    Ok((status.parse()?, head))
}

/// Reads an answer of 200 with a length, to its end.
pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    let (status, head) = read_head(stream).await?;
    ensure!(status == 200, "answered with {status}");
    let length = header(&head, "content-length").context("an answer without a length")?;
    let mut body = vec![0; length.parse()?];
    stream.read_exact(&mut body).await?;
    Ok(())
}
