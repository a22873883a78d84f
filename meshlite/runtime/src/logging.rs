//! Logs to standard error, as text for people or JSON for collectors.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, prelude::*};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for each event, with colours on a terminal.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter does not parse: the user must correct it.
    #[error(
        "`{filter}` is not a log filter: {source}; write a level or `info,meshlite_node=debug`"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logs already go somewhere; nothing was changed.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Checks a filter such as `info,meshlite_node=debug` without setting anything up.
pub fn check_filter(filter: &str) -> Result<(), LoggingError> {
    parse(filter).map(drop)
}

/// Sends this process's events to standard error.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let filter = parse(filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|_already| LoggingError::AlreadySet)
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LoggingError::Filter {
            filter: filter.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_a_level_by_crate_are_filters() {
        check_filter("warn").unwrap();
        check_filter("info,meshlite_node=debug,h2=off").unwrap();
    }

    #[test]
    fn a_bad_filter_is_named_with_what_to_write() {
        let error = check_filter("info,node=loud").unwrap_err().to_string();
        assert!(
            error.starts_with("`info,node=loud` is not a log filter"),
            "{error}"
        );
        assert!(
            error.ends_with("write a level or `info,meshlite_node=debug`"),
            "{error}"
        );
    }
}
