//! An Ingress that is a canary of others (`canary*`).

use meshlite_snapshot::{CanaryHeader, CanaryMatch};

use super::{headers, written::Written};
use crate::ingress::regex;

const TOTAL: u32 = 100;

/// Which requests it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ingress) struct Canary {
    pub(in crate::ingress) header: Option<CanaryHeader>,
    pub(in crate::ingress) cookie: Option<String>,
    pub(in crate::ingress) weight: u32,
    pub(in crate::ingress) total: u32,
}

pub(super) fn read(written: &mut Written<'_, '_>) -> Option<Canary> {
    if !written.flag("canary")? {
        return None;
    }
    let total = written.number("canary-weight-total");
    Some(Canary {
        header: header(written),
        cookie: written.value("canary-by-cookie").and_then(|cookie| {
            let is_good = headers::is_token(cookie.text);
            if !is_good {
                written.invalid(&cookie, "is not the name of a cookie");
            }
            is_good.then(|| cookie.text.to_owned())
        }),
        weight: written.number("canary-weight").unwrap_or(0),
        // Of fewer ingress-nginx takes no notice.
        total: total.filter(|total| *total > TOTAL).unwrap_or(TOTAL),
    })
}

fn header(written: &mut Written<'_, '_>) -> Option<CanaryHeader> {
    let name = written.value("canary-by-header")?;
    if !headers::is_token(name.text) {
        written.invalid(&name, "is not a header");
        return None;
    }
    let exact = written.value("canary-by-header-value");
    let pattern = written.value("canary-by-header-pattern");
    let values = match (exact, pattern) {
        (Some(value), _) => CanaryMatch::Exact(value.text.to_owned()),
        (None, Some(pattern)) => match regex::check(pattern.text) {
            Ok(()) => CanaryMatch::Regex(pattern.text.to_owned()),
            Err(problem) => {
                written.invalid(&pattern, &problem);
                return None;
            }
        },
        (None, None) => CanaryMatch::AlwaysNever,
    };
    Some(CanaryHeader {
        name: name.text.to_ascii_lowercase(),
        values,
    })
}
