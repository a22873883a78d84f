//! The annotations of one Ingress as they are written, and what is said about them.

use std::{cell::Cell, collections::BTreeMap};

use crate::{
    ObjectKey,
    annotations::{self, MESHLITE, NGINX},
    report::About,
};

/// The annotations of one Ingress. Where both domains have one, ours counts.
pub(super) struct Written<'a, 'b> {
    pub(super) ingress: &'a ObjectKey,
    all: &'a BTreeMap<String, String>,
    about: &'a mut About<'b>,
    is_closed: Cell<bool>,
}

/// The value of one.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    /// The path of the annotation.
    pub(super) field: String,
    /// Trimmed, and not empty.
    pub(super) text: &'a str,
    /// It is ingress-nginx's, with its defaults.
    pub(super) is_nginx: bool,
}

impl<'a, 'b> Written<'a, 'b> {
    pub(super) fn new(
        ingress: &'a ObjectKey,
        all: &'a BTreeMap<String, String>,
        about: &'a mut About<'b>,
    ) -> Self {
        Self {
            ingress,
            all,
            about,
            is_closed: Cell::new(false),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// The annotation of this name, of either domain.
    pub(super) fn value(&self, name: &str) -> Option<Value<'a>> {
        [(MESHLITE, false), (NGINX, true)]
            .into_iter()
            .find_map(|(domain, is_nginx)| {
                let annotation = format!("{domain}{name}");
                let text = self.all.get(&annotation)?.trim();
                (!text.is_empty()).then(|| Value {
                    field: annotations::field(&annotation),
                    text,
                    is_nginx,
                })
            })
    }

    /// `true` or `false`, as Go reads it; `on` and `off` as nginx does.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        let flag = flag(value.text);
        if flag.is_none() {
            self.invalid(&value, "is neither true nor false");
        }
        flag
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        let value = self.value(name)?;
        let number = value.text.parse().ok();
        if number.is_none() {
            self.invalid(&value, "is not a number from 0 to 4294967295");
        }
        number
    }

    pub(super) fn milliseconds(&mut self, name: &str) -> Option<u32> {
        let value = self.value(name)?;
        match annotations::milliseconds(value.text) {
            Ok(milliseconds) => Some(milliseconds),
            Err(problem) => {
                self.invalid(&value, problem);
                None
            }
        }
    }

    /// One of these values.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<T> {
        let value = self.value(name)?;
        let chosen = choose(value.text, known);
        if chosen.is_none() {
            self.invalid(&value, &format!("is none of {}", names(known)));
        }
        chosen
    }

    /// As [`Written::choice`], where a value that means nothing closes the routes.
    pub(super) fn protecting_choice<T: Copy>(
        &mut self,
        name: &str,
        known: &[(&str, T)],
    ) -> Option<T> {
        let value = self.value(name)?;
        let chosen = choose(value.text, known);
        if chosen.is_none() {
            self.close(&value, &format!("is none of {}", names(known)));
        }
        chosen
    }

    /// The value is not served; the rest is.
    pub(super) fn invalid(&mut self, value: &Value<'_>, problem: &str) {
        let message = format!("{:?} {problem}; it has no effect", value.text);
        self.about.error(&*value.field, "InvalidValue", message);
    }

    /// The value means something that is not served; the rest is.
    pub(super) fn unsupported(&mut self, value: &Value<'_>, problem: &str) {
        let message = format!("{:?} {problem}", value.text);
        self.about.error(&*value.field, "Unsupported", message);
    }

    /// The value is served, though not exactly as ingress-nginx does.
    pub(super) fn approximate(&mut self, value: &Value<'_>, how: &str) {
        self.about.warning(&*value.field, "Approximated", how);
    }

    /// The value is served, but not as it is probably meant.
    pub(super) fn warn(&mut self, value: &Value<'_>, problem: &str) {
        self.about.warning(&*value.field, "NoEffect", problem);
    }

    /// The value would protect the routes and cannot: nothing is served until it is right.
    pub(super) fn close(&mut self, value: &Value<'_>, problem: &str) {
        self.is_closed.set(true);
        let message = format!(
            "{:?} {problem}; it protects the routes, so they answer 503 until it is right",
            value.text
        );
        self.about.error(&*value.field, "InvalidValue", message);
    }
}

impl<'a> Value<'a> {
    /// Its parts between commas.
    pub(super) fn list(&self) -> impl Iterator<Item = &'a str> {
        let parts = self.text.split(',').map(str::trim);
        parts.filter(|part| !part.is_empty())
    }
}

/// As Go's `strconv.ParseBool`, and nginx's words.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" | "on" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "off" => Some(false),
        _ => None,
    }
}

fn choose<T: Copy>(text: &str, known: &[(&str, T)]) -> Option<T> {
    let is_it = |(name, _): &&(&str, T)| name.eq_ignore_ascii_case(text);
    known.iter().find(is_it).map(|(_, value)| *value)
}

fn names<T>(known: &[(&str, T)]) -> String {
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
