//! Decides which files to read and which are gone. Pure: it is told what a look at the folder saw, and the time.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// A file is read once it is unchanged for so long, and gone once it is missing for so long: whoever writes it may be
/// in the middle of that, and editors replace files by removing them first.
const SETTLE: Duration = Duration::from_millis(200);

/// What tells one content of a file from another, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) modified: SystemTime,
    /// Seconds and nanoseconds of the last change of the inode: moves also where `modified` was set back.
    pub(super) changed: (i64, i64),
    pub(super) size: u64,
    /// Device and inode.
    pub(super) inode: (u64, u64),
    /// Where a link leads.
    pub(super) target: Option<PathBuf>,
}

/// What one look at the folder saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Manifest files by path, relative to the folder.
    pub(super) files: BTreeMap<String, Stat>,
    /// Files and folders that could not be looked at, and why. What is below them counts as neither there nor gone.
    pub(super) unreadable: BTreeMap<String, String>,
}

/// What to do after a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// These have settled and differ from what was read.
    pub(super) read: Vec<String>,
    /// These are gone.
    pub(super) forget: Vec<String>,
}

/// The files of a folder, as they were last seen.
#[derive(Debug, Default)]
pub(super) struct Folder {
    files: BTreeMap<String, Tracked>,
    was_seen: bool,
}

#[derive(Debug)]
struct Tracked {
    stat: Stat,
    /// When it has settled.
    settled: Instant,
    /// This content was read, or is about to be.
    is_read: bool,
    missing_since: Option<Instant>,
}

impl Folder {
    /// Takes in what was seen.
    ///
    /// On the first look a file that was last modified long enough ago (by the wall clock) has settled already.
    pub(super) fn observe(&mut self, scan: &Scan, now: Instant, wall: SystemTime) -> Steps {
        let is_first = !std::mem::replace(&mut self.was_seen, true);
        let mut steps = Steps::default();
        for (path, stat) in &scan.files {
            let age = wall.duration_since(stat.modified).unwrap_or_default();
            let wait = if is_first {
                SETTLE.saturating_sub(age)
            } else {
                SETTLE
            };
            let tracked = self.files.entry(path.clone()).or_insert_with(|| Tracked {
                stat: stat.clone(),
                settled: now + wait,
                is_read: false,
                missing_since: None,
            });
            tracked.missing_since = None;
            if tracked.stat != *stat {
                tracked.stat = stat.clone();
                tracked.settled = now + SETTLE;
                tracked.is_read = false;
            }
            if !tracked.is_read && now >= tracked.settled {
                tracked.is_read = true;
                steps.read.push(path.clone());
            }
        }
        self.forget_missing(scan, now, &mut steps);
        steps
    }

    /// A file changed while it was read: it has not settled.
    pub(super) fn unsettle(&mut self, path: &str, now: Instant) {
        if let Some(tracked) = self.files.get_mut(path) {
            tracked.settled = now + SETTLE;
            tracked.is_read = false;
        }
    }

    /// What the file was like when it was last seen.
    pub(super) fn stat(&self, path: &str) -> Option<&Stat> {
        self.files.get(path).map(|tracked| &tracked.stat)
    }

    /// Files that were not read since they changed.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &str> {
        let unread = self.files.iter().filter(|(_, tracked)| !tracked.is_read);
        unread.map(|(path, _)| path.as_str())
    }

    fn forget_missing(&mut self, scan: &Scan, now: Instant, steps: &mut Steps) {
        for (path, tracked) in &mut self.files {
            if scan.files.contains_key(path) || is_below_unreadable(path, scan) {
                continue;
            }
            let since = *tracked.missing_since.get_or_insert(now);
            if now >= since + SETTLE {
                steps.forget.push(path.clone());
            }
        }
        for path in &steps.forget {
            self.files.remove(path);
        }
    }
}

fn is_below_unreadable(path: &str, scan: &Scan) -> bool {
    scan.unreadable.keys().any(|unreadable| {
        path.strip_prefix(unreadable.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests;
