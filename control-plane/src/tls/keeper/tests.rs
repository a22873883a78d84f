//! Our own CA in a folder and in memory, over years; given files that change.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn at(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours((20_000 + days) * 24)
}

fn own() -> TlsConfig {
    TlsConfig {
        certificate: ServerCertificate::SelfManaged {
            names: vec!["mesh.example.com".to_owned()],
        },
        client_ca: None,
        tokens: None,
    }
}

fn new(tls: &TlsConfig, store: Store) -> (Keeper, Shown) {
    let (keeper, shown, _to_peers) = Keeper::new(tls, store, Credentials::None);
    (keeper, shown)
}

fn chain(keeper: &Keeper) -> Vec<CertificateDer<'static>> {
    keeper.current.as_ref().unwrap().0.chain.clone()
}

#[tokio::test]
async fn a_folder_keeps_the_ca_over_restarts_and_its_key_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = || Store::Folder(folder.path().to_owned());
    let (mut keeper, shown) = new(&own(), store());
    assert!(shown.borrow().is_none());
    keeper.look(at(0)).await.unwrap();
    assert!(shown.borrow().is_some());
    let bundle = fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    let key = fs::metadata(folder.path().join("ca.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let (mut again, _) = new(&own(), store());
    again.look(at(1)).await.unwrap();
    let after = fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    assert_eq!(bundle, after);
    assert_ne!(chain(&keeper), chain(&again));
}

#[tokio::test]
async fn a_serving_certificate_is_renewed_after_two_thirds_of_its_day() {
    let (mut keeper, mut shown) = new(&own(), Store::Memory);
    keeper.look(at(0)).await.unwrap();
    shown.mark_unchanged();
    let hours = |hours| at(0) + Duration::from_hours(hours);
    keeper.look(hours(15)).await.unwrap();
    assert!(!shown.has_changed().unwrap());
    let first = chain(&keeper);
    keeper.look(hours(16)).await.unwrap();
    assert!(shown.has_changed().unwrap());
    assert_ne!(chain(&keeper), first);
}

#[tokio::test]
async fn over_twenty_years_every_certificate_is_signed_by_a_ca_that_clients_knew_the_day_before() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    let (mut keeper, _shown) = new(&own(), Store::Folder(folder.path().to_owned()));
    keeper.look(at(0)).await.unwrap();
    let mut signers = std::collections::BTreeSet::new();
    for month in 0..12 * 20 {
        for day in 0..3 {
            let known = fs::read(&bundle).unwrap();
            keeper.look(at(month * 30 + day)).await.unwrap();
            let Source::Own(own) = &keeper.source else {
                panic!("not our own");
            };
            let signer = own.serving.as_ref().unwrap().signer.clone();
            let known = Held::read(&known, None, None).unwrap();
            assert!(
                known.authorities.iter().any(|a| a.der == signer),
                "month {month}"
            );
            signers.insert(signer.to_vec());
        }
    }
    assert_eq!(signers.len(), 3);
    assert!(!folder.path().join("ca-next.key").exists());
}

#[tokio::test]
async fn what_a_crash_leaves_in_the_folder_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = || Store::Folder(folder.path().to_owned());
    let (mut keeper, _) = new(&own(), store());
    keeper.look(at(0)).await.unwrap();
    // The key was not written any more: a new CA, and clients are told of both.
    fs::remove_file(folder.path().join("ca.key")).unwrap();
    let (mut again, _) = new(&own(), store());
    again.look(at(0)).await.unwrap();
    let bundle = fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    // A promotion that was cut off: the key that signs is also the next one.
    fs::copy(
        folder.path().join("ca.key"),
        folder.path().join("ca-next.key"),
    )
    .unwrap();
    let (mut third, _) = new(&own(), store());
    third.look(at(2)).await.unwrap();
    let after = fs::read_to_string(folder.path().join("ca.crt")).unwrap();
    assert_eq!(bundle, after);
}

#[tokio::test]
async fn a_broken_store_is_told_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("ca.crt"),
        "-----BEGIN CERTIFICATE-----\nnonsense",
    )
    .unwrap();
    let (mut keeper, shown) = new(&own(), Store::Folder(folder.path().to_owned()));
    keeper.look(at(0)).await.unwrap_err();
    assert!(shown.borrow().is_none());
    assert!(!folder.path().join("ca.key").exists());
}

#[tokio::test]
async fn given_files_are_read_again_when_they_change_and_bad_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let write = |number: u64| {
        let made = rcgen::generate_simple_self_signed(vec![format!("n{number}.example.com")]);
        let made = made.unwrap();
        fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    };
    write(1);
    let given = TlsConfig {
        certificate: ServerCertificate::Files {
            certificate: path("tls.crt"),
            key: path("tls.key"),
        },
        client_ca: Some(path("tls.crt")),
        tokens: None,
    };
    let (mut keeper, mut shown) = new(&given, Store::Memory);
    keeper.look(at(0)).await.unwrap();
    shown.mark_unchanged();
    keeper.look(at(0)).await.unwrap();
    assert!(!shown.has_changed().unwrap());
    let before = chain(&keeper);
    fs::write(
        path("tls.key"),
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let error = keeper.look(at(0)).await.unwrap_err().to_string();
    assert!(!error.contains("c2VjcmV0"), "{error}");
    assert_eq!(chain(&keeper), before);
    write(2);
    keeper.look(at(0)).await.unwrap();
    assert!(shown.has_changed().unwrap());
    assert_ne!(chain(&keeper), before);
}

#[test]
fn nothing_shows_a_key() {
    let now = at(0);
    let mut held = Held::default();
    held = held.after(Step::Begin, now).unwrap();
    let (authority, key) = held.signer().unwrap();
    let serving = authority.sign(key, names(&[]).unwrap(), now).unwrap();
    let shown = format!("{held:?} {key:?} {serving:?}");
    let secret = key.pem().lines().nth(1).unwrap();
    assert!(
        !shown.contains(secret) && !shown.contains("PRIVATE"),
        "{shown}"
    );
    let der = serving.material.key.secret_der();
    assert!(!shown.contains(&format!("{der:?}")));
}
