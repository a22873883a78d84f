//! The API server for tests is a real one: what the other tests here rely on, each shown once.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use meshlite_tests::apiserver::{
    self, ApiServer, BoundTo, Error, Options, Pod, TokenRequest, eventually,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

const AUDIENCE: &str = "somebody.example";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The ready addresses of a Service's EndpointSlices, once they are these.
async fn ready_addresses_become(api: &ApiServer, namespace: &str, service: &str, wanted: &[&str]) {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name={service}"
    );
    eventually(&format!("{wanted:?} are ready"), async || {
        let list = api.get(&path).await.map_err(|error| error.to_string())?;
        let endpoints = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let mut ready: Vec<_> = endpoints
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .filter_map(|endpoint| endpoint["addresses"][0].as_str())
            .collect();
        ready.sort_unstable();
        if ready == wanted {
            Ok(())
        } else {
            Err(list.to_string())
        }
    })
    .await;
}

fn code(result: Result<Value, Error>) -> u16 {
    match result {
        Err(Error::Refused { status, .. }) => status,
        other => panic!("not refused: {other:?}"),
    }
}

/// What the API server says of a token for [`AUDIENCE`].
async fn review(api: &ApiServer, token: &str) -> Value {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    });
    let create = ["create", "--filename=-", "--output=json"];
    let answer = api.kubectl(&create, &review.to_string()).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn kubectl_and_server_are_of_one_release() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let version = api.kubectl(&["version", "--output=json"], "").await;
    let version: Value = serde_json::from_str(&version.unwrap()).unwrap();
    let minor = |which: &str| version[which]["minor"].clone();
    assert!(minor("serverVersion").is_string(), "{version}");
    assert_eq!(minor("serverVersion"), minor("clientVersion"), "{version}");
}

#[tokio::test]
async fn a_service_account_may_do_nothing_that_it_was_not_granted() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = api.namespace("rbac").await.unwrap();
    let token = api
        .token(TokenRequest {
            namespace: &namespace,
            service_account: "default",
            audience: "",
            lifetime: Duration::from_mins(10),
            bound_to: None,
        })
        .await
        .unwrap();
    let kubeconfig = api.kubeconfig_for_token(&namespace, &token).unwrap();
    let refused = api
        .kubectl_as(&kubeconfig, &["get", "services", "--all-namespaces"], "")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("cannot list"), "{refused}");

    let user = format!("system:serviceaccount:{namespace}:default");
    let asked = api.audit().unwrap();
    let entry = asked
        .iter()
        .find(|e| e.user == user && e.resource == "services");
    let entry = entry.unwrap_or_else(|| panic!("not in the audit log: {asked:#?}"));
    assert_eq!((entry.verb.as_str(), entry.code), ("list", 403));
}

#[tokio::test]
async fn node_port_80_can_be_had_and_both_families() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = api.namespace("ports").await.unwrap();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ingress", "namespace": namespace},
        "spec": {
            "type": "NodePort",
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"port": 80, "nodePort": 80}],
        },
    });
    api.apply(&service.to_string()).await.unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/services/ingress");
    let made = api.get(&path).await.unwrap();
    assert_eq!(made["spec"]["ports"][0]["nodePort"], 80);
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    api.delete(&namespace, "service/ingress").await.unwrap();
    assert_eq!(code(api.get(&path).await), 404);
}

#[tokio::test]
async fn a_ready_pod_becomes_an_endpoint_and_a_deleted_one_goes() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = api.namespace("pods").await.unwrap();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    api.apply(&service.to_string()).await.unwrap();
    api.add_node(
        &format!("{namespace}-node"),
        "zone-a",
        &[address("192.0.2.1")],
    )
    .await
    .unwrap();
    let pod = Pod {
        namespace: &namespace,
        name: "web-0",
        labels: &[("app", "web")],
        node: &format!("{namespace}-node"),
        ips: &[address("10.1.2.3")],
        ..Pod::default()
    };
    api.add_pod(pod).await.unwrap();
    api.set_pod_ready(&namespace, "web-0", true).await.unwrap();
    ready_addresses_become(api, &namespace, "web", &["10.1.2.3"]).await;
    api.set_pod_ready(&namespace, "web-0", false).await.unwrap();
    ready_addresses_become(api, &namespace, "web", &[]).await;
    api.set_pod_ready(&namespace, "web-0", true).await.unwrap();
    ready_addresses_become(api, &namespace, "web", &["10.1.2.3"]).await;
    api.delete_pod(&namespace, "web-0", 0).await.unwrap();
    ready_addresses_become(api, &namespace, "web", &[]).await;
}

