//! What a host's kernel remembers of connections that failed: why one did shows there, and nowhere else.

use std::fs;

use super::host::Host;

impl Host {
    /// Connections that it tracks or balances and that are not open yet, as the kernel shows them.
    pub fn opening_connections(&self) -> String {
        let shown = ["nf_conntrack", "ip_vs_conn"].map(|file| self.of_network(file));
        let lines = shown.iter().flat_map(|shown| shown.lines());
        let opening: Vec<_> = lines.filter(|line| line.contains("SYN")).collect();
        opening.join("\n")
    }

    /// How many resets it has sent by itself, and how often it has said that nobody is there: in IPv4, and in IPv6.
    pub fn refusals(&self) -> [u64; 3] {
        let (snmp, snmp6) = (self.of_network("snmp"), self.of_network("snmp6"));
        [
            in_columns(&snmp, "Tcp:", "OutRsts"),
            in_columns(&snmp, "Icmp:", "OutDestUnreachs"),
            in_rows(&snmp6, "Icmp6OutDestUnreachs"),
        ]
        .map(Option::unwrap_or_default)
    }

    /// Empty where the kernel has no such file.
    fn of_network(&self, file: &str) -> String {
        let read = || fs::read_to_string(format!("/proc/thread-self/net/{file}"));
        self.namespace().run(read).unwrap_or_default()
    }
}

/// A number of `/proc/net/snmp`: names are in one line, numbers in the next, and both begin alike.
fn in_columns(text: &str, start: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut both = names.split_whitespace().zip(numbers.split_whitespace());
    both.find(|(it, _)| *it == name)?.1.parse().ok()
}

/// A number of `/proc/net/snmp6`: each has a line.
fn in_rows(text: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().map(str::split_whitespace);
    let mut row = words.find(|words| words.clone().next() == Some(name))?;
    row.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{in_columns, in_rows};

    #[test]
    fn numbers_are_found_by_name_in_both_kinds_of_files() {
        let snmp = "Icmp: InMsgs OutDestUnreachs\nIcmp: 7 3\nTcp: InSegs OutRsts\nTcp: 9 1\n";
        assert_eq!(in_columns(snmp, "Tcp:", "OutRsts"), Some(1));
        assert_eq!(in_columns(snmp, "Icmp:", "OutDestUnreachs"), Some(3));
        let snmp6 = "Icmp6InMsgs   \t5\nIcmp6OutDestUnreachs   \t2\n";
        assert_eq!(in_rows(snmp6, "Icmp6OutDestUnreachs"), Some(2));
    }
}
