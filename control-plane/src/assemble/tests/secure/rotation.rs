//! Certificates that change while clients are connected.

use super::*;
use crate::{
    auth::{Access, Authenticator},
    tls::{Keeper, Store},
};

/// A server that shows what `keeper` keeps, which a test looks after at times of its own.
async fn serve(tls: &TlsConfig, store: Store, looks: &[SystemTime]) -> (Keeper, Server) {
    let (mut keeper, shown, to_peers) = Keeper::new(tls, store, Credentials::None);
    for now in looks {
        keeper.look(*now).await.unwrap();
    }
    let authenticator = Authenticator::new(None, Arc::default());
    let gate = Gate {
        shown: Some(shown),
        access: Access::Checked(Arc::new(authenticator)),
        to_peers,
    };
    let alone = |own, _| crate::peers::Peers::none(own, "replica-1");
    let mut server = Server::start_behind(gate, alone).await;
    server.publish(&mk_namespaces(&["default"]));
    (keeper, server)
}

/// Whether the server's certificate is believed by who trusts the CAs in this file.
async fn is_believed(server: &Server, ca: &Path) -> bool {
    let tls = Tls::new(Ca::File(ca.to_owned()), Credentials::None);
    let url = format!("https://{}", server.addr);
    match connect(&url, &connect::Security::Tls(tls)).await {
        Ok(_) => true,
        Err(connect::ConnectError::Untrusted { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_ca_that_rotates_ends_no_stream_and_who_reads_the_bundle_connects_before_and_after() {
    let ca = ClientCa::new();
    let state = tempfile::tempdir().unwrap();
    let bundle = state.path().join("ca.crt");
    let now = clock::wall();
    let ago = |hours| now - Duration::from_hours(hours);
    let tls = own_tls(Some(ca.path()));
    let store = || Store::Folder(state.path().to_owned());
    // A CA of seven years, whose successor was announced yesterday.
    let (mut keeper, _, _) = Keeper::new(&tls, store(), Credentials::None);
    keeper.look(ago(7 * 365 * 24)).await.unwrap();
    let old = state.path().join("old.crt");
    fs::copy(&bundle, &old).unwrap();
    keeper.look(ago(25)).await.unwrap();

    let (mut keeper, mut server) = serve(&tls, store(), &[ago(2)]).await;
    assert!(is_believed(&server, &old).await, "the old CA signs still");
    let credentials = ca.sign("node-a", "meshlite:node");
    let trust = Tls::new(Ca::File(bundle.clone()), credentials.clone());
    let mut node = Plane::secured(server.addr, connect::Security::Tls(trust));
    node.until("a Namespace", |s| s.namespaces.len() == 1).await;
    let connected = |server: &Server| server.discovery.clients.list()[0].connected_at;
    let since = connected(&server);

    keeper.look(now).await.unwrap();
    assert!(!is_believed(&server, &old).await, "the new CA signs");
    server.publish(&mk_namespaces(&["default", "shop"]));
    node.until("both Namespaces", |s| s.namespaces.len() == 2)
        .await;
    assert_eq!(connected(&server), since, "it is the same stream");
    let again = dial(server.addr, &bundle, credentials).await;
    subscribe(&again, v1::Role::L4Node, "node-a").await.unwrap();
    server.stop.cancel();
}

#[tokio::test]
async fn files_that_were_given_are_shown_as_they_change() {
    let ca = ClientCa::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let write = || {
        let made = rcgen::generate_simple_self_signed([connect::SERVER_NAME.to_owned()]);
        let made = made.unwrap();
        fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    };
    write();
    fs::copy(path("tls.crt"), path("first.crt")).unwrap();
    let tls = TlsConfig {
        certificate: ServerCertificate::Files {
            certificate: path("tls.crt"),
            key: path("tls.key"),
        },
        client_ca: Some(ca.path()),
        tokens: None,
    };
    let (mut keeper, server) = serve(&tls, Store::Memory, &[clock::wall()]).await;
    assert!(is_believed(&server, &path("first.crt")).await);
    write();
    keeper.look(clock::wall()).await.unwrap();
    assert!(is_believed(&server, &path("tls.crt")).await);
    assert!(!is_believed(&server, &path("first.crt")).await);
    server.stop.cancel();
}
