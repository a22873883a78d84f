//! What can go wrong with an API server for tests, and what to do about it.

use std::{io, process::ExitStatus};

/// Each says what happened, to which program or object, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is neither given nor built.
    #[error(
        "{0} is not there: run `make tools`, which builds it with Go, or set KUBEBUILDER_ASSETS to a folder that has it"
    )]
    NoProgram(&'static str),
    /// A program could not be started or signalled.
    #[error("{0} cannot be started or signalled: {1}")]
    NotStarted(&'static str, #[source] io::Error),
    /// A server ended by itself.
    #[error("{name} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A server does not become ready.
    #[error("{name} is not ready after {seconds} s: {nearest}; the end of its log:\n{log}")]
    NotReady {
        /// Which.
        name: &'static str,
        /// How long it had.
        seconds: u64,
        /// What it said last.
        nearest: String,
        /// The end of its log.
        log: String,
    },
    /// Files of the servers, below the system's temporary folder.
    #[error(
        "the servers' folder cannot be used: {0}; is the system's temporary folder writable and not full?"
    )]
    Folder(#[source] io::Error),
    /// No port of the loopback.
    #[error("no port of 127.0.0.1 can be had: {0}")]
    Port(#[source] io::Error),
    /// Certificates.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The harness's own client.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A request got no answer.
    #[error("{request} got no answer: {error}; is the API server stopped or frozen?")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// What the connection said.
        #[source]
        error: io::Error,
    },
    /// A request was refused.
    #[error("{request} was answered with {status}: {body}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What the server said.
        body: String,
    },
    /// kubectl failed.
    #[error("kubectl {arguments}: {said}")]
    Kubectl {
        /// What it was told to do.
        arguments: String,
        /// What it said.
        said: String,
    },
    /// A token that is none, or claims that cannot be signed.
    #[error("not a service-account token of this API server: {0}")]
    Token(String),
}
