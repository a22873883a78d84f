//! Services.

use super::*;

fn service(spec: Value) -> Vec<String> {
    let mut document = json!({"kind": "Service"});
    document["spec"] = spec;
    errors(document)
}

#[test]
fn a_service_gets_the_defaults_of_an_api_server() {
    let mut object = object(with_api_version(json!({"kind": "Service", "spec": {
        "selector": {"app": "web"},
        "ports": [{"port": 80}, {"port": 53, "name": "dns", "protocol": "UDP", "targetPort": "dns"}],
        "sessionAffinity": "ClientIP",
        "externalIPs": ["192.0.2.1"],
        "clusterIP": "10.96.0.10",
    }})));
    default_and_validate(&mut object);
    let Object::Service(service) = object else {
        panic!("not a Service");
    };
    assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(
        serde_json::to_value(service.spec.as_ref()).unwrap(),
        json!({
            "type": "ClusterIP",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "selector": {"app": "web"},
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 53, "name": "dns", "protocol": "UDP", "targetPort": "dns"},
            ],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "externalIPs": ["192.0.2.1"],
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster",
        })
    );
}

#[test]
fn defaults_are_filled_in_once() {
    for spec in [
        json!({"type": "LoadBalancer", "ports": [{"port": 80}], "healthCheckNodePort": 0}),
        json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 0}], "clusterIP": ""}),
        json!({"type": "ExternalName", "externalName": "a.b."}),
    ] {
        let mut once = object(with_api_version(json!({"kind": "Service", "spec": spec})));
        assert_eq!(default_and_validate(&mut once), []);
        let mut twice = once.clone();
        assert_eq!(default_and_validate(&mut twice), []);
        assert_eq!(once, twice);
    }
}

#[test]
fn a_traffic_policy_that_does_not_exist_is_refused_in_kubernetes_words() {
    let problems = service(json!({
        "type": "NodePort", "ports": [{"port": 80}], "externalTrafficPolicy": "Cluster/local",
        "internalTrafficPolicy": "Cluster/local",
    }));
    let says = r#"Unsupported value: "Cluster/local": supported values: "Cluster", "Local""#;
    assert_eq!(
        problems,
        [
            format!("spec.internalTrafficPolicy: {says}"),
            format!("spec.externalTrafficPolicy: {says}"),
        ]
    );
}

#[test]
fn bad_service_ports_are_refused() {
    let port = |port: Value| service(json!({"type": "NodePort", "ports": [port]}));
    for (problems, says) in [
        (service(json!({})), "spec.ports: Required value"),
        (
            port(json!({"port": 0})),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and",
        ),
        (
            port(json!({"port": 80, "targetPort": 70000})),
            "spec.ports[0].targetPort: Invalid",
        ),
        (
            port(json!({"port": 80, "targetPort": "80"})),
            "spec.ports[0].targetPort: Invalid value: \"80\": must contain at least one letter",
        ),
        (
            port(json!({"port": 80, "protocol": "tcp"})),
            r#"spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP""#,
        ),
        (
            port(json!({"port": 80, "nodePort": -1})),
            "spec.ports[0].nodePort: Invalid",
        ),
        (
            port(json!({"port": 80, "name": "A"})),
            "spec.ports[0].name: Invalid",
        ),
        (
            port(json!({"port": 80, "appProtocol": "a/b/c"})),
            "spec.ports[0].appProtocol: Invalid",
        ),
        (
            service(json!({"ports": [{"port": 1}, {"port": 2, "name": "a"}]})),
            "spec.ports[0].name: Required value",
        ),
        (
            service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]})),
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]})),
            "spec.ports[1]: Duplicate value: \"1/TCP\"",
        ),
        (
            service(json!({"ports": [{"port": 1, "nodePort": 30000}]})),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service(json!({"type": "NodePort", "ports": [
            {"port": 1, "name": "a", "nodePort": 30000}, {"port": 2, "name": "b", "nodePort": 30000}]})),
            "spec.ports[1].nodePort: Duplicate value: 30000",
        ),
        (
            service(json!({"type": "LoadBalancer", "ports": [{"port": 10250}]})),
            "spec.ports[0].port: Invalid value: 10250: may not expose port",
        ),
    ] {
        assert_says(&problems, says);
    }
    // The same number over TCP and UDP, and names that are only digits and hyphens, are fine.
    let both = service(json!({"type": "NodePort", "ports": [
        {"port": 53, "name": "80-80", "nodePort": 30053},
        {"port": 53, "name": "udp", "protocol": "UDP", "nodePort": 30053}]}));
    assert_eq!(both, [""; 0]);
}

