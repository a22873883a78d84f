//! How long reading manifests takes, next to the bare YAML parser on the same bytes and cores.
//!
//! `cargo run --release -p meshlite-manifests --example parse_speed [SERVICES]`

#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(
    clippy::disallowed_types,
    reason = "measures wall time; nothing is paused here"
)]

use std::{
    fmt::Write as _,
    hint::black_box,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use meshlite_manifests::{Document, documents, parse_all};
use serde::de::IgnoredAny;

/// The allocator of the `meshlite` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENDPOINTS: u32 = 10;
const SERVICES_IN_A_FILE: u32 = 500;
const ROUNDS: usize = 11;

fn main() {
    let services: u32 = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000);
    let files = files(services);
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    println!("{services} Services, {} files, {bytes} bytes", files.len());
    let mut bare = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(timed(|| bare_yaml(&files)));
        let copy = files.clone();
        ours.push(timed(|| parse_all(copy)));
    }
    let parsed = parse_all(files);
    let objects: usize = parsed.iter().map(|file| file.objects.len()).sum();
    let findings: usize = parsed.iter().map(|file| file.findings.len()).sum();
    println!("{objects} objects, {findings} findings");
    for (what, of) in [
        ("wall", Taken::wall as fn(&Taken) -> f64),
        ("CPU", Taken::cpu),
    ] {
        let (bare, ours) = (median(&bare, of), median(&ours, of));
        println!(
            "{what}: bare YAML {bare:.0} ms, parse_all {ours:.0} ms, ratio {:.3}",
            ours / bare
        );
    }
}

/// In milliseconds.
struct Taken {
    wall: f64,
    cpu: f64,
}

impl Taken {
    fn wall(&self) -> f64 {
        self.wall
    }

    fn cpu(&self) -> f64 {
        self.cpu
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Taken {
    let (start, cpu) = (Instant::now(), cpu_millis());
    let result = black_box(work());
    let taken = Taken {
        wall: start.elapsed().as_secs_f64() * 1000.0,
        cpu: cpu_millis() - cpu,
    };
    drop(result);
    taken
}

/// The CPU time of all threads so far, in steps of 10 ms: user and system time of `/proc/self/stat`.
fn cpu_millis() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        * 10.0
}

fn median(rounds: &[Taken], of: fn(&Taken) -> f64) -> f64 {
    let mut times: Vec<f64> = rounds.iter().map(of).collect();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What the parser alone needs for the same documents on the same cores.
fn bare_yaml(files: &[(String, Vec<u8>)]) -> usize {
    let all: Vec<Document<'_>> = files.iter().flat_map(|(_, text)| documents(text)).collect();
    let pieces: Vec<&[Document<'_>]> = all.chunks(64).collect();
    let (next, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for document in *piece {
                        let parsed = yaml_serde::from_slice::<IgnoredAny>(document.text);
                        count.fetch_add(usize::from(parsed.is_ok()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    count.into_inner()
}

fn files(services: u32) -> Vec<(String, Vec<u8>)> {
    let numbers: Vec<u32> = (0..services).collect();
    numbers
        .chunks(SERVICES_IN_A_FILE as usize)
        .enumerate()
        .map(|(file, numbers)| {
            let mut text = String::new();
            for number in numbers {
                service(&mut text, *number);
                slice(&mut text, *number);
            }
            (format!("services-{file}.yaml"), text.into_bytes())
        })
        .collect()
}

fn service(text: &mut String, number: u32) {
    let namespace = number % 50;
    let written = write!(
        text,
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: svc-{number}\n  namespace: ns-{namespace}\n  labels:\n    \
         app: app-{number}\nspec:\n  type: ClusterIP\n  selector:\n    app: app-{number}\n  ports:\n  - name: http\n    \
         port: 80\n    protocol: TCP\n    targetPort: 8080\n"
    );
    debug_assert!(written.is_ok());
}

fn slice(text: &mut String, number: u32) {
    let namespace = number % 50;
    let mut written = write!(
        text,
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: svc-{number}-a\n  namespace: \
         ns-{namespace}\n  labels:\n    kubernetes.io/service-name: svc-{number}\naddressType: IPv4\nports:\n- name: http\n  \
         port: 8080\n  protocol: TCP\nendpoints:\n"
    );
    for endpoint in 0..ENDPOINTS {
        let address = number * ENDPOINTS + endpoint;
        let [_, b, c, d] = address.to_be_bytes();
        written = written.and(write!(
            text,
            "- addresses:\n  - 10.{b}.{c}.{d}\n  conditions:\n    ready: true\n    serving: true\n    terminating: false\n  \
             nodeName: node-{}\n  zone: zone-{}\n  targetRef:\n    kind: Pod\n    name: svc-{number}-{endpoint}\n    \
             namespace: ns-{namespace}\n",
            address % 100,
            address % 3
        ));
    }
    debug_assert!(written.is_ok());
}
