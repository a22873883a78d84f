//! A kernel that fails now and then is programmed in the end, and no Service is without a real server meanwhile.

use std::{borrow::Borrow, net::SocketAddr};

use meshlite_ipvs::{
    Change, DestinationEntry, Error, Failure, Ipvs, Refusal, ServiceEntry, ServiceKey,
};

use super::{
    super::{backend::Backend, door::Door},
    is_in_namespace, options, planned,
};
use crate::{
    kernel::{Capabilities, Kernel, KernelError},
    plan::Step,
    table::{Key, Observed, Table},
    testing::{as_table, key, mk_table, server},
};

/// The kernel's IPVS, which does not do one in `period` changes: which, looks like chance.
#[derive(Debug)]
struct Flaky {
    ipvs: Ipvs,
    period: usize,
    seen: usize,
}

impl Door for Flaky {
    fn connect() -> Result<Self, Error> {
        Ok(Self {
            ipvs: Ipvs::connect()?,
            period: usize::MAX,
            seen: 0,
        })
    }

    fn apply(
        &mut self,
        changes: impl IntoIterator<Item = impl Borrow<Change>>,
    ) -> Result<Vec<Failure>, Error> {
        let mut failures = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            self.seen += 1;
            let number = self.seen.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let number = (number ^ number >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
            let error = if number.is_multiple_of(self.period) {
                Some(Error::Busy(Refusal::of(libc::ENOMEM)))
            } else {
                self.ipvs.change(*change.borrow()).err()
            };
            failures.extend(error.map(|error| Failure { index, error }));
        }
        Ok(failures)
    }

    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.ipvs.services()
    }

    fn destinations(&mut self, service: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        self.ipvs.destinations(service)
    }
}

/// On the thread of the test.
struct Direct(Backend<Flaky>);

impl Kernel for Direct {
    fn capabilities(&self) -> Capabilities {
        unreachable!("nobody asks")
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        self.0.read()
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let is_arrival = |step: &Step| matches!(step, Step::AddVirtualServer { .. });
        if !steps.iter().all(is_arrival) {
            return self.0.apply(steps);
        }
        // As two threads do it.
        let batch = self.0.prepare(steps);
        let told = self.0.door.apply(batch.at_places());
        self.0.complete(batch, told)
    }

    async fn tidy(&mut self) {
        self.0.tidy().ok();
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        self.0.connections(of)
    }
}

fn tables() -> [Table; 4] {
    let (web, api, dns) = (
        key("TCP 10.96.0.1:80"),
        key("TCP 203.0.113.1:80"),
        key("UDP 10.96.0.1:53"),
    );
    let sticky = |real: &[(&str, u16)]| {
        let mut server = server(real);
        server.settings.persistence = Some(60);
        server
    };
    let real = [
        ("10.244.0.1:80", 1),
        ("10.244.0.2:80", 2),
        ("10.244.0.3:80", 3),
    ];
    [
        mk_table([(web, server(&real)), (dns, server(&real[..1]))]),
        mk_table([
            (web, sticky(&real[1..])),
            (api, sticky(&real[1..])),
            (Key::inside(api.frontend), sticky(&real)),
        ]),
        mk_table([
            (api, server(&real[2..])),
            (Key::inside(api.frontend), server(&real[..2])),
            (dns, server(&real[1..])),
        ]),
        mk_table([]),
    ]
}

#[tokio::test]
async fn a_kernel_that_fails_now_and_then_is_programmed_in_the_end() {
    if !is_in_namespace() {
        return;
    }
    for period in [2, 3, 5, 7] {
        let mut kernel = Direct(Backend::new(options()).unwrap());
        for table in tables() {
            kernel.0.door.period = period;
            for attempt in 0.. {
                let found = kernel.read().await.unwrap();
                let plan = planned(&table, &found);
                if plan.steps.is_empty() {
                    assert_eq!(as_table(&found), table);
                    break;
                }
                assert!(attempt < 200, "one in {period} fails: {:#?}", plan.steps);
                let phases = plan.steps.chunk_by(|a, b| a.phase() == b.phase());
                let mut failed = Vec::new();
                for phase in phases {
                    let is_due = |step: &&Step| step.key().is_none_or(|k| !failed.contains(k));
                    let due: Vec<Step> = phase.iter().filter(is_due).cloned().collect();
                    let results = kernel.apply(&due).await;
                    assert_eq!(results.len(), due.len());
                    let outcomes = due.iter().zip(results);
                    let errors = outcomes.filter(|(_, result)| result.is_err());
                    failed.extend(errors.filter_map(|(step, _)| step.key().copied()));
                }
                kernel.tidy().await;
            }
        }
        kernel.0.door.period = usize::MAX;
        // A virtual server that could not be retired at once is, later.
        kernel.read().await.unwrap();
        assert_eq!(super::ipvsadm(), [""; 0], "one in {period} failed");
    }
}
