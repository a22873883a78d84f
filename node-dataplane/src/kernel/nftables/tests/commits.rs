//! Packets beside commits: what is replaced is there all the time.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use meshlite_snapshot::AddressFamily;

use super::kernel::{in_kernel, plan_for, settle};
use crate::{
    host::testing::ip,
    kernel::{Kernel as _, nftables::Nftables},
    table::{Key, Masquerade, Table, VirtualAddress, VirtualServer, WhenEmpty},
    testing::{key, mk_table, server},
};

const VIP: &str = "10.96.0.1:53";
const ENDPOINTS: [&str; 2] = ["10.244.0.1:53", "10.244.0.2:53"];
/// A packet is answered at once, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers whoever asks, until it is told to stop.
fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 1];
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer, from).unwrap();
        }
    }
}

/// What the kernel knows of a socket's connection.
fn tracked(socket: &UdpSocket) -> String {
    let port = socket.local_addr().unwrap().port();
    let all = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap_or_default();
    let of_it = format!("port={port} ");
    let of_it = all.lines().filter(|line| line.contains(&of_it));
    of_it.collect::<Vec<_>>().join("\n")
}

/// Asks from one new port after the other, so that each packet begins a connection, and counts answers. Says what became
/// of the first packet that had none.
fn ask(to: &str, answers: &AtomicU32, stop: &AtomicBool) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(to).unwrap();
        let answer = socket.send(&[1]).and_then(|_| socket.recv(&mut [0]));
        answer.map_err(|error| {
            format!("{error}, after {answers:?}; tracked: {}", tracked(&socket))
        })?;
        answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Makes a table what it is to be. Each commit waits until what was asked beside the one before is answered, so that no
/// packet sees two.
async fn change(
    kernel: &mut Nftables,
    table: &Table,
    answers: &AtomicU32,
    asking: &JoinHandle<Result<(), String>>,
) {
    let plan = plan_for(kernel, table).await;
    for phase in plan.steps.chunk_by(|a, b| a.phase() == b.phase()) {
        for result in kernel.apply(phase).await {
            result.unwrap();
        }
        let beside_it = answers.load(Ordering::Relaxed) + 1;
        while answers.load(Ordering::Relaxed) <= beside_it && !asking.is_finished() {
            thread::yield_now();
        }
    }
}

/// Virtual servers that change all the time, and where they are.
struct Case {
    name: &'static str,
    to: &'static str,
    table: fn(usize) -> Table,
}

const CASES: [Case; 5] = [
    Case {
        name: "endpoints come and go, and the policy changes",
        to: VIP,
        table: |turn| mk_table([(vip(), changing(turn))]),
    },
    Case {
        name: "clients stay",
        to: VIP,
        table: |turn| {
            let mut web = changing(turn);
            web.settings.persistence = Some(10_800);
            mk_table([(vip(), web)])
        },
    },
    Case {
        name: "clients stay, each time for another time, which takes a chain that is new",
        to: VIP,
        table: |turn| {
            let mut web = changing(turn);
            // Each new one is looked for among all: a soak goes on with these.
            web.settings.persistence = Some(1_000 + u32::try_from(turn % 2_000).unwrap());
            mk_table([(vip(), web)])
        },
    },
    Case {
        name: "clients inside have a virtual server of their own",
        to: VIP,
        table: |turn| {
            let mut outside = server(&[]);
            outside.settings.when_empty = WhenEmpty::Drop;
            let own = (Key::inside(vip().frontend), changing(turn));
            let mut table = mk_table([(vip(), outside), own]);
            table.inside = Arc::new(["127.0.0.0/8".parse().unwrap()].into());
            table
        },
    },
    Case {
        name: "a node port",
        to: "192.0.2.1:53",
        table: |turn| {
            let mut node_port = vip();
            node_port.frontend.address = VirtualAddress::EveryNodeAddress(AddressFamily::Ipv4);
            mk_table([(node_port, changing(turn))])
        },
    },
];

fn vip() -> Key {
    key(&format!("UDP {VIP}"))
}

/// One endpoint, the other, or both, and one policy or another.
fn changing(turn: usize) -> VirtualServer {
    let [one, other] = ENDPOINTS.map(|endpoint| (endpoint, 1));
    let endpoints = [vec![one], vec![one, other], vec![other]];
    let mut web = server(&endpoints[turn % endpoints.len()]);
    web.settings.masquerade = [Masquerade::Always, Masquerade::NotPods][turn % 2];
    web
}

#[test]
fn no_first_packet_beside_a_commit_misses_what_it_replaces() {
    let is_soak = std::env::var_os("MESHLITE_SOAK").is_some();
    let turns = if is_soak { 20_000 } else { 1_000 };
    for case in CASES {
        in_kernel(async || {
            ip("address add 192.0.2.1/32 dev lo");
            for endpoint in ENDPOINTS {
                let address: SocketAddr = endpoint.parse().unwrap();
                ip(&format!("address add {}/32 dev lo", address.ip()));
            }
            ip("route add 10.96.0.0/16 dev lo");
            let mut kernel = Nftables::start().unwrap();
            settle(&mut kernel, &(case.table)(0)).await;
            let (stop, end) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
            let answering = ENDPOINTS.map(|endpoint| {
                let (socket, end) = (UdpSocket::bind(endpoint).unwrap(), Arc::clone(&end));
                thread::spawn(move || answer(&socket, &end))
            });
            let answers = Arc::<AtomicU32>::default();
            let asked = (Arc::clone(&answers), Arc::clone(&stop));
            let asking = thread::spawn(move || ask(case.to, &asked.0, &asked.1));
            for turn in 0..turns {
                change(&mut kernel, &(case.table)(turn), &answers, &asking).await;
            }
            stop.store(true, Ordering::Relaxed);
            let asked = asking.join().unwrap();
            end.store(true, Ordering::Relaxed);
            for answering in answering {
                answering.join().unwrap();
            }
            asked.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        });
    }
}
