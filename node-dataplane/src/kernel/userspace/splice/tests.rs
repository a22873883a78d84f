//! Two clients with the splice between them.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::kernel::userspace::bind::reset_on_drop;

const DEADLINE: Duration = Duration::from_secs(10);

/// Two connections that end at the splice, and the splice. The caller has their other ends.
struct Spliced {
    a: TcpStream,
    b: TcpStream,
    splice: JoinHandle<io::Result<()>>,
}

impl Spliced {
    async fn start() -> Self {
        let (a, near_a) = pair().await;
        let (b, near_b) = pair().await;
        let splice = tokio::spawn(async move {
            let ended = splice(&near_a, &near_b).await;
            if ended.is_err() {
                reset_on_drop(&near_a);
                reset_on_drop(&near_b);
            }
            ended
        });
        Self { a, b, splice }
    }
}

async fn end(splice: JoinHandle<io::Result<()>>) -> io::Result<()> {
    let ended = timeout(DEADLINE, splice).await;
    ended.expect("the splice does not end").unwrap()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await;
    (far.unwrap(), listener.accept().await.unwrap().0)
}

fn reset(stream: TcpStream) {
    reset_on_drop(&stream);
    drop(stream);
}

/// Sends until nobody takes any more, which is when nothing moved for a while.
async fn clog(stream: &mut TcpStream) {
    let chunk = vec![0; 1 << 20];
    while timeout(Duration::from_millis(100), stream.write_all(&chunk))
        .await
        .is_ok()
    {}
}

#[tokio::test]
async fn each_side_may_end_first_and_still_hear_the_other() {
    let mut spliced = Spliced::start().await;
    let (a, b) = (&mut spliced.a, &mut spliced.b);
    let mut heard = String::new();
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    b.read_to_string(&mut heard).await.unwrap();
    b.write_all(b"answer").await.unwrap();
    b.shutdown().await.unwrap();
    a.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "questionanswer");
    end(spliced.splice).await.unwrap();
}

#[tokio::test]
async fn more_than_fits_arrives_whole() {
    let mut spliced = Spliced::start().await;
    let sent: Vec<u8> = (0..8_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut heard = Vec::new();
    let (a, b) = (&mut spliced.a, &mut spliced.b);
    let send = async {
        a.write_all(&sent).await.unwrap();
        a.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(send, b.read_to_end(&mut heard));
    read.unwrap();
    assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
}

#[tokio::test]
async fn a_reset_after_a_half_close_ends_both_sides() {
    let Spliced {
        mut a,
        mut b,
        splice,
    } = Spliced::start().await;
    a.shutdown().await.unwrap();
    assert_eq!(b.read(&mut [0]).await.unwrap(), 0);
    reset(a);
    end(splice).await.unwrap_err();
    let lost = timeout(DEADLINE, b.ready(Interest::ERROR)).await;
    lost.expect("the other side is not told").unwrap();
}

#[tokio::test]
async fn a_reset_is_seen_behind_bytes_that_nobody_takes() {
    let Spliced { mut a, b, splice } = Spliced::start().await;
    clog(&mut a).await;
    reset(a);
    end(splice).await.unwrap_err();
    drop(b);
}

#[tokio::test]
async fn an_answer_that_comes_just_before_a_reset_arrives() {
    for _ in 0..20 {
        let Spliced {
            mut a,
            mut b,
            splice,
        } = Spliced::start().await;
        a.write_all(&vec![0; 100_000]).await.unwrap();
        b.read_u8().await.unwrap();
        b.write_all(b"413 too large").await.unwrap();
        // It closes with bytes unread, which is a reset.
        drop(b);
        let mut heard = [0; 13];
        a.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"413 too large");
        end(splice).await.unwrap_err();
    }
}
