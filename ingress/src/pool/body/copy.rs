//! A copy of a body that passes, as far as it is not too long.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body::Frame;

/// The longest body that is copied.
const LONGEST: usize = 1 << 20;

/// A copy that is made while a body passes. What it is for gets it once it is whole, and never if it is not.
pub(crate) struct Copy {
    chunks: VecDeque<Bytes>,
    left: usize,
    finish: Box<dyn FnOnce(VecDeque<Bytes>)>,
}

impl Copy {
    pub(crate) fn new(finish: impl FnOnce(VecDeque<Bytes>) + 'static) -> Self {
        Self {
            chunks: VecDeque::new(),
            left: LONGEST,
            finish: Box::new(finish),
        }
    }

    /// The copy of a body that is empty.
    pub(crate) fn finish(self) {
        if self.left > 0 {
            (self.finish)(self.chunks);
        }
    }

    pub(super) fn add(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            return;
        };
        self.left = self.left.saturating_sub(data.len());
        if self.left == 0 {
            self.chunks.clear();
        } else {
            self.chunks.push_back(data.clone());
        }
    }
}

impl std::fmt::Debug for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copy")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
