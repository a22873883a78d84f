//! A subscription over TLS with a token, while certificates, tokens and replicas come and go.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{
    connect::{Ca, Credentials, SERVER_NAME, Tls},
    testing::{Authority, NOW},
};

/// The files that a client is configured with.
struct Files(TempDir);

impl Files {
    fn new(authority: &Authority, token: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("ca.crt", &authority.pem);
        files.write("token", token);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file as the kubelet does: at once.
    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path("new"), content).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn follow(&self, endpoints: Vec<String>) -> (Subscription, CancellationToken) {
        let credentials = Credentials::TokenFile(self.path("token"));
        follow_with(ClientConfig {
            security: Security::Tls(Tls::new(Ca::File(self.path("ca.crt")), credentials)),
            ..mk_config(endpoints)
        })
    }
}

fn mk_server(model: Model, authority: &Authority, token: &str) -> Fake {
    Fake {
        secured: Some((authority.server(SERVER_NAME, NOW), token.to_owned())),
        ..Fake::new(model)
    }
}

/// Waits until the last thing that went wrong says this.
async fn says(status: &mut watch::Receiver<SessionStatus>, text: &str) -> SessionStatus {
    let is_said = |s: &SessionStatus| s.last_error.as_deref().is_some_and(|e| e.contains(text));
    reaches(status, text, is_said).await
}

#[tokio::test]
async fn a_new_ca_and_a_new_token_are_read_when_the_server_has_them() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new(&old, "first");
    let model = Model::with_nodes("a", &[("one", "z")]);
    let server = mk_server(model.clone(), &old, "first").serve().await;
    let (mut subscription, _stop) = files.follow(vec![server.url()]);
    next(&mut subscription).await.acknowledge();
    let mut status = subscription.status();
    let before = reaches(&mut status, "installed", |s| s.generation > 0).await;

    let address = server.stop().await;
    let mut changed = model;
    changed.put(NODES, "two", &mk_node("two", "z"));
    let server = mk_server(changed, &new, "second").serve_on(address).await;
    let refused = says(&mut status, "is not signed by the CA in ").await;
    assert_eq!(refused.digests, before.digests, "what is installed stays");
    files.write("ca.crt", &format!("{}{}", old.pem, new.pem));
    says(&mut status, "does not accept the token in ").await;
    files.write("token", "second");
    let commit = next(&mut subscription).await;
    assert_eq!(commit.changes().len(), 1);
    commit.acknowledge();
    let well = reaches(&mut status, "well again", |s| s.last_error.is_none()).await;
    assert_eq!(well.server, Some(server.url()));
    assert!(well.connected);
}

#[tokio::test]
async fn whichever_replica_is_lost_another_is_followed() {
    let authority = Authority::new();
    let files = Files::new(&authority, "node");
    let mut model = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut servers = Vec::new();
    for epoch in ["a", "b", "c"] {
        model.restart(epoch);
        servers.push(mk_server(model.clone(), &authority, "node").serve().await);
    }
    let urls = servers.iter().map(Running::url).collect();
    let (mut subscription, _stop) = files.follow(urls);
    next(&mut subscription).await.acknowledge();
    let mut status = subscription.status();
    let is_settled = |s: &SessionStatus| s.connected && s.generation > 0;
    while !servers.is_empty() {
        let is_there = |s: &SessionStatus| {
            let server = servers.iter().find(|server| Some(server.url()) == s.server);
            let epoch = server.map(|server| server.fake.model.lock().unwrap().epoch.clone());
            is_settled(s) && epoch.as_ref() == Some(&s.epoch)
        };
        let followed = reaches(&mut status, "following one that is there", is_there).await;
        assert_eq!(followed.digests[0].count + followed.digests[1].count, 2);
        let is_it = |server: &Running| Some(server.url()) == followed.server;
        let lost = servers.iter().position(is_it).unwrap();
        servers.swap_remove(lost).stop().await;
    }
    let alone = reaches(&mut status, "alone", |s| !s.connected).await;
    assert_eq!(alone.digests[0].count + alone.digests[1].count, 2);
    let again = timeout(Duration::ZERO, subscription.next()).await;
    assert!(again.is_err(), "what is held is not delivered again");
}

#[tokio::test]
async fn a_client_that_is_told_to_go_stays_as_long_as_it_is_told_and_goes_elsewhere() {
    let authority = Authority::new();
    let files = Files::new(&authority, "node");
    let mut model = Model::with_nodes("a", &[("one", "z")]);
    let one = mk_server(model.clone(), &authority, "node").serve().await;
    model.restart("b");
    let other = mk_server(model, &authority, "node").serve().await;
    let (mut subscription, _stop) = files.follow(vec![one.url(), other.url()]);
    next(&mut subscription).await.acknowledge();
    let mut status = subscription.status();
    let followed = reaches(&mut status, "installed", |s| s.generation > 0).await;
    let (left, taken) = if followed.server == Some(one.url()) {
        (one, other)
    } else {
        (other, one)
    };
    let told = tokio::time::Instant::now();
    left.fake.draining.notify_one();
    let moved = |s: &SessionStatus| s.connected && s.server == Some(taken.url());
    let moved = reaches(&mut status, "elsewhere", moved).await;
    assert!(told.elapsed() >= STAY, "{:?}", told.elapsed());
    assert_eq!(moved.last_error, None, "to be told so is nothing wrong");
    assert_eq!(moved.digests, followed.digests);
}
