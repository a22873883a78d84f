//! `meshlite version`.

use serde::Serialize;

use crate::{
    args::VersionArgs,
    config::{ConfigError, Problems},
    output::{self, Format},
};

#[derive(Debug, Serialize)]
struct Build {
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
    let build = Build {
        version: env!("CARGO_PKG_VERSION"),
        protocol: "meshlite.discovery.v1",
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    output::value(format, &build, || {
        format!(
            "meshlite {} ({}, {})",
            build.version, build.protocol, build.platform
        )
    })
}
