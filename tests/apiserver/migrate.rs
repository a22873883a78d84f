//! `meshlite migrate --cluster`: what it says of the Ingresses of a real cluster, with the right to list them and no other.

use std::time::Duration;

use meshlite_tests::{
    apiserver::{self, ApiServer, Options, TokenRequest},
    programs::meshlite,
};
use serde_json::Value;

use crate::command::programs::{Said, run};

/// Who may list Ingresses, and who may do nothing.
const ACCOUNTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ingress-reader}
rules: [{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ingress-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ingress-reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
";

/// An Ingress with one annotation of ingress-nginx.
fn ingress(namespace: &str, name: &str, annotation: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata:\n  name: {name}\n  namespace: {namespace}\n\
         \x20 annotations: {{nginx.ingress.kubernetes.io/{annotation}}}\n\
         spec:\n  rules:\n  - host: {name}.example.com\n    http:\n      paths:\n\
         \x20     - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}\n"
    )
}

async fn migrate(api: &ApiServer, account: &str) -> Said {
    let program = meshlite().expect("it was there");
    let request = TokenRequest {
        namespace: "shop",
        service_account: account,
        audience: "",
        lifetime: Duration::from_hours(1),
        bound_to: None,
    };
    let token = api.token(request).await.unwrap();
    let kubeconfig = api.kubeconfig_for_token(account, &token).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let args = [
        "migrate",
        "--cluster",
        "--kubeconfig",
        kubeconfig,
        "-o",
        "json",
    ];
    run(&program, &args).await
}

/// What is said of one thing of an Ingress.
fn verdict(said: &Said, ingress: &str, what: &str) -> String {
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let mut rows = report["rows"].as_array().unwrap().iter();
    let row = rows.find(|row| row["ingress"] == ingress && row["what"] == what);
    let row = row.unwrap_or_else(|| panic!("nothing of {what} of {ingress}: {report:#}"));
    row["verdict"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ingresses_of_a_cluster_are_reviewed_with_the_right_to_list_them() {
    if meshlite().is_none() {
        return;
    }
    let Some(api) = apiserver::own(Options::default()).await else {
        return;
    };
    api.apply(ACCOUNTS).await.unwrap();

    let refused = migrate(&api, "nobody").await;
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.err.contains("cannot list"), "{refused:?}");
    let empty = migrate(&api, "reader").await;
    assert_eq!(empty.status, Some(2), "{empty:?}");
    assert!(empty.err.contains("there is no Ingress"), "{empty:?}");

    let limited = ingress("shop", "limited", "limit-rps: \"5\"");
    api.apply(&limited).await.unwrap();
    let same = migrate(&api, "reader").await;
    assert_eq!(same.status, Some(0), "{same:?}");
    let limit = "nginx.ingress.kubernetes.io/limit-rps";
    assert_eq!(verdict(&same, "shop/limited", limit), "same");

    let snippet = ingress("default", "odd", "server-snippet: \"return 200;\"");
    api.apply(&snippet).await.unwrap();
    let differs = migrate(&api, "reader").await;
    assert_eq!(differs.status, Some(1), "{differs:?}");
    let snippet = "nginx.ingress.kubernetes.io/server-snippet";
    assert_eq!(verdict(&differs, "default/odd", snippet), "unsupported");
    assert_eq!(verdict(&differs, "shop/limited", limit), "same");
    let asked = api.audit().unwrap().into_iter();
    let asked = asked.filter(|entry| entry.user.ends_with(":shop:reader"));
    let asked: Vec<_> = asked.map(|entry| (entry.verb, entry.resource)).collect();
    let list = ("list".to_owned(), "ingresses".to_owned());
    assert_eq!(asked, vec![list; 3]);
}
