//! Where one JSON value ends and the next begins.

/// The length of the first value and the space behind it, where the text is several JSON objects one after the other.
///
/// None where it is one value, or no JSON: then it is all one document.
pub(super) fn end_of_first_value(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"{") {
        return None;
    }
    let end = end_of_object(text)?;
    let rest = text.get(end..)?;
    let space = rest.len() - rest.trim_ascii_start().len();
    rest.trim_ascii_start()
        .starts_with(b"{")
        .then_some(end + space)
}

fn end_of_object(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => at += length_of_string(text.get(at + 1..)?)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of the rest of a string, with its closing quote.
fn length_of_string(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}
