//! The fields of a document as values of their types. What is no field, or of another type, is a mistake.

use std::{collections::BTreeMap, time::Duration};

use meshlite_snapshot::duration;
use yaml_serde::{Mapping, Value as Yaml};

use super::{
    Mistake, Remark,
    document::Document,
    fields::{self, Field, Found, Kind},
    place,
};

/// What is set, by path.
#[derive(Debug, Default)]
pub(super) struct Values {
    set: BTreeMap<&'static str, Set>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) remarks: Vec<Remark>,
}

#[derive(Debug)]
struct Set {
    line: u32,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Switch(bool),
    Number(i64),
    Duration(Duration),
    Texts(Vec<String>),
}

// === impl Values ===

impl Values {
    /// Everything that a document sets.
    pub(super) fn read(document: &Document) -> Self {
        let mut values = Self::default();
        values.section(document, &[], &document.fields);
        values
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match &self.set.get(path)?.value {
            Value::Text(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    pub(super) fn switch(&self, path: &str) -> Option<bool> {
        match self.set.get(path)?.value {
            Value::Switch(is_on) => Some(is_on),
            _ => None,
        }
    }

    pub(super) fn number(&self, path: &str) -> Option<u32> {
        match self.set.get(path)?.value {
            Value::Number(number) => u32::try_from(number).ok(),
            _ => None,
        }
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        match self.set.get(path)?.value {
            Value::Duration(duration) => Some(duration),
            _ => None,
        }
    }

    pub(super) fn texts(&self, path: &str) -> &[String] {
        match self.set.get(path).map(|set| &set.value) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// A field is set, and not to its zero value.
    pub(super) fn is_set(&self, path: &str) -> bool {
        let set = self.set.get(path);
        set.is_some_and(|set| !set.value.is_zero())
    }

    /// The value of a field cannot be served.
    pub(super) fn mistake(&mut self, path: &'static str, what: impl Into<String>) {
        let line = self.line(path);
        self.mistakes.push(Mistake::at(line, path, what));
    }

    /// The value of a field means something else here than it may seem.
    pub(super) fn remark(&mut self, path: &'static str, what: impl Into<String>) {
        let line = self.line(path);
        self.remarks.push(Remark::new(line, path, what));
    }

    fn line(&self, path: &str) -> u32 {
        self.set.get(path).map_or(1, |set| set.line)
    }

    fn section(&mut self, document: &Document, outer: &[&str], fields: &Mapping) {
        for (key, value) in fields {
            let mut path = outer.to_vec();
            let Some(key) = key.as_str() else {
                let line = place_of(document, outer);
                let what = "has a key that is not text";
                self.mistakes.push(Mistake::at(line, outer.join("."), what));
                continue;
            };
            path.push(key);
            let (line, name) = (place_of(document, &path), path.join("."));
            match (fields::find(&name), value) {
                (_, Yaml::Null) if fields::find(&name).is_some() => {}
                (Some(Found::Field(field)), value) => self.field(field, line, value),
                (Some(Found::Section), Yaml::Mapping(inner)) => {
                    self.section(document, &path, inner);
                }
                (Some(Found::Section), _) => {
                    let what = "is not a mapping of fields";
                    self.mistakes.push(Mistake::at(line, name, what));
                }
                (None, _) => self.unknown(line, &name),
            }
        }
    }

    fn field(&mut self, field: &'static Field, line: u32, yaml: &Yaml) {
        let value = match value_of(field.kind, yaml) {
            Ok(value) => value,
            Err(what) => {
                self.mistakes.push(Mistake::at(line, field.path, what));
                return;
            }
        };
        // Tools write every field: what has its zero value was not asked for.
        let is_zero = value.as_ref().map_or_else(|| is_zero(yaml), Value::is_zero);
        if let Some(why_not) = field.why_not.filter(|_| !is_zero) {
            let message = format!("does not apply: {why_not}");
            self.remarks.push(Remark::new(line, field.path, message));
        }
        if let Some(value) = value {
            self.set.insert(field.path, Set { line, value });
        }
    }

    /// kube-proxy starts with fields that it does not know. So does a node, unless one was probably meant to be another.
    fn unknown(&mut self, line: u32, path: &str) {
        match fields::meant(path) {
            Some(meant) => {
                let what = format!("unknown field; did you mean {meant}?");
                self.mistakes.push(Mistake::at(line, path, what));
            }
            None if path.starts_with(|c: char| c.is_ascii_digit()) => {
                let what = "unknown field; remove the line numbers of the editor";
                self.mistakes.push(Mistake::at(line, path, what));
            }
            None => {
                let message = "does not apply: unknown field, which kube-proxy would ignore";
                self.remarks.push(Remark::new(line, path, message));
            }
        }
    }
}

// === impl Value ===

impl Value {
    fn is_zero(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Switch(is_on) => !is_on,
            Self::Number(number) => *number == 0,
            Self::Duration(duration) => duration.is_zero(),
            Self::Texts(texts) => texts.is_empty(),
        }
    }
}

/// A value of a kind, or what is wrong with it. None where nothing looks into it.
fn value_of(kind: Kind, yaml: &Yaml) -> Result<Option<Value>, String> {
    let value = match kind {
        Kind::Text => yaml.as_str().map(|text| Value::Text(text.to_owned())),
        Kind::Switch => yaml.as_bool().map(Value::Switch),
        Kind::Number(least, most) => {
            let number = yaml.as_i64();
            let number = number.filter(|number| (least..=most).contains(number));
            number.map(Value::Number)
        }
        Kind::Duration => {
            let text = yaml.as_str();
            text.and_then(duration::parse).map(Value::Duration)
        }
        Kind::Texts => yaml.as_sequence().and_then(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().map(Value::Texts)
        }),
        Kind::Anything => return Ok(None),
    };
    let expected = || match kind {
        Kind::Text => "text; quote it".to_owned(),
        Kind::Switch => "true or false".to_owned(),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Duration => "a duration, such as \"30s\" or \"1h30m\"".to_owned(),
        Kind::Texts | Kind::Anything => "a list of texts".to_owned(),
    };
    let value = value.ok_or_else(|| format!("{} is not {}", shown(yaml), expected()))?;
    Ok(Some(value))
}

/// A value as it may be in a message.
fn shown(yaml: &Yaml) -> String {
    match yaml {
        Yaml::Null => "nothing".to_owned(),
        Yaml::Bool(value) => format!("`{value}`"),
        Yaml::Number(value) => format!("`{value}`"),
        Yaml::String(value) => format!("`{}`", value.chars().take(60).collect::<String>()),
        Yaml::Sequence(_) => "a list".to_owned(),
        Yaml::Mapping(_) => "a mapping".to_owned(),
        Yaml::Tagged(_) => "a value with a tag".to_owned(),
    }
}

/// A value that asks for nothing, however deep it is.
fn is_zero(yaml: &Yaml) -> bool {
    match yaml {
        Yaml::Null => true,
        Yaml::Bool(value) => !value,
        Yaml::Number(value) => value.as_f64() == Some(0.0),
        Yaml::String(value) => matches!(value.as_str(), "" | "0" | "0s"),
        Yaml::Sequence(items) => items.iter().all(is_zero),
        Yaml::Mapping(fields) => fields.values().all(is_zero),
        Yaml::Tagged(_) => false,
    }
}

fn place_of(document: &Document, path: &[&str]) -> u32 {
    let within = place::line_of(&document.text, path).line;
    document.line.saturating_add(within).saturating_sub(1)
}
