//! The annotations that mean something: which there are, and what their values mean.

pub mod ingress;

use std::collections::BTreeMap;

use meshlite_snapshot::duration;

use self::ingress::{Annotation, Support};
pub(crate) use self::ingress::{MESHLITE, NGINX};
use crate::{ObjectKey, report::About, values};

/// On a Service: the IPVS scheduler that balances it.
pub(crate) const IPVS_SCHEDULER: &str = "meshlite.io/ipvs-scheduler";
/// On a Service: the weights of its endpoints, by zone, node, network or address.
pub(crate) const WEIGHTS: &str = "meshlite.io/weights";
/// On a Service: what the weights of its endpoints follow besides what is written; `load`.
pub(crate) const BALANCE: &str = "meshlite.io/balance";

/// On an Ingress: how far it is programmed, which the control plane writes there itself.
const PROGRAMMED: &str = "meshlite.io/programmed";

/// Every annotation of ours that means something on another kind than Ingress, and the one that is only written.
const KNOWN: [(&str, &str); 4] = [
    ("Service", IPVS_SCHEDULER),
    ("Service", WEIGHTS),
    ("Service", BALANCE),
    ("Ingress", PROGRAMMED),
];
/// How alike two names must be for one to be taken for the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// The path of an annotation, as the API server writes it.
pub(crate) fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

/// The Secret that a value names: `namespace/name`, or `name` in the object's own namespace.
pub(crate) fn secret(value: &str, own_namespace: &str) -> Option<ObjectKey> {
    let value = value.trim();
    let (namespace, name) = value.split_once('/').unwrap_or((own_namespace, value));
    let are_names = values::is_dns_subdomain(namespace) && values::is_dns_subdomain(name);
    are_names.then(|| ObjectKey::new(namespace, name))
}

/// Says which annotations mean nothing on this kind of object, and which are not served.
pub(crate) fn check(
    kind: &'static str,
    annotations: Option<&BTreeMap<String, String>>,
    about: &mut About<'_>,
) {
    let domains: &[&str] = if kind == "Ingress" {
        &[MESHLITE, NGINX]
    } else {
        &[MESHLITE]
    };
    for domain in domains {
        let of_domain = annotations
            .into_iter()
            .flat_map(|all| all.range((*domain).to_owned()..))
            .take_while(|(annotation, _)| annotation.starts_with(domain));
        for (annotation, value) in of_domain {
            check_one(kind, annotation, value.trim(), about);
        }
    }
}

fn check_one(kind: &'static str, annotation: &str, value: &str, about: &mut About<'_>) {
    let on_kind = KNOWN.iter().find(|(_, known)| *known == annotation);
    let on_ingress = ingress::find(annotation);
    let meant_for = match (on_kind, on_ingress) {
        (Some((kind, _)), _) => kind,
        (None, Some(_)) => "Ingress",
        (None, None) => {
            let message = match meant(annotation) {
                Some(known) => format!("unknown annotation; did you mean {known}?"),
                None => "unknown annotation".to_owned(),
            };
            about.warning(field(annotation), "UnknownAnnotation", message);
            return;
        }
    };
    if meant_for != kind {
        let message = format!("has a meaning on kind {meant_for} only");
        about.warning(field(annotation), "UnknownAnnotation", message);
    } else if let Some(known) = on_ingress
        && let Support::Unsupported(unless) = known.support
        && !unless.contains(&value)
    {
        let message = format!("is not supported. {}", known.says);
        about.error(field(annotation), "Unsupported", message);
    }
}

/// The annotation of the same domain that this one is probably a misspelling of.
fn meant(annotation: &str) -> Option<String> {
    let (domain, name) = annotation.split_once('/')?;
    let on_ingress = ingress::ALL.iter().flat_map(Annotation::full_names);
    let others = KNOWN.iter().map(|(_, known)| (*known).to_owned());
    let known: Vec<_> = on_ingress.chain(others).collect();
    let of_domain = known
        .iter()
        .filter_map(|known| known.strip_prefix(domain)?.strip_prefix('/'));
    alike(name, of_domain).map(|known| format!("{domain}/{known}"))
}

/// The known name that this one is probably a misspelling of.
pub(crate) fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::normalized_damerau_levenshtein(name, candidate);
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Reads whole seconds (`30`) or a duration as Go writes it (`1m30s`, `1.5s`, `500ms`), as milliseconds rounded up.
pub(crate) fn milliseconds(text: &str) -> Result<u32, &'static str> {
    const FORM: &str = "is not a duration; write seconds (30) or units (1m30s, 500ms)";
    let text = text.trim();
    let nanoseconds = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse::<u128>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000_000))
    } else {
        Some(duration::parse(text).ok_or(FORM)?.as_nanos())
    };
    match nanoseconds.map(|ns| u32::try_from(ns.div_ceil(1_000_000))) {
        Some(Ok(0)) => Err("must be longer than 0"),
        Some(Ok(ms)) => Ok(ms),
        Some(Err(_)) | None => Err("is longer than 49 days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Findings;

    #[test]
    fn timeouts_are_seconds_or_go_durations() {
        for (text, expected) in [
            ("30", Some(30_000)),
            ("5s", Some(5_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("+1s", Some(1_000)),
            ("1us", Some(1)),
            ("1500us", Some(2)),
            ("0", None),
            ("0s", None),
            ("", None),
            ("-1s", None),
            ("5", Some(5_000)),
            ("5 s", None),
            ("5x", None),
            (".s", None),
            ("s", None),
            ("1.2.3s", None),
            ("1000h", Some(3_600_000_000)),
            ("1200h", None),
            ("99999999999999999999999999999999999999999", None),
            ("99999999999999999999999999999999999999999h", None),
        ] {
            assert_eq!(milliseconds(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_named_with_or_without_its_namespace() {
        let named = |value| secret(value, "default").map(|key| key.to_string());
        assert_eq!(named("ca").as_deref(), Some("default/ca"));
        assert_eq!(named(" ops/ca ").as_deref(), Some("ops/ca"));
        for bad in ["", "/", "ops/", "/ca", "a/b/c", "A b"] {
            assert_eq!(named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_the_control_plane_writes_on_an_ingress_itself_is_known() {
        let annotations = BTreeMap::from([(PROGRAMMED.to_owned(), "2 of 3".to_owned())]);
        let found = |kind| {
            let (key, mut findings) = (ObjectKey::new("shop", "web"), Findings::default());
            check(kind, Some(&annotations), &mut findings.about(kind, &key));
            !findings.into_sorted().is_empty()
        };
        assert!(!found("Ingress"));
        assert!(found("Service"));
    }

    #[test]
    fn a_misspelling_finds_what_was_meant() {
        assert_eq!(
            meant("meshlite.io/request-timout").as_deref(),
            Some("meshlite.io/request-timeout")
        );
        assert_eq!(meant("nginx.ingress.kubernetes.io/made-up"), None);
        let known = ["wlc", "wrr", "meshlite.io/request-timeout"];
        assert_eq!(
            alike("meshlite.io/request-timout", known),
            Some("meshlite.io/request-timeout")
        );
        assert_eq!(alike("meshlite.io/retries", known), None);
    }
}
