//! Which host has which address and which way to the others.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{Error, Family, Host, Node, World};

/// The last part of an address on the nodes' network.
const CONTROL_PLANE: u8 = 2;
const FIRST_NODE: u8 = 10;
/// The last part of the first pod's address on its node.
const FIRST_POD: u8 = 10;

fn lan_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 18, 0, host)
}

fn lan_v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x18, 0, 0, 0, 0, 0, host.into())
}

fn outside_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, host)
}

fn outside_v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, host.into())
}

fn pod_v4(node: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, node, host)
}

fn pod_v6(node: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x244, node.into(), 0, 0, 0, 0, host.into())
}

/// The range of the pods of a node.
pub(super) fn pod_network(node: u8, family: Family) -> String {
    match family {
        Family::V4 => format!("{}/24", pod_v4(node, 0)),
        Family::V6 => format!("{}/64", pod_v6(node, 0)),
    }
}

/// Makes all hosts, and connects them.
pub(super) fn build(pods: &[u8]) -> Result<World, Error> {
    let lan = |name: String, host| Host::new(name, lan_v4(host), lan_v6(host));
    let world = World {
        router: lan("router".to_owned(), 1)?,
        client: Host::new("client".to_owned(), outside_v4(2), outside_v6(2))?,
        control_plane: lan("control-plane".to_owned(), CONTROL_PLANE)?,
        nodes: (0_u8..)
            .zip(pods)
            .map(|(node, pods)| {
                let host = lan(format!("node-{node}"), FIRST_NODE + node)?;
                let pods = (0..*pods).map(|pod| {
                    let (name, last) = (format!("pod-{node}-{pod}"), FIRST_POD + pod);
                    Host::new(name, pod_v4(node, last), pod_v6(node, last))
                });
                let pods = pods.collect::<Result<_, _>>()?;
                Ok(Node { host, pods })
            })
            .collect::<Result<_, _>>()?,
    };
    for host in world.nodes().chain([&world.router]) {
        host.set("net/ipv4/ip_forward", "1")?;
        host.set("net/ipv6/conf/all/forwarding", "1")?;
    }
    connect(&world)?;
    Ok(world)
}

fn connect(world: &World) -> Result<(), Error> {
    world.router.ip_batch(&router(world))?;
    world.client.ip_batch(&leaf(
        &world.client,
        (outside_v4(1), outside_v6(1)),
        (24, 64),
    ))?;
    let gateway = (world.router.v4, world.router.v6);
    for host in world.nodes().chain([&world.control_plane]) {
        host.ip_batch(&leaf(host, gateway, (24, 64)))?;
    }
    world.control_plane.ip_batch(&other_pods(world, None))?;
    for (number, node) in (0_u8..).zip(&world.nodes) {
        let gateway = (pod_v4(number, 1), pod_v6(number, 1));
        node.host.ip_batch(&pods(node, gateway))?;
        node.host.ip_batch(&other_pods(world, Some(number)))?;
        for pod in &node.pods {
            pod.ip_batch(&leaf(pod, gateway, (32, 128)))?;
        }
    }
    Ok(())
}

/// A bridge for the nodes, and a device for the client.
fn router(world: &World) -> String {
    let mut batch = String::from(
        "link set lo up\n\
         link add lan type bridge mcast_snooping 0\n\
         link set lan up\n",
    );
    let mut add = |line: String| batch.extend([line, "\n".to_owned()]);
    for host in world.nodes().chain([&world.control_plane]) {
        let (name, namespace) = (&host.name, host.namespace.path());
        add(format!(
            "link add {name} type veth peer name eth0 netns {namespace}"
        ));
        add(format!("link set {name} master lan up"));
    }
    let namespace = world.client.namespace.path();
    add(format!(
        "link add outside type veth peer name eth0 netns {namespace}"
    ));
    add("link set outside up".to_owned());
    add(format!("address add {}/24 dev lan", world.router.v4));
    add(format!("address add {}/64 dev lan nodad", world.router.v6));
    add(format!("address add {}/24 dev outside", outside_v4(1)));
    add(format!(
        "address add {}/64 dev outside nodad",
        outside_v6(1)
    ));
    batch
}

/// A host with one device, and a gateway to everything else.
fn leaf(host: &Host, gateway: (Ipv4Addr, Ipv6Addr), prefix: (u8, u8)) -> String {
    let mut batch = format!(
        "link set lo up\n\
         link set eth0 up\n\
         address add {}/{} dev eth0\n\
         address add {}/{} dev eth0 nodad\n",
        host.v4, prefix.0, host.v6, prefix.1
    );
    if prefix.0 == 32 {
        // No network contains the gateway.
        writeln!(batch, "route add {} dev eth0", gateway.0).ok();
        writeln!(batch, "route add {} dev eth0", gateway.1).ok();
    }
    writeln!(batch, "route add 0.0.0.0/0 via {} dev eth0", gateway.0).ok();
    writeln!(batch, "route add ::/0 via {} dev eth0", gateway.1).ok();
    batch
}

/// A device of the node for each of its pods.
fn pods(node: &Node, gateway: (Ipv4Addr, Ipv6Addr)) -> String {
    let mut batch = String::new();
    for pod in &node.pods {
        let (device, namespace) = (&pod.name, pod.namespace.path());
        for line in [
            format!("link add {device} type veth peer name eth0 netns {namespace}"),
            format!("link set {device} up"),
            format!("address add {}/32 dev {device}", gateway.0),
            format!("address add {}/128 dev {device} nodad", gateway.1),
            format!("route add {}/32 dev {device}", pod.v4),
            format!("route add {}/128 dev {device}", pod.v6),
        ] {
            writeln!(batch, "{line}").ok();
        }
    }
    batch
}

/// The way to the pods of the other nodes, from one of them or from beside them.
fn other_pods(world: &World, this: Option<u8>) -> String {
    let mut batch = String::new();
    for (other, node) in (0_u8..).zip(&world.nodes) {
        if Some(other) != this {
            let (v4, v6) = (node.host.v4, node.host.v6);
            let pods = |family| pod_network(other, family);
            writeln!(batch, "route add {} via {v4}", pods(Family::V4)).ok();
            writeln!(batch, "route add {} via {v6}", pods(Family::V6)).ok();
        }
    }
    batch
}
