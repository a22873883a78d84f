//! Whatever the plain reader reads, the complete parser reads as the same.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Endpoints, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::Ingress,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use proptest::{prelude::*, sample::Index};
use serde::de::DeserializeOwned;

use crate::{
    convert::{Deployment, Pod},
    unknown::{Notes, Strict},
};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web # a comment\n  labels:\n    a.b/c: \"1\"\n\nspec:\n  \
                       selector:\n    app: web\n  clusterIPs:\n  - 10.0.0.1\n  - 'fd00::1'\n  publishNotReadyAddresses: true\n  \
                       ports:\n  - port: 80\n    targetPort: http\n  -   name: b\n      port: 81\n      targetPort: 8081\n  \
                       externalName:\nstatus: {}\n";

const SLICE: &str = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n    name: a\naddressType: IPv4\nendpoints:\n- \
                     addresses:\n  - 10.0.0.1\n  conditions:\n    ready: true\n  targetRef:\n    kind: Pod\n    name: a-1\n- addresses: []\n  \
                     nodeName: null\nports:\n- port: 80\n  name: \"\"\n  protocol: TCP\n";

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  creationTimestamp: 2024-08-20T14:05:33Z\nspec:\n  containers:\n  - \
                   name: c\n    image: a:1\n    args:\n    - run\n    - \"--port=80\"\n    resources:\n      limits:\n        cpu: 100m\n        \
                   memory: 64Mi\nstatus:\n  podIP: 10.0.0.1\n  phase: Running\n  conditions:\n  - status: \"True\"\n    type: Ready\n";

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ntype: kubernetes.io/tls\nimmutable: false\ndata:\n  tls.crt: \
                      YWJj\n  tls.key: \"ZGVm\"\nstringData:\n  a: b\n";

const INGRESS: &str = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\nspec:\n  rules:\n  - host: a.example\n    \
                       http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: a\n            \
                       port:\n              number: 80\n  - http:\n      paths: []\n  tls:\n    - hosts:\n      - b\n      secretName: c\n";

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

/// As what a value may be read.
fn agree_on_entries(text: &[u8]) {
    agree::<BTreeMap<String, String>>(text);
    agree::<BTreeMap<String, Option<String>>>(text);
    agree::<BTreeMap<String, i32>>(text);
    agree::<BTreeMap<String, Option<i64>>>(text);
    agree::<BTreeMap<String, Option<bool>>>(text);
    agree::<BTreeMap<String, IntOrString>>(text);
    agree::<BTreeMap<String, Quantity>>(text);
    agree::<BTreeMap<String, serde_json::Value>>(text);
    agree::<BTreeMap<String, Vec<String>>>(text);
    agree::<BTreeMap<String, Option<Vec<Option<String>>>>>(text);
    agree::<BTreeMap<String, BTreeMap<String, String>>>(text);
    agree::<BTreeMap<String, Option<Vec<BTreeMap<String, Vec<i32>>>>>>(text);
}

#[test]
fn manifests_in_plain_style_are_read() {
    fn read<T: DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
        let value: Option<T> = super::from_slice(text.as_bytes()).ok();
        assert!(value.is_some(), "{text}");
        assert_eq!(value, complete(text.as_bytes()).ok(), "{text}");
    }
    read::<Service>(SERVICE);
    read::<EndpointSlice>(SLICE);
    read::<Pod>(POD);
    read::<Secret>(SECRET);
    read::<Ingress>(INGRESS);
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
    "\t",
    "\r",
    "\r\n",
    "\n",
    "\n",
    "\n  ",
    "\n    ",
    "\n# a\n",
    "\n\n",
    "-",
    "- ",
    "- - ",
    "\n- ",
    "\n  - ",
    "-\n",
    ":",
    ": ",
    " :",
    " : ",
    ":\n",
    "? ",
    "\n? ",
    "#",
    " #",
    "# ",
    "\"",
    "'",
    "\"\"",
    "''",
    "\"a\"",
    "'a'",
    "\\",
    "\\n",
    "|",
    "|-\n",
    ">",
    ">\n  ",
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "!!int ",
    "!a ",
    "%",
    "%YAML 1.1\n",
    "@",
    "`",
    "---",
    "--- ",
    "\n---\n",
    "...",
    "\n...\n",
    "<<",
    "<<: ",
    "null",
    "Null",
    "NULL",
    "nULL",
    "~",
    "true",
    "True",
    "TRUE",
    "tRUE",
    "false",
    "False",
    "FALSE",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "0",
    "1",
    "80",
    "-1",
    "-0",
    "+1",
    "--1",
    "007",
    "010",
    "-010",
    "0o7",
    "-0o7",
    "0x1f",
    "-0x1f",
    "0b1",
    "1_000",
    "1.5",
    "1.",
    ".5",
    "-.5",
    "1e3",
    "1E3",
    "1e-3",
    "1e",
    "-1e3",
    ".inf",
    "-.inf",
    "+.inf",
    ".Inf",
    ".nan",
    ".NaN",
    "inf",
    "-inf",
    "infinity",
    "nan",
    "NaN",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "12:30",
    "2024-08-20",
    "2024-08-20T14:05:33Z",
    "10.0.0.1",
    "fd00::1",
    "::",
    "a",
    "b",
    "app",
    "port",
    "ports",
    "spec",
    "name",
    "/",
    "_",
    ".",
    "a.b/c",
    "\u{e9}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{7f}",
    "\0",
];

const MANIFESTS: [&str; 5] = [SERVICE, SLICE, POD, SECRET, INGRESS];

fn pieces(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..=most).prop_map(|pieces| pieces.concat())
}

