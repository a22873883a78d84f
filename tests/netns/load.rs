//! Clients that ask without a pause, on connections that they keep and on new ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use meshlite_tests::world::{Host, Protocol, World};
use tokio::time::Instant;

/// Leaves the processor to those who answer.
const PAUSE: Duration = Duration::from_millis(2);

/// A packet may be lost on a machine that has no time for it, and be sent again seconds later.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client does.
#[derive(Clone, Copy)]
enum Kind {
    /// Asks on a connection that it keeps, and on new ones.
    KeepsOne,
    /// Asks on new ones, so many of which may end before they are answered.
    Anew { may_end: u64 },
}

/// A client for each address. Dropped, they end.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<u64, String>>>,
}

// === impl Load ===

impl Load {
    /// Starts clients that `of` finds in the world, each with a connection that it keeps.
    pub(crate) fn start(world: &Arc<World>, of: fn(&World) -> &Host, to: &[SocketAddr]) -> Self {
        Self::start_with(world, of, to, Kind::KeepsOne)
    }

    /// The same without connections that are kept. What is under way when the kernel stops to translate it ends, which
    /// may be so many connections of a client.
    pub(crate) fn start_anew(
        world: &Arc<World>,
        of: fn(&World) -> &Host,
        to: &[SocketAddr],
        may_end: u64,
    ) -> Self {
        Self::start_with(world, of, to, Kind::Anew { may_end })
    }

    fn start_with(
        world: &Arc<World>,
        of: fn(&World) -> &Host,
        to: &[SocketAddr],
        kind: Kind,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |to: &SocketAddr| {
            let (world, stop, to) = (Arc::clone(world), Arc::clone(&stop), *to);
            thread::spawn(move || {
                let before = Traces::of(&world);
                ask(of(&world), to, kind, &stop)
                    .map_err(|failed| format!("{failed}{}", before.since(&world)))
            })
        };
        let clients = to.iter().map(start).collect();
        Self { stop, clients }
    }

    /// Ends it. Fails if a client was not answered once, or if one never asked.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let asked = client.join().expect("a client does not panic");
            let asked = asked.expect("every question is answered");
            assert!(asked > 0, "a client never asked");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// How many questions were answered, or what became of the first that was not.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, and no runtime"
)]
fn ask(client: &Host, to: SocketAddr, kind: Kind, stop: &AtomicBool) -> Result<u64, String> {
    let mut asked = 0;
    let (keeps_one, mut may_end) = match kind {
        Kind::KeepsOne => (true, 0),
        Kind::Anew { may_end } => (false, may_end),
    };
    let failed = |what: &str, asked: u64, error: &dyn std::fmt::Display| {
        format!(
            "{what} to {to} from {}, after {asked}: {error}",
            client.name()
        )
    };
    let connect = || client.connect_within(PATIENCE, 0, Protocol::Tcp, to);
    let kept = keeps_one.then(connect).transpose();
    let mut kept = kept.map_err(|error| failed("the first connection", asked, &error))?;
    let mut who = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(kept) = &mut kept {
            let answer = kept.ask();
            let answer = answer.map_err(|error| failed("the kept connection", asked, &error))?;
            if *who.get_or_insert_with(|| answer.who.clone()) != answer.who {
                let what = "another endpoint answers";
                return Err(failed("the kept connection", asked, &what));
            }
        }
        let connection = connect();
        let mut connection =
            connection.map_err(|error| failed("a new connection", asked, &error))?;
        match connection.ask() {
            Ok(_) => asked += 1,
            Err(_) if may_end > 0 => may_end -= 1,
            Err(error) => return Err(failed("what was just connected", asked, &error)),
        }
        thread::sleep(PAUSE);
    }
    Ok(asked)
}

/// When a client began, and what nodes had refused until then.
struct Traces {
    began: Instant,
    refusals: Vec<[u64; 3]>,
}

impl Traces {
    fn of(world: &World) -> Self {
        Self {
            began: Instant::now(),
            refusals: world.nodes().map(Host::refusals).collect(),
        }
    }

    /// What nodes have refused since, and know of connections that nobody has answered yet: why one failed shows there,
    /// and nowhere else.
    fn since(&self, world: &World) -> String {
        let nodes = world.nodes().zip(&self.refusals);
        let of = |(node, before): (&Host, _)| {
            let (name, opening) = (node.name(), node.opening_connections());
            let now = node.refusals();
            format!(
                "\n{name}: resets, unreachable and unreachable6 sent: {before:?}, now {now:?}\n{opening}"
            )
        };
        let nodes: String = nodes.map(of).collect();
        format!(", {:?} after it began{nodes}", self.began.elapsed())
    }
}
