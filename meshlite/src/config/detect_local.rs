//! The flags that say which clients are Pods.

use meshlite_node::DetectLocal;

use super::Problems;

/// Text of the flags, where they were given.
pub(super) struct Detector {
    pub(super) mode: Option<String>,
    pub(super) cluster_cidr: Option<Vec<String>>,
    pub(super) bridge: Option<String>,
    pub(super) prefix: Option<String>,
}

// === impl Detector ===

impl Detector {
    /// What they make of what was configured. A flag that the mode has no use for is a mistake.
    pub(super) fn over(self, configured: DetectLocal, problems: &mut Problems) -> DetectLocal {
        let Self {
            mode,
            cluster_cidr,
            bridge,
            prefix,
        } = self;
        let mode = match mode {
            Some(mode) => mode,
            None if cluster_cidr.is_some() => "ClusterCIDR".to_owned(),
            None => configured.mode().to_owned(),
        };
        let flags = [
            ("ClusterCIDR", "cluster-cidr", cluster_cidr.is_some()),
            ("BridgeInterface", "pod-bridge-interface", bridge.is_some()),
            (
                "InterfaceNamePrefix",
                "pod-interface-name-prefix",
                prefix.is_some(),
            ),
        ];
        for (of, flag, is_given) in flags {
            if is_given && mode != of {
                problems.add(flag, format_args!("is for --detect-local-mode {of}"));
            }
        }
        let detector = match mode.as_str() {
            "ClusterCIDR" => match cluster_cidr {
                Some(ranges) => {
                    let ranges = problems.ranges("cluster-cidr", &ranges);
                    ranges.map(DetectLocal::ClusterCidr)
                }
                None => Some(DetectLocal::Snapshot),
            },
            "NodeCIDR" => Some(DetectLocal::NodeCidr),
            "BridgeInterface" => bridge.map(DetectLocal::Bridge),
            "InterfaceNamePrefix" => prefix.map(DetectLocal::InterfacePrefix),
            other => {
                problems.add(
                    "detect-local-mode",
                    format_args!(
                        "`{other}` is not ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix"
                    ),
                );
                return configured;
            }
        };
        // Of the same mode, what was configured holds where the flag says no more.
        match detector {
            None | Some(DetectLocal::Snapshot) if configured.mode() == mode => configured,
            Some(detector) => detector,
            None => {
                let flag = flags.iter().find(|(of, ..)| *of == mode);
                let (_, flag, _) = flag.unwrap_or(&flags[0]);
                problems.add(flag, "not set; the --detect-local-mode needs it");
                configured
            }
        }
    }
}
