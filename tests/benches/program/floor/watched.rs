//! A kernel that is asked again and again what it has, as a node's is while a change of it is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use crate::watch::pause;

/// Half of the time it is asked. Dropped, it is not asked any more.
pub(super) struct Watched {
    is_over: Arc<AtomicBool>,
}

// === impl Watched ===

impl Watched {
    pub(super) fn start(mut ask: impl FnMut() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                ask();
                pause(asked.elapsed());
            }
        });
        Self { is_over }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
