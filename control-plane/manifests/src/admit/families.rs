//! The address families of a Service, as an API server decides them.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::ServiceSpec;
use meshlite_snapshot::AddressFamily::{self, Ipv4, Ipv6};

use super::ServiceAllocation;
use crate::Problem;

/// What a Service's `ipFamilies` and `ipFamilyPolicy` become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Families {
    /// One or two, the primary first.
    pub(super) order: Vec<AddressFamily>,
    pub(super) policy: &'static str,
    /// Why not as written. The Service is refused unless it held addresses before.
    pub(super) problems: Vec<Problem>,
}

pub(super) const fn name(family: AddressFamily) -> &'static str {
    match family {
        Ipv4 => "IPv4",
        Ipv6 => "IPv6",
    }
}

const fn other(family: AddressFamily) -> AddressFamily {
    match family {
        Ipv4 => Ipv6,
        Ipv6 => Ipv4,
    }
}

/// Decides families for a Service that is not an ExternalName. `held` is what it had before.
pub(super) fn decide(
    spec: &ServiceSpec,
    held: &ServiceAllocation,
    service_cidrs: &[IpNet],
) -> Families {
    let configured = configured(service_cidrs);
    let explicit: Vec<_> = explicit_ips(spec).map(AddressFamily::of).collect();
    let headless = is_headless(spec);
    let free_form = headless && spec.selector.as_ref().is_none_or(BTreeMap::is_empty);
    let policy = match spec.ip_family_policy.as_deref() {
        Some("PreferDualStack") => "PreferDualStack",
        Some("RequireDualStack") => "RequireDualStack",
        // No selector, so its endpoints may have any family.
        None if free_form => "RequireDualStack",
        _ => "SingleStack",
    };
    let mut problems = Vec::new();
    let mut families: Vec<_> = named(spec).collect();
    for (i, family) in families.iter().enumerate() {
        // An explicit address needs no range.
        if !free_form && !configured.contains(family) && explicit.get(i) != Some(family) {
            let message = format!(
                "Invalid value: {:?}: not configured on this cluster",
                name(*family)
            );
            let field = format!("spec.ipFamilies[{i}]");
            problems.push(Problem::error(field, "FieldValueInvalid", message));
        }
    }
    families.extend(explicit.iter().skip(families.len()));
    if families.is_empty() {
        let first_held = held.cluster_ips.first().copied().map(AddressFamily::of);
        families.push(first_held.or(configured.first().copied()).unwrap_or(Ipv4));
    }
    keep_primary(&mut families, held, &mut problems);
    if policy != "SingleStack" && families.len() == 1 {
        let second = families.first().copied().map_or(Ipv6, other);
        let was_dual = held.cluster_ips.len() == 2;
        if free_form || was_dual || configured.contains(&second) {
            families.push(second);
        } else if policy == "RequireDualStack" {
            let message = format!(
                "Invalid value: {policy:?}: this cluster is not configured for dual-stack services"
            );
            problems.push(Problem::error(
                "spec.ipFamilyPolicy",
                "FieldValueInvalid",
                message,
            ));
        }
    }
    families.truncate(if policy == "SingleStack" { 1 } else { 2 });
    Families {
        order: families,
        policy,
        problems,
    }
}

/// The family of the first address never changes while the object exists.
fn keep_primary(
    families: &mut Vec<AddressFamily>,
    held: &ServiceAllocation,
    problems: &mut Vec<Problem>,
) {
    let Some(family) = held.cluster_ips.first().copied().map(AddressFamily::of) else {
        return;
    };
    if families.first() == Some(&family) {
        return;
    }
    let wanted: Vec<_> = families.iter().copied().map(name).collect();
    let message = format!(
        "Invalid value: {wanted:?}: the primary family may not change once set; {} is kept",
        name(family)
    );
    problems.push(Problem::error(
        "spec.ipFamilies[0]",
        "FieldValueInvalid",
        message,
    ));
    families.retain(|f| *f != family);
    families.insert(0, family);
}

/// The families that have a range, the default one first.
fn configured(service_cidrs: &[IpNet]) -> Vec<AddressFamily> {
    let mut families: Vec<_> = service_cidrs
        .iter()
        .map(|range| AddressFamily::of(range.addr()))
        .collect();
    families.dedup();
    families
}

