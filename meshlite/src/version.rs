//! `meshlite version`.

use serde::Serialize;

use crate::{
    args::VersionArgs,
    config::{ConfigError, Problems},
    output::{self, Format},
};

#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    /// The gRPC package that this build speaks.
    protocol: &'static str,
    platform: String,
}

/// How to print the version.
pub(crate) fn format(args: VersionArgs) -> Result<Format, ConfigError> {
    let VersionArgs { output } = args;
    let mut problems = Problems::default();
    let format = match output.as_str() {
        "text" => Some(Format::Text),
        other => Format::structured(other),
    };
    if format.is_none() {
        problems.add(
            "output",
            format_args!("`{output}` is not text, yaml or json"),
        );
    }
    problems.or(format)
}

/// Prints the version.
pub(crate) fn print(format: Format) -> anyhow::Result<()> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        protocol: "meshlite.discovery.v1",
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    output::value(format, &version, || {
        format!(
            "meshlite {} ({}, {})",
            version.version, version.protocol, version.platform
        )
    })
}
