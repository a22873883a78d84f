//! Times flat maps of many services against `nft -f` of the same rules, in a network namespace of its own, as root:
//! `cargo run -p meshlite-nft --release --example measure [SIZE…]`. Prints a table.
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::disallowed_types, reason = "it measures real time")]

#[path = "flat/rules.rs"]
mod rules;
#[path = "flat/service.rs"]
mod service;
#[path = "flat/steps.rs"]
mod steps;

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use meshlite_nft::{Nftables, Transaction};
use nix::{
    sched::{CloneFlags, unshare},
    sys::resource::{UsageWho, getrusage},
};
use rules::Flat;
use service::{Service, kind, vip};

type Outcome<V> = Result<V, Box<dyn std::error::Error>>;

const SIZES: [u32; 4] = [1_000, 5_000, 10_000, 44_000];
/// How often each is done; the median is printed.
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let sizes: Vec<u32> = std::env::args()
        .skip(1)
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    println!(
        "services | bytes | made ms | load ms (CPU) | nft -f ms (CPU) | +1 ms | nft +1 ms | change 1 ms | list ms | peak RSS MB"
    );
    for size in if sizes.is_empty() {
        SIZES.to_vec()
    } else {
        sizes
    } {
        measure(size)?;
    }
    Ok(())
}

fn service(number: u32) -> Service {
    let address = |first: u8, number: u32| Ipv4Addr::from_bits((u32::from(first) << 24) + number);
    Service {
        address: address(10, number),
        protocol: 6,
        port: 80,
        endpoints: vec![
            (address(11, 2 * number), 8080),
            (address(11, 2 * number + 1), 8080),
        ],
        sticky: false,
        sources: None,
    }
}

fn measure(size: u32) -> Outcome<()> {
    let flat = Flat::new("flat");
    let mut nftables = Nftables::connect()?;
    let services: Vec<_> = (1..=size).map(service).collect();
    let known: BTreeSet<_> = services.iter().map(kind).collect();
    let mut made = Vec::new();
    let mut loaded = Vec::new();
    let mut loaded_by_nft = Vec::new();
    let mut bytes = 0;
    // Ours first: the script is not to be counted as memory of ours. Ours last, for what follows.
    for _ in 0..ROUNDS {
        clear(&mut nftables, &flat)?;
        let mut transaction = Transaction::new();
        made.push(timed(UsageWho::RUSAGE_SELF, || {
            transaction = flat.load(&services);
            Ok(())
        })?);
        bytes = transaction.size();
        loaded.push(timed(UsageWho::RUSAGE_SELF, || {
            Ok(nftables.commit(&transaction)?)
        })?);
    }
    let peak = peak_memory()?;
    let text = script(&services);
    for _ in 0..ROUNDS {
        clear(&mut nftables, &flat)?;
        loaded_by_nft.push(timed(UsageWho::RUSAGE_CHILDREN, || nft(&text))?);
    }
    drop(text);
    nftables.commit(&flat.load(&services))?;

    let mut added = Vec::new();
    let mut added_by_nft = Vec::new();
    let mut changed = Vec::new();
    for round in 0..ROUNDS {
        let next = size + 1 + 2 * u32::try_from(round)?;
        added.push(timed(UsageWho::RUSAGE_SELF, || {
            let mut transaction = Transaction::new();
            flat.add_services(&mut transaction, &[service(next)], &known);
            Ok(nftables.commit(&transaction)?)
        })?);
        let text = elements(&[service(next + 1)]);
        added_by_nft.push(timed(UsageWho::RUSAGE_CHILDREN, || nft(&text))?);
        let to = (Ipv4Addr::new(12, 0, 0, 1), 9090 + u16::try_from(round)?);
        changed.push(timed(UsageWho::RUSAGE_SELF, || {
            Ok(nftables.commit(&flat.change_endpoint(&services[0], 0, to))?)
        })?);
    }
    let mut count = 0;
    let listed = timed(UsageWho::RUSAGE_SELF, || {
        count = nftables.elements(&flat.set("endpoints"))?.len();
        Ok(())
    })?;
    if count != 2 * (services.len() + 2 * ROUNDS) || vip(&services[0]).as_bytes().is_empty() {
        return Err(format!("{count} slots are there").into());
    }
    clear(&mut nftables, &flat)?;

    let (load, load_by_nft) = (median(loaded), median(loaded_by_nft));
    println!(
        "{size} | {bytes} | {} | {} ({}) | {} ({}) | {} | {} | {} | {} | {}",
        ms(median(made).wall),
        ms(load.wall),
        ms(load.cpu),
        ms(load_by_nft.wall),
        ms(load_by_nft.cpu),
        ms(median(added).wall),
        ms(median(added_by_nft).wall),
        ms(median(changed).wall),
        ms(listed.wall),
        peak,
    );
    Ok(())
}

