//! Which known field an unknown one was meant to be.

/// The known field that `field` is a misspelling of: other case, other separators, or a letter or two wrong.
pub(crate) fn misspelt<'k>(field: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = plain(field);
    if plain.is_empty() {
        return None;
    }
    // a slip in one letter of four, at most two
    let allowed = (field.chars().count() / 4).clamp(1, 2);
    known
        .iter()
        .map(|candidate| (distance(&plain, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A field of another version of Kubernetes, or of the object.
pub(crate) struct Retired {
    /// Whether leaving it out changes nothing that is served.
    pub(crate) is_harmless: bool,
    /// What to do instead.
    pub(crate) message: &'static str,
}

/// What to say of a field that other versions have.
pub(crate) fn retired(path: &str) -> Option<Retired> {
    let (is_harmless, message) = match path {
        "spec.topologyKeys" => (
            true,
            "removed in Kubernetes 1.22; use spec.trafficDistribution",
        ),
        "spec.ipFamily" => (true, "replaced by spec.ipFamilies in Kubernetes 1.20"),
        "metadata.clusterName" => (true, "removed in Kubernetes 1.24; without effect"),
        "metadata.initializers" => (true, "removed in Kubernetes 1.16; without effect"),
        "spec.backend" => (false, "in networking.k8s.io/v1 it is spec.defaultBackend"),
        _ if path.ends_with("ackend.serviceName") => {
            (false, "in networking.k8s.io/v1 it is service.name")
        }
        _ if path.ends_with("ackend.servicePort") => (
            false,
            "in networking.k8s.io/v1 it is service.port.number or service.port.name",
        ),
        _ if path.starts_with("spec.rules") && path.ends_with(".backend.service") => (
            false,
            "before networking.k8s.io/v1 it is serviceName and servicePort",
        ),
        _ => return None,
    };
    Some(Retired {
        is_harmless,
        message,
    })
}

fn distance(plain_field: &str, candidate: &str) -> usize {
    strsim::osa_distance(plain_field, &plain(candidate))
}

fn plain(field: &str) -> String {
    field
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: &[&str] = &[
        "appProtocol",
        "name",
        "nodePort",
        "port",
        "protocol",
        "targetPort",
    ];

    #[test]
    fn case_separators_and_slips_are_misspellings() {
        for (field, meant) in [
            ("nodeport", "nodePort"),
            ("node_port", "nodePort"),
            ("NodePort", "nodePort"),
            ("targetPrt", "targetPort"),
            ("ports", "port"),
            ("protcol", "protocol"),
        ] {
            assert_eq!(misspelt(field, PORT), Some(meant), "{field}");
        }
    }

    #[test]
    fn something_else_is_not_a_misspelling() {
        for field in ["weight", "host", "description", "x", "-", ""] {
            assert_eq!(misspelt(field, PORT), None, "{field}");
        }
    }
}
