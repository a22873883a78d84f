//! What the installed roles grant, beside what was asked for with the installed accounts: nothing is missing, idle or too wide.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use meshlite_tests::apiserver::{ApiServer, Entry, eventually};
use serde_json::{Value, json};

use super::kubelet::NAMESPACE;

/// A verb on objects that a role grants.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    /// None: in all of them, and on what is in none.
    namespace: Option<String>,
    group: String,
    /// With its subresource, as RBAC writes it.
    resource: String,
    verb: String,
    /// None: whatever its name.
    name: Option<String>,
}

impl Right {
    fn covers(&self, entry: &Entry) -> bool {
        let is_there = |wanted: &Option<String>, is: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == is)
        };
        let resource = match entry.subresource.as_str() {
            "" => entry.resource.clone(),
            subresource => format!("{}/{subresource}", entry.resource),
        };
        (&self.group, &self.resource, &self.verb) == (&entry.group, &resource, &entry.verb)
            && is_there(&self.namespace, &entry.namespace)
            && is_there(&self.name, &entry.name)
    }

    /// Whether it could name its object: RBAC sees no names in the requests of the other verbs.
    fn can_name(&self) -> bool {
        ["get", "update", "patch", "delete"].contains(&self.verb.as_str())
    }

    /// What is wrong with it, beside everything that was asked for and all that is granted.
    fn fault(&self, asked: &BTreeSet<Entry>, granted: &BTreeSet<Self>) -> Option<String> {
        // What a right that names it covers too is no use of one that names none.
        let is_narrower = |entry: &Entry| {
            let mut named = granted.iter().filter(|right| right.name.is_some());
            self.name.is_none() && named.any(|right| right.covers(entry))
        };
        let uses = asked
            .iter()
            .filter(|entry| self.covers(entry) && !is_narrower(entry));
        let objects: BTreeSet<_> = uses.map(|it| (&it.namespace, &it.name)).collect();
        let mut objects = objects.iter();
        match (objects.next(), objects.next()) {
            (None, _) => Some(format!("no plane has asked for {self:?}")),
            (Some(only), None) if self.can_name() && self.name.is_none() => {
                Some(format!("{self:?} is wider than its one use, {only:?}"))
            }
            _ => None,
        }
    }
}

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
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().unwrap() {
            rights.extend(of_rule(rule, namespace.as_ref()));
        }
    }
    rights
}

/// Each verb on each resource of a rule, and on each object that it names.
fn of_rule(rule: &Value, namespace: Option<&String>) -> Vec<Right> {
    let texts = |field: &str| -> Vec<String> {
        let all = rule[field].as_array().into_iter().flatten();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut names: Vec<_> = texts("resourceNames").into_iter().map(Some).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut rights = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                rights.extend(names.iter().map(|name| Right {
                    namespace: namespace.cloned(),
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    rights
}

/// What the chart's accounts asked for. Fails where one was refused, or where it was not the control plane's.
fn asked(api: &ApiServer) -> BTreeSet<Entry> {
    let accounts = format!("system:serviceaccount:{NAMESPACE}:");
    let mut asked = BTreeSet::new();
    for entry in api.audit().unwrap() {
        if let Some(account) = entry.user.strip_prefix(&accounts) {
            assert_ne!(entry.code, 403, "a right is missing: {entry:?}");
            assert_eq!(account, "meshlite-control-plane", "only it asks: {entry:?}");
            asked.insert(entry);
        }
    }
    asked
}

/// Waits until every right was used but those on which only a control plane depends that finds old things.
pub(super) async fn are_used_at_first(api: &ApiServer) {
    let granted = granted(api).await;
    let is_later = |right: &Right| match right.resource.as_str() {
        "events" => right.verb != "create",
        "secrets" | "configmaps" => right.verb == "patch",
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
    eventually(
        "every right of the chart is used, and none is wider",
        async || {
            let asked = asked(api);
            let faults = granted.iter().filter_map(|it| it.fault(&asked, granted));
            let faults: Vec<_> = faults.collect();
            if faults.is_empty() {
                return Ok(());
            }
            Err(faults.join("\n"))
        },
    )
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