/// Takes away what the round before left.
fn clear(nftables: &mut Nftables, flat: &Flat) -> Outcome<()> {
    let mut transaction = flat.load(&[]);
    transaction.delete_table(flat.table());
    Ok(nftables.commit(&transaction)?)
}

/// The same for `nft -f`.
fn script(services: &[Service]) -> String {
    let text = "table inet flat {
  map vips { type ipv4_addr . inet_proto . inet_service : mark; }
  map kinds { type mark : verdict; elements = { 2 : goto endpoints-2 }; }
  map endpoints { typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport; }
  set refused { type ipv4_addr . inet_proto . inet_service; }
  set guarded { type ipv4_addr . inet_proto . inet_service; }
  set allowed { type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; }
  set hairpins { type ipv4_addr . ipv4_addr; }
  chain endpoints-2 { meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 2 map @endpoints; }
  chain filter-in { type filter hook prerouting priority -110;
    ip daddr . meta l4proto . th dport @guarded ip daddr . meta l4proto . th dport . ip saddr != @allowed counter drop
    ip daddr . meta l4proto . th dport @refused reject; }
  chain nat-in { type nat hook prerouting priority -100;
    meta mark set ip daddr . meta l4proto . th dport map @vips meta mark vmap @kinds; }
  chain filter-out { type filter hook output priority -110;
    ip daddr . meta l4proto . th dport @guarded ip daddr . meta l4proto . th dport . ip saddr != @allowed counter drop
    ip daddr . meta l4proto . th dport @refused reject; }
  chain nat-out { type nat hook output priority -100;
    meta mark set ip daddr . meta l4proto . th dport map @vips meta mark vmap @kinds; }
  chain nat-back { type nat hook postrouting priority 100; ip saddr . ip daddr @hairpins masquerade fully-random; }
}
";
    text.to_owned() + &elements(services)
}

fn elements(services: &[Service]) -> String {
    let joined = |items: Vec<String>| items.join(",");
    let vip = |service: &Service| format!("{} . tcp . {}", service.address, service.port);
    let vips = services
        .iter()
        .map(|service| format!("{} : 2", vip(service)));
    let slots = services.iter().flat_map(|service| {
        let slots = service.endpoints.iter().enumerate();
        slots.map(move |(slot, (to, port))| format!("{} . {slot} : {to} . {port}", vip(service)))
    });
    let endpoints = services.iter().flat_map(|service| &service.endpoints);
    let hairpins = endpoints.map(|(address, _)| format!("{address} . {address}"));
    format!(
        "add element inet flat endpoints {{ {} }}
add element inet flat hairpins {{ {} }}
add element inet flat vips {{ {} }}
",
        joined(slots.collect()),
        joined(hairpins.collect()),
        joined(vips.collect()),
    )
}

fn nft(text: &str) -> Outcome<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .ok_or("it has none")?
        .write_all(text.as_bytes())?;
    if child.wait()?.success() {
        Ok(())
    } else {
        Err("nft -f failed".into())
    }
}

#[derive(Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

fn timed(who: UsageWho, work: impl FnOnce() -> Outcome<()>) -> Outcome<Spent> {
    let cpu = || -> Outcome<Duration> {
        let usage = getrusage(who)?;
        let total = usage.user_time() + usage.system_time();
        Ok(Duration::from_micros(u64::try_from(
            total.tv_sec() * 1_000_000 + total.tv_usec(),
        )?))
    };
    let (before, start) = (cpu()?, Instant::now());
    work()?;
    Ok(Spent {
        wall: start.elapsed(),
        cpu: cpu()?.saturating_sub(before),
    })
}

fn median(mut spent: Vec<Spent>) -> Spent {
    spent.sort_by_key(|spent| spent.wall);
    spent[spent.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// What this process had in memory at most, in MB of 10⁶ bytes.
fn peak_memory() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024 / 1_000_000)
}
