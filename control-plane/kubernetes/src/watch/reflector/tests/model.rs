//! A model of an API server with a history that it may forget, and a client that holds what the reflector says.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestCaseResult};

use super::*;

/// Never deleted by any step: its absence from what is held is always wrong.
const STAYS: &str = "stays";

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(u8),
    Delete(u8),
    Compact,
    Serve(Fault),
}

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    /// The connection breaks after so many items or events.
    Cut(usize),
    /// The answer is of a server that lags so many versions behind.
    Lag(u64),
    /// The page tokens are forgotten.
    ForgetPages,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        3 => Just(Fault::None),
        2 => (0usize..6).prop_map(Fault::Cut),
        2 => (1u64..9).prop_map(Fault::Lag),
        1 => Just(Fault::ForgetPages),
    ];
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Put),
        3 => (0u8..6).prop_map(Step::Delete),
        1 => Just(Step::Compact),
        4 => fault.prop_map(Step::Serve),
    ]
}

/// What happened at a version.
#[derive(Clone, Debug)]
struct Happened {
    version: u64,
    key: ObjectKey,
    uid: u64,
    is_put: bool,
}

pub(super) struct Server {
    history: Vec<Happened>,
    compacted: u64,
    streams: bool,
}

impl Server {
    pub(super) fn new(streams: bool) -> Self {
        let mut server = Self {
            history: Vec::new(),
            compacted: 0,
            streams,
        };
        server.happen(key(STAYS), true);
        server
    }

    pub(super) fn put(&mut self, name: u8) {
        self.happen(key(&format!("o{name}")), true);
    }

    pub(super) fn delete(&mut self, name: u8) {
        let key = key(&format!("o{name}"));
        if self.objects().contains_key(&key) {
            self.happen(key, false);
        }
    }

    pub(super) fn compact(&mut self) {
        self.compacted = self.version();
    }

    /// The objects now, each as its version.
    pub(super) fn objects(&self) -> BTreeMap<ObjectKey, u64> {
        let items = self.items(self.version()).into_iter();
        items
            .map(|item| (item.key, item.identity.version))
            .collect()
    }

    fn happen(&mut self, key: ObjectKey, is_put: bool) {
        let version = self.version() + 1;
        let known = self
            .items(self.version())
            .into_iter()
            .find(|item| item.key == key);
        let uid = known.and_then(|item| item.identity.uid.parse().ok());
        self.history.push(Happened {
            version,
            key,
            uid: uid.unwrap_or(version),
            is_put,
        });
    }

    fn version(&self) -> u64 {
        self.history.last().map_or(0, |last| last.version)
    }

    fn items(&self, at: u64) -> Vec<Item<u64>> {
        let mut items = BTreeMap::new();
        for happened in self.history.iter().filter(|h| h.version <= at) {
            if happened.is_put {
                items.insert(happened.key.clone(), happened.item());
            } else {
                items.remove(&happened.key);
            }
        }
        items.into_values().collect()
    }
}

impl Happened {
    fn item(&self) -> Item<u64> {
        Item {
            key: self.key.clone(),
            identity: Identity {
                uid: self.uid.to_string().into(),
                version: self.version,
            },
            object: Some(self.version),
        }
    }

    fn event(&self) -> Event<u64> {
        let item = self.item();
        if self.is_put {
            Event::Put(item)
        } else {
            Event::Gone(item.key, item.identity)
        }
    }
}

pub(super) struct Client {
    reflector: Reflector<u64>,
    pub(super) held: BTreeMap<ObjectKey, u64>,
    /// All of it was listed once. Before that, nobody is served it.
    is_complete: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            reflector: Reflector::new(Known::default()),
            held: BTreeMap::new(),
            is_complete: false,
        }
    }
}

impl Client {
    /// Asks once, and takes in the answer as far as the fault lets it come.
    pub(super) fn turn(&mut self, server: &Server, fault: Fault) -> TestCaseResult {
        let lag = match fault {
            Fault::Lag(lag) => lag,
            _ => 0,
        };
        // A server that never saw anything answers nobody.
        let at = server.version().saturating_sub(lag).max(1);
        let ended = match self.reflector.ask(&origin()) {
            Ask::List { token, paged } => self.list(server, at, token.as_deref(), paged, fault)?,
            Ask::Stream if !server.streams => Err(Failure::Unsupported(String::new())),
            Ask::Stream => {
                let mut events: Vec<_> = server.items(at).into_iter().map(Event::Put).collect();
                events.push(Event::Bookmark {
                    version: at,
                    ends_list: true,
                });
                self.events(events, fault)?
            }
            Ask::Watch { after } if after < server.compacted => Err(Failure::Expired),
            Ask::Watch { after } => {
                let news = server.history.iter();
                let news = news.filter(|h| h.version > after && h.version <= at);
                let mut events: Vec<_> = news.map(Happened::event).collect();
                events.push(Event::Bookmark {
                    version: at.max(after),
                    ends_list: false,
                });
                self.events(events, fault)?
            }
        };
        self.is_complete = self.reflector.watermark().is_some();
        let now = Instant::now();
        match ended {
            Ok(()) if self.reflector.is_watching() => self.reflector.ended(2 * SHORT, now, 0.0),
            // More pages to come.
            Ok(()) => Duration::ZERO,
            Err(failure) => self.reflector.failed(&failure, now, 0.0),
        };
        Ok(())
    }

    /// Pages of two; a token says at which version and after how many.
    fn list(
        &mut self,
        server: &Server,
        at: u64,
        token: Option<&str>,
        paged: bool,
        fault: Fault,
    ) -> Result<Result<(), Failure>, TestCaseError> {
        if fault == Fault::Cut(0) {
            return Ok(Err(Failure::Broken(String::new())));
        }
        let (version, skip) = match token {
            None => (at, 0),
            Some(token) => {
                let (version, skip) = token.split_once('/').unwrap();
                (version.parse().unwrap(), skip.parse().unwrap())
            }
        };
        if token.is_some() && (fault == Fault::ForgetPages || version < server.compacted) {
            return Ok(Err(Failure::Expired));
        }
        let all = server.items(version);
        let end = if paged {
            all.len().min(skip + 2)
        } else {
            all.len()
        };
        let page = Page {
            version,
            token: (end < all.len()).then(|| format!("{version}/{end}")),
            items: all[skip..end].to_vec(),
        };
        let outcomes = self.reflector.page(page);
        self.fold(outcomes)
    }

    fn events(
        &mut self,
        events: Vec<Event<u64>>,
        fault: Fault,
    ) -> Result<Result<(), Failure>, TestCaseError> {
        for (i, event) in events.into_iter().enumerate() {
            if fault == Fault::Cut(i) {
                return Ok(Err(Failure::Broken(String::new())));
            }
            let outcomes = self.reflector.event(event);
            if let Err(failure) = self.fold(outcomes)? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    fn fold(
        &mut self,
        outcomes: Result<Vec<Outcome<u64>>, Failure>,
    ) -> Result<Result<(), Failure>, TestCaseError> {
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(failure) => return Ok(Err(failure)),
        };
        for outcome in outcomes {
            match outcome {
                Outcome::Put(key, object) => {
                    let before = self.held.insert(key.clone(), object);
                    let is_news = before < Some(object) || !self.is_complete;
                    prop_assert!(is_news, "{key} goes back in time");
                }
                Outcome::Gone(key) => {
                    prop_assert!(key.name != STAYS, "{key} is taken away");
                    prop_assert!(self.held.remove(&key).is_some(), "{key} was not held");
                }
            }
        }
        Ok(Ok(()))
    }
}
