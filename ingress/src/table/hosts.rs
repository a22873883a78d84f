//! Looks up what is most specific for a host: exact, then one label, then the longest suffix, then any.

use meshlite_snapshot::HostMatch;

use super::sharded::Sharded;

/// Values by host. Looking up costs the same for one host and for many, and so does changing one in a clone.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex<T> {
    exact: Sharded<T>,
    one_label: Sharded<T>,
    suffix: Sharded<T>,
    any: Option<T>,
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self {
            exact: Sharded::default(),
            one_label: Sharded::default(),
            suffix: Sharded::default(),
            any: None,
        }
    }
}

impl<T: Clone> HostIndex<T> {
    /// Puts a value in. The first one for a host stays, and a later one is given back.
    pub(crate) fn insert(&mut self, host: &HostMatch, value: T) -> Result<(), T> {
        match host {
            HostMatch::Exact(name) => self.exact.insert(name, value),
            HostMatch::OneLabel(domain) => self.one_label.insert(domain, value),
            HostMatch::Suffix(domain) => self.suffix.insert(domain, value),
            HostMatch::Any if self.any.is_some() => Err(value),
            HostMatch::Any => {
                self.any = Some(value);
                Ok(())
            }
        }
    }

    /// Takes out what this host has.
    pub(super) fn remove(&mut self, host: &HostMatch) {
        match host {
            HostMatch::Exact(name) => self.exact.remove(name),
            HostMatch::OneLabel(domain) => self.one_label.remove(domain),
            HostMatch::Suffix(domain) => self.suffix.remove(domain),
            HostMatch::Any => self.any = None,
        }
    }
}

impl<T> HostIndex<T> {
    /// What was put in for this host itself.
    pub(super) fn get(&self, host: &HostMatch) -> Option<&T> {
        match host {
            HostMatch::Exact(name) => self.exact.get(name),
            HostMatch::OneLabel(domain) => self.one_label.get(domain),
            HostMatch::Suffix(domain) => self.suffix.get(domain),
            HostMatch::Any => self.any.as_ref(),
        }
    }

    /// Asks the values for this lower-case host, the most specific first, until one gives an answer.
    pub(crate) fn find_map<'a, R>(
        &'a self,
        host: &str,
        mut ask: impl FnMut(&'a T) -> Option<R>,
    ) -> Option<R> {
        if let Some(answer) = self.exact.get(host).and_then(&mut ask) {
            return Some(answer);
        }
        let parent = |host: &'_ str| -> Option<usize> {
            let dot = host.find('.')?;
            (dot > 0).then_some(dot + 1)
        };
        let mut rest = host;
        let mut is_first = true;
        while let Some(domain) = parent(rest).and_then(|start| rest.get(start..)) {
            if is_first && let Some(answer) = self.one_label.get(domain).and_then(&mut ask) {
                return Some(answer);
            }
            is_first = false;
            if self.suffix.is_empty() {
                break;
            }
            if let Some(answer) = self.suffix.get(domain).and_then(&mut ask) {
                return Some(answer);
            }
            rest = domain;
        }
        self.any.as_ref().and_then(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_index() -> HostIndex<&'static str> {
        let mut index = HostIndex::default();
        for (host, value) in [
            (HostMatch::Exact("a.example.com".into()), "exact"),
            (HostMatch::OneLabel("example.com".into()), "one label"),
            (HostMatch::Suffix("example.com".into()), "suffix"),
            (
                HostMatch::Suffix("deep.example.com".into()),
                "longer suffix",
            ),
            (HostMatch::Any, "any"),
        ] {
            index.insert(&host, value).unwrap();
        }
        index
    }

    #[test]
    fn the_most_specific_host_is_asked_first() {
        let index = mk_index();
        let ask = |host: &str| index.find_map(host, |value| Some(*value)).unwrap();
        assert_eq!(ask("a.example.com"), "exact");
        assert_eq!(ask("b.example.com"), "one label");
        assert_eq!(ask("b.c.example.com"), "suffix");
        assert_eq!(ask("a.b.deep.example.com"), "longer suffix");
        assert_eq!(ask("example.com"), "any");
        assert_eq!(ask(".example.com"), "any");
        assert_eq!(ask(""), "any");
    }

    #[test]
    fn less_specific_hosts_are_asked_in_order() {
        let index = mk_index();
        let mut asked = vec![];
        let answer: Option<()> = index.find_map("a.example.com", |value| {
            asked.push(*value);
            None
        });
        assert_eq!(answer, None);
        assert_eq!(asked, ["exact", "one label", "suffix", "any"]);
    }

    #[test]
    fn the_first_of_two_values_for_a_host_stays() {
        let mut index = mk_index();
        assert_eq!(index.insert(&HostMatch::Any, "second"), Err("second"));
        let host = HostMatch::Exact("a.example.com".into());
        assert_eq!(index.insert(&host, "second"), Err("second"));
    }
}
