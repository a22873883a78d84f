//! Which requests are traced.

use super::Context;

/// A rule as OpenTelemetry names them: `parentbased_traceidratio` is a parent-based rule with a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// What the client decided counts, where it says so.
    pub is_parent_based: bool,
    /// The share of all others that is traced, from 0 to 1. The same trace is decided alike everywhere.
    pub share: f64,
}

impl Sampler {
    /// The rule of a name, such as `OTEL_TRACES_SAMPLER` has; none where there is no such name. `share` counts where the
    /// name ends with `traceidratio`.
    pub fn named(name: &str, share: f64) -> Option<Self> {
        let (is_parent_based, rest) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let share = match rest {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => share.clamp(0.0, 1.0),
            _ => return None,
        };
        Some(Self {
            is_parent_based,
            share,
        })
    }

    pub(super) fn samples(&self, parent: Option<&Context>, trace: &[u8; 16]) -> bool {
        if let Some(parent) = parent.filter(|_| self.is_parent_based) {
            return parent.is_sampled;
        }
        // The last 32 bits are random in every implementation.
        let [.., a, b, c, d] = *trace;
        let number = u32::from_be_bytes([a, b, c, d]);
        f64::from(number) < self.share * (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_traces_that_no_client_decided_on() {
        let count = |name: &str, parent: Option<bool>| {
            let sampler = Sampler::named(name, 0.25).unwrap();
            let traces = (0..1000_u32).map(|number| {
                let mut trace = [1; 16];
                trace[12..].copy_from_slice(&(number * (u32::MAX / 1000)).to_be_bytes());
                trace
            });
            let sampled = traces.filter(|trace| {
                let parent = parent.map(|is_sampled| Context {
                    trace: *trace,
                    span: [1; 8],
                    is_sampled,
                });
                sampler.samples(parent.as_ref(), trace)
            });
            sampled.count()
        };
        for (name, alone, below_sampled, below_unsampled) in [
            ("always_on", 1000, 1000, 1000),
            ("always_off", 0, 0, 0),
            ("traceidratio", 250, 250, 250),
            ("parentbased_always_on", 1000, 1000, 0),
            ("parentbased_always_off", 0, 1000, 0),
            ("parentbased_traceidratio", 250, 1000, 0),
        ] {
            assert!(count(name, None).abs_diff(alone) <= 1, "{name}");
            assert!(
                count(name, Some(true)).abs_diff(below_sampled) <= 1,
                "{name}"
            );
            assert!(
                count(name, Some(false)).abs_diff(below_unsampled) <= 1,
                "{name}"
            );
        }
        assert!(Sampler::named("jaeger_remote", 1.0).is_none());
    }
}
