//! In the kernel, in network namespaces of the test's own. As root; elsewhere each test says that it was not run.

#![expect(clippy::expect_used, reason = "a test that cannot go on says why")]

#[path = "../../examples/flat/rules.rs"]
mod rules;
#[path = "../../examples/flat/service.rs"]
mod service;
#[path = "../../examples/flat/steps.rs"]
mod steps;

mod atomic;
mod ipv6;
mod listing;
mod namespace;
mod read_back;
mod traffic;
