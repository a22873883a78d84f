//! Clients behind a load balancer that speaks the PROXY protocol.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    mesh::Mesh,
    origin::{Origin, exchange_bytes, read_until},
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

async fn behind_a_balancer() -> (Mesh, Origin) {
    let mut mesh = Mesh::with(|config| config.proxy_protocol = true).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    (mesh, origin)
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names() {
    let (mesh, origin) = behind_a_balancer().await;
    let ipv4 = [203, 0, 113, 7, 198, 51, 100, 1, 3, 232, 0, 80];
    let version_2 = [SIGNATURE, &[0x21, 0x11, 0, 12], &ipv4].concat();
    let headers: [(&[u8], &str); 4] = [
        (
            b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 80\r\n",
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 80\r\n",
            "2001:db8::1",
        ),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (&version_2, "203.0.113.7"),
    ];
    for (header, client) in headers {
        let answer = exchange_bytes(mesh.http(), &[header, GET].concat(), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(origin.last().headers()["x-forwarded-for"], client);
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces() {
    let (mesh, origin) = behind_a_balancer().await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 80\r\n";
    for piece in [line.as_slice(), GET].concat().chunks(3) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = read_until(&mut stream, "web").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(origin.last().headers()["x-forwarded-for"], "192.0.2.1");
}

#[tokio::test]
async fn a_connection_without_a_header_is_closed_without_an_answer() {
    let (mesh, origin) = behind_a_balancer().await;
    let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 4000]].concat();
    for bytes in [GET, b"PROXY TCP4 1 2 3 4\r\n", &endless] {
        assert_eq!(exchange_bytes(mesh.http(), bytes, "").await, "");
    }
    assert_eq!(origin.requests(), 0);
}
