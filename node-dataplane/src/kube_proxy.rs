//! Reads a `KubeProxyConfiguration` (v1alpha1), so that a node can take the place of kube-proxy with its configuration.
//!
//! ```text
//! file ─> document ─> values ─> apply ─> Config + what does not apply
//! ```
//!
//! Every field of the published type either applies or is reported; what is silent is as in kube-proxy. Pure: no input
//! makes it panic.

mod apply;
mod document;
mod fields;
mod place;
mod show;
mod values;

use std::fmt;

use crate::{Config, Mode};
use document::KIND;
use values::Values;

pub(crate) use show::configz;

/// Something that the configuration says and that means nothing, or something else, here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The line of the input, from 1.
    pub line: u32,
    /// The field, as a path.
    pub field: String,
    /// What of it, as a sentence without its subject.
    pub message: String,
}

/// Why a node cannot be configured so: every mistake at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct InvalidKubeProxyConfiguration(Vec<Mistake>);

/// A mistake, and where it is.
#[derive(Debug)]
struct Mistake {
    line: u32,
    /// Empty for the whole document.
    field: String,
    message: String,
}

/// Puts what a `KubeProxyConfiguration` says, and kube-proxy's defaults where it is silent, over a configuration.
/// Returns what of it does not apply.
///
/// `input` is YAML or JSON: the object alone, one document among those of a kubeadm.yaml, or the ConfigMap `kube-proxy`.
/// `mode` is that of a flag: it decides instead of the field, also which sections apply.
pub fn configure(
    input: &[u8],
    mode: Option<Mode>,
    config: &mut Config,
) -> Result<Vec<Remark>, InvalidKubeProxyConfiguration> {
    let document =
        document::find(input).map_err(|mistake| InvalidKubeProxyConfiguration(vec![mistake]))?;
    let mut values = Values::read(&document);
    let configured = apply::apply(&mut values, mode, config.clone());
    let Values {
        mut mistakes,
        mut remarks,
        ..
    } = values;
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.line);
        return Err(InvalidKubeProxyConfiguration(mistakes));
    }
    remarks.sort_by_key(|remark| remark.line);
    remarks.dedup();
    *config = configured;
    Ok(remarks)
}

// === impl Remark ===

impl Remark {
    fn new(line: u32, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line,
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            field,
            message,
        } = self;
        write!(f, "line {line}: {field}: {message}")
    }
}

// === impl Mistake ===

impl Mistake {
    fn at(line: u32, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line,
            field: field.into(),
            message: message.into(),
        }
    }
}

// === impl InvalidKubeProxyConfiguration ===

impl InvalidKubeProxyConfiguration {
    /// Each mistake in a line of its own.
    pub fn lines(&self) -> Vec<String> {
        let line = |mistake: &Mistake| {
            let field = if mistake.field.is_empty() {
                KIND
            } else {
                &mistake.field
            };
            format!("line {}: {field}: {}", mistake.line, mistake.message)
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
