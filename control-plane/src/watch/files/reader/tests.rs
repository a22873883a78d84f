//! What a reader makes of real files, with a clock of its own.

use std::os::unix::fs::symlink;

use super::*;

/// A folder and a reader that looks at it when it is told to.
struct Bench {
    folder: tempfile::TempDir,
    reader: Reader,
    now: Instant,
}

const STEP: Duration = Duration::from_millis(100);

impl Bench {
    /// A folder with these files, written a second before the first look.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self {
            reader: Reader::open(folder.path()).unwrap(),
            folder,
            now: Instant::now(),
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// One look, a step later.
    fn look(&mut self) -> Option<Loaded> {
        self.now += STEP;
        // Far in the future: whatever is on disk is old enough.
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(40_000_000_000);
        self.reader.look(self.now, wall)
    }

    /// Looks until something is loaded.
    fn load(&mut self) -> Loaded {
        let loaded = (0..20).find_map(|_| self.look());
        loaded.expect("something is loaded within two seconds")
    }
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{port: 80}}]\n"
    )
}

/// The names of all objects.
fn names(loaded: &Loaded) -> Vec<String> {
    let objects = loaded.files.iter().flat_map(|file| &file.objects);
    objects
        .map(|located| located.object.name().to_owned())
        .collect()
}

fn reasons(loaded: &Loaded) -> Vec<&str> {
    loaded
        .findings
        .iter()
        .map(|finding| &*finding.reason)
        .collect()
}

#[test]
fn a_broken_file_keeps_what_it_held_and_the_others_apply() {
    let mut bench = Bench::new(&[("a.yaml", &service("a")), ("b.yaml", &service("b"))]);
    assert_eq!(names(&bench.load()), ["a", "b"]);
    bench.write("a.yaml", &format!("{}---\nkind: [", service("a2")));
    bench.write("c.yaml", &service("c"));
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a", "b", "c"]);
    let findings = loaded.files[0].findings.iter();
    assert!(
        findings
            .clone()
            .any(|finding| finding.reason == "LastGoodKept")
    );
    assert!(
        findings
            .clone()
            .any(|finding| finding.severity == Severity::Error)
    );
    bench.write("a.yaml", &service("a2"));
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a2", "b", "c"]);
    assert_eq!(loaded.files[0].findings, []);
}

#[test]
fn at_first_start_the_good_documents_of_a_broken_file_apply() {
    let broken = format!("{}---\nkind: [", service("a"));
    let mut bench = Bench::new(&[("a.yaml", &broken)]);
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a"]);
    assert!(!loaded.files[0].is_good());
}

#[test]
fn nothing_is_loaded_before_all_files_of_the_start_have_settled() {
    let mut bench = Bench::new(&[("a.yaml", &service("a"))]);
    let young = SystemTime::UNIX_EPOCH;
    assert!(bench.reader.look(bench.now, young).is_none());
    bench.write("a.yaml", &service("a2"));
    assert_eq!(names(&bench.load()), ["a2"]);
}

#[test]
fn a_file_that_never_settles_does_not_keep_the_rest_from_starting() {
    let mut bench = Bench::new(&[("a.yaml", &service("a")), ("b.yaml", "")]);
    let young = SystemTime::UNIX_EPOCH;
    assert!(bench.reader.look(bench.now, young).is_none());
    let mut loaded = None;
    for writes in 1..110 {
        bench.write("b.yaml", &"# more\n".repeat(writes));
        loaded = bench.look();
        if loaded.is_some() {
            break;
        }
    }
    let loaded = loaded.expect("it starts within ten seconds");
    assert_eq!(names(&loaded), ["a"]);
    assert_eq!(loaded.files[1].findings[0].reason, "StillChanging");
    assert_eq!(loaded.files[1].path, "b.yaml");
    bench.write("b.yaml", &service("b"));
    assert_eq!(names(&bench.load()), ["a", "b"]);
}

