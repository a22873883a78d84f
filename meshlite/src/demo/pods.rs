//! A kubelet for the demo: runs the Pods that manifests ask for as local backends.
//!
//! ```text
//! Workloads ─> plan ─> Pods wanted ─> difference to those that run ─> backends ─> RunningPods
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodIP, PodSpec, PodStatus};
use meshlite_control_plane::PodRuntime;
use meshlite_manifests::admit::{RunningPod, Workload};
use meshlite_snapshot::Protocol;
use tokio::runtime::Handle;
use tracing::warn;

use super::backend::Backend;

mod plan;

use plan::PlannedPod;

/// How long a Pod that is no longer wanted goes on serving, so that data planes can move away first.
pub(crate) const TERMINATION: Duration = Duration::from_secs(3);

/// The first Pod's address within the range; those before are for backends that stand outside of the cluster.
const FIRST_HOST: u32 = 10;

/// Runs Pods as local backends, each on a loopback address of its own.
#[derive(Debug)]
pub(crate) struct LocalPods {
    runtime: Handle,
    node_name: String,
    range: Ipv4Net,
    state: Arc<Mutex<State>>,
}

/// Namespace and name.
type PodKey = (String, String);

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<PodKey, RunningBackends>,
    /// Pods that are no longer wanted, and the round in which that was found.
    terminating: BTreeMap<PodKey, (u64, RunningBackends)>,
    round: u64,
}

#[derive(Debug)]
struct RunningBackends {
    address: Ipv4Addr,
    backends: BTreeMap<(Protocol, u16), Backend>,
}

// === impl LocalPods ===

impl LocalPods {
    /// Pods get addresses of `range`, and run on the current tokio runtime.
    pub(crate) fn new(node_name: &str, range: Ipv4Net) -> Self {
        Self {
            runtime: Handle::current(),
            node_name: node_name.to_owned(),
            range,
            state: Arc::default(),
        }
    }

    fn start(&self, planned: &PlannedPod, state: &mut State) -> Option<RunningPod> {
        let key = (planned.namespace.clone(), planned.name.clone());
        let mut running = match state.take(&key) {
            Some(running) => running,
            None => RunningBackends {
                address: self.free_address(state)?,
                backends: BTreeMap::new(),
            },
        };
        let failures = running.serve(planned);
        let moved = running
            .backends
            .iter()
            .filter(|((_, port), backend)| *port != backend.port);
        let started = RunningPod {
            ports: moved
                .map(|((_, port), backend)| (*port, backend.port))
                .collect(),
            pod: self.pod(planned, running.address, &failures),
        };
        state.running.insert(key, running);
        Some(started)
    }

    /// The lowest address that no Pod has.
    fn free_address(&self, state: &State) -> Option<Ipv4Addr> {
        let terminating = state.terminating.values().map(|(_, pod)| pod.address);
        let taken: BTreeSet<_> = state
            .running
            .values()
            .map(|pod| pod.address)
            .chain(terminating)
            .collect();
        let first = u32::from(self.range.network()) + FIRST_HOST;
        let last = u32::from(self.range.broadcast());
        (first..last)
            .map(Ipv4Addr::from)
            .find(|address| !taken.contains(address))
    }

    /// The Pod as a kubelet would report it.
    fn pod(&self, planned: &PlannedPod, address: Ipv4Addr, failures: &[String]) -> Pod {
        let is_ready = failures.is_empty();
        let address = IpAddr::from(address).to_string();
        Pod {
            metadata: planned.metadata(),
            spec: Some(PodSpec {
                node_name: Some(self.node_name.clone()),
                ..planned.spec.clone()
            }),
            status: Some(PodStatus {
                phase: Some("Running".to_owned()),
                pod_ip: Some(address.clone()),
                pod_ips: Some(vec![PodIP { ip: address }]),
                conditions: Some(vec![PodCondition {
                    type_: "Ready".to_owned(),
                    status: if is_ready { "True" } else { "False" }.to_owned(),
                    message: (!is_ready).then(|| failures.join("; ")),
                    ..PodCondition::default()
                }]),
                ..PodStatus::default()
            }),
        }
    }

    /// Lets Pods that are no longer wanted serve a little longer; their connections then get time to end.
    fn terminate(&self, wanted: &BTreeSet<PodKey>, state: &mut State) {
        state.round += 1;
        let round = state.round;
        let gone: Vec<_> = state
            .running
            .extract_if(.., |key, _| !wanted.contains(key))
            .collect();
        if gone.is_empty() {
            return;
        }
        state
            .terminating
            .extend(gone.into_iter().map(|(key, pod)| (key, (round, pod))));
        let shared = Arc::clone(&self.state);
        tokio::spawn(async move {
            tokio::time::sleep(TERMINATION).await;
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.terminating.retain(|_, (since, _)| *since != round);
        });
    }
}

impl PodRuntime for LocalPods {
    fn run(&self, workloads: &[Workload]) -> Vec<RunningPod> {
        let _on_runtime = self.runtime.enter();
        let planned = plan::plan(workloads);
        let wanted = planned
            .iter()
            .map(|pod| (pod.namespace.clone(), pod.name.clone()))
            .collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.terminate(&wanted, &mut state);
        planned
            .iter()
            .filter_map(|pod| self.start(pod, &mut state))
            .collect()
    }
}

// === impl State ===

impl State {
    /// The Pod of this name, also one that was about to end.
    fn take(&mut self, key: &PodKey) -> Option<RunningBackends> {
        let terminating = |state: &mut Self| state.terminating.remove(key).map(|(_, pod)| pod);
        self.running.remove(key).or_else(|| terminating(self))
    }
}

// === impl RunningBackends ===

impl RunningBackends {
    /// Serves the ports that are planned and no others. Gives a line for each that cannot be served.
    fn serve(&mut self, planned: &PlannedPod) -> Vec<String> {
        self.backends.retain(|port, _| planned.ports.contains(port));
        let name: Arc<str> = planned.name.as_str().into();
        let address = self.address;
        let mut failures = Vec::new();
        for (protocol, port) in &planned.ports {
            if self.backends.contains_key(&(*protocol, *port)) {
                continue;
            }
            match Backend::start(&name, address.into(), *protocol, *port) {
                Ok(backend) => {
                    self.backends.insert((*protocol, *port), backend);
                }
                Err(error) => {
                    warn!(pod = %name, %address, port, %protocol, %error, "backend not started");
                    failures.push(format!("{protocol} port {port}: {error}"));
                }
            }
        }
        failures
    }
}

#[cfg(test)]
mod tests;
