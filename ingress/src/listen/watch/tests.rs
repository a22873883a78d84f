//! Sockets of clients that send early or late, much or little, and take what they are sent or not.

use std::{future::poll_fn, net::TcpListener};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A client, and its socket on our side.
fn connect() -> (Unwatched, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Unwatched::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (client, Socket::new(ours, &Rc::default()))
}

#[tokio::test]
async fn what_is_held_leaves_with_the_end_of_its_connection() {
    for is_watched in [false, true] {
        let (mut client, mut socket) = connect();
        if is_watched {
            socket.watched().unwrap();
        }
        let held = poll_fn(|cx| socket.poll_write_held(cx, b"last")).await;
        assert_eq!(held.unwrap(), 4);
        client.set_nonblocking(true).unwrap();
        let early = client.peek(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
        client.set_nonblocking(false).unwrap();
        socket.shutdown().await.unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert_eq!(all, "last");
    }
}

#[tokio::test]
async fn a_request_that_came_with_its_connection_is_answered_without_watching() {
    let (mut client, mut socket) = connect();
    client.write_all(b"request").unwrap();
    let mut read = [0; 100];
    assert_eq!(socket.read(&mut read).await.unwrap(), 7);
    socket.write_all(b"answer").await.unwrap();
    assert!(!socket.is_watched());
    drop(socket);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn what_came_after_the_first_read_is_noticed_where_nobody_watches() {
    let (mut client, mut socket) = connect();
    client.write_all(b"request").unwrap();
    let mut read = [0; 100];
    assert_eq!(socket.read(&mut read).await.unwrap(), 7);
    assert!(!socket.has_more());
    client.write_all(b"more").unwrap();
    assert!(socket.has_more() && !socket.is_watched());
    assert_eq!(socket.read(&mut read).await.unwrap(), 4);
    drop(client);
    assert!(!socket.has_more());
}

#[tokio::test]
async fn what_has_not_come_yet_is_waited_for() {
    let (mut client, mut socket) = connect();
    let mut read = [0; 100];
    let late = async {
        tokio::task::yield_now().await;
        client.write_all(b"late").unwrap();
    };
    let (length, ()) = tokio::join!(socket.read(&mut read), late);
    assert_eq!(length.unwrap(), 4);
    assert!(socket.is_watched());
}

#[tokio::test]
async fn who_sends_on_and_on_is_read_from_once_and_then_in_turn() {
    let (mut client, mut socket) = connect();
    client.write_all(&[b'x'; FIRST + 1]).unwrap();
    let mut read = [0; FIRST * 2];
    assert_eq!(socket.read(&mut read).await.unwrap(), FIRST);
    assert!(!socket.is_watched());
    assert_eq!(socket.read(&mut read).await.unwrap(), 1);
    assert!(socket.is_watched());
}

#[tokio::test]
async fn who_waits_to_read_is_told_even_after_somebody_waits_to_write() {
    let (mut client, mut socket) = connect();
    let mut read = [0; 100];
    client.write_all(b"a").unwrap();
    assert_eq!(socket.read(&mut read).await.unwrap(), 1);
    let mut asked = 0;
    poll_fn(|cx| {
        asked += 1;
        let mut buffer = ReadBuf::new(&mut read);
        if Pin::new(&mut socket).poll_read(cx, &mut buffer).is_ready() {
            assert_eq!(buffer.filled(), b"b");
            return Poll::Ready(());
        }
        while Pin::new(&mut socket).poll_write(cx, &[0; 4096]).is_ready() {}
        if asked == 1 {
            // The client takes nothing, so that only what it sends can wake anybody.
            client.write_all(b"b").unwrap();
        }
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn a_client_is_watched_for_everything_only_once_it_sends_much_or_takes_little() {
    let (mut client, mut socket) = connect();
    let mut read = [0; FIRST * 2];
    for _ in 0..3 {
        client.write_all(b"request").unwrap();
        assert_eq!(socket.read(&mut read).await.unwrap(), 7);
        socket.write_all(b"answer").await.unwrap();
    }
    assert!(matches!(socket, Socket::Heard(_)));
    client.write_all(&[b'x'; FIRST + 1]).unwrap();
    assert_eq!(socket.read(&mut read).await.unwrap(), FIRST);
    assert!(matches!(socket, Socket::Watched(_)));
    assert_eq!(socket.read(&mut read).await.unwrap(), 1);
    drop(client);
    let ended = socket.read(&mut read).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_take_at_once_is_waited_for() {
    let (mut client, mut socket) = connect();
    let large = vec![b'x'; 32 << 20];
    let reader = std::thread::spawn(move || {
        let mut read = Vec::new();
        client.read_to_end(&mut read)
    });
    socket.write_all(&large).await.unwrap();
    assert!(socket.is_watched());
    drop(socket);
    assert_eq!(reader.join().unwrap().unwrap(), large.len());
}

#[tokio::test]
async fn whoever_reads_a_little_at_a_time_misses_nothing() {
    for length in [1, 3, 100, FIRST - 1, FIRST, FIRST + 1] {
        let (mut client, mut socket) = connect();
        client.write_all(b"a").unwrap();
        socket.read_exact(&mut [0]).await.unwrap();
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        client.write_all(&sent).unwrap();
        let mut read = Vec::new();
        while read.len() < length {
            let mut some = [0; 7];
            let count = socket.read(&mut some).await.unwrap();
            read.extend_from_slice(&some[..count]);
        }
        assert_eq!(read, sent);
    }
}
