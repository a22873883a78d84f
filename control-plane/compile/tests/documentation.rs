//! `docs/annotations.md` is what the table of annotations says.
//!
//! `UPDATE_GOLDEN=1 cargo test -p meshlite-compile --test documentation` writes it.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::{fmt::Write as _, fs, path::Path};

use meshlite_compile::ingress_annotations::{ALL, Domains, Support};

const OPENING: &str = "\
# Annotations of Ingresses

This page is made from the table that the compiler uses (`control-plane/compile/src/annotations/ingress.rs`).

An annotation of the domain *both* may be written as `meshlite.io/NAME` or as `nginx.ingress.kubernetes.io/NAME`; where
both are written, `meshlite.io/` counts. Times are seconds (`30`) or units (`1m30s`, `500ms`); flags are `true` or `false`.

| in ingress-nginx | meaning |
|---|---|
| same | Served as ingress-nginx does. |
| within | Served as ingress-nginx does within the limits that are said; what is beyond them is a finding. |
| differs | Served with the difference that is said. |
| no effect | It is about nginx itself; nothing is lost without it. |
| no | Not served: a finding on the Ingress, and the rest of it is served. |

A value that means nothing is a finding, and has no effect. One that protects something (address lists, passwords, another
server's word, certificates) and means nothing closes the routes of the Ingress: they answer 503 until it is right. Secrets are
those of the Ingress's own namespace. `meshlite migrate` says all this for Ingresses that there are.
";

#[test]
fn the_page_of_annotations_is_up_to_date() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/annotations.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/annotations.md is not what the table says; UPDATE_GOLDEN=1 writes it"
    );
}

fn page() -> String {
    let mut page = OPENING.to_owned();
    let mut family = "";
    for known in ALL {
        if known.family != family {
            family = known.family;
            let (first, rest) = family.split_at(1);
            let title = first.to_ascii_uppercase() + rest;
            writeln!(page, "\n## {title}\n\n| name | domain | in ingress-nginx | what it does |\n|---|---|---|---|").unwrap();
        }
        let domain = match known.domains {
            Domains::Both => "both",
            Domains::Meshlite => "meshlite.io",
            Domains::Nginx => "nginx",
        };
        let support = match (known.domains, known.support) {
            (Domains::Meshlite, _) => "–",
            (_, Support::Same) => "same",
            (_, Support::Within) => "within",
            (_, Support::Differs) => "differs",
            (_, Support::NoEffect) => "no effect",
            (_, Support::Unsupported(_)) => "no",
        };
        let says = known.says.replace('|', "\\|");
        writeln!(page, "| `{}` | {domain} | {support} | {says} |", known.name).unwrap();
    }
    page
}
