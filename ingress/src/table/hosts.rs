//! Looks up what is most specific for a host: exact, then one label, then the longest suffix, then any.

use meshlite_snapshot::HostMatch;

use crate::map::Map;

/// Values by host. Looking up costs the same for one host and for many.
#[derive(Debug)]
pub(crate) struct HostIndex<T> {
    exact: Map<Box<str>, T>,
    one_label: Map<Box<str>, T>,
    suffix: Map<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self {
            exact: Map::default(),
            one_label: Map::default(),
            suffix: Map::default(),
            any: None,
        }
    }
}

impl<T> HostIndex<T> {
    /// Puts a value in. The first one for a host stays, and a later one is given back.
    pub(crate) fn insert(&mut self, host: &HostMatch, value: T) -> Result<(), T> {
        let (map, name) = match host {
            HostMatch::Exact(name) => (&mut self.exact, name),
            HostMatch::OneLabel(domain) => (&mut self.one_label, domain),
            HostMatch::Suffix(domain) => (&mut self.suffix, domain),
            HostMatch::Any if self.any.is_some() => return Err(value),
            HostMatch::Any => {
                self.any = Some(value);
                return Ok(());
            }
        };
        if map.contains_key(name.as_str()) {
            return Err(value);
        }
        map.insert(name.as_str().into(), value);
        Ok(())
    }

    /// Whether something holds for one of the values.
    pub(crate) fn any(&self, holds: impl FnMut(&T) -> bool) -> bool {
        let all = [&self.exact, &self.one_label, &self.suffix];
        let mut all = all
            .into_iter()
            .flat_map(|map| map.values())
            .chain(&self.any);
        all.any(holds)
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
