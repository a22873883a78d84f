//! What clients are to see: each waits until they do, or fails with what they saw last.

use std::net::SocketAddr;

use meshlite_tests::world::{DialError, Host, Protocol};

use crate::{cluster::Cluster, service::Endpoint};

/// Connections that show who answers: with as many, each of three is nearly sure to be seen.
const SOME: usize = 12;

// === impl Cluster ===

impl Cluster {
    /// These pods answer, each of them, and nobody else.
    pub(crate) fn answers(&self, client: &Host, to: SocketAddr, pods: &[Endpoint]) {
        let mut wanted: Vec<_> = pods.iter().map(|pod| self.name(*pod)).collect();
        wanted.sort_unstable();
        let what = format!("{} gets answers at {to} from {wanted:?}", client.name());
        self.eventually(&what, || {
            let answers = client.ask_times(SOME, Protocol::Tcp, to);
            let answers = answers.map_err(|error| error.to_string())?;
            if answers.keys().eq(&wanted) {
                return Ok(());
            }
            Err(format!("{answers:?}"))
        });
    }

    /// Nobody answers, and the client hears so at once.
    pub(crate) fn refuses(&self, client: &Host, protocol: Protocol, to: SocketAddr) {
        let what = format!("{} is refused at {to}", client.name());
        self.fails(&what, client, protocol, to, |error| {
            matches!(error, DialError::Refused)
        });
    }

    /// Nobody answers, and the client hears nothing.
    pub(crate) fn drops(&self, client: &Host, to: SocketAddr) {
        let what = format!("{} hears nothing of {to}", client.name());
        self.fails(&what, client, Protocol::Tcp, to, |error| {
            self.backend.is_dropped(error)
        });
    }

    /// Nobody answers.
    pub(crate) fn serves_nobody(&self, client: &Host, protocol: Protocol, to: SocketAddr) {
        let what = format!("{} gets no answer at {to}", client.name());
        self.fails(&what, client, protocol, to, |_| true);
    }

    fn fails(
        &self,
        what: &str,
        client: &Host,
        protocol: Protocol,
        to: SocketAddr,
        is_it: impl Fn(&DialError) -> bool,
    ) {
        self.eventually(what, || match client.ask(protocol, to) {
            Err(error) if is_it(&error) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// The name that a pod answers with.
    pub(crate) fn name(&self, pod: Endpoint) -> &str {
        self.world.pod(pod.node, pod.pod).name()
    }
}
