//! Arbitrary resources of every type, for property tests.

mod cluster;
mod policy;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use bytes::Bytes;
use ipnet::IpNet;
use meshlite_snapshot::{
    AddressFamily, Balance, Credential, Endpoint, EndpointGroup, EndpointPort, EndpointWeight,
    Filter, HeaderChange, HostMatch, Htpasswd, IpFamilyPolicy, Listener, ListenerProtocol,
    LoadBalancerAddress, LoadBalancerIpMode, Name, Namespace, Node, NodeAddress, NodeAddressKind,
    ObjectRef, PathMatch, PrivateKey, Protocol, Redirect, Resource, Rewrite, Route, RoutePath,
    RouteTable, RouteTimeouts, Service, ServicePort, ServiceType, SniBinding, Substitution,
    TargetPort, TlsPolicy, TlsSecret, TlsVersion, TrafficDistribution, TrafficPolicy,
    UpstreamIdentity, ValueMatch, WeightedCluster, Weights,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

/// A resource of any type with any values that are allowed.
pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        service().prop_map(|value| Resource::Service(value.into())),
        group().prop_map(|value| Resource::EndpointGroup(value.into())),
        node().prop_map(|value| Resource::Node(value.into())),
        word().prop_map(|name| Resource::Namespace(Namespace { name }.into())),
        weights().prop_map(|value| Resource::Weights(value.into())),
        listener().prop_map(|value| Resource::Listener(value.into())),
        table().prop_map(|value| Resource::RouteTable(value.into())),
        cluster::cluster().prop_map(|value| Resource::Cluster(value.into())),
        secret().prop_map(|value| Resource::TlsSecret(value.into())),
        credential().prop_map(|value| Resource::Credential(value.into())),
    ]
}

/// The name of any resource.
pub(crate) fn name() -> impl Strategy<Value = Name> {
    vec(word(), 1..4).prop_map(|segments| Name::new(segments.join("/")).unwrap())
}

fn word() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9.-]{0,12}"
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    word().prop_map(Into::into)
}

fn host_name() -> impl Strategy<Value = String> {
    "[a-z0-9-]{1,10}(\\.[a-z0-9-]{1,10}){0,3}"
}

fn port() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn v4() -> impl Strategy<Value = IpAddr> {
    any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into())
}

fn v6() -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into())
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4(), v6()]
}

