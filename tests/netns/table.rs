//! Which scenario every backend holds to, as a table in SCENARIOS.md, which must be that of the code.

use std::{env, fmt::Write as _, fs, path::Path};

use libtest_mimic::Trial;

use crate::{backend::Backend, scenarios};

pub(crate) fn trial() -> Trial {
    Trial::test("table::is_that_of_the_scenarios", || {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("netns/SCENARIOS.md");
        let table = table();
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, table).expect("the table can be written");
            return Ok(());
        }
        let written = fs::read_to_string(&path).expect("the table is there");
        assert_eq!(
            written,
            table,
            "{} is old: run UPDATE_GOLDEN=1 cargo test --test netns table::",
            path.display()
        );
        Ok(())
    })
}

fn table() -> String {
    let mut table = String::from(
        "# Scenarios and backends\n\
         \n\
         Each row is a test for each backend that has a tick: `cargo test --test netns BACKEND::SCENARIO`. userspace and nftables\n\
         run in this machine's kernel, ipvs in one that has it. Where a cell is empty, `meshlite node` does not have the backend.\n\
         Made by the tests themselves.\n\
         \n\
         | scenario |",
    );
    for backend in Backend::ALL {
        write!(table, " {} |", backend.name()).ok();
    }
    table.push_str("\n|---|");
    table.push_str(&":-:|".repeat(Backend::ALL.len()));
    let mut notes = Vec::new();
    for scenario in scenarios::all() {
        write!(table, "\n| {} |", scenario.name.replace('_', " ")).ok();
        for backend in Backend::ALL {
            let (mark, note) = match (scenario.reason(backend), scenario.particular(backend)) {
                _ if !backend.is_built() => ("", None),
                (None, particular) => ("✓", particular),
                (reason, _) => ("no", reason),
            };
            write!(table, " {mark}").ok();
            if let Some(note) = note {
                if !notes.contains(&note) {
                    notes.push(note);
                }
                let number = notes.iter().take_while(|known| **known != note).count() + 1;
                write!(table, " ({number})").ok();
            }
            table.push_str(" |");
        }
    }
    table.push('\n');
    for (number, note) in (1..).zip(notes) {
        write!(table, "\n({number}) {note}\n").ok();
    }
    table
}
