//! Whatever the plain reader reads, the complete parser reads as the same.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Endpoints, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::Ingress,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

use crate::unknown::{Notes, Strict};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web # a comment\n  labels:\n    a.b/c: \"1\"\n\nspec:\n  \
                       selector:\n    app: web\n  clusterIPs:\n  - 10.0.0.1\n  - 'fd00::1'\n  publishNotReadyAddresses: true\n  \
                       ports:\n  - port: 80\n    targetPort: http\n  -   name: b\n      port: 81\n      targetPort: 8081\n  \
                       externalName:\nstatus: {}\n";

const SLICE: &str = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n    name: a\naddressType: IPv4\nendpoints:\n- \
                     addresses:\n  - 10.0.0.1\n  conditions:\n    ready: true\n  targetRef:\n    kind: Pod\n    name: a-1\n- addresses: []\n  \
                     nodeName: null\nports:\n- port: 80\n  name: \"\"\n  protocol: TCP\n";

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  creationTimestamp: 2024-08-20T14:05:33Z\nspec:\n  containers:\n  - \
                   name: c\n    image: a:1\n    args:\n    - --port=80\n    resources:\n      limits:\n        cpu: 1\n        memory: 64Mi\n        \
                   x: 1.5\nstatus:\n  podIP: 10.0.0.1\n  phase: Running\n";

/// What the complete parser makes of it, where it has nothing to note.
fn complete<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let notes = Notes::new(text);
    let parser = yaml_serde::Deserializer::from_slice(text);
    let value = T::deserialize(Strict::new(parser, &notes)).map_err(|error| error.to_string())?;
    let (noted, _) = notes.into_parts();
    if noted.is_empty() {
        Ok(value)
    } else {
        Err(format!("{noted:?}"))
    }
}

fn agree<T: DeserializeOwned + PartialEq + std::fmt::Debug>(text: &[u8]) {
    if let Ok(value) = super::from_slice::<T>(text) {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(Ok(value), complete::<T>(text), "{shown}");
    }
}

fn agree_on_all(text: &[u8]) {
    agree::<Service>(text);
    agree::<EndpointSlice>(text);
    agree::<Endpoints>(text);
    agree::<Ingress>(text);
    agree::<Secret>(text);
    agree::<Pod>(text);
    agree::<Deployment>(text);
}

#[test]
fn manifests_in_plain_style_are_read() {
    assert_eq!(
        super::from_slice::<Service>(SERVICE.as_bytes()).ok(),
        complete(SERVICE.as_bytes()).ok()
    );
    assert!(super::from_slice::<Service>(SERVICE.as_bytes()).is_ok());
    assert!(super::from_slice::<EndpointSlice>(SLICE.as_bytes()).is_ok());
    agree::<EndpointSlice>(SLICE.as_bytes());
    let pod = POD
        .replace("        x: 1.5\n", "")
        .replace("    - --port=80\n", "    - run\n");
    assert!(super::from_slice::<Pod>(pod.as_bytes()).is_ok());
    agree::<Pod>(pod.as_bytes());
}

#[test]
fn what_is_not_plain_or_not_right_is_given_back() {
    for (old, new) in [
        ("app: web", "app: 1"),
        ("app: web", "app: true"),
        ("app: web", "app: 1.5"),
        ("app: web", "app: *a"),
        ("app: web", "app: web\n      more"),
        ("app: web", "app: a: b"),
        ("app: web", "app: \"a\\n\""),
        ("app: web", "app: |\n      a"),
        ("app: web", "app: \u{e9}"),
        ("app: web", "app:\tweb"),
        ("app: web", "app: web\r"),
        ("app: web", "app: web\n    app: api"),
        ("port: 80\n", "port: \"80\"\n"),
        ("port: 80\n", "nodeport: 80\n"),
        ("port: 80\n", "port: 080\n"),
        ("  ports:", " ports:"),
        ("  ports:", "   ports:"),
        ("status: {}", "status: {}\nmore"),
        ("status: {}", "status: {loadBalancer: {}}"),
    ] {
        let text = SERVICE.replace(old, new);
        assert!(
            super::from_slice::<Service>(text.as_bytes()).is_err(),
            "{text}"
        );
    }
}

#[test]
fn the_tutorials_are_read_as_the_parser_reads_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tutorials");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        for document in crate::documents(&text) {
            agree_on_all(document.text);
        }
    }
}

/// Pieces that lines are made of.
const PIECES: &[&str] = &[
    " ",
    "  ",
    "    ",
    "-",
    "- ",
    ":",
    ": ",
    " :",
    "#",
    " #",
    "\"",
    "'",
    "|",
    ">",
    "{}",
    "[]",
    "{",
    "]",
    "null",
    "~",
    "true",
    "80",
    "-1",
    "0x1f",
    "1.5",
    "1e3",
    "0",
    "007",
    "-0",
    "+1",
    ".5",
    "a",
    "app",
    "port",
    "ports",
    "spec",
    "name",
    "&a ",
    "*a",
    "!!str ",
    "? ",
    "%",
    "@",
    "\\",
    "\t",
    "\r",
    "\u{e9}",
    "\u{85}",
    "---",
    "...",
    "<<",
    ",",
    "infinity",
    "nan",
    "y",
    "18446744073709551616",
    "\n",
    "\n",
    "\n  ",
];

/// A manifest with a few pieces put in or taken out.
fn broken() -> impl Strategy<Value = String> {
    let manifest = prop::sample::select(vec![SERVICE, SLICE, POD]);
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..4,
        prop::sample::select(PIECES),
    );
    (manifest, prop::collection::vec(edit, 1..4)).prop_map(|(manifest, edits)| {
        let mut text: Vec<char> = manifest.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// A manifest with one value replaced.
fn revalued() -> impl Strategy<Value = String> {
    let manifest = prop::sample::select(vec![SERVICE, SLICE, POD]);
    let value = prop::collection::vec(prop::sample::select(PIECES), 0..4);
    (manifest, any::<prop::sample::Index>(), value).prop_map(|(manifest, line, value)| {
        let mut lines: Vec<String> = manifest.lines().map(ToOwned::to_owned).collect();
        let at = line.index(lines.len());
        let key = lines[at]
            .split(": ")
            .next()
            .unwrap()
            .trim_end_matches(':')
            .to_owned();
        lines[at] = format!("{key}: {}", value.concat());
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_broken_manifest_is_read_as_the_parser_reads_it(text in broken()) {
        agree_on_all(text.as_bytes());
    }

    #[test]
    fn any_value_is_read_as_the_parser_reads_it(text in revalued()) {
        agree_on_all(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree_on_all(&bytes);
    }
}
