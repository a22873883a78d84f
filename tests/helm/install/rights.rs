//! What the installed roles grant, beside what was asked for with the installed accounts: nothing is missing, nothing idle.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use meshlite_tests::apiserver::{ApiServer, Entry, eventually};
use serde_json::{Value, json};

use super::kubelet::NAMESPACE;

/// Group, resource with its subresource as RBAC writes it, and verb.
type Right = (String, String, String);

/// The rights that the chart's roles have in the API server.
async fn granted(api: &ApiServer) -> BTreeSet<Right> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let roles = [
        format!("{rbac}/clusterroles/meshlite-control-plane"),
        format!("{rbac}/namespaces/{NAMESPACE}/roles/meshlite-control-plane"),
    ];
    let mut rights = BTreeSet::new();
    for role in roles {
        let role = api.get(&role).await.unwrap();
        for rule in role["rules"].as_array().unwrap() {
            for (group, resource, verb) in product(rule) {
                rights.insert((group, resource, verb));
            }
        }
    }
    rights
}

/// Each verb on each resource of a rule.
fn product(rule: &Value) -> Vec<Right> {
    let texts = |field: &str| -> Vec<String> {
        let all = rule[field].as_array().unwrap().iter();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let (groups, resources, verbs) = (texts("apiGroups"), texts("resources"), texts("verbs"));
    let pairs = groups
        .iter()
        .flat_map(|group| resources.iter().map(move |it| (group, it)));
    let each = pairs.flat_map(|(group, resource)| {
        verbs
            .iter()
            .map(move |verb| (group.clone(), resource.clone(), verb.clone()))
    });
    each.collect()
}

fn right(entry: &Entry) -> Right {
    let resource = match entry.subresource.as_str() {
        "" => entry.resource.clone(),
        subresource => format!("{}/{subresource}", entry.resource),
    };
    (entry.group.clone(), resource, entry.verb.clone())
}

/// What the chart's accounts asked for. Fails where one was refused, or where it was not the control plane's.
fn asked(api: &ApiServer) -> BTreeSet<Right> {
    let accounts = format!("system:serviceaccount:{NAMESPACE}:");
    let mut asked = BTreeSet::new();
    for entry in api.audit().unwrap() {
        if let Some(account) = entry.user.strip_prefix(&accounts) {
            assert_ne!(entry.code, 403, "a right is missing: {entry:?}");
            assert_eq!(account, "meshlite-control-plane", "only it asks: {entry:?}");
            asked.insert(right(&entry));
        }
    }
    asked
}

/// Waits until every right was used but those on which only a control plane depends that finds old things.
pub(super) async fn are_used_at_first(api: &ApiServer) {
    let granted = granted(api).await;
    let is_later = |(_, resource, verb): &Right| match resource.as_str() {
        "events" => verb != "create",
        "secrets" | "configmaps" => verb == "patch",
        _ => false,
    };
    let at_first = granted.iter().filter(|right| !is_later(right)).cloned();
    are_used(api, &at_first.collect()).await;
}

/// Waits until every right was used.
pub(super) async fn are_all_used(api: &ApiServer) {
    are_used(api, &granted(api).await).await;
}

async fn are_used(api: &ApiServer, granted: &BTreeSet<Right>) {
    assert!(granted.len() > 20, "{granted:?}");
    eventually("every right of the chart is used", async || {
        let asked = asked(api);
        let unused: Vec<_> = granted.difference(&asked).collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(format!("no plane has asked for {unused:?}"))
    })
    .await;
}

/// Makes what a control plane keeps old: its CA is over, and its Events were said long ago.
pub(super) async fn grow_old(api: &ApiServer) {
    let data = json!({"data": ended_ca()}).to_string();
    let secret = [
        "--namespace",
        NAMESPACE,
        "patch",
        "secret",
        "meshlite-ca",
        "--type=merge",
        "--patch",
        &data,
    ];
    api.kubectl(&secret, "").await.unwrap();
    let events = api.get("/api/v1/namespaces/shop/events").await.unwrap();
    for event in events["items"].as_array().unwrap() {
        let name = event["metadata"]["name"].as_str().unwrap();
        let said = r#"{"lastTimestamp": "2020-01-01T00:00:00Z"}"#;
        let event = [
            "--namespace",
            "shop",
            "patch",
            "event",
            name,
            "--type=merge",
            "--patch",
            said,
        ];
        api.kubectl(&event, "").await.unwrap();
    }
}

fn ended_ca() -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    json!({
        "ca.crt": ByteString(certificate.into_bytes()),
        "ca.key": ByteString(key.serialize_pem().into_bytes()),
    })
}
