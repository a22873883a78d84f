//! Breaks objects: takes fields away, and puts values into them that nobody would write.

use proptest::{prelude::*, sample::Index};
use serde_json::Value;

/// Values that an API server would mostly not admit.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "/",
    "//",
    "None",
    "*",
    "*.",
    "*.example.com",
    "a.example.com",
    "A",
    "a/b",
    "..",
    "-",
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "10.0.0.0/8",
    "80",
    "http",
    "UDP",
    "1h",
    "\u{0}",
    "\u{1f980}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];
const NUMBERS: [i64; 9] = [
    0,
    1,
    -1,
    53,
    80,
    65_535,
    65_536,
    2_147_483_647,
    -2_147_483_648,
];

/// One change, at a place that depends on the object.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    place: Index,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Remove,
    Empty,
    Duplicate,
    Text(&'static str),
    Number(i64),
    Long(usize),
}

/// Any change.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let change = prop_oneof![
        Just(Change::Remove),
        Just(Change::Empty),
        Just(Change::Duplicate),
        proptest::sample::select(&TEXTS[..]).prop_map(Change::Text),
        proptest::sample::select(&NUMBERS[..]).prop_map(Change::Number),
        (200..2_000usize).prop_map(Change::Long),
    ];
    (any::<Index>(), change).prop_map(|(place, change)| Mutation { place, change })
}

impl Mutation {
    /// Changes the object. What is a text stays one and a number stays one, so that most results are still of its form.
    pub(crate) fn apply(&self, object: &mut Value) {
        let mut places = Vec::new();
        collect(object, String::new(), &mut places);
        if places.is_empty() {
            return;
        }
        let place = self.place.get(&places);
        let (parent, key) = place.rsplit_once('/').unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        match (&self.change, object.pointer_mut(parent)) {
            (Change::Remove, Some(Value::Object(fields))) => {
                fields.remove(&key);
                return;
            }
            (Change::Remove, Some(Value::Array(items))) => {
                items.remove(key.parse().unwrap());
                return;
            }
            (Change::Duplicate, Some(Value::Array(items))) => {
                let item = items[key.parse::<usize>().unwrap()].clone();
                items.push(item);
                return;
            }
            _ => {}
        }
        let Some(value) = object.pointer_mut(place) else {
            return;
        };
        match (value, &self.change) {
            (Value::String(text), Change::Text(new)) => (*new).clone_into(text),
            (Value::String(text), Change::Long(length)) => *text = "x".repeat(*length),
            (Value::Number(number), Change::Number(new)) => *number = (*new).into(),
            (Value::Bool(flag), _) => *flag = !*flag,
            (Value::Array(items), Change::Empty) => items.clear(),
            (Value::Object(fields), Change::Empty) => fields.clear(),
            _ => {}
        }
    }
}

/// The JSON pointer of every value below this one.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                collect(value, format!("{at}/{i}"), places);
            }
        }
        _ => {}
    }
    if !at.is_empty() {
        places.push(at);
    }
}
