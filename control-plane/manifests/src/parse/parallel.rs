//! Many files on all cores.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::quick::{self, Outcome};
use crate::{
    ManifestFile,
    document::{Document, documents},
};

/// Documents are handed out in pieces of about this many bytes: small enough to share the work of one big file,
/// large enough that handing out costs nothing.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads files on all cores. The result has the same order as the files.
pub fn parse_all(files: Vec<(String, Vec<u8>)>) -> Vec<ManifestFile> {
    let mut results = vec![ManifestFile::default(); files.len()];
    let pieces = pieces(&files);
    for (piece, outcome) in pieces.iter().zip(read_all(&files, &pieces)) {
        if let Some(file) = results.get_mut(piece.file) {
            outcome.add_to(file);
        }
    }
    drop(pieces);
    for (result, (path, _)) in results.iter_mut().zip(files) {
        result.path = path;
    }
    results
}

/// Documents of one file that are read together.
struct Piece<'t> {
    file: usize,
    documents: Vec<Document<'t>>,
}

fn pieces(files: &[(String, Vec<u8>)]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (file, (_, text)) in files.iter().enumerate() {
        let mut piece = Vec::new();
        let mut bytes = 0;
        for document in documents(text) {
            bytes += document.text.len();
            piece.push(document);
            if bytes >= PIECE_BYTES {
                let documents = std::mem::take(&mut piece);
                pieces.push(Piece { file, documents });
                bytes = 0;
            }
        }
        if !piece.is_empty() {
            pieces.push(Piece {
                file,
                documents: piece,
            });
        }
    }
    pieces
}

/// The outcome of each piece, in order.
fn read_all(files: &[(String, Vec<u8>)], pieces: &[Piece<'_>]) -> Vec<Outcome> {
    let workers = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(pieces.len());
    let read = |piece: &Piece<'_>| {
        let path = files.get(piece.file).map_or("", |(path, _)| path.as_str());
        let mut outcome = Outcome::default();
        for document in &piece.documents {
            outcome.extend(quick::read(path, document));
        }
        outcome
    };
    if workers <= 1 {
        return pieces.iter().map(read).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(pieces.len()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(piece) = pieces.get(index) else {
                        return;
                    };
                    let outcome = read(piece);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((index, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
