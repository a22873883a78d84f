//! Which of our sets does what each ipset of kube-proxy's IPVS mode does.

use super::{
    helper::{FRONTENDS, HAIRPINS, RANGES, VIPS},
    name::SetId,
};
use crate::table::Audience;

/// kube-proxy's sets whose work is done by one of ours; none where it has none for that. Those whose names begin with
/// `KUBE-6-` do the same for IPv6.
pub(super) fn replaced_by(set: &SetId) -> &'static [&'static str] {
    match (set.name, set.audience) {
        // Who is masqueraded is said by the number, and a node port has the unspecified address.
        (FRONTENDS, Audience::Everyone) => &[
            "KUBE-CLUSTER-IP",
            "KUBE-EXTERNAL-IP",
            "KUBE-LOAD-BALANCER",
            "KUBE-LOAD-BALANCER-FW",
            "KUBE-NODE-PORT-TCP",
            "KUBE-NODE-PORT-UDP",
            "KUBE-NODE-PORT-SCTP-HASH",
        ],
        // With the policy Local, clients inside have virtual servers of their own.
        (FRONTENDS, Audience::Inside) => &[
            "KUBE-EXTERNAL-IP-LOCAL",
            "KUBE-LOAD-BALANCER-LOCAL",
            "KUBE-NODE-PORT-LOCAL-TCP",
            "KUBE-NODE-PORT-LOCAL-UDP",
            "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
        ],
        (RANGES, _) => &[
            "KUBE-LOAD-BALANCER-SOURCE-CIDR",
            "KUBE-LOAD-BALANCER-SOURCE-IP",
        ],
        (HAIRPINS, _) => &["KUBE-LOOP-BACK"],
        (VIPS, _) => &["KUBE-IPVS-IPS"],
        _ => &[],
    }
}