fn network() -> impl Strategy<Value = IpNet> {
    (address(), 0..=128_u8).prop_map(|(address, length)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(most)).unwrap()
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

fn family() -> impl Strategy<Value = AddressFamily> {
    select(vec![AddressFamily::Ipv4, AddressFamily::Ipv6])
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    select(vec![TrafficPolicy::Cluster, TrafficPolicy::Local])
}

fn service_port() -> impl Strategy<Value = ServicePort> {
    let target_port = prop_oneof![
        port().prop_map(TargetPort::Number),
        word().prop_map(TargetPort::Name)
    ];
    (
        text(),
        protocol(),
        port(),
        target_port,
        of(port()),
        of(word()),
    )
        .prop_map(
            |(name, protocol, port, target_port, node_port, app_protocol)| ServicePort {
                name,
                protocol,
                port,
                target_port,
                node_port,
                app_protocol,
            },
        )
}

fn load_balancer_address() -> impl Strategy<Value = LoadBalancerAddress> {
    let modes = vec![LoadBalancerIpMode::Vip, LoadBalancerIpMode::Proxy];
    (address(), select(modes)).prop_map(|(ip, ip_mode)| LoadBalancerAddress { ip, ip_mode })
}

fn service() -> impl Strategy<Value = Service> {
    let kinds = vec![
        ServiceType::ClusterIP,
        ServiceType::NodePort,
        ServiceType::LoadBalancer,
        ServiceType::ExternalName,
    ];
    let policies = vec![
        IpFamilyPolicy::SingleStack,
        IpFamilyPolicy::PreferDualStack,
        IpFamilyPolicy::RequireDualStack,
    ];
    let distributions = vec![
        TrafficDistribution::PreferSameZone,
        TrafficDistribution::PreferSameNode,
    ];
    let identity = (word(), word(), text(), select(kinds), any::<[bool; 4]>());
    let addresses = (
        (of(v4()), of(v6()), any::<bool>()),
        vec(family(), 0..3),
        select(policies),
        vec(address(), 0..3),
    );
    let balancer = (
        vec(load_balancer_address(), 0..3),
        of(address()),
        of(word()),
        vec(network(), 0..3),
    );
    let rest = (
        vec(service_port(), 0..4),
        of(1..=86_400_u32),
        (policy(), policy()),
        of(select(distributions)),
        of(port()),
        of(word()),
        (of(word()), of(Just(Balance::Load))),
    );
    (identity, addresses, balancer, rest).prop_map(|(identity, addresses, balancer, rest)| {
        let (namespace, name, uid, kind, [l4, headless, allocate, publish]) = identity;
        let ((first, second, swapped), ip_families, ip_family_policy, external_ips) = addresses;
        let mut cluster_ips: Vec<IpAddr> = first.into_iter().chain(second).collect();
        if swapped {
            cluster_ips.reverse();
        }
        Service {
            namespace,
            name,
            uid,
            kind,
            l4,
            headless,
            cluster_ips,
            ip_families,
            ip_family_policy,
            external_ips,
            load_balancer: balancer.0,
            load_balancer_ip: balancer.1,
            load_balancer_class: balancer.2,
            load_balancer_source_ranges: balancer.3,
            allocate_load_balancer_node_ports: allocate,
            ports: rest.0,
            session_affinity_seconds: rest.1,
            internal_traffic_policy: rest.2.0,
            external_traffic_policy: rest.2.1,
            traffic_distribution: rest.3,
            health_check_node_port: rest.4,
            publish_not_ready_addresses: publish,
            external_name: rest.5,
            ipvs_scheduler: rest.6.0,
            balance: rest.6.1,
        }
    })
}

fn endpoint(address: impl Strategy<Value = IpAddr>) -> impl Strategy<Value = Endpoint> {
    let places = (of(shared()), of(shared()), of(shared()), of(shared()));
    let hints = (vec(shared(), 0..3), vec(shared(), 0..3));
    (address, any::<[bool; 3]>(), places, hints).prop_map(|(address, flags, places, hints)| {
        let [ready, serving, terminating] = flags;
        let (node, zone, hostname, target) = places;
        Endpoint {
            address,
            ready,
            serving,
            terminating,
            node,
            zone,
            hostname,
            target,
            hint_zones: hints.0,
            hint_nodes: hints.1,
        }
    })
}

fn group() -> impl Strategy<Value = EndpointGroup> {
    let port = (text(), protocol(), of(port()), of(word())).prop_map(
        |(name, protocol, port, app_protocol)| EndpointPort {
            name,
            protocol,
            port,
            app_protocol,
        },
    );
    let endpoints = prop_oneof![
        vec(endpoint(v4()), 0..5).prop_map(|endpoints| (AddressFamily::Ipv4, endpoints)),
        vec(endpoint(v6()), 0..5).prop_map(|endpoints| (AddressFamily::Ipv6, endpoints)),
    ];
    (word(), word(), word(), vec(port, 0..3), endpoints).prop_map(
        |(namespace, service, slice, ports, (address_family, endpoints))| EndpointGroup {
            namespace,
            service,
            slice,
            address_family,
            ports,
            endpoints,
        },
    )
}

fn weights() -> impl Strategy<Value = Weights> {
    let weight =
        (address(), of(port()), any::<u16>()).prop_map(|(address, port, weight)| EndpointWeight {
            address,
            port,
            weight,
        });
    (word(), word(), vec(weight, 0..4)).prop_map(|(namespace, service, endpoints)| Weights {
        namespace,
        service,
        endpoints,
    })
}

fn node() -> impl Strategy<Value = Node> {
    let kinds = vec![NodeAddressKind::InternalIP, NodeAddressKind::ExternalIP];
    let address =
        (select(kinds), address()).prop_map(|(kind, address)| NodeAddress { kind, address });
    (
        word(),
        of(word()),
        vec(address, 0..3),
        vec(network(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(name, zone, addresses, pod_cidrs, leaving)| Node {
            name,
            zone,
            addresses,
            pod_cidrs,
            leaving,
        })
}

fn listener() -> impl Strategy<Value = Listener> {
    let policy = (
        select(vec![TlsVersion::Tls12, TlsVersion::Tls13]),
        of(name()),
    )
        .prop_map(|(min_version, default_certificate)| TlsPolicy {
            min_version,
            default_certificate,
        });
    let protocol = prop_oneof![
        Just((ListenerProtocol::Http, None)),
        of(policy).prop_map(|tls| (ListenerProtocol::Https, tls)),
    ];
    (vec(address(), 0..3), port(), any::<u16>(), protocol).prop_map(
        |(addresses, port, proxy_port, (protocol, tls))| Listener {
            addresses,
            port,
            proxy_port,
            protocol,
            tls,
        },
    )
}

fn host() -> impl Strategy<Value = HostMatch> {
    prop_oneof![
        host_name().prop_map(HostMatch::Exact),
        host_name().prop_map(HostMatch::OneLabel),
        host_name().prop_map(HostMatch::Suffix),
        Just(HostMatch::Any),
    ]
}

fn weighted() -> impl Strategy<Value = WeightedCluster> {
    (name(), any::<u32>()).prop_map(|(cluster, weight)| WeightedCluster { cluster, weight })
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    (word(), text(), any::<bool>()).prop_map(|(name, value, regex)| ValueMatch {
        name,
        value,
        regex,
    })
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    let substitution = (text(), text(), any::<bool>());
    let regex = substitution.prop_map(|(pattern, with, ignore_case)| Substitution {
        pattern,
        with,
        ignore_case,
    });
    (of(text()), of(text()), of(text()), of(regex)).prop_map(|(host, full_path, prefix, regex)| {
        Rewrite {
            host,
            full_path,
            prefix,
            regex,
        }
    })
}

fn headers() -> impl Strategy<Value = HeaderChange> {
    let header = || (word(), text());
    (vec(header(), 0..2), vec(header(), 0..2), vec(word(), 0..2))
        .prop_map(|(set, add, remove)| HeaderChange { set, add, remove })
}

fn filter() -> impl Strategy<Value = Filter> {
    let redirect = (
        of(select(vec!["http".to_owned(), "https".to_owned()])),
        of(word()),
        of(port()),
        of(rewrite()),
        of(word()),
        select(vec![301, 302, 303, 307, 308_u16]),
    )
        .prop_map(|(scheme, host, port, path, location, status)| Redirect {
            scheme,
            host,
            port,
            path,
            location,
            status,
        });
    prop_oneof![
        headers().prop_map(Filter::RequestHeaders),
        headers().prop_map(Filter::ResponseHeaders),
        redirect.prop_map(Filter::Redirect),
        rewrite().prop_map(Filter::Rewrite),
        weighted().prop_map(Filter::Mirror),
        (200..=599_u16).prop_map(Filter::Respond),
    ]
}

fn path() -> impl Strategy<Value = RoutePath> {
    let kinds = vec![
        PathMatch::Exact,
        PathMatch::Prefix,
        PathMatch::Regex,
        PathMatch::RegexIgnoreCase,
    ];
    (select(kinds), text()).prop_map(|(kind, text)| RoutePath {
        kind,
        value: format!("/{text}"),
    })
}

fn route() -> impl Strategy<Value = Route> {
    let timeouts = (positive(), positive(), positive(), positive()).prop_map(
        |(connect_ms, response_ms, idle_ms, request_ms)| RouteTimeouts {
            connect_ms,
            response_ms,
            idle_ms,
            request_ms,
        },
    );
    let matches = (
        path(),
        of(word()),
        vec(value_match(), 0..2),
        vec(value_match(), 0..2),
    );
    let owner = (text(), text(), text());
    let policy = of(policy::policy().prop_map(Arc::new));
    let actions = (vec(filter(), 0..3), vec(weighted(), 0..3), timeouts, policy);
    (owner, any::<bool>(), matches, actions).prop_map(|(owner, fallback, matches, actions)| {
        let (path, method, headers, query) = matches;
        let (filters, backends, timeouts, policy) = actions;
        Route {
            owner: ObjectRef::new(owner.0, owner.1, owner.2),
            rank: 0,
            fallback,
            path,
            method,
            headers,
            query,
            filters,
            backends,
            timeouts,
            policy,
        }
    })
}

fn table() -> impl Strategy<Value = RouteTable> {
    let routes = (vec(route(), 0..4), 0..1000_u32);
    (vec(name(), 0..3), host(), routes, of(policy::client_auth())).prop_map(
        |(listeners, host, (mut routes, step), client_auth)| {
            for (route, rank) in routes.iter_mut().zip((step..).step_by(3)) {
                route.rank = rank;
            }
            RouteTable {
                listeners,
                host,
                routes,
                client_auth,
            }
        },
    )
}

/// A number that 0 stands for the absence of.
fn positive() -> impl Strategy<Value = Option<u32>> {
    of(1..=u32::MAX)
}

fn der() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 1..20).prop_map(Bytes::from)
}

fn secret() -> impl Strategy<Value = TlsSecret> {
    let binding = (name(), host()).prop_map(|(listener, host)| SniBinding { listener, host });
    (vec(der(), 0..3), der(), vec(binding, 0..3)).prop_map(
        |(certificate_chain, private_key, bindings)| TlsSecret {
            certificate_chain,
            private_key: PrivateKey(private_key),
            bindings,
        },
    )
}

fn credential() -> impl Strategy<Value = Credential> {
    let identity =
        (vec(der(), 0..3), der()).prop_map(|(certificate_chain, key)| UpstreamIdentity {
            certificate_chain,
            private_key: PrivateKey(key),
        });
    let htpasswd = vec(any::<u8>(), 0..20).prop_map(|lines| Htpasswd(lines.into()));
    (of(htpasswd), vec(der(), 0..3), of(identity)).prop_map(|(htpasswd, authorities, identity)| {
        Credential {
            htpasswd,
            authorities,
            identity,
        }
    })
}