fn named(spec: &ServiceSpec) -> impl Iterator<Item = AddressFamily> {
    spec.ip_families
        .iter()
        .flatten()
        .take(2)
        .filter_map(|family| match family.as_str() {
            "IPv4" => Some(Ipv4),
            "IPv6" => Some(Ipv6),
            _ => None,
        })
}

/// The cluster IPs that the user wrote.
pub(super) fn explicit_ips(spec: &ServiceSpec) -> impl Iterator<Item = IpAddr> {
    spec.cluster_ips
        .iter()
        .flatten()
        .take(2)
        .filter_map(|ip| ip.parse().ok())
}

/// `clusterIP: None`.
pub(super) fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(families: &[&str], policy: Option<&str>) -> ServiceSpec {
        ServiceSpec {
            ip_families: Some(families.iter().map(ToString::to_string).collect()),
            ip_family_policy: policy.map(str::to_owned),
            selector: Some([("app".to_owned(), "web".to_owned())].into()),
            ..ServiceSpec::default()
        }
    }

    fn cidrs(ranges: &[&str]) -> Vec<IpNet> {
        ranges.iter().map(|range| range.parse().unwrap()).collect()
    }

    fn families(spec: &ServiceSpec, ranges: &[&str]) -> Result<Vec<AddressFamily>, Vec<String>> {
        let decided = decide(spec, &ServiceAllocation::default(), &cidrs(ranges));
        if decided.problems.is_empty() {
            Ok(decided.order)
        } else {
            Err(decided
                .problems
                .into_iter()
                .map(|problem| problem.field)
                .collect())
        }
    }

    const V4: &str = "10.96.0.0/12";
    const V6: &str = "fd00::/112";

    #[test]
    fn families_follow_the_policy_and_the_ranges() {
        assert_eq!(families(&spec(&[], None), &[V4, V6]), Ok(vec![Ipv4]));
        assert_eq!(families(&spec(&[], None), &[V6, V4]), Ok(vec![Ipv6]));
        let prefer = Some("PreferDualStack");
        assert_eq!(families(&spec(&[], prefer), &[V4]), Ok(vec![Ipv4]));
        assert_eq!(
            families(&spec(&[], prefer), &[V4, V6]),
            Ok(vec![Ipv4, Ipv6])
        );
        assert_eq!(
            families(&spec(&["IPv6"], prefer), &[V4, V6]),
            Ok(vec![Ipv6, Ipv4])
        );
        assert_eq!(
            families(&spec(&["IPv6"], None), &[V4]),
            Err(vec!["spec.ipFamilies[0]".to_owned()])
        );
        assert_eq!(
            families(&spec(&[], Some("RequireDualStack")), &[V4]),
            Err(vec!["spec.ipFamilyPolicy".to_owned()])
        );
    }

    #[test]
    fn an_explicit_address_needs_no_range() {
        let mut spec = spec(&[], None);
        spec.cluster_ip = Some("fd00::1".into());
        spec.cluster_ips = Some(vec!["fd00::1".into()]);
        assert_eq!(families(&spec, &[V4]), Ok(vec![Ipv6]));
    }

    #[test]
    fn a_headless_service_without_selector_has_both_families_in_any_cluster() {
        let headless = ServiceSpec {
            cluster_ip: Some("None".into()),
            ..ServiceSpec::default()
        };
        assert_eq!(families(&headless, &[V4]), Ok(vec![Ipv4, Ipv6]));
    }

    #[test]
    fn the_primary_family_of_an_address_that_is_held_never_changes() {
        let held = ServiceAllocation {
            cluster_ips: vec!["10.96.0.9".parse().unwrap()],
            ..ServiceAllocation::default()
        };
        let decided = decide(&spec(&["IPv6"], None), &held, &cidrs(&[V4, V6]));
        assert_eq!((decided.order, decided.problems.len()), (vec![Ipv4], 1));
        let dual = ServiceAllocation {
            cluster_ips: vec!["10.96.0.9".parse().unwrap(), "fd00::9".parse().unwrap()],
            ..ServiceAllocation::default()
        };
        let decided = decide(&spec(&[], Some("PreferDualStack")), &dual, &cidrs(&[V4]));
        assert_eq!(
            (decided.order, decided.problems),
            (vec![Ipv4, Ipv6], vec![])
        );
    }
}
