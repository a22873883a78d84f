//! A small world in which names collide: every object that is made there is likely to be named by others.

use proptest::{
    option,
    prelude::*,
    sample::{Select, select},
};
use serde_json::{Value, json};

const NAMESPACES: [&str; 2] = ["x", "y"];
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAIFAA==\n-----END CERTIFICATE-----\n";
const KEYS: [&str; 3] = [
    "-----BEGIN PRIVATE KEY-----\nMAIFAA==\n-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n",
    "no key",
];

/// Any object of any kind that the compiler takes.
pub(crate) fn object() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => service(),
        5 => slice(),
        1 => factors(),
        4 => ingress(),
        1 => ingress_class(),
        2 => secret(),
        1 => node(),
        1 => any_of(&NAMESPACES).prop_map(
            |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        ),
    ]
}

fn any_of<T: Clone + std::fmt::Debug + 'static, const N: usize>(values: &[T; N]) -> Select<T> {
    select(values.to_vec())
}

fn metadata<const N: usize>(names: &[&'static str; N]) -> impl Strategy<Value = Value> {
    (any_of(&NAMESPACES), any_of(names))
        .prop_map(|(namespace, name)| json!({"namespace": namespace, "name": name}))
}

fn service() -> impl Strategy<Value = Value> {
    let types = ["ClusterIP", "ClusterIP", "NodePort", "ExternalName", "Odd"];
    let port_names = ["http", "web"];
    (
        metadata(&["a", "b"]),
        any_of(&types),
        any::<bool>(),
        any_of(&port_names),
        any::<bool>(),
        any_of(&["TCP", "UDP"]),
        weighing(),
    )
        .prop_map(
            |(mut metadata, kind, publish, port, local, protocol, weighing)| {
                metadata["annotations"] = weighing;
                json!({
                    "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                    "spec": {
                        "type": kind, "clusterIP": "10.96.0.1", "externalName": "a.example.com",
                        "publishNotReadyAddresses": publish,
                        "internalTrafficPolicy": if local { "Local" } else { "Cluster" },
                        "ports": [{"name": port, "port": 80, "protocol": protocol}],
                    },
                })
            },
        )
}

fn weighing() -> impl Strategy<Value = Value> {
    let weights = [
        "zone/zone-a=5,node/n=7,10.0.0.1=0",
        "10.0.0.0/30=9,node/m=100",
        "n=1",
    ];
    (
        option::weighted(0.4, any_of(&weights)),
        option::weighted(0.4, any_of(&["load", "load", "luck"])),
        option::weighted(0.2, any_of(&["rr", "wrr"])),
    )
        .prop_map(|(weights, balance, scheduler)| {
            written([
                ("meshlite.io/weights", weights),
                ("meshlite.io/balance", balance),
                ("meshlite.io/ipvs-scheduler", scheduler),
            ])
        })
}

/// The annotations that are there.
fn written(all: [(&str, Option<&str>); 3]) -> Value {
    all.into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn factors() -> impl Strategy<Value = Value> {
    let address = any_of(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let factors = proptest::collection::btree_map(address, any_of(&[125, 1000, 8000]), 0..3);
    (metadata(&["a", "b"]), factors).prop_map(
        |(metadata, factors)| json!({"kind": "Factors", "metadata": metadata, "factors": factors}),
    )
}

fn slice() -> impl Strategy<Value = Value> {
    let family = ["IPv4", "IPv4", "IPv4", "IPv4", "IPv6", "FQDN"];
    (
        metadata(&["s", "t", "u"]),
        option::weighted(0.9, any_of(&["a", "b"])),
        any_of(&family),
        proptest::collection::vec(endpoint(), 0..4),
        any_of(&[80, 81, 0]),
    )
        .prop_map(|(mut metadata, service, family, endpoints, port)| {
            metadata["labels"] = match service {
                Some(service) => json!({"kubernetes.io/service-name": service}),
                None => json!({}),
            };
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
                "addressType": family, "endpoints": endpoints,
                "ports": [{"name": "http", "port": port}],
            })
        })
}

fn endpoint() -> impl Strategy<Value = Value> {
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "none"];
    (
        any_of(&addresses),
        any::<[bool; 3]>(),
        option::of(any_of(&["n", "m"])),
        option::weighted(0.1, Just("zone-a")),
    )
        .prop_map(|(address, [ready, serving, terminating], node, zone)| {
            let hints = zone.map(|zone| json!({"forZones": [{"name": zone}]}));
            json!({
                "addresses": [address], "nodeName": node, "zone": zone, "hints": hints,
                "targetRef": {"name": format!("pod-on-{}", node.unwrap_or("none"))},
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
            })
        })
}

