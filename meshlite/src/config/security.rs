//! Who may connect to a control plane, and how it proves itself.

use std::net::SocketAddr;

use meshlite_compile::ObjectKey;
use meshlite_control_plane::{Security, ServerCertificate, TlsConfig, TokenConfig};

use super::Problems;
use crate::args::SecurityArgs;

/// TLS, with the tokens of service accounts and client certificates.
pub(super) fn kubernetes_security(
    args: SecurityArgs,
    insecure: bool,
    namespace: &str,
    problems: &mut Problems,
) -> Option<Security> {
    let tokens = tokens(&args, namespace, problems);
    let security = tls(args, insecure, problems)?;
    Some(match security {
        Security::Tls(tls) => Security::Tls(TlsConfig {
            tokens: Some(tokens?),
            ..tls
        }),
        Security::Insecure => Security::Insecure,
    })
}

/// Plaintext on loopback, where nothing else is asked for; else TLS, with client certificates.
pub(super) fn files_security(
    args: SecurityArgs,
    insecure: bool,
    listen: Option<SocketAddr>,
    problems: &mut Problems,
) -> Option<Security> {
    let is_tls = args.tls_certificate.is_some()
        || args.tls_key.is_some()
        || !args.tls_name.is_empty()
        || args.client_ca.is_some();
    if !is_tls && !insecure {
        if listen?.ip().is_loopback() {
            return Some(Security::Insecure);
        }
        problems.add(
            "listen",
            "only loopback is plaintext by default; name the CA of client certificates (--client-ca), or allow plaintext \
             with --insecure",
        );
        return None;
    }
    if is_tls && !insecure && args.client_ca.is_none() {
        problems.add(
            "client-ca",
            "not set; without an API server, clients prove who they are by certificates: name their CA",
        );
    }
    tls(args, insecure, problems)
}

/// What the flags of TLS say, without tokens.
fn tls(args: SecurityArgs, insecure: bool, problems: &mut Problems) -> Option<Security> {
    let SecurityArgs {
        tls_certificate,
        tls_key,
        tls_name,
        client_ca,
        token_audience: _,
        node_service_account: _,
        ingress_service_account: _,
        reader_service_account: _,
        replica_service_account: _,
    } = args;
    if insecure {
        let is_set = tls_certificate.is_some() || tls_key.is_some() || client_ca.is_some();
        if is_set || !tls_name.is_empty() {
            problems.add(
                "insecure",
                "plaintext has no certificates; leave it away, or the --tls-… and --client-ca flags",
            );
        }
        return Some(Security::Insecure);
    }
    let certificate = match (tls_certificate, tls_key) {
        (None, None) => Some(ServerCertificate::SelfManaged { names: tls_name }),
        (Some(certificate), Some(key)) => {
            if !tls_name.is_empty() {
                problems.add(
                    "tls-name",
                    "is for a certificate that the control plane makes; --tls-certificate has its names",
                );
            }
            let certificate = problems.existing("tls-certificate", certificate);
            let key = problems.existing("tls-key", key);
            certificate
                .zip(key)
                .map(|(certificate, key)| ServerCertificate::Files { certificate, key })
        }
        (Some(_), None) => {
            problems.add("tls-key", "not set; --tls-certificate needs its key");
            None
        }
        (None, Some(_)) => {
            problems.add(
                "tls-certificate",
                "not set; --tls-key needs its certificate",
            );
            None
        }
    };
    let client_ca = match client_ca {
        Some(path) => problems.existing("client-ca", path).map(Some),
        None => Some(None),
    };
    Some(Security::Tls(TlsConfig {
        certificate: certificate?,
        client_ca: client_ca?,
        tokens: None,
    }))
}

/// Whose tokens are worth what.
fn tokens(args: &SecurityArgs, namespace: &str, problems: &mut Problems) -> Option<TokenConfig> {
    let mut accounts = |flag: &str, given: &[String], default: &str| {
        if given.is_empty() {
            return Some(vec![ObjectKey::new(namespace, default)]);
        }
        let accounts: Vec<_> = given
            .iter()
            .filter_map(|name| problems.object(flag, name))
            .collect();
        (accounts.len() == given.len()).then_some(accounts)
    };
    let node = accounts(
        "node-service-account",
        &args.node_service_account,
        "meshlite-node",
    );
    let ingress = accounts(
        "ingress-service-account",
        &args.ingress_service_account,
        "meshlite-ingress",
    );
    let reader = accounts(
        "reader-service-account",
        &args.reader_service_account,
        "meshlite-reader",
    );
    let replica = accounts(
        "replica-service-account",
        &args.replica_service_account,
        "meshlite-control-plane",
    );
    Some(TokenConfig {
        audience: args.token_audience.clone(),
        node: node?,
        ingress: ingress?,
        reader: reader?,
        replica: replica?,
    })
}
