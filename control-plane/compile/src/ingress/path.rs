//! The path of a rule.

use meshlite_snapshot::{PathMatch, RoutePath};

use crate::values;

/// What is wrong with a path: the field, the reason and the message.
pub(super) struct BadPath {
    pub(super) field: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Reads a path of this type. `ImplementationSpecific` means `Prefix` here.
pub(super) fn path(path_type: &str, path: Option<&str>) -> Result<RoutePath, BadPath> {
    let path = path.unwrap_or_default();
    let kind = match path_type {
        "Exact" => PathMatch::Exact,
        "Prefix" | "ImplementationSpecific" => PathMatch::Prefix,
        other => {
            return Err(BadPath {
                field: "pathType",
                reason: "UnsupportedValue",
                message: values::unsupported(other, &["Exact", "ImplementationSpecific", "Prefix"]),
            });
        }
    };
    let free = path_type == "ImplementationSpecific";
    if free && path.is_empty() {
        return Ok(RoutePath {
            kind,
            value: "/".to_owned(),
        });
    }
    let problem = if !path.starts_with('/') {
        Some(format!("{path:?} does not start with \"/\""))
    } else if free {
        None
    } else {
        ["//", "/./", "/../", "%2f", "%2F"]
            .into_iter()
            .find(|part| path.contains(part))
            .or_else(|| ["/..", "/."].into_iter().find(|end| path.ends_with(end)))
            .map(|part| format!("{path:?} contains {part:?}"))
    };
    match problem {
        None => Ok(RoutePath {
            kind,
            value: path.to_owned(),
        }),
        Some(message) => Err(BadPath {
            field: "path",
            reason: "InvalidPath",
            message,
        }),
    }
}

/// Whether a path looks like the regular expressions that other controllers read here.
pub(super) fn looks_like_a_regex(path_type: &str, path: &RoutePath) -> bool {
    path_type == "ImplementationSpecific"
        && path.value.contains(['(', '[', '*', '^', '$', '|', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked_as_the_api_server_does() {
        for (path_type, text, good) in [
            ("Exact", "/", true),
            ("Exact", "/foo/", true),
            ("Exact", "", false),
            ("Exact", "foo", false),
            ("Prefix", "/a//b", false),
            ("Prefix", "/a/./b", false),
            ("Prefix", "/a/../b", false),
            ("Prefix", "/a%2Fb", false),
            ("Prefix", "/a/..", false),
            ("Prefix", "/a/.", false),
            ("Prefix", "/a..", true),
            ("ImplementationSpecific", "", true),
            ("ImplementationSpecific", "/a//b", true),
            ("ImplementationSpecific", "a", false),
            ("Regex", "/", false),
            ("", "/", false),
        ] {
            assert_eq!(
                path(path_type, Some(text)).is_ok(),
                good,
                "{path_type} {text:?}"
            );
        }
    }
}
