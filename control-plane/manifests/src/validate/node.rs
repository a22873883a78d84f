//! Nodes.

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;

use super::{Path, Report};

pub(super) fn validate(node: &Node, report: &mut Report) {
    let at = Path::root("spec");
    let at = at.field("podCIDRs");
    let ranges = node
        .spec
        .as_ref()
        .and_then(|spec| spec.pod_cidrs.as_deref())
        .unwrap_or_default();
    for (i, range) in ranges.iter().enumerate() {
        if range.parse::<IpNet>().is_err() {
            report.invalid(
                at.index(i),
                range,
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            );
        }
    }
}
