//! Tables as `ipvsadm -Ln` prints them.

use std::fmt::Write;

use crate::table::{Audience, Key, Settings, Table};

const HEADER: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
";

/// The table, in the order of its keys.
pub(crate) fn table(table: &Table) -> String {
    let mut text = HEADER.to_owned();
    for (key, server) in &table.virtual_servers {
        virtual_server(&mut text, key, &server.settings);
        for (address, real) in &server.real_servers {
            line(
                &mut text,
                format_args!(
                    "  -> {:<28} {:<7} {:<6} {:<10} 0",
                    address.to_string(),
                    "Masq",
                    real.weight,
                    0
                ),
            );
        }
    }
    text
}

fn virtual_server(text: &mut String, key: &Key, settings: &Settings) {
    let place = &key.frontend;
    let persistent = settings
        .persistence
        .map(|seconds| format!(" persistent {seconds}"))
        .unwrap_or_default();
    let inside = match key.audience {
        Audience::Everyone => "",
        Audience::Inside => " inside",
    };
    line(
        text,
        format_args!(
            "{:<4} {} {}{persistent}{inside}",
            place.protocol,
            place.socket_address(),
            settings.scheduler
        ),
    );
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    if writeln!(text, "{line}").is_err() {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, mk_table, server};

    #[test]
    fn a_table_reads_as_ipvsadm_prints_it() {
        let mut persistent = server(&[("10.244.0.7:8080", 1)]);
        persistent.settings.persistence = Some(10_800);
        let printed = table(&mk_table([
            (
                key("TCP 10.96.0.10:53"),
                server(&[("10.244.0.5:53", 1), ("10.244.0.6:53", 0)]),
            ),
            (key("TCP 10.96.0.11:80"), persistent),
            (key("UDP 10.96.0.10:53"), server(&[])),
        ]));
        assert_eq!(
            printed,
            "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.96.0.10:53 rr
  -> 10.244.0.5:53                Masq    1      0          0
  -> 10.244.0.6:53                Masq    0      0          0
UDP  10.96.0.10:53 rr
TCP  10.96.0.11:80 rr persistent 10800
  -> 10.244.0.7:8080              Masq    1      0          0
"
        );
    }
}