/// A manifest with a few pieces put in or taken out.
fn broken() -> impl Strategy<Value = String> {
    let manifest = prop::sample::select(&MANIFESTS[..]);
    let edit = (any::<Index>(), 0_usize..4, prop::sample::select(PIECES));
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

/// A manifest with one key and its value, or only one of them, replaced.
fn replaced() -> impl Strategy<Value = String> {
    let manifest = prop::sample::select(&MANIFESTS[..]);
    let key = prop::option::weighted(0.2, pieces(2));
    let value = prop::option::weighted(0.8, pieces(4));
    (manifest, any::<Index>(), key, value).prop_map(|(manifest, line, new_key, new_value)| {
        let mut lines: Vec<String> = manifest.lines().map(ToOwned::to_owned).collect();
        let at = line.index(lines.len());
        let (key, value) = lines[at].split_once(':').unwrap_or((&lines[at], ""));
        let bare = key.trim_start_matches([' ', '-']);
        let indent = key.strip_suffix(bare).unwrap_or_default();
        let key = format!("{indent}{}", new_key.as_deref().unwrap_or(bare));
        let value = new_value.unwrap_or_else(|| value.trim_start().to_owned());
        lines[at] = format!("{key}: {value}");
        lines.join("\n")
    })
}

/// What may happen to one line.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Indent(usize),
    Outdent(usize),
    Dash,
    Copy,
    Remove,
    CutValue,
}

/// A manifest with lines that stand elsewhere, twice, or not at all.
fn rearranged() -> impl Strategy<Value = String> {
    let edit = prop_oneof![
        (1_usize..5).prop_map(Edit::Indent),
        (1_usize..5).prop_map(Edit::Outdent),
        Just(Edit::Dash),
        Just(Edit::Copy),
        Just(Edit::Remove),
        Just(Edit::CutValue),
    ];
    let edits = prop::collection::vec((any::<Index>(), any::<Index>(), edit), 1..4);
    (prop::sample::select(&MANIFESTS[..]), edits).prop_map(|(manifest, edits)| {
        let mut lines: Vec<String> = manifest.lines().map(ToOwned::to_owned).collect();
        for (at, to, edit) in edits {
            let (at, to) = (at.index(lines.len()), to.index(lines.len()));
            let line = &mut lines[at];
            let indent = line.len() - line.trim_start_matches(' ').len();
            match edit {
                Edit::Indent(by) => line.insert_str(0, &" ".repeat(by)),
                Edit::Outdent(by) => drop(line.drain(..by.min(indent))),
                Edit::Dash => line.insert_str(indent, "- "),
                Edit::Copy => {
                    let line = line.clone();
                    lines.insert(to, line);
                }
                Edit::Remove => drop(lines.remove(at)),
                Edit::CutValue => line.truncate(line.find(':').map_or(line.len(), |at| at + 1)),
            }
        }
        lines.join("\n")
    })
}

/// Mappings of anything, some of it in sequences and in mappings below.
fn entries() -> impl Strategy<Value = String> {
    let key = prop_oneof![4 => Just("a".to_owned()), 4 => Just("b".to_owned()), 2 => pieces(2)];
    let before = prop_oneof![
        6 => Just(": "), 1 => Just(":"), 1 => Just(" : "), 2 => Just(":\n- "), 1 => Just(":\n  - "), 1 => Just(":\n  b: "),
        1 => Just(":\n- b:\n  - "), 1 => Just(": # a\n"), 1 => Just(":\n\n  - b: "),
    ];
    let after = prop_oneof![8 => Just("\n"), 1 => Just(" \n"), 1 => Just(" # a\n"), 1 => Just("#\n"), 1 => Just("\r\n"), 1 => Just("\n  a\n")];
    let entry = (key, before, pieces(3), after);
    prop::collection::vec(entry, 1..3).prop_map(|entries| {
        let entry = |(key, before, value, after)| format!("{key}{before}{value}{after}");
        entries.into_iter().map(entry).collect()
    })
}

/// Some multiple of what is usual, which `PROPTEST_CASES` changes.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.saturating_mul(6),
        ..usual
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn a_broken_manifest_is_read_as_the_parser_reads_it(text in broken()) {
        agree_on_all(text.as_bytes());
    }

    #[test]
    fn any_key_and_value_is_read_as_the_parser_reads_it(text in replaced()) {
        agree_on_all(text.as_bytes());
    }

    #[test]
    fn lines_that_moved_are_read_as_the_parser_reads_them(text in rearranged()) {
        agree_on_all(text.as_bytes());
    }

    #[test]
    fn entries_are_read_as_the_parser_reads_them_whatever_their_type(text in entries()) {
        agree_on_entries(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree_on_all(&bytes);
        agree_on_entries(&bytes);
    }
}

#[test]
fn every_piece_alone_is_read_as_the_parser_reads_it() {
    for (a, b) in PIECES
        .iter()
        .flat_map(|a| PIECES.iter().map(move |b| (a, b)))
    {
        for text in [
            format!("a: {a}{b}"),
            format!("a: {a}{b}\nb: c\n"),
            format!("a:\n- {a}{b}\n- c\n"),
            format!("{a}{b}: c\n"),
        ] {
            agree_on_entries(text.as_bytes());
        }
    }
}

#[test]
fn deep_nesting_is_given_back() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Nested {
        a: Option<Box<Self>>,
    }
    for (depth, is_read) in [
        (10, true),
        (59, true),
        (61, false),
        (300, false),
        (30_000, false),
    ] {
        let lines = (0..depth).map(|n: usize| " ".repeat(n.min(400)) + "a:\n");
        let text: String = lines.collect();
        assert_eq!(
            super::from_slice::<Nested>(text.as_bytes()).is_ok(),
            is_read,
            "{depth}"
        );
        if depth < 400 {
            agree::<Nested>(text.as_bytes());
        }
    }
}
