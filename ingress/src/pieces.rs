//! Text with references in it that requests fill, such as `$1` or `$host`: split once, when it arrives.

/// A part of such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<R> {
    /// Stands for itself.
    Text(Box<str>),
    /// Stands for what a request has.
    Reference(R),
}

/// The parts of a text. `reference` tells the one that a text starts with, and what follows; all else is itself.
pub(crate) fn split<R>(
    text: &str,
    reference: impl Fn(&str) -> Option<(R, &str)>,
) -> Box<[Piece<R>]> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some((reference, after)) = reference(rest) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Reference(reference));
            rest = after;
        } else {
            plain.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into()));
    }
    pieces.into()
}
