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
    time::{Duration, Instant},
};

use meshlite_manifests::{Document, documents, parse_all};
use serde::de::IgnoredAny;

const ENDPOINTS: u32 = 10;
const SERVICES_IN_A_FILE: u32 = 500;
const ROUNDS: usize = 7;

fn main() {
    let services: u32 = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000);
    let files = files(services);
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    println!("{services} Services, {} files, {bytes} bytes", files.len());
    let mut ours = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(timed(|| bare_yaml(&files)));
        let copy = files.clone();
        ours.push(timed(|| parse_all(copy)));
    }
    let parsed = parse_all(files);
    let objects: usize = parsed.iter().map(|file| file.objects.len()).sum();
    let findings: usize = parsed.iter().map(|file| file.findings.len()).sum();
    let (bare, ours) = (median(bare), median(ours));
    println!("{objects} objects, {findings} findings");
    println!("bare YAML {bare:?}, parse_all {ours:?}");
    println!("ratio {:.3}", ours.as_secs_f64() / bare.as_secs_f64());
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = black_box(work());
    let taken = start.elapsed();
    drop(result);
    taken
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
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