fn with_port(mut spec: Value) -> Vec<String> {
    spec["ports"] = json!([{"port": 80}]);
    service(spec)
}

#[test]
fn cluster_ips_and_families_of_a_service_must_agree() {
    let with = with_port;
    for (problems, says) in [
        (
            with(json!({"clusterIP": "10.0.0"})),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP",
        ),
        (
            with(json!({"clusterIP": "0.0.0.0"})),
            "spec.clusterIPs[0]: Invalid",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]})),
            "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`",
        ),
        (
            with(json!({"clusterIPs": ["10.0.0.2"]})),
            "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: must be empty when",
        ),
        (
            with(
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"], "ipFamilyPolicy": "PreferDualStack"}),
            ),
            "spec.clusterIPs: Invalid value: [\"10.0.0.1\", \"10.0.0.2\"]: may specify no more than one IP for each",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]})),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack'",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv6"]})),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        (
            with(json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "RequireDualStack"})),
            "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
        ),
        (
            with(json!({"ipFamilies": ["ipv4"]})),
            "spec.ipFamilies[0]: Unsupported value: \"ipv4\"",
        ),
        (
            with(json!({"type": "NodePort", "clusterIP": "None"})),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
    ] {
        assert_says(&problems, says);
    }
    let dual = json!(["10.0.0.1", "fd00::1"]);
    for spec in [
        json!({"clusterIP": "None"}),
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"]}),
        json!({"clusterIP": "127.96.0.1", "externalIPs": ["127.0.0.9"]}),
        json!({"clusterIP": "10.0.0.1", "clusterIPs": dual, "ipFamilyPolicy": "PreferDualStack"}),
    ] {
        assert_eq!(with(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn addresses_outside_the_cluster_and_names_have_their_rules() {
    let with = with_port;
    for (problems, says) in [
        (
            with(json!({"externalIPs": ["169.254.0.1"]})),
            "spec.externalIPs[0]: Invalid",
        ),
        (
            with(json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]})),
            "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            with(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]})),
            "spec.loadBalancerSourceRanges[0]: Invalid",
        ),
        (
            with(json!({"type": "ExternalName"})),
            "spec.externalName: Required value",
        ),
        (
            with(json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.0.0.1"})),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        (
            with(json!({"type": "External"})),
            "spec.type: Unsupported value: \"External\"",
        ),
    ] {
        assert_says(&problems, says);
    }
    for spec in [
        json!({"type": "ExternalName", "externalName": "db.example.com."}),
        json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.0/8 "], "loadBalancerIP": "10.0.0.1"}),
    ] {
        assert_eq!(with(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn affinity_distribution_and_health_checks_have_their_rules() {
    let with = with_port;
    for (problems, says) in [
        (
            with(
                json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}),
            ),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and",
        ),
        (
            with(json!({"sessionAffinity": "clientIP"})),
            "spec.sessionAffinity: Unsupported value",
        ),
        (
            with(json!({"trafficDistribution": "Close"})),
            r#"spec.trafficDistribution: Unsupported value: "Close": supported values: "PreferClose", "PreferSameNode","#,
        ),
        (
            with(json!({"externalTrafficPolicy": "Local"})),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible",
        ),
        (
            with(json!({"type": "NodePort", "healthCheckNodePort": 30000})),
            "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and",
        ),
        (
            with(json!({"allocateLoadBalancerNodePorts": true})),
            "spec.allocateLoadBalancerNodePorts: Forbidden",
        ),
        (
            with(json!({"loadBalancerClass": "a/b"})),
            "spec.loadBalancerClass: Forbidden",
        ),
    ] {
        assert_says(&problems, says);
    }
}
