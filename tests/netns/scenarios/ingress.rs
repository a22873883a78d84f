//! What outside clients get of an ingress whose pods are behind a Service, on ports 80 and 443 of every node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use meshlite_tests::world::{Family, Host, Kept, Protocol, World};
use serde_json::{Value, json};

use super::Scenario;
use crate::{
    backend::{Backend, load_balancer_ip},
    cluster::{Cluster, INGRESS},
    kube_proxy::Api,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 3] = [
    Scenario::new(
        "the_addresses_in_the_status_of_an_ingress_answer_on_80_and_443",
        addresses_in_status,
    )
    .except(&[(Backend::Userspace, NO_MATTER), (Backend::Ipvs, NO_MATTER)]),
    Scenario::new(
        "an_ingress_serves_outside_clients_on_ports_80_and_443_of_every_node",
        ports_80_and_443,
    ),
    Scenario::new(
        "an_ingress_pod_that_ends_fails_no_request",
        ending_ingress_pod,
    ),
];

const NO_MATTER: &str = "who carries the traffic makes no difference to who writes the status";

const HOST: &str = "shop.example.com";
/// What serves the shop.
const SHOP: Endpoint = Endpoint::ready(1, 1);
/// Clients that keep their connections: enough for each of two pods to have some.
const KEPT: usize = 6;
/// New connections: with as many, each of two pods is nearly sure to have some.
const SOME: usize = 12;
/// Leaves the processor to those who answer.
const PAUSE: Duration = Duration::from_millis(5);

/// The shop, and the Ingress that leads to it.
fn shop(cluster: &Cluster) {
    let (shop, ingress) = shop_objects();
    cluster.apply(&shop);
    cluster.write("shop", &[ingress]);
}

fn shop_objects() -> (Service, Value) {
    let shop = Service::new(90).port(Protocol::Tcp, 80).to(&[SHOP]);
    let backend = json!({"service": {"name": shop.name(), "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"rules": [{"host": HOST, "http": {"paths": [path]}}]},
    });
    (shop, ingress)
}

/// The Service of the ingress, as the tutorials have it, with these pods; and whether each is to end.
fn entry(cluster: &Cluster, pods: &[(&Host, bool)]) {
    cluster.write("entry", &entry_objects(pods));
}

fn entry_objects(pods: &[(&Host, bool)]) -> Vec<Value> {
    let names = ["http", "https"];
    let ports = names.into_iter().zip([80, 443]).map(
        |(name, port)| json!({"name": name, "port": port, "targetPort": name, "nodePort": port}),
    );
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ingress", "namespace": "default"},
        "spec": {
            "type": "NodePort",
            "ipFamilyPolicy": "RequireDualStack",
            "ports": ports.collect::<Vec<_>>(),
        },
    });
    let slices = Family::BOTH.map(|family| {
        let ports = names.into_iter().zip(INGRESS);
        let ports = ports.map(|(name, port)| json!({"name": name, "port": port}));
        let endpoints = pods.iter().map(|(pod, ends)| {
            json!({
                "addresses": [pod.ip(family)],
                "conditions": {"ready": !ends, "serving": true, "terminating": ends},
            })
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("ingress-{family:?}").to_lowercase(),
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "ingress"},
            },
            "addressType": match family { Family::V4 => "IPv4", Family::V6 => "IPv6" },
            "ports": ports.collect::<Vec<_>>(),
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    });
    [&[service][..], &slices].concat()
}

/// What curl gets of the shop, at this address.
fn curl(client: &Host, scheme: &str, port: u16, at: IpAddr) -> Result<String, String> {
    let at = match at {
        IpAddr::V4(at) => at.to_string(),
        IpAddr::V6(at) => format!("[{at}]"),
    };
    let resolve = format!("{HOST}:{port}:{at}");
    let url = format!("{scheme}://{HOST}/cart");
    // The certificate is one that the ingress has made itself.
    let arguments = ["-sSfk", "--max-time", "5", "--resolve", &resolve, &url];
    let answer = client.output("curl", &arguments);
    answer.map_err(|error| error.to_string())
}

