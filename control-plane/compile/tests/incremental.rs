//! The law of the incremental compiler: after any changes, what it handed out is what a fresh one makes of the objects.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod objects;
#[path = "objects/world.rs"]
mod world;

use std::sync::Arc;

use meshlite_compile::{
    Change, Compiled, Compiler, Delta, Effect, Inputs, Interner, ObjectKey, Settings, compile,
};
use meshlite_snapshot::{Endpoint, Finding, Name, Service, Snapshot, TrafficPolicy};
use proptest::prelude::*;
use serde_json::Value;

/// One turn of the world.
#[derive(Clone, Debug)]
struct Step {
    object: Value,
    is_removed: bool,
    /// Whether the compiler is asked after it.
    asks: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        world::object(),
        prop::bool::weighted(0.25),
        prop::bool::weighted(0.6),
    )
        .prop_map(|(object, is_removed, asks)| Step {
            object,
            is_removed,
            asks,
        });
    proptest::collection::vec(step, 1..40)
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), proptest::option::of(Just("x/k"))).prop_map(|(watch, certificate)| Settings {
        watch_ingress_without_class: watch,
        default_certificate: certificate.map(|name| Name::new(name).unwrap()),
        ..Settings::default()
    })
}

impl Step {
    fn act_on(&self, inputs: &mut Inputs) {
        if !self.is_removed {
            objects::insert(inputs, &self.object).unwrap();
            return;
        }
        let metadata = &self.object["metadata"];
        let name = metadata["name"].as_str().unwrap().to_owned();
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let key = ObjectKey::new(namespace, name.as_str());
        match self.object["kind"].as_str().unwrap() {
            "Service" => drop(inputs.services.remove(&key)),
            "EndpointSlice" => drop(inputs.endpoint_slices.remove(&key)),
            "Ingress" => drop(inputs.ingresses.remove(&key)),
            "Secret" => drop(inputs.secrets.remove(&key)),
            "IngressClass" => drop(inputs.ingress_classes.remove(&name)),
            "Factors" => drop(inputs.factors.remove(&key)),
            "Node" => drop(inputs.nodes.remove(&name)),
            _ => drop(inputs.namespaces.remove(&name)),
        }
    }
}

/// A compiler, what it was told and what it handed out.
struct Run {
    settings: Settings,
    names: Interner,
    inputs: Inputs,
    compiler: Compiler,
    folded: Compiled,
    told: Arc<[Finding]>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        Self {
            compiler: Compiler::new(settings.clone()),
            settings,
            names: Interner::default(),
            inputs: Inputs::default(),
            folded: Compiled::default(),
            told: Arc::default(),
        }
    }

    /// Does a step, tells the compiler, and says what it answers: nothing where nothing changed.
    fn step(&mut self, step: &Step) -> Option<(Change, Effect)> {
        let before = self.inputs.clone();
        step.act_on(&mut self.inputs);
        let mut changes = self.inputs.changes_since(&before, &mut self.names);
        assert!(changes.len() <= 1, "a step changes one object: {changes:?}");
        let change = changes.pop()?;
        let effect = self.compiler.apply(change.clone());
        Some((change, effect))
    }

    fn ask(&mut self) -> Result<Delta, TestCaseError> {
        let delta = self.compiler.compile();
        if let Some(findings) = &delta.findings {
            prop_assert_ne!(&self.told, findings, "told again");
            self.told = Arc::clone(findings);
        }
        Ok(delta)
    }

    fn check(&mut self, delta: Delta) -> Result<(), TestCaseError> {
        self.folded.take(delta);
        prop_assert_eq!(&self.folded, &compile(&self.inputs, &self.settings));
        let mut fresh = Compiler::new(self.settings.clone());
        for change in self
            .inputs
            .changes_since(&Inputs::default(), &mut self.names)
        {
            fresh.apply(change);
        }
        fresh.compile();
        prop_assert_eq!(self.compiler.wanted_secrets(), fresh.wanted_secrets());
        prop_assert_eq!(self.compiler.served_ingresses(), fresh.served_ingresses());
        prop_assert_eq!(self.compiler.balanced(), fresh.balanced());
        Ok(())
    }
}

/// The endpoints of a Service, whichever group they are in.
fn endpoints<'a>(snapshot: &'a Snapshot, service: &Service) -> Vec<&'a Endpoint> {
    snapshot
        .endpoint_groups_of(&service.namespace, &service.name)
        .flat_map(|(_, group)| &group.endpoints)
        .collect()
}

/// Whether an endpoint that gets traffic before gets none after, found out from the whole.
fn takes_away(before: &Snapshot, after: &Snapshot) -> bool {
    let drains = |endpoint: &Endpoint| endpoint.serving && endpoint.terminating;
    before.services.values().any(|service| {
        let (was, is) = (endpoints(before, service), endpoints(after, service));
        let still = |endpoint: &Endpoint, holds: &dyn Fn(&Endpoint) -> bool| {
            is.iter()
                .any(|now| now.address == endpoint.address && (now.ready || holds(now)))
        };
        let stays_local = service.internal_traffic_policy == TrafficPolicy::Local;
        let is_last = |endpoint: &Endpoint| {
            !was.iter()
                .any(|other| other.ready && (!stays_local || other.node == endpoint.node))
        };
        was.iter().any(|endpoint| {
            (endpoint.ready && !still(endpoint, &|_| false))
                || (drains(endpoint) && is_last(endpoint) && !still(endpoint, &drains))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_handed_out_is_what_a_fresh_compiler_makes_of_the_objects(
        settings in settings(),
        steps in steps(),
    ) {
        let mut run = Run::new(settings);
        let mut pending = Delta::default();
        for step in &steps {
            run.step(step);
            if step.asks {
                pending.merge(run.ask()?);
            }
            // Deltas that wait for each other mean what they mean one by one.
            if step.asks && !step.is_removed {
                run.check(std::mem::take(&mut pending))?;
            }
        }
        pending.merge(run.ask()?);
        run.check(pending)?;
        let nothing = run.ask()?;
        prop_assert!(nothing.is_empty(), "nothing changed, and yet: {:?}", nothing);
    }

    #[test]
    fn an_effect_is_what_becomes_of_the_endpoints_that_get_traffic(
        settings in settings(),
        steps in steps(),
    ) {
        let mut run = Run::new(settings.clone());
        let mut before = compile(&run.inputs, &settings);
        for step in &steps {
            let answer = run.step(step);
            let after = compile(&run.inputs, &settings);
            let effect = answer.as_ref().map_or(Effect::Nothing, |(_, effect)| *effect);
            let is_taken = takes_away(&before.snapshot, &after.snapshot);
            prop_assert_eq!(is_taken, effect == Effect::TakesAway, "{:?}", step);
            if effect == Effect::Nothing {
                prop_assert_eq!(&before, &after, "{:?} was nothing", step);
            }
            if let Some((change, _)) = answer {
                prop_assert_eq!(run.compiler.apply(change), Effect::Nothing, "told again");
            }
            before = after;
        }
    }
}
