//! What the arguments mean. Every mistake is reported at once, each with its flag and environment variable.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use ipnet::IpNet;
use meshlite_compile::ObjectKey;
use meshlite_node::Mode;

mod ask;
mod cluster;
mod connect;
mod control_plane;
mod detect_local;
mod migrate;
mod node;
mod planes;
mod preflight;
mod security;

pub(crate) use ask::{
    DiffConfig, ExplainConfig, GetConfig, GetSnapshotConfig, GetSource, SetsConfig, SnapshotSource,
    StatusConfig, diff, explain, get, get_snapshot, sets, status,
};
pub(crate) use connect::Reach;
pub(crate) use control_plane::control_plane;
pub(crate) use migrate::{MigrateConfig, MigrateSource, migrate};
pub(crate) use node::NodeConfig;
pub(crate) use planes::{StandaloneConfig, ingress, manifests, node, node_init, standalone};
pub(crate) use preflight::{PreflightConfig, preflight};

/// Mistakes in the configuration, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

/// At least one mistake in the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.join("\n"))]
pub(crate) struct ConfigError(Vec<String>);

// === impl ConfigError ===

impl ConfigError {
    /// Both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

// === impl Problems ===

impl Problems {
    /// Notes what is wrong with a flag, under its name and that of its environment variable.
    pub(crate) fn add(&mut self, flag: &str, problem: impl fmt::Display) {
        let variable = flag.to_uppercase().replace('-', "_");
        // OpenTelemetry's variables have names of their own, everywhere.
        let ours = if flag.starts_with("otel-") {
            ""
        } else {
            "MESHLITE_"
        };
        self.0
            .push(format!("--{flag} ({ours}{variable}): {problem}"));
    }

    /// The value, unless something was wrong.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ConfigError(self.0)),
        }
    }

    /// Parses the value of a flag; `expected` says what to write instead.
    pub(crate) fn parse<T: FromStr>(
        &mut self,
        flag: &str,
        text: &str,
        expected: &str,
    ) -> Option<T> {
        let parsed = text.trim().parse().ok();
        if parsed.is_none() {
            self.add(flag, format_args!("`{text}` is not {expected}"));
        }
        parsed
    }

    /// A mode of the node.
    pub(crate) fn mode(&mut self, text: &str) -> Option<Mode> {
        let expected = "one of auto, ipvs, nftables, userspace, memory";
        self.parse("mode", text, expected)
    }

    /// Parses the value of a flag whose type says itself what to write instead.
    pub(crate) fn read<T: FromStr<Err: fmt::Display>>(
        &mut self,
        flag: &str,
        text: &str,
    ) -> Option<T> {
        let parsed = text.trim().parse();
        parsed.map_err(|error| self.add(flag, error)).ok()
    }

    /// On or off.
    pub(crate) fn switch(&mut self, flag: &str, text: &str) -> Option<bool> {
        self.parse(flag, text, "true or false")
    }

    /// An address with its port.
    pub(crate) fn address(&mut self, flag: &str, text: &str) -> Option<SocketAddr> {
        self.parse(
            flag,
            text,
            "an address with a port, such as 127.0.0.1:18000 or [::1]:18000",
        )
    }

    /// An address with its port, or nothing where the text is empty.
    #[expect(clippy::option_option, reason = "the outer one is whether it parsed")]
    pub(crate) fn optional_address(
        &mut self,
        flag: &str,
        text: &str,
    ) -> Option<Option<SocketAddr>> {
        if text.trim().is_empty() {
            return Some(None);
        }
        self.address(flag, text).map(Some)
    }

    /// A list of ranges. A bare address is a range of one.
    pub(crate) fn ranges(&mut self, flag: &str, texts: &[String]) -> Option<Vec<IpNet>> {
        let mut ranges = Vec::with_capacity(texts.len());
        for text in texts {
            let text = text.trim();
            match text.parse::<IpNet>() {
                Ok(range) if range != range.trunc() => {
                    self.add(
                        flag,
                        format_args!("`{text}` has host bits set; write {}", range.trunc()),
                    );
                }
                Ok(range) => ranges.push(range),
                Err(_not_a_range) => match text.parse::<std::net::IpAddr>() {
                    Ok(address) => ranges.push(IpNet::from(address)),
                    Err(_not_an_address) => self.add(
                        flag,
                        format_args!("`{text}` is not a range of addresses, such as 10.96.0.0/12"),
                    ),
                },
            }
        }
        (ranges.len() == texts.len()).then_some(ranges)
    }

    /// A length of time.
    pub(crate) fn duration(&mut self, flag: &str, text: &str) -> Option<Duration> {
        let duration = parse_duration(text.trim());
        if duration.is_none() {
            self.add(
                flag,
                format_args!("`{text}` is not a duration, such as 500ms, 30s or 5m"),
            );
        }
        duration
    }

    /// A length of time after which something is done again.
    pub(crate) fn period(&mut self, flag: &str, text: &str) -> Option<Duration> {
        let period = self.duration(flag, text)?;
        if period.is_zero() {
            self.add(flag, "must be longer than 0");
            return None;
        }
        Some(period)
    }

    /// A file or folder that must be there.
    pub(crate) fn existing(&mut self, flag: &str, path: PathBuf) -> Option<PathBuf> {
        match std::fs::metadata(&path) {
            Ok(_exists) => Some(path),
            Err(error) => {
                self.add(
                    flag,
                    format_args!("cannot read {}: {error}", path.display()),
                );
                None
            }
        }
    }

    /// Control planes to follow.
    pub(crate) fn urls(&mut self, flag: &str, texts: &[String]) -> Option<Vec<String>> {
        let urls: Vec<String> = texts
            .iter()
            .filter_map(|text| self.url(flag, text))
            .collect();
        (urls.len() == texts.len()).then_some(urls)
    }

    fn url(&mut self, flag: &str, text: &str) -> Option<String> {
        let form = "https://HOST:PORT or http://HOST:PORT";
        self.url_of(flag, text, &["http", "https"], form)
    }

    /// An admin server to ask.
    pub(crate) fn admin_url(&mut self, flag: &str, text: &str) -> Option<String> {
        self.url_of(flag, text, &["http"], "http://HOST:PORT")
    }

    fn url_of(&mut self, flag: &str, text: &str, schemes: &[&str], form: &str) -> Option<String> {
        let text = text.trim();
        let is_good = text.parse::<http::Uri>().is_ok_and(|uri| {
            uri.scheme_str()
                .is_some_and(|scheme| schemes.contains(&scheme))
                && uri.port_u16().is_some()
                && matches!(uri.path(), "" | "/")
        });
        if is_good {
            return Some(text.trim_end_matches('/').to_owned());
        }
        self.add(
            flag,
            format_args!("`{text}` is not a URL of the form {form}"),
        );
        None
    }

    /// The name of a namespaced object.
    pub(crate) fn object(&mut self, flag: &str, text: &str) -> Option<ObjectKey> {
        let key = text
            .trim()
            .split_once('/')
            .filter(|(_, name)| !name.contains('/'))
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
            .map(|(namespace, name)| ObjectKey::new(namespace, name));
        if key.is_none() {
            self.add(flag, format_args!("`{text}` is not NAMESPACE/NAME"));
        }
        key
    }
}

/// What this host calls itself; empty where it does not say.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}

/// A whole number and a unit: `500ms`, `30s`, `5m`, `1h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
