//! Findings by the unit of compilation that found them, so that one unit is compiled again alone.

use std::{collections::BTreeMap, mem, sync::Arc};

use meshlite_snapshot::{Finding, HostMatch};

use super::Findings;
use crate::ObjectKey;

/// What is compiled at once, and found wrong at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Namespace(String),
    Node(String),
    Service(ObjectKey),
    /// An EndpointSlice with its Service.
    Slice(ObjectKey),
    /// An Ingress on its own.
    Ingress(ObjectKey),
    /// The Services and Secrets that an Ingress names.
    References(ObjectKey),
    /// The routes of a host, from all Ingresses that speak of it.
    Host(HostMatch),
    /// The certificate of a server name, from all Ingresses that claim it.
    ServerName(HostMatch),
    /// The listeners and their default certificate.
    Listeners,
}

/// Every finding, by unit.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Units with findings only.
    found: BTreeMap<Unit, Vec<Finding>>,
    /// Whether some unit found something else since the whole was told.
    differs: bool,
    told: Arc<[Finding]>,
    /// Every unit that was compiled, for tests that count them.
    #[cfg(test)]
    pub(crate) compiled: Vec<Unit>,
}

impl Book {
    /// Puts in what compiling this unit found, in place of what it found before. Says whether that differs.
    pub(crate) fn replace(&mut self, unit: Unit, findings: Findings) -> bool {
        #[cfg(test)]
        self.compiled.push(unit.clone());
        let found = findings.into_sorted();
        let differs = self.found.get(&unit).map_or(&[][..], Vec::as_slice) != found;
        if differs {
            if found.is_empty() {
                self.found.remove(&unit);
            } else {
                self.found.insert(unit, found);
            }
            self.differs = true;
        }
        differs
    }

    /// The whole, sorted and each finding once, where it is not what it was the last time.
    pub(crate) fn news(&mut self) -> Option<Arc<[Finding]>> {
        if !mem::take(&mut self.differs) {
            return None;
        }
        let mut all: Vec<_> = self.found.values().flatten().collect();
        all.sort();
        all.dedup();
        if all.iter().copied().eq(self.told.iter()) {
            return None;
        }
        self.told = all.into_iter().cloned().collect();
        Some(Arc::clone(&self.told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(messages: &[&str]) -> Findings {
        let key = ObjectKey::new("default", "a");
        let mut findings = Findings::default();
        for message in messages {
            findings
                .about("Service", &key)
                .warning("spec", "Odd", *message);
        }
        findings
    }

    #[test]
    fn the_whole_is_told_only_where_it_differs() {
        let [a, b] = ["a", "b"].map(|name| Unit::Node(name.into()));
        let mut book = Book::default();
        assert!(!book.replace(a.clone(), Findings::default()));
        assert_eq!(book.news(), None);
        assert!(book.replace(a.clone(), found(&["x", "x"])));
        assert_eq!(book.news().unwrap().len(), 1);
        assert!(
            !book.replace(a.clone(), found(&["x"])),
            "it finds the same again"
        );
        assert!(book.replace(b.clone(), found(&["x"])));
        assert_eq!(book.news(), None, "two units found the same");
        book.replace(a, Findings::default());
        assert_eq!(book.news(), None, "one of them still does");
        book.replace(b, Findings::default());
        assert_eq!(book.news().unwrap().len(), 0);
    }
}
