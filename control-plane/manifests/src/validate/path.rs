//! The path of a field, as Kubernetes writes it; made only when there is something to say about it.

use std::fmt;

/// A field within an object: `spec.ports[1].nodePort`.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'static str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// A field of the object itself.
    pub(super) const fn root(field: &'static str) -> Self {
        Self {
            parent: None,
            step: Step::Field(field),
        }
    }

    /// A field of this field.
    pub(super) const fn field(&'a self, field: &'static str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Field(field),
        }
    }

    /// An element of this list.
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// An entry of this map.
    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Key(key),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Field(field) if self.parent.is_some() => write!(f, ".{field}"),
            Step::Field(field) => f.write_str(field),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_in_kubernetes() {
        let spec = Path::root("spec");
        let ports = spec.field("ports");
        let port = ports.index(1);
        assert_eq!(port.field("nodePort").to_string(), "spec.ports[1].nodePort");
        let data = Path::root("data");
        assert_eq!(data.key("tls.crt").to_string(), "data[tls.crt]");
    }
}