fn ports_80_and_443(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[1, 2]);
    let world = Arc::clone(&cluster.world);
    let (client, pod) = (world.client(), world.pod(0, 0));
    cluster.start_ingress(pod);
    entry(&cluster, &[(pod, false)]);
    shop(&cluster);
    let wanted = cluster.name(SHOP);
    for node in world.nodes() {
        for family in Family::BOTH {
            for (scheme, port) in [("http", 80), ("https", 443)] {
                let at = node.ip(family);
                cluster.eventually(&format!("{wanted} answers {scheme} at {at}"), || {
                    let answer = curl(client, scheme, port, at)?;
                    let is_it = answer.starts_with(wanted) && answer.contains("GET /cart ");
                    if is_it { Ok(()) } else { Err(answer) }
                });
            }
        }
    }
}

/// With everything that writes and reads an address: a load balancer's controller, an API server, a control plane that
/// follows it, nodes, an ingress.
fn addresses_in_status(backend: Backend) {
    let Some(api) = Api::start() else {
        return;
    };
    let mut cluster = Cluster::new(backend, &[1, 2]);
    let world = Arc::clone(&cluster.world);
    let (client, pod) = (world.client(), world.pod(0, 0));
    cluster.start_ingress(pod);
    api.put(&cluster.node_objects());
    let publish = [
        "--namespace",
        "default",
        "--publish-service",
        "default/ingress",
    ];
    cluster.follow(&api, &publish);
    let addresses = Family::BOTH.map(|family| load_balancer_ip(family, 97));
    // As the load balancer would announce them.
    for (family, ip) in Family::BOTH.into_iter().zip(&addresses) {
        let route = format!("route add {ip} via {}\n", world.node(1).ip(family));
        world.router().ip_batch(&route).expect("a route");
    }
    let mut entry = entry_objects(&[(pod, false)]);
    entry[0]["spec"]["type"] = json!("LoadBalancer");
    let ports = entry[0]["spec"]["ports"].as_array_mut();
    for port in ports.into_iter().flatten() {
        port["nodePort"].take();
    }
    let given = addresses
        .each_ref()
        .map(|ip| json!({"ip": ip, "ipMode": "VIP"}));
    entry[0]["status"] = json!({"loadBalancer": {"ingress": given}});
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "ours"},
        "spec": {"controller": "meshlite.io/ingress"},
    });
    let (shop, mut ingress) = shop_objects();
    ingress["spec"]["ingressClassName"] = json!("ours");
    api.put(&[&[class][..], &entry, &shop.objects(&world), &[ingress]].concat());

    let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/shop";
    let published = cluster.eventually("its addresses are in the status", || {
        let status = &api.get(path)["status"]["loadBalancer"]["ingress"];
        let published = status.as_array().into_iter().flatten();
        let published: Vec<_> = published.filter_map(|one| one["ip"].as_str()).collect();
        let published = published.iter().map(|ip| ip.parse::<IpAddr>());
        let published: Vec<_> = published
            .collect::<Result<_, _>>()
            .map_err(|e| e.to_string())?;
        is(&published.len(), &addresses.len()).map(|()| published)
    });
    let wanted = cluster.name(SHOP);
    for at in published {
        for (scheme, port) in [("http", 80), ("https", 443)] {
            cluster.eventually(&format!("{wanted} answers {scheme} at {at}"), || {
                let answer = curl(client, scheme, port, at)?;
                let is_it = answer.starts_with(wanted);
                if is_it { Ok(()) } else { Err(answer) }
            });
        }
    }
}

