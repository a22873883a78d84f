//! The access log: a line for each request, made when its response has ended, and written by a thread of its own.
//!
//! ```text
//! Record ── ended ──> AccessLog of the worker (buffer) ── 64 KiB, or each second ──> writer ──> standard output
//! ```

mod line;
mod record;

use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    rc::Rc,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use time::OffsetDateTime;
use tracing::warn;

pub(crate) use self::record::Record;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// NCSA's combined format, and after it in quotes: reason, request id, and the endpoint's address; seconds of the
    /// whole, seconds of the endpoint, tries.
    Combined,
}

/// A buffer is given to the writer at this size.
const FULL: usize = 64 * 1024;
/// Buffers that may wait for the writer; what comes then is dropped, and counted.
const MAX_WAITING: usize = 64;

/// The log of one worker.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    buffer: RefCell<Vec<u8>>,
    writer: SyncSender<Vec<u8>>,
    dropped: Counter,
    clock: Clock,
}

/// The time as text, made once in each second.
#[derive(Debug, Default)]
struct Clock {
    second: Cell<i64>,
    text: RefCell<String>,
}

/// Starts the thread that writes what workers log. It ends when they are gone.
pub(crate) fn start_writer(mut output: Box<dyn Write + Send>) -> io::Result<SyncSender<Vec<u8>>> {
    let (writer, lines): (_, Receiver<Vec<u8>>) = sync_channel(MAX_WAITING);
    std::thread::Builder::new()
        .name("access-log".into())
        .spawn(move || {
            for buffer in lines {
                if let Err(error) = output.write_all(&buffer).and_then(|()| output.flush()) {
                    warn!(%error, "access log cannot be written");
                }
            }
        })?;
    Ok(writer)
}

impl AccessLog {
    pub(crate) fn new(
        format: AccessLogFormat,
        writer: SyncSender<Vec<u8>>,
        dropped: Counter,
    ) -> Rc<Self> {
        Rc::new(Self {
            format,
            buffer: RefCell::default(),
            writer,
            dropped,
            clock: Clock::default(),
        })
    }

    /// Writes the line of a request whose response has ended.
    pub(crate) fn write(&self, record: &Record, took: Duration) {
        let now = OffsetDateTime::now_utc();
        let is_full = {
            let mut buffer = self.buffer.borrow_mut();
            match self.format {
                AccessLogFormat::Json => {
                    let time = self.clock.text(now, line::rfc3339);
                    line::json(&mut buffer, record, &time, now.millisecond(), took);
                }
                AccessLogFormat::Combined => {
                    let time = self.clock.text(now, line::common);
                    line::combined(&mut buffer, record, &time, took);
                }
            }
            buffer.len() >= FULL
        };
        if is_full {
            self.flush();
        }
    }

    /// Gives the writer what there is.
    pub(crate) fn flush(&self) {
        if self.buffer.borrow().is_empty() {
            return;
        }
        let buffer = std::mem::take(&mut *self.buffer.borrow_mut());
        if let Err(refused) = self.writer.try_send(buffer) {
            let (std::sync::mpsc::TrySendError::Full(buffer)
            | std::sync::mpsc::TrySendError::Disconnected(buffer)) = refused;
            let lines = buffer
                .split(|byte| *byte == b'\n')
                .count()
                .saturating_sub(1);
            self.dropped.inc_by(lines.try_into().unwrap_or_default());
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

// === impl Clock ===

impl Clock {
    fn text(
        &self,
        now: OffsetDateTime,
        write: fn(OffsetDateTime) -> String,
    ) -> std::cell::Ref<'_, String> {
        if self.second.replace(now.unix_timestamp()) != now.unix_timestamp() {
            self.text.replace(write(now));
        }
        self.text.borrow()
    }
}
