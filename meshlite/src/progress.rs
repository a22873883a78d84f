//! How far long work is, on standard error while it is a terminal; nothing where the work is done at once.

use std::{
    env,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that ends before is not worth a look.
const PATIENCE: Duration = Duration::from_millis(400);
const PERIOD: Duration = Duration::from_millis(100);

const BAR: &str = "{msg} [{bar:30}] {human_pos}/{human_len}";
const COUNT: &str = "{spinner} {msg} {human_pos}";
const SPINNER: &str = "{spinner} {msg}";

/// A line that is drawn anew until this is dropped, and leaves nothing behind.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Ends when this is dropped: the sender, then the thread that shows the line.
    shows: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Of work of which only the beginning and the end are known.
    pub(crate) fn of_unknown(what: &'static str) -> Self {
        let progress = Self::hidden(what);
        progress.bar.set_style(style(SPINNER));
        progress.shown_later()
    }

    /// Of work that consists of many alike, and of how many where it is known.
    pub(crate) fn of_many(what: &'static str, total: Option<u64>) -> Self {
        let progress = Self::hidden(what);
        progress.expect(total);
        progress.shown_later()
    }

    /// How many there are.
    pub(crate) fn expect(&self, total: Option<u64>) {
        match total {
            Some(total) => {
                self.bar.set_length(total);
                self.bar.set_style(style(BAR));
            }
            None => self.bar.set_style(style(COUNT)),
        }
    }

    /// So many are done.
    pub(crate) fn reached(&self, count: u64) {
        self.bar.set_position(count);
    }

    fn hidden(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self {
            bar: bar.with_message(what),
            shows: None,
        }
    }

    fn shown_later(mut self) -> Self {
        if env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return self;
        }
        let bar = self.bar.clone();
        let (ends, ended) = mpsc::channel();
        let show = move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // It draws on terminals only.
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(PERIOD);
            }
        };
        // Without a thread there is no progress to be seen, and the work goes on.
        let thread = thread::Builder::new().spawn(show);
        self.shows = thread.ok().map(|thread| (ends, thread));
        self
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((ends, thread)) = self.shows.take() {
            drop(ends);
            drop(thread.join());
        }
        self.bar.finish_and_clear();
    }
}

/// Templates of this file are good; the library's own style stands in for one that is not.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
