//! Where in a document a value is, as a list on the stack.

use std::fmt;

/// The path of a value. Its text is the one that Kubernetes uses: `spec.ports[1].nodePort`, with keys that are no
/// fields in brackets: `metadata.annotations[example.com/a]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    /// The document.
    Root,
    /// A value of a mapping.
    Key {
        /// The mapping.
        parent: &'p Self,
        /// The value's key.
        key: &'p str,
        /// Whether the mapping is a struct, and the key one of its fields.
        is_field: bool,
    },
    /// An element of a sequence.
    Index {
        /// The sequence.
        parent: &'p Self,
        /// The element's index, from 0.
        index: usize,
    },
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key {
                parent,
                key,
                is_field,
            } => {
                write!(f, "{parent}")?;
                if !is_field {
                    write!(f, "[{key}]")
                } else if matches!(parent, Path::Root) {
                    f.write_str(key)
                } else {
                    write!(f, ".{key}")
                }
            }
            Path::Index { parent, index } => write!(f, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_path_reads_as_in_kubernetes() {
        let spec = Path::Key {
            parent: &Path::Root,
            key: "spec",
            is_field: true,
        };
        let ports = Path::Key {
            parent: &spec,
            key: "ports",
            is_field: true,
        };
        let second = Path::Index {
            parent: &ports,
            index: 1,
        };
        let port = Path::Key {
            parent: &second,
            key: "nodeport",
            is_field: true,
        };
        assert_eq!(port.to_string(), "spec.ports[1].nodeport");
        let annotation = Path::Key {
            parent: &spec,
            key: "example.com/a",
            is_field: false,
        };
        assert_eq!(annotation.to_string(), "spec[example.com/a]");
    }
}