/// The pod that asked the shop in the client's stead, by either of its addresses.
fn asked_by(world: &World, answer: &str) -> Option<String> {
    let peer: SocketAddr = answer.split(' ').nth(1)?.parse().ok()?;
    let peer = peer.ip().to_canonical();
    let mut pods = [world.pod(0, 0), world.pod(1, 0)].into_iter();
    let pod = pods.find(|pod| {
        Family::BOTH
            .into_iter()
            .any(|family| pod.ip(family) == peer)
    });
    pod.map(|pod| pod.name().to_owned())
}

/// Clients that ask again and again, on connections that they keep for as long as the ingress does.
struct Clients {
    stop: Arc<AtomicBool>,
    /// Who asked for each of them last.
    last: Arc<Mutex<BTreeMap<usize, String>>>,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
}

impl Clients {
    fn start(world: &Arc<World>, to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let last = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let start = |number: usize| {
            let (world, stop, last) = (Arc::clone(world), Arc::clone(&stop), Arc::clone(&last));
            thread::spawn(move || {
                let note = |by| {
                    last.lock().expect("nobody panics").insert(number, by);
                };
                keep_asking(&world, to, &stop, note)
            })
        };
        let threads = (0..KEPT).map(start).collect();
        Self {
            stop,
            last,
            threads,
        }
    }

    /// Who asks for them now.
    fn served_by(&self) -> BTreeSet<String> {
        let last = self.last.lock().expect("nobody panics");
        last.values().cloned().collect()
    }

    /// Ends them. Fails if a request of one failed.
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.threads {
            let ended = client.join().expect("a client does not panic");
            ended.expect("every request is answered");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, and no runtime"
)]
fn keep_asking(
    world: &World,
    to: SocketAddr,
    stop: &AtomicBool,
    note: impl Fn(String),
) -> io::Result<()> {
    let mut kept: Option<Kept> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = match kept.take() {
            Some(kept) => kept,
            None => world.client().keep(to)?,
        };
        let answer = connection.get_of(HOST, "/")?;
        match asked_by(world, &answer.body) {
            Some(by) if answer.status == "200" => note(by),
            _ => return Err(io::Error::other(format!("{answer:?}"))),
        }
        kept = (!answer.closes).then_some(connection);
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The pods that ask the shop for clients who connect anew.
fn newly_served_by(world: &World, to: SocketAddr) -> Result<BTreeSet<String>, String> {
    let ask = |_| {
        let answer = world.client().get_of(HOST, to, "/");
        let (status, body) = answer.map_err(|e| e.to_string())?;
        let by = asked_by(world, &body).filter(|_| status == "200");
        by.ok_or(format!("{status} {body}"))
    };
    (0..SOME).map(ask).collect()
}

fn is<T: PartialEq + Debug>(seen: &T, wanted: &T) -> Result<(), String> {
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{seen:?}"))
}

fn ending_ingress_pod(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[1, 2]);
    let world = Arc::clone(&cluster.world);
    let [ending, staying] = [world.pod(0, 0), world.pod(1, 0)];
    cluster.start_ingress(ending);
    cluster.start_ingress(staying);
    entry(&cluster, &[(ending, false), (staying, false)]);
    shop(&cluster);
    let both: BTreeSet<_> = [ending, staying].map(|pod| pod.name().to_owned()).into();
    let last: BTreeSet<_> = [staying.name().to_owned()].into();
    let to = world.node(0).at(Family::V4, 80);
    let serve = |what: &str, wanted: &BTreeSet<String>| {
        cluster.eventually(what, || is(&newly_served_by(&world, to)?, wanted));
    };
    serve("both pods serve", &both);
    let clients = Clients::start(&world, to);
    cluster.eventually("both pods have clients", || is(&clients.served_by(), &both));
    // First it is out of the way of new connections, and then its process is told to end.
    entry(&cluster, &[(ending, true), (staying, false)]);
    serve("new connections go to the pod that stays", &last);
    assert_eq!(clients.served_by(), both, "kept connections stay");
    cluster.stop_ingress(ending);
    cluster.eventually("all clients are at the other pod", || {
        is(&clients.served_by(), &last)
    });
    clients.stop();
}
