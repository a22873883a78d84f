//! The laws of the loop over whole sequences of changes, whatever fails on the way.

use super::*;
use crate::{
    plan::Step,
    testing::world::{Change, World, any_change},
};

/// A world and the program that follows it.
struct Follower {
    world: World,
    program: Program<Memory>,
}

impl Follower {
    async fn new() -> Self {
        let world = World::new();
        let mut program = mk_program(Memory::default());
        program.wanted.facts = world.facts.clone();
        program.set_snapshot(0, world.snapshot.clone(), Changed::default);
        let mut follower = Self { world, program };
        follower.pass().await;
        follower
    }

    async fn follow(&mut self, change: Change) {
        let changed = self.world.apply(change);
        let (program, world) = (&mut self.program, &self.world);
        program.wanted.facts = world.facts.clone();
        program.wanted.dead.clone_from(&world.dead);
        program.set_snapshot(1, world.snapshot.clone(), || changed);
        self.pass().await;
    }

    /// One pass, of which every single step leaves what has somewhere to go with somewhere to go.
    async fn pass(&mut self) {
        let before = self.program.kernel.observed.clone();
        let from = self.program.kernel.log.len();
        self.program.pass(vec![]).await;
        let wanted = &self.program.wanted.desired.table().virtual_servers;
        let is_wanted_live = |key: &Key| {
            wanted
                .get(key)
                .is_some_and(|s| is_usable(s.real_servers.iter().map(|(_, real)| *real)))
        };
        let live: Vec<_> = before
            .virtual_servers
            .keys()
            .filter(|key| is_live(&before, key) && is_wanted_live(key))
            .copied()
            .collect();
        let mut now = before;
        for step in &self.program.kernel.log[from..] {
            step.apply_to(&mut now).unwrap();
            for key in &live {
                assert!(is_live(&now, key), "{key} has no real server after: {step}");
            }
        }
        assert_eq!(now, self.program.kernel.observed, "the log has every step");
    }

    /// Passes until nothing is left to do.
    async fn rest(&mut self) {
        for _ in 0..4 {
            self.program.resync();
            self.pass().await;
        }
    }
}

fn is_usable(real_servers: impl IntoIterator<Item = RealServer>) -> bool {
    real_servers.into_iter().any(|real| real.weight > 0)
}

fn is_live(observed: &Observed, key: &Key) -> bool {
    let server = observed.virtual_servers.get(key);
    server.is_some_and(|s| is_usable(s.real_servers.iter().map(|(_, real)| *real)))
}

/// What a node programs that starts with the world as it is.
async fn fresh(world: &World) -> Table {
    let mut program = mk_program(Memory::default());
    program.wanted.facts = world.facts.clone();
    program.wanted.dead.clone_from(&world.dead);
    program.set_snapshot(1, world.snapshot.clone(), Changed::default);
    program.pass(vec![]).await;
    programmed(&program)
}

fn run(test: impl Future<Output = ()>) {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn after_any_changes_the_kernel_is_as_after_a_fresh_start_and_no_step_left_a_live_service_without_endpoints(
        changes in proptest::collection::vec(any_change(), 1..40),
    ) {
        run(async {
            let mut follower = Follower::new().await;
            for change in changes {
                follower.follow(change).await;
                let program = &follower.program;
                let mirrored = program.mirror.as_ref().unwrap().observed();
                assert_eq!(*mirrored, program.kernel.observed, "what is remembered is what is there");
            }
            follower.rest().await;
            assert_eq!(programmed(&follower.program), fresh(&follower.world).await);
            assert_eq!(follower.program.wake_at(), None);
            assert_eq!(follower.program.metrics.repairs.get(), 0);
        });
    }
}

proptest! {
    #[test]
    fn a_kernel_that_fails_at_every_nth_step_converges_and_leaves_no_live_service_without_endpoints(
        changes in proptest::collection::vec(any_change(), 1..20),
        n in 1..12_usize,
        error in any_error(),
    ) {
        run(async {
            let mut follower = Follower::new().await;
            follower.program.kernel.fails_every = Some((n, error));
            for change in changes {
                follower.follow(change).await;
            }
            follower.program.kernel.fails_every = None;
            follower.rest().await;
            assert_eq!(programmed(&follower.program), fresh(&follower.world).await);
            assert_eq!(follower.program.wake_at(), None);
            assert_eq!(follower.program.metrics.repairs.get(), 0, "its own failures are no repairs");
        });
    }

    #[test]
    fn whatever_somebody_else_takes_out_is_put_back_by_the_next_resync_and_counted(
        changes in proptest::collection::vec(any_change(), 5..20),
        takes in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4),
    ) {
        run(async {
            let mut follower = Follower::new().await;
            for change in changes {
                follower.follow(change).await;
            }
            follower.rest().await;
            let servers = &mut follower.program.kernel.observed.virtual_servers;
            let mut taken = 0;
            for take in takes {
                let keys: Vec<_> = servers.keys().copied().collect();
                let Some(key) = (!keys.is_empty()).then(|| take.get(&keys)) else {
                    continue;
                };
                taken += u64::from(servers.remove(key).is_some());
            }
            follower.rest().await;
            assert_eq!(programmed(&follower.program), fresh(&follower.world).await);
            assert_eq!(follower.program.metrics.repairs.get(), taken);
        });
    }
}

#[tokio::test]
async fn a_commit_plans_only_what_it_changes() {
    let mut follower = Follower::new().await;
    let program = &mut follower.program;
    let services = (1..=3).map(|n| mk_service(&format!("s{n}"), &format!("10.96.0.{n}")));
    let group = |n: u8, address| mk_group(&format!("s{n}"), &[(address, "n1")]);
    let groups = (1..=3).map(|n| group(n, "10.244.1.1"));
    let mut snapshot = mk_snapshot(services.collect(), groups.collect());
    let mut changed = Changed::default();
    for name in snapshot.services.keys() {
        changed.resource(ResourceType::Service, name);
    }
    program.set_snapshot(1, snapshot.clone(), || changed);
    program.pass(vec![]).await;
    let name = Name::part("default", "s2", "s1").unwrap();
    let other = group(2, "10.244.1.2");
    snapshot.insert(name.clone(), Resource::EndpointGroup(other.into()));
    let mut changed = Changed::default();
    changed.resource(ResourceType::EndpointGroup, &name);
    // Read again, the kernel would show what is missing; a partial pass does not look.
    let lost = program
        .kernel
        .observed
        .virtual_servers
        .remove(&key("TCP 10.96.0.3:80"));
    program.kernel.log.clear();
    program.set_snapshot(2, snapshot, || changed);
    program.pass(vec![]).await;
    let steps: Vec<_> = program.kernel.log.iter().map(Step::to_string).collect();
    assert_eq!(
        steps,
        [
            "add real server TCP 10.96.0.2:80 -> 10.244.1.2:8080 weight 1",
            "drain real server TCP 10.96.0.2:80 -> 10.244.1.1:8080",
        ]
    );
    assert!(lost.is_some());
}
