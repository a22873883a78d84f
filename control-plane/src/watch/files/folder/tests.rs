//! Tables of looks at a folder, and what is to be done after each.

use super::*;

/// Plays looks at a folder: each is a time in milliseconds, and for each file its content's number.
struct Player {
    folder: Folder,
    start: Instant,
    wall: SystemTime,
}

impl Player {
    fn new() -> Self {
        Self {
            folder: Folder::default(),
            start: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
        }
    }

    /// A content numbered `n` was modified `n` milliseconds after the start.
    fn stat(&self, content: i64) -> Stat {
        let at = Duration::from_millis(content.unsigned_abs());
        let modified = if content < 0 {
            self.wall - at
        } else {
            self.wall + at
        };
        Stat {
            modified,
            changed: (0, content),
            size: 7,
            inode: (1, 1),
            target: None,
        }
    }

    fn look(&mut self, millis: u64, files: &[(&str, i64)], unreadable: &[&str]) -> Steps {
        let at = Duration::from_millis(millis);
        let scan = Scan {
            files: files
                .iter()
                .map(|(path, content)| ((*path).to_owned(), self.stat(*content)))
                .collect(),
            unreadable: unreadable
                .iter()
                .map(|path| ((*path).to_owned(), "no".to_owned()))
                .collect(),
        };
        self.folder.observe(&scan, self.start + at, self.wall + at)
    }
}

fn read(paths: &[&str]) -> Steps {
    Steps {
        read: paths.iter().map(|path| (*path).to_owned()).collect(),
        forget: vec![],
    }
}

fn forget(paths: &[&str]) -> Steps {
    Steps {
        read: vec![],
        forget: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

#[test]
fn at_first_start_old_files_are_read_at_once_and_young_ones_wait() {
    let mut player = Player::new();
    let files = [("old.yaml", -5000), ("young.yaml", -150)];
    assert_eq!(player.look(0, &files, &[]), read(&["old.yaml"]));
    assert_eq!(
        player.folder.unsettled().collect::<Vec<_>>(),
        ["young.yaml"]
    );
    assert_eq!(player.look(40, &files, &[]), read(&[]));
    assert_eq!(player.look(50, &files, &[]), read(&["young.yaml"]));
    assert_eq!(player.folder.unsettled().count(), 0);
    assert_eq!(player.look(1000, &files, &[]), read(&[]));
}

#[test]
fn a_file_from_the_future_waits_as_long_as_a_new_one() {
    let mut player = Player::new();
    assert_eq!(player.look(0, &[("a", 99_000)], &[]), read(&[]));
    assert_eq!(player.look(200, &[("a", 99_000)], &[]), read(&["a"]));
}

#[test]
fn a_file_that_is_being_written_is_read_after_the_last_write() {
    let mut player = Player::new();
    assert_eq!(player.look(0, &[], &[]), read(&[]));
    for at in [100, 200, 300, 400] {
        let content = i64::try_from(at).unwrap();
        assert_eq!(player.look(at, &[("a", content)], &[]), read(&[]), "{at}");
    }
    assert_eq!(player.look(500, &[("a", 400)], &[]), read(&[]));
    assert_eq!(player.look(600, &[("a", 400)], &[]), read(&["a"]));
    assert_eq!(player.look(700, &[("a", 400)], &[]), read(&[]));
}

#[test]
fn a_file_that_appears_later_settles_however_old_it_is() {
    let mut player = Player::new();
    assert_eq!(player.look(0, &[], &[]), read(&[]));
    assert_eq!(player.look(100, &[("a", -90_000)], &[]), read(&[]));
    assert_eq!(player.look(300, &[("a", -90_000)], &[]), read(&["a"]));
}

#[test]
fn a_file_is_gone_after_it_was_missing_for_a_while() {
    let mut player = Player::new();
    player.look(0, &[("a", -900), ("b", -900)], &[]);
    assert_eq!(player.look(100, &[("b", -900)], &[]), forget(&[]));
    assert_eq!(player.look(200, &[("b", -900)], &[]), forget(&[]));
    assert_eq!(player.look(300, &[("b", -900)], &[]), forget(&["a"]));
    assert_eq!(player.look(400, &[("b", -900)], &[]), forget(&[]));
}

#[test]
fn an_editor_that_removes_before_it_renames_loses_nothing() {
    let mut player = Player::new();
    player.look(0, &[("a", -900)], &[]);
    assert_eq!(player.look(100, &[], &[]), forget(&[]));
    assert_eq!(player.look(200, &[("a", 150)], &[]), read(&[]));
    assert_eq!(player.look(400, &[("a", 150)], &[]), read(&["a"]));
}

#[test]
fn what_cannot_be_looked_at_is_not_gone() {
    let mut player = Player::new();
    let files = [("sub/a", -900), ("sub2/b", -900), ("c", -900)];
    player.look(0, &files, &[]);
    player.look(100, &[], &["sub", "c"]);
    assert_eq!(player.look(900, &[], &["sub", "c"]), forget(&["sub2/b"]));
    // It comes back unchanged: there is nothing to do.
    assert_eq!(
        player.look(1000, &[("sub/a", -900), ("c", -900)], &[]),
        read(&[])
    );
}

#[test]
fn a_file_that_changed_while_it_was_read_is_read_again() {
    let mut player = Player::new();
    assert_eq!(player.look(0, &[("a", -900)], &[]), read(&["a"]));
    player.folder.unsettle("a", player.start);
    assert_eq!(player.look(100, &[("a", -900)], &[]), read(&[]));
    assert_eq!(player.look(200, &[("a", -900)], &[]), read(&["a"]));
}

#[test]
fn a_link_that_leads_elsewhere_is_a_change_although_time_and_size_are_the_same() {
    let mut player = Player::new();
    let linked = |target: &str| Stat {
        target: Some(target.into()),
        ..player.stat(-900)
    };
    let scan = |target| Scan {
        files: [("a".to_owned(), linked(target))].into(),
        ..Scan::default()
    };
    let (one, two) = (scan("..1/a"), scan("..2/a"));
    let (start, wall) = (player.start, player.wall);
    let mut look = |scan, millis| {
        let at = Duration::from_millis(millis);
        player.folder.observe(scan, start + at, wall + at)
    };
    assert_eq!(look(&one, 0), read(&["a"]));
    assert_eq!(look(&two, 100), read(&[]));
    assert_eq!(look(&two, 300), read(&["a"]));
}