#[tokio::test]
async fn endpoints_written_by_hand_are_mirrored() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = api.namespace("mirror").await.unwrap();
    let yaml = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: outside, namespace: {namespace}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
         apiVersion: v1\nkind: Endpoints\nmetadata: {{name: outside, namespace: {namespace}}}\n\
         subsets: [{{addresses: [{{ip: 192.0.2.7}}], ports: [{{port: 8080}}]}}]\n"
    );
    api.apply(&yaml).await.unwrap();
    ready_addresses_become(api, &namespace, "outside", &["192.0.2.7"]).await;
}

#[tokio::test]
async fn a_token_says_whom_it_is_for_and_on_which_node_its_pod_is() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = api.namespace("tokens").await.unwrap();
    let node = format!("{namespace}-node");
    api.add_node(&node, "zone-a", &[]).await.unwrap();
    let pod = Pod {
        namespace: &namespace,
        name: "client",
        node: &node,
        ..Pod::default()
    };
    api.add_pod(pod).await.unwrap();
    let token = api
        .token(TokenRequest {
            namespace: &namespace,
            service_account: "default",
            audience: AUDIENCE,
            lifetime: Duration::from_mins(15),
            bound_to: Some(BoundTo::Pod("client")),
        })
        .await
        .unwrap();
    let review = review(api, &token).await;
    let status = &review["status"];
    assert_eq!(status["authenticated"], true, "{review}");
    assert_eq!(status["audiences"], json!([AUDIENCE]));
    let extra = &status["user"]["extra"];
    assert_eq!(
        extra["authentication.kubernetes.io/node-name"],
        json!([node])
    );
}

#[tokio::test]
async fn a_signed_token_is_as_good_as_an_issued_one_until_it_ends() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let issued = api
        .token(TokenRequest {
            namespace: "default",
            service_account: "default",
            audience: AUDIENCE,
            lifetime: Duration::from_mins(10),
            bound_to: None,
        })
        .await
        .unwrap();
    let mut claims = apiserver::claims(&issued).unwrap();
    for (field, ago, authenticated) in [("iat", 1, true), ("exp", 3_600, false)] {
        let time = claims["iat"].as_i64().unwrap() - ago;
        claims[field] = json!(time);
        let signed = api.sign_token(&issued, &claims).unwrap();
        let review = review(api, &signed).await;
        let says = review["status"]["authenticated"] == true;
        assert_eq!(says, authenticated, "{field}: {review}");
    }
}

#[tokio::test]
async fn a_stopped_api_server_comes_back_at_its_place_with_its_objects() {
    let Some(mut api) = apiserver::own(Options::default()).await else {
        return;
    };
    let url = api.url();
    let namespace = api.namespace("kept").await.unwrap();
    api.stop_api_server();
    let gone = api.get("/version").await.unwrap_err();
    assert!(matches!(gone, Error::NoAnswer { .. }), "{gone}");
    api.start_api_server().await.unwrap();
    assert_eq!(api.url(), url);
    api.get(&format!("/api/v1/namespaces/{namespace}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn after_a_compaction_nobody_can_watch_from_before_it() {
    let Some(mut api) = apiserver::own(Options::default()).await else {
        return;
    };
    let list = api.get("/api/v1/services").await.unwrap();
    let old = list["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = format!("/api/v1/services?watch=true&timeoutSeconds=1&resourceVersion={old}");
    api.namespace("later").await.unwrap();
    api.compact_etcd().await.unwrap();
    api.stop_api_server();
    api.start_api_server().await.unwrap();
    let event = api.get(&watch).await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
}

#[tokio::test]
async fn a_frozen_api_server_answers_nothing_until_it_thaws() {
    let Some(api) = apiserver::own(Options::default()).await else {
        return;
    };
    api.freeze().unwrap();
    let answer = api.get("/version");
    let waited = tokio::time::timeout(Duration::from_secs(1), answer).await;
    assert!(waited.is_err(), "answered: {waited:?}");
    api.thaw().unwrap();
    api.get("/version").await.unwrap();
}

#[tokio::test]
async fn a_test_that_is_killed_leaves_no_server_and_no_file() {
    if apiserver::Assets::or_say_so().is_none() {
        return;
    }
    let mut run = Command::new(env!("CARGO_BIN_EXE_apiserver"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
    let first = said.next_line().await.unwrap().expect("it starts");
    let kubeconfig = Path::new(first.strip_prefix("export KUBECONFIG=").unwrap());
    let folder = kubeconfig.parent().unwrap();
    let servers = processes(folder);
    assert_eq!(servers.len(), 3, "{servers:?}");

    run.kill().await.unwrap();
    eventually("the servers and their files are gone", async || {
        let left: Vec<_> = servers
            .iter()
            .filter(|process| process.join("exe").exists())
            .collect();
        if left.is_empty() && !folder.exists() {
            Ok(())
        } else {
            Err(format!("{left:?} and {}", folder.display()))
        }
    })
    .await;
}

/// The `/proc` folders of the servers of one API server.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|e| e == "pid"))
        .map(|file| Path::new("/proc").join(fs::read_to_string(file).unwrap()))
        .collect()
}
