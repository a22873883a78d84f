//! The tables of a small snapshot, whole.

use std::sync::Arc;

use meshlite_snapshot::{
    AddressFamily, Cluster, Endpoint, EndpointGroup, EndpointPort, HostMatch, IpFamilyPolicy,
    Listener, ListenerProtocol, LoadBalancing, Name, ObjectRef, PrivateKey, Protocol, Resource,
    RouteTable, RouteTimeouts, Snapshot, SniBinding, TargetPort, TlsPolicy, TlsSecret,
    TrafficPolicy, UpstreamProtocol,
};

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn mk_service(name: &str, kind: ServiceType, cluster_ips: &[&str]) -> Service {
    Service {
        namespace: "default".into(),
        name: name.into(),
        uid: String::new(),
        kind,
        l4: true,
        headless: false,
        cluster_ips: cluster_ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        ip_families: vec![AddressFamily::Ipv4],
        ip_family_policy: IpFamilyPolicy::SingleStack,
        external_ips: vec![],
        load_balancer: vec![],
        load_balancer_ip: None,
        load_balancer_class: None,
        load_balancer_source_ranges: vec![],
        allocate_load_balancer_node_ports: true,
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            target_port: TargetPort::Number(8080),
            node_port: (kind == ServiceType::NodePort).then_some(30080),
            app_protocol: None,
        }],
        session_affinity_seconds: None,
        internal_traffic_policy: TrafficPolicy::Cluster,
        external_traffic_policy: TrafficPolicy::Cluster,
        traffic_distribution: None,
        health_check_node_port: None,
        publish_not_ready_addresses: false,
        external_name: None,
        ipvs_scheduler: None,
        balance: None,
    }
}

fn mk_endpoint(address: &str, ready: bool) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        ready,
        serving: ready,
        terminating: false,
        node: None,
        zone: None,
        hostname: None,
        target: None,
        hint_zones: vec![],
        hint_nodes: vec![],
    }
}

fn mk_group(slice: &str, port: &str, endpoints: Vec<Endpoint>) -> EndpointGroup {
    EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: slice.into(),
        address_family: AddressFamily::Ipv4,
        ports: vec![EndpointPort {
            name: port.into(),
            protocol: Protocol::Tcp,
            port: Some(8080),
            app_protocol: None,
        }],
        endpoints,
    }
}

fn mk_routes() -> RouteTable {
    let route = |rank, kind, path: &str, backends| Route {
        owner: ObjectRef::new("Ingress", "default", "web"),
        rank,
        fallback: false,
        path: RoutePath {
            kind,
            value: path.into(),
        },
        method: None,
        headers: vec![],
        query: vec![],
        filters: vec![],
        backends,
        timeouts: RouteTimeouts::default(),
        policy: None,
    };
    let cluster = WeightedCluster {
        cluster: name("default/web/http"),
        weight: 1,
    };
    RouteTable {
        listeners: vec![name("meshlite/http")],
        host: HostMatch::OneLabel("example.com".into()),
        routes: vec![
            route(0, PathMatch::Exact, "/login", vec![cluster]),
            route(1, PathMatch::Prefix, "/", vec![]),
        ],
        client_auth: None,
    }
}

fn mk_snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut put = |text: &str, resource| snapshot.insert(name(text), resource);
    let docs = Service {
        external_name: Some("docs.example.com".into()),
        ports: vec![],
        ..mk_service("docs", ServiceType::ExternalName, &[])
    };
    let headless = Service {
        headless: true,
        ..mk_service("db", ServiceType::ClusterIP, &[])
    };
    put("default/docs", Resource::Service(Arc::new(docs)));
    put("default/db", Resource::Service(Arc::new(headless)));
    put(
        "default/web",
        Resource::Service(Arc::new(mk_service(
            "web",
            ServiceType::NodePort,
            &["10.96.0.7"],
        ))),
    );
    let one = mk_group(
        "web-1",
        "http",
        vec![
            mk_endpoint("10.0.0.1", true),
            mk_endpoint("10.0.0.2", false),
        ],
    );
    // The same Pod again, for another port.
    let two = mk_group(
        "web-2",
        "admin",
        vec![mk_endpoint("10.0.0.1", true), mk_endpoint("10.0.0.3", true)],
    );
    put("default/web/web-1", Resource::EndpointGroup(Arc::new(one)));
    put("default/web/web-2", Resource::EndpointGroup(Arc::new(two)));
    let cluster = Cluster {
        namespace: "default".into(),
        service: "web".into(),
        port: Some(80),
        port_name: "http".into(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::RoundRobin,
        ..Cluster::default()
    };
    put("default/web/http", Resource::Cluster(Arc::new(cluster)));
    put(
        "meshlite/*.example.com",
        Resource::RouteTable(Arc::new(mk_routes())),
    );
    let listener = Listener {
        addresses: vec![],
        port: 443,
        proxy_port: 8443,
        protocol: ListenerProtocol::Https,
        tls: Some(TlsPolicy::default()),
    };
    put("meshlite/https", Resource::Listener(Arc::new(listener)));
    let secret = TlsSecret {
        certificate_chain: vec![],
        private_key: PrivateKey(bytes::Bytes::new()),
        bindings: vec![SniBinding {
            listener: name("meshlite/https"),
            host: HostMatch::Exact("a.example.com".into()),
        }],
    };
    put("default/tls", Resource::TlsSecret(Arc::new(secret)));
    snapshot
}

fn mk_view(snapshot: Snapshot) -> View {
    View {
        build: Some("0.1.0".into()),
        epoch: Some("e1".into()),
        generation: Some(7),
        digests: vec![],
        resources: vec![],
        findings: vec![],
        findings_total: 0,
        skipped: Some([("ConfigMap".to_owned(), 2)].into()),
        snapshot,
    }
}

#[test]
fn a_view_prints_as_tables_in_kubectls_manner() {
    let text = print(&mk_view(mk_snapshot()));
    let expected = "\
control plane 0.1.0, epoch e1, generation 7

SERVICES
NAMESPACE  NAME  TYPE          CLUSTER-IP  EXTERNAL          PORT(S)       READY   ENDPOINTS
default    db    ClusterIP     None        <none>            80/TCP        0/0     <none>
default    docs  ExternalName  <none>      docs.example.com  <none>        <none>  <none>
default    web   NodePort      10.96.0.7   <none>            80:30080/TCP  2/3     10.0.0.1:8080,10.0.0.3:8080

ROUTES
HOST           PATH      BACKEND           READY   OWNER
*.example.com  = /login  default/web/http  1/2     Ingress default/web
*.example.com  /         respond 503       <none>  Ingress default/web

LISTENERS
NAME            PROTOCOL  PORT  BOUND-PORT
meshlite/https  HTTPS     443   8443

CERTIFICATES
SECRET       HOSTS
default/tls  a.example.com

DIGESTS
<none>

FINDINGS
<none>

SKIPPED
kinds that are not served: 2 ConfigMap
";
    assert_eq!(text, expected);
}

#[test]
fn an_empty_view_says_none_everywhere() {
    let view = View {
        build: None,
        skipped: None,
        ..mk_view(Snapshot::default())
    };
    let text = print(&view);
    assert!(
        text.starts_with("SERVICES\n<none>\n\nROUTES\n<none>\n"),
        "{text}"
    );
    assert_eq!(text.matches("<none>").count(), 6);
}
