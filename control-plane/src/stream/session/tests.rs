//! The server's side of a stream, told the time and never waiting for it.

use meshlite_compile::Compiled;
use meshlite_proto::{encode, v1::discovery_request::Kind};
use meshlite_snapshot::Topic;
use tonic::Code;

use super::*;
use crate::{
    publish::{Commits, Publisher, Stamp, Views, digests},
    testing::{delta, mk_hello, mk_namespaces},
};

struct Bench {
    publisher: Publisher,
    views: Views,
    session: Session,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let (publisher, views) = Publisher::new(Arc::default());
        let now = Instant::now();
        let accepted = Accepted::new(mk_hello(v1::Role::L4Node, &Topic::NODE)).unwrap();
        let mut bench = Self {
            publisher,
            views,
            session: Session::new(&accepted, now, Duration::ZERO),
            now,
        };
        bench.publish(&mk_namespaces(&["a"]));
        bench
    }

    fn publish(&mut self, compiled: &Compiled) {
        let stamp = Stamp {
            at: self.now,
            changed: std::time::SystemTime::UNIX_EPOCH,
        };
        let view = self.views.borrow().clone();
        let delta = delta(view.as_deref(), compiled);
        self.publisher.publish(&delta, stamp, Vec::new());
        self.publisher.announce();
    }

    fn view(&self) -> Arc<View> {
        self.views.borrow().clone().unwrap()
    }

    fn wants(&mut self) -> Option<Range> {
        let view = self.view();
        match self.session.next(&view, self.now)? {
            Next::Commit(range) => Some(range),
            Next::Compare => panic!("the client brought nothing to compare"),
        }
    }

    fn begin(&mut self) -> Plan {
        let range = self.wants().expect("there is something to send");
        let topics = self.session.topics;
        let (commits, view) = (Commits::default(), self.view());
        let commit = block_on(commits.get(&view, topics, range, false)).unwrap();
        let opening = self.session.begin(&commit);
        Plan { opening, commit }
    }

    fn hear(&mut self, kind: Kind) -> Result<Heard, Status> {
        let request = v1::DiscoveryRequest { kind: Some(kind) };
        self.session.hear(request, self.now)
    }

    fn acknowledge(&mut self, plan: &Plan) -> Heard {
        self.hear(Kind::Ack(ack(plan))).unwrap()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

/// A commit as one client gets it.
struct Plan {
    opening: Opening,
    commit: Arc<Commit>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn installed(plan: &Plan) -> Vec<v1::TopicDigest> {
    digests(Topic::NODE.into_iter().collect(), &plan.commit.expected)
}

fn of_namespaces(digests: &mut [v1::TopicDigest]) -> &mut String {
    let topic = encode::topic(Topic::all(ResourceType::Namespace));
    let mut found = digests
        .iter_mut()
        .filter(|said| said.topic == Some(topic.clone()));
    &mut found.next().unwrap().digest
}

fn ack(plan: &Plan) -> v1::Ack {
    v1::Ack {
        nonce: plan.opening.nonce,
        generation: plan.commit.generation,
        installed: installed(plan),
        ..v1::Ack::default()
    }
}

fn heartbeat(plan: &Plan) -> v1::Heartbeat {
    v1::Heartbeat {
        generation: plan.commit.generation,
        digests: installed(plan),
        ..v1::Heartbeat::default()
    }
}

#[test]
fn the_next_commit_waits_for_the_acknowledgement_of_the_last() {
    let mut bench = Bench::new();
    let first = bench.begin();
    assert_eq!(first.commit.range, Range::Full);
    bench.publish(&mk_namespaces(&["a", "b"]));
    assert_eq!(bench.wants(), None);
    let of_another = v1::Ack {
        nonce: 7,
        ..ack(&first)
    };
    assert_eq!(bench.hear(Kind::Ack(of_another)).unwrap(), Heard::Alive);
    assert_eq!(bench.wants(), None);
    bench.acknowledge(&first);
    assert_eq!(bench.wants(), Some(Range::Since(1)));
    let second = bench.begin();
    assert_eq!(
        (second.opening.nonce, second.opening.from_generation),
        (2, 1)
    );
    bench.acknowledge(&second);
    assert_eq!(bench.wants(), None);
}

#[test]
fn convergence_is_measured_from_the_publication_of_the_oldest_change() {
    let mut bench = Bench::new();
    let first = bench.begin();
    let Heard::Reported { convergence, .. } = bench.acknowledge(&first) else {
        panic!("an acknowledgement says that a commit is installed");
    };
    assert_eq!(convergence, None, "a full commit is not a change");
    bench.publish(&mk_namespaces(&["a", "b"]));
    bench.pass(3);
    bench.publish(&mk_namespaces(&["a", "b", "c"]));
    let second = bench.begin();
    bench.pass(2);
    let heard = bench.acknowledge(&second);
    let expected = Heard::Reported {
        convergence: Some(Duration::from_secs(5)),
        rejections: vec![],
    };
    assert_eq!(heard, expected);
}

#[test]
fn what_changes_elsewhere_does_not_concern_a_client() {
    let mut bench = Bench::new();
    let first = bench.begin();
    bench.acknowledge(&first);
    bench.publish(&crate::testing::with_secret(mk_namespaces(&["a"])));
    assert_eq!(bench.view().generation(), 2);
    assert_eq!(bench.wants(), None);
    bench.publish(&mk_namespaces(&["a", "b"]));
    let next = bench.begin();
    assert_eq!(next.commit.range, Range::Since(2));
    assert_eq!(next.opening.from_generation, 1, "as the client counts");
}

#[test]
fn a_client_is_converged_when_it_reports_the_published_digests() {
    let mut bench = Bench::new();
    let first = bench.begin();
    assert!(!bench.session.standing().is_converged());
    let mut wrong = ack(&first);
    *of_namespaces(&mut wrong.installed) = "0".repeat(32);
    bench.hear(Kind::Ack(wrong)).unwrap();
    assert!(!bench.session.standing().is_converged());
    bench.hear(Kind::Heartbeat(heartbeat(&first))).unwrap();
    assert!(bench.session.standing().is_converged());
}

#[test]
fn a_heartbeat_that_proves_something_else_brings_a_full_commit() {
    let mut bench = Bench::new();
    let first = bench.begin();
    let mut wrong = heartbeat(&first);
    *of_namespaces(&mut wrong.digests) = "9".repeat(32);
    let before_the_ack = bench.hear(Kind::Heartbeat(wrong.clone())).unwrap();
    assert_eq!(before_the_ack, Heard::Alive);
    bench.acknowledge(&first);
    let of_another_generation = v1::Heartbeat {
        generation: 0,
        ..wrong.clone()
    };
    let heard = bench.hear(Kind::Heartbeat(of_another_generation)).unwrap();
    assert_eq!((heard, bench.wants()), (Heard::Alive, None));
    let heard = bench.hear(Kind::Heartbeat(wrong)).unwrap();
    assert_eq!(heard, Heard::Mismatch);
    assert_eq!(bench.wants(), Some(Range::Full));
}

#[test]
fn a_rejection_is_news_once_and_explains_another_digest() {
    let mut bench = Bench::new();
    let first = bench.begin();
    let rejection = v1::Rejection {
        topic: Some(encode::topic(Topic::all(ResourceType::Namespace))),
        name: "a".into(),
        version: "0000000000000001".into(),
        ..v1::Rejection::default()
    };
    let mut rejecting = ack(&first);
    rejecting.rejections = vec![rejection.clone()];
    *of_namespaces(&mut rejecting.installed) = "0".repeat(32);
    let Heard::Reported { rejections, .. } = bench.hear(Kind::Ack(rejecting.clone())).unwrap()
    else {
        panic!("a commit with a rejection is installed");
    };
    assert_eq!(rejections, [rejection]);
    let mut beat = heartbeat(&first);
    beat.rejections = rejecting.rejections.clone();
    *of_namespaces(&mut beat.digests) = "0".repeat(32);
    let nothing_new = Heard::Reported {
        convergence: None,
        rejections: vec![],
    };
    assert_eq!(bench.hear(Kind::Heartbeat(beat)).unwrap(), nothing_new);
    bench.publish(&mk_namespaces(&["a", "b"]));
    let second = bench.begin();
    rejecting.nonce = second.opening.nonce;
    let Heard::Reported { rejections, .. } = bench.hear(Kind::Ack(rejecting)).unwrap() else {
        panic!("a commit with a rejection is installed");
    };
    assert_eq!(rejections, [], "it is known already");
    assert_eq!(bench.session.standing().rejections.len(), 1);
}

#[test]
fn a_heartbeat_says_what_is_rejected_now() {
    let mut bench = Bench::new();
    let first = bench.begin();
    bench.acknowledge(&first);
    let rejection = |name: String| v1::Rejection {
        name,
        message: "é".repeat(5000),
        ..v1::Rejection::default()
    };
    let mut beat = heartbeat(&first);
    beat.rejections = (0..5000).map(|i| rejection(i.to_string())).collect();
    let Heard::Reported { rejections, .. } = bench.hear(Kind::Heartbeat(beat)).unwrap() else {
        panic!("a heartbeat reports");
    };
    assert_eq!(rejections.len(), MOST_REJECTIONS);
    let kept = bench.session.standing();
    assert_eq!(*kept.rejections, rejections);
    assert_eq!(kept.rejections[0].message, "é".repeat(LONGEST_TEXT));
    // What is served all the same may be complained about: the digests are right.
    assert!(kept.is_converged());
    bench.hear(Kind::Heartbeat(heartbeat(&first))).unwrap();
    assert_eq!(*bench.session.standing().rejections, []);
}

#[test]
fn both_sides_speak_every_ten_seconds_and_thirty_of_silence_are_the_end() {
    let mut bench = Bench::new();
    assert_eq!(bench.session.due(bench.now), None);
    for _ in 0..2 {
        bench.pass(10);
        assert_eq!(bench.session.deadline(), bench.now);
        assert_eq!(bench.session.due(bench.now), Some(Due::Heartbeat));
        assert_eq!(bench.session.due(bench.now), None);
    }
    bench
        .hear(Kind::Heartbeat(v1::Heartbeat::default()))
        .unwrap();
    bench.pass(29);
    assert_eq!(bench.session.due(bench.now), Some(Due::Heartbeat));
    bench.pass(1);
    assert_eq!(bench.session.deadline(), bench.now);
    assert_eq!(bench.session.due(bench.now), Some(Due::Silence));
}

#[test]
fn a_message_of_a_newer_protocol_is_passed_over_and_a_second_hello_is_not() {
    let mut bench = Bench::new();
    let newer = v1::DiscoveryRequest { kind: None };
    assert_eq!(bench.session.hear(newer, bench.now).unwrap(), Heard::Alive);
    let refused = bench.hear(Kind::Hello(v1::Hello::default())).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
