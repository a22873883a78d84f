//! Who may come: by address and by password.

use meshlite_snapshot::{Access, BasicAuth, Policy, ResourceType};

use super::{get, name, put, put_users, under};

const ANNA: (&str, &str) = ("authorization", "Basic YW5uYTpwYXNzd29yZA==");
const BERT: (&str, &str) = ("authorization", "Basic YmVydDpzZWNyZXQ=");
const WRONG: (&str, &str) = ("authorization", "Basic YW5uYTpzZWNyZXQ=");

fn with_password() -> Access {
    Access {
        basic: Some(BasicAuth {
            realm: "staff \"only\"".into(),
            users: name("default/users"),
        }),
        ..Access::default()
    }
}

fn mk_policy(access: Access) -> Policy {
    Policy {
        access,
        ..Policy::default()
    }
}

#[tokio::test]
async fn the_address_before_trusted_proxies_decides_who_may_come() {
    let (mut mesh, origin) = under(mk_policy(Access {
        allow: vec!["192.0.2.0/24".parse().unwrap()],
        deny: vec!["192.0.2.9/32".parse().unwrap()],
        ..Access::default()
    }))
    .await;
    for (way, status) in [
        ("192.0.2.7", 200),
        ("192.0.2.9", 403),
        ("198.51.100.1", 403),
        // What stands before an address that is not trusted is that client's claim.
        ("192.0.2.7, 198.51.100.1", 403),
        ("198.51.100.1, 192.0.2.7", 200),
    ] {
        let answer = get(mesh.http(), &[("x-forwarded-for", way)]).await;
        assert_eq!(answer.status, status, "{way}");
    }
    assert_eq!(get(mesh.http(), &[]).await.status, 403);
    assert_eq!(origin.requests(), 2);
    put(&mut mesh, Policy::default()).await;
    assert_eq!(get(mesh.http(), &[]).await.status, 200);
}

#[tokio::test]
async fn a_password_is_asked_for_and_checked() {
    let (mut mesh, origin) = under(mk_policy(with_password())).await;
    // Nobody is let in while the users are not known.
    assert_eq!(get(mesh.http(), &[ANNA]).await.status, 503);
    put_users(&mut mesh);
    mesh.apply().await;
    for good in [ANNA, BERT, ANNA] {
        assert_eq!(get(mesh.http(), &[good]).await.status, 200);
    }
    let seen = origin.last();
    assert_eq!(seen.headers()["authorization"], ANNA.1);
    for bad in [&[][..], &[WRONG], &[("authorization", "Basic")]] {
        let answer = get(mesh.http(), bad).await;
        assert_eq!(answer.status, 401, "{bad:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, "Basic realm=\"staff \\\"only\\\"\"");
    }
    assert_eq!(origin.requests(), 3);
    mesh.remove(ResourceType::Credential, "default/users");
    mesh.apply().await;
    assert_eq!(get(mesh.http(), &[ANNA]).await.status, 503);
}

#[tokio::test]
async fn either_address_or_password_is_enough_where_the_route_says_so() {
    let mut access = Access {
        allow: vec!["192.0.2.0/24".parse().unwrap()],
        ..with_password()
    };
    let (mut mesh, _origin) = under(mk_policy(access.clone())).await;
    put_users(&mut mesh);
    mesh.apply().await;
    let near = ("x-forwarded-for", "192.0.2.7");
    for (headers, of_all, of_any) in [
        (&[near, ANNA][..], 200, 200),
        (&[near], 401, 200),
        (&[ANNA], 403, 200),
        (&[WRONG], 403, 401),
        (&[], 403, 401),
    ] {
        access.satisfy_any = false;
        put(&mut mesh, mk_policy(access.clone())).await;
        assert_eq!(
            get(mesh.http(), headers).await.status,
            of_all,
            "{headers:?}"
        );
        access.satisfy_any = true;
        put(&mut mesh, mk_policy(access.clone())).await;
        assert_eq!(
            get(mesh.http(), headers).await.status,
            of_any,
            "{headers:?}"
        );
    }
}
