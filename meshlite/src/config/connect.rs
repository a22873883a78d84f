//! How to reach control planes, and how both sides prove who they are.

use std::path::{Path, PathBuf};

use meshlite_proto::connect::{Ca, Credentials, Security, Tls};

use super::Problems;
use crate::args::ConnectArgs;

/// Where Kubernetes puts the token of the data planes' Pods.
const PROJECTED_TOKEN: &str = "/var/run/secrets/meshlite.io/token";

/// Control planes, any of which will do.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) control_planes: Vec<String>,
    pub(crate) security: Security,
}

/// What the flags say of control planes. Either all of them are asked over TLS or none.
pub(super) fn reach(args: ConnectArgs, problems: &mut Problems) -> Option<Reach> {
    let ConnectArgs {
        control_plane,
        ca_file,
        server_name,
        token_file,
        client_certificate,
        client_key,
    } = args;
    let control_planes = problems.urls("control-plane", &control_plane)?;
    let tls: Vec<bool> = control_planes
        .iter()
        .map(|url| url.starts_with("https:"))
        .collect();
    let is_tls = tls.contains(&true);
    if is_tls && tls.contains(&false) {
        problems.add(
            "control-plane",
            "some are https:// and some http://; write the same for all",
        );
        return None;
    }
    if !is_tls {
        for (flag, file) in [
            ("ca-file", &ca_file),
            ("token-file", &token_file),
            ("client-certificate", &client_certificate),
            ("client-key", &client_key),
        ] {
            if file.is_some() {
                problems.add(flag, "needs a --control-plane that begins with https://");
            }
        }
        return Some(Reach {
            control_planes,
            security: Security::Plaintext,
        });
    }
    let ca = match ca_file {
        Some(path) => problems.existing("ca-file", path).map(Ca::File),
        None => Some(Ca::System),
    };
    let credentials = credentials(token_file, client_certificate, client_key, problems);
    Some(Reach {
        control_planes,
        security: Security::Tls(Tls {
            ca: ca?,
            server_name,
            credentials: credentials?,
        }),
    })
}

fn credentials(
    token_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<Credentials> {
    match (token_file, certificate, key) {
        (Some(_), Some(_), _) => {
            problems.add("token-file", "give it or --client-certificate, not both");
            None
        }
        (Some(path), None, None) => problems
            .existing("token-file", path)
            .map(Credentials::TokenFile),
        (None, Some(certificate), Some(key)) => {
            let certificate = problems.existing("client-certificate", certificate);
            let key = problems.existing("client-key", key);
            Some(Credentials::Certificate {
                certificate: certificate?,
                key: key?,
            })
        }
        (_, Some(_), None) => {
            problems.add("client-key", "not set; --client-certificate needs its key");
            None
        }
        (_, None, Some(_)) => {
            problems.add(
                "client-certificate",
                "not set; --client-key needs its certificate",
            );
            None
        }
        (None, None, None) => Some(if Path::new(PROJECTED_TOKEN).exists() {
            Credentials::TokenFile(PROJECTED_TOKEN.into())
        } else {
            Credentials::None
        }),
    }
}