fn ingress() -> impl Strategy<Value = Value> {
    let hosts = [
        "",
        "a.example.com",
        "b.example.com",
        "*.example.com",
        "Bad_",
    ];
    let classes = ["meshlite", "meshlite", "meshlite", "edge", "foreign"];
    let ages = ["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"];
    let rules = (
        any_of(&hosts),
        proptest::collection::vec((any_of(&["/", "/a", "b"]), backend()), 0..3),
    )
        .prop_map(|(host, paths)| {
            let path =
                |(path, backend)| json!({"path": path, "pathType": "Prefix", "backend": backend});
            let paths: Vec<_> = paths.into_iter().map(path).collect();
            json!({"host": host, "http": {"paths": paths}})
        });
    let tls = (
        proptest::collection::vec(any_of(&hosts), 0..3),
        option::weighted(0.9, any_of(&["k", "l", "a/b"])),
    )
        .prop_map(|(hosts, secret)| json!({"hosts": hosts, "secretName": secret}));
    (
        metadata(&["i", "j", "k"]),
        option::of(any_of(&classes)),
        option::of(any_of(&ages)),
        proptest::collection::vec(rules, 0..3),
        option::of(backend()),
        proptest::collection::vec(tls, 0..3),
        annotations(),
    )
        .prop_map(|(mut metadata, class, age, rules, default, tls, annotations)| {
            metadata["creationTimestamp"] = json!(age);
            metadata["annotations"] = annotations;
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
                "spec": {
                    "ingressClassName": class, "rules": rules, "defaultBackend": default, "tls": tls,
                },
            })
        })
}

/// Annotations that name other objects, change what other Ingresses mean, or close routes.
const ANNOTATIONS: [(&str, &[&str]); 21] = [
    ("kubernetes.io/ingress.class", &["meshlite", "edge"]),
    ("meshlite.io/request-timeout", &["5s", "soon"]),
    ("meshlite.io/limit-rps", &["5", "0"]),
    (
        "nginx.ingress.kubernetes.io/auth-tls-secret",
        &["l", "x/k", "y/k", "a/b/c"],
    ),
    (
        "nginx.ingress.kubernetes.io/auth-type",
        &["basic", "basic", "digest"],
    ),
    (
        "nginx.ingress.kubernetes.io/auth-secret",
        &["k", "l", "gone"],
    ),
    (
        "nginx.ingress.kubernetes.io/auth-secret-type",
        &["auth-map", "auth-file"],
    ),
    (
        "nginx.ingress.kubernetes.io/auth-url",
        &["http://a.x.svc/", "https://$host/", "a"],
    ),
    (
        "nginx.ingress.kubernetes.io/proxy-ssl-secret",
        &["x/k", "y/l"],
    ),
    (
        "nginx.ingress.kubernetes.io/proxy-ssl-verify",
        &["on", "off"],
    ),
    (
        "nginx.ingress.kubernetes.io/backend-protocol",
        &["GRPC", "HTTPS", "odd"],
    ),
    ("nginx.ingress.kubernetes.io/affinity", &["cookie"]),
    ("nginx.ingress.kubernetes.io/service-upstream", &["true"]),
    (
        "nginx.ingress.kubernetes.io/canary",
        &["true", "true", "false"],
    ),
    (
        "nginx.ingress.kubernetes.io/rewrite-target",
        &["/", "/b", "https://a/"],
    ),
    ("nginx.ingress.kubernetes.io/use-regex", &["true", "false"]),
    (
        "nginx.ingress.kubernetes.io/server-alias",
        &["b.example.com", "c.example.com,*.example.com"],
    ),
    (
        "nginx.ingress.kubernetes.io/from-to-www-redirect",
        &["true"],
    ),
    ("nginx.ingress.kubernetes.io/app-root", &["/app"]),
    ("nginx.ingress.kubernetes.io/default-backend", &["a", "b"]),
    (
        "nginx.ingress.kubernetes.io/ssl-redirect",
        &["true", "false"],
    ),
];

fn annotations() -> impl Strategy<Value = Value> {
    let one = select(&ANNOTATIONS[..]).prop_flat_map(|(key, values)| (Just(key), select(values)));
    proptest::collection::vec(one, 0..4).prop_map(|all| {
        all.into_iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect()
    })
}

fn backend() -> impl Strategy<Value = Value> {
    let ports = [json!({"number": 80}), json!({"name": "http"}), json!({})];
    (any_of(&["a", "b", "c/d"]), any_of(&ports))
        .prop_map(|(service, port)| json!({"service": {"name": service, "port": port}}))
}

fn ingress_class() -> impl Strategy<Value = Value> {
    let controllers = ["meshlite.io/ingress", "example.com/other"];
    (
        any_of(&["edge", "meshlite"]),
        any_of(&controllers),
        any::<bool>(),
    )
        .prop_map(|(name, controller, default)| {
            let default = default.to_string();
            let annotations = json!({"ingressclass.kubernetes.io/is-default-class": default});
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                "metadata": {"name": name, "annotations": annotations},
                "spec": {"controller": controller},
            })
        })
}

fn secret() -> impl Strategy<Value = Value> {
    let types = ["kubernetes.io/tls", "Opaque", "users"];
    (metadata(&["k", "l"]), any_of(&types), any_of(&KEYS)).prop_map(|(metadata, kind, key)| {
        if kind == "users" {
            return json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
                "stringData": {"carol": "hash", "dave": "other"},
            });
        }
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind,
            "stringData": {"tls.crt": CERTIFICATE, "tls.key": key, "ca.crt": CERTIFICATE, "auth": "a:b"},
        })
    })
}

fn node() -> impl Strategy<Value = Value> {
    let addresses = ["192.0.2.1", "192.0.2.2", "nowhere"];
    (any_of(&["n", "m"]), any_of(&addresses)).prop_map(|(name, address)| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        })
    })
}
