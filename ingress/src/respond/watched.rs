//! A body whose end is waited for: for the access log, and for what a request holds until then.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::Body;
use crate::{
    access_log::{AccessLog, Record},
    forward::BodyError,
    policy::Place,
    trace::Traced,
};

/// A body, and what happens when it has been sent or given up.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(super) inner: Body,
    bytes: u64,
    place: Option<Place>,
    entry: Option<(Rc<AccessLog>, Box<Record>)>,
    traced: Option<Box<Traced>>,
}

impl Watched {
    fn new(inner: Body) -> Self {
        Self {
            inner,
            bytes: 0,
            place: None,
            entry: None,
            traced: None,
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let sent = frame.data_ref().map_or(0, Bytes::len);
            self.bytes += u64::try_from(sent).unwrap_or_default();
        }
        polled
    }
}

impl Body {
    fn watched(self, watch: impl FnOnce(&mut Watched)) -> Self {
        let mut watched = match self {
            Self::Watched(watched) => watched,
            body => Box::new(Watched::new(body)),
        };
        watch(&mut watched);
        Self::Watched(watched)
    }

    /// Keeps a client's place until the body has ended.
    pub(crate) fn until_its_end(self, place: Place) -> Self {
        self.watched(|watched| watched.place = Some(place))
    }

    /// Ends the spans of its request when the body has ended.
    pub(crate) fn traced(self, traced: Box<Traced>) -> Self {
        self.watched(|watched| watched.traced = Some(traced))
    }

    /// Writes a line when the body has ended.
    pub(crate) fn logged(self, log: Rc<AccessLog>, record: Box<Record>) -> Self {
        self.watched(|watched| watched.entry = Some((log, record)))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((log, record)) = &mut self.entry {
            record.bytes = self.bytes;
            log.write(record, record.started.elapsed());
        }
        if let Some(traced) = self.traced.take() {
            traced.end();
        }
    }
}