#[test]
fn a_folder_that_is_gone_keeps_what_it_held_and_says_so() {
    let mut bench = Bench::new(&[("a.yaml", &service("a"))]);
    bench.load();
    let elsewhere = bench.folder.path().with_extension("away");
    fs::rename(bench.folder.path(), &elsewhere).unwrap();
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a"]);
    assert_eq!(reasons(&loaded), ["SourceGone"]);
    assert!(!bench.reader.is_reachable());
    assert!((0..5).all(|_| bench.look().is_none()), "it is said once");
    fs::rename(&elsewhere, bench.folder.path()).unwrap();
    let loaded = bench.load();
    assert_eq!((names(&loaded).len(), reasons(&loaded).len()), (1, 0));
}

#[test]
fn a_deleted_file_takes_its_objects_with_it() {
    let mut bench = Bench::new(&[("a.yaml", &service("a")), ("b.yaml", &service("b"))]);
    bench.load();
    fs::remove_file(bench.folder.path().join("a.yaml")).unwrap();
    assert_eq!(names(&bench.load()), ["b"]);
}

#[test]
fn a_link_that_leads_nowhere_is_told_and_keeps_what_it_held() {
    let mut bench = Bench::new(&[(".target", &service("a"))]);
    let root = bench.folder.path().to_owned();
    symlink(".target", root.join("a.yaml")).unwrap();
    assert_eq!(names(&bench.load()), ["a"]);
    fs::rename(root.join(".target"), root.join(".away")).unwrap();
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a"]);
    assert_eq!(reasons(&loaded), ["Unreadable"]);
    fs::rename(root.join(".away"), root.join(".target")).unwrap();
    assert_eq!(reasons(&bench.load()), Vec::<&str>::new());
}

#[test]
fn a_file_in_whose_place_is_something_else_is_told_and_keeps_what_it_held() {
    let mut bench = Bench::new(&[("a.yaml", &service("a")), ("b.yaml", &service("b"))]);
    bench.load();
    let file = bench.folder.path().join("a.yaml");
    fs::remove_file(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    let loaded = bench.load();
    assert_eq!(names(&loaded), ["a", "b"]);
    assert_eq!(reasons(&loaded), ["Unreadable"]);
    // A folder is another way to keep manifests.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    bench.write("a.yaml/c.yaml", &service("c"));
    let loaded = bench.load();
    assert_eq!(reasons(&loaded), Vec::<&str>::new());
    let last = (0..10).filter_map(|_| bench.look()).last();
    assert_eq!(names(&last.unwrap()), ["c", "b"]);
}

#[test]
fn a_file_that_could_not_be_read_is_tried_again_and_does_not_delay_the_start() {
    let too_large = MAX_FILE_BYTES + 1;
    let mut bench = Bench::new(&[("a.yaml", ""), ("b.yaml", &service("b"))]);
    let file = File::options()
        .write(true)
        .open(bench.folder.path().join("a.yaml"))
        .unwrap();
    file.set_len(too_large).unwrap();
    let first = bench.look().expect("it starts at once");
    assert_eq!(names(&first), ["b"]);
    assert_eq!(reasons(&first), ["Unreadable"]);
    assert!(first.findings[0].message.contains("larger than"));
    assert!((0..5).all(|_| bench.look().is_none()), "it is said once");
    assert_eq!(
        bench.reader.folder.unsettled().collect::<Vec<_>>(),
        ["a.yaml"]
    );
    bench.write("a.yaml", &service("a"));
    assert_eq!(names(&bench.load()), ["a", "b"]);
}

#[test]
fn a_folder_and_a_single_file_read_the_same() {
    let bench = Bench::new(&[("a.yaml", &service("a"))]);
    let folder = read_once(bench.folder.path()).unwrap();
    let file = read_once(&bench.folder.path().join("a.yaml")).unwrap();
    assert_eq!(folder.files, file.files);
    let mut reader = Reader::open(&bench.folder.path().join("a.yaml")).unwrap();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(40_000_000_000);
    let loaded = reader.look(Instant::now(), wall).expect("it is old enough");
    assert_eq!(loaded.files, file.files);
    assert!(Reader::open(&bench.folder.path().join("b.yaml")).is_err());
}
