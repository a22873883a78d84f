//! The world itself: who reaches whom, whom a server sees, and that nothing is left of it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::Trial;
use meshlite_tests::world::{DialError, Family, Protocol, World};

use crate::{hang::watched, wait::eventually};

const PORT: u16 = 8080;
/// Runs [`hold`] instead of tests.
pub(crate) const HOLD: &str = "hold-a-world";

/// The tests, under names that begin with this.
pub(crate) fn trials(prefix: &str) -> Vec<Trial> {
    let trial = |name: &str, test| trial(format!("{prefix}world::{name}"), test);
    vec![
        trial(
            "pods_reach_each_other_across_nodes_and_see_who_asks",
            pods_reach_each_other,
        ),
        trial(
            "the_client_reaches_nodes_and_no_pods",
            the_client_reaches_nodes,
        ),
        trial(
            "refused_silent_and_unreachable_differ",
            what_gets_no_answer_differs,
        ),
        trial(
            "a_killed_test_leaves_nothing_behind",
            a_killed_test_leaves_nothing,
        ),
    ]
}

/// What only a kernel with IPVS can do.
pub(crate) fn ipvs_trial() -> Trial {
    let name = "ipvs::world::a_virtual_server_reaches_pods";
    trial(name.to_owned(), a_virtual_server_reaches_pods)
}

fn trial(name: String, test: fn()) -> Trial {
    Trial::test(name.clone(), move || {
        watched(&name, test);
        Ok(())
    })
}

fn pods_reach_each_other() {
    let world = World::new(&[2, 1]).expect("a world");
    for protocol in Protocol::supported() {
        for (from, to) in [((0, 0), (1, 0)), ((1, 0), (0, 1)), ((0, 0), (0, 1))] {
            let (from, to) = (world.pod(from.0, from.1), world.pod(to.0, to.1));
            let server = to.serve(protocol, PORT).expect("a server");
            for family in Family::BOTH {
                let mut connection = from.connect(protocol, to.at(family, PORT)).expect("a way");
                let answer = connection.ask().expect("an answer");
                assert_eq!(answer.who, to.name());
                assert_eq!(answer.peer.ip(), from.ip(family), "{protocol:?}");
                assert_eq!(connection.ask().expect("another answer"), answer);
            }
            drop(server);
        }
    }
}

fn the_client_reaches_nodes() {
    let world = World::new(&[1, 0]).expect("a world");
    for family in Family::BOTH {
        for node in world.nodes() {
            let _server = node.serve(Protocol::Tcp, PORT).expect("a server");
            let answer = world
                .client()
                .ask(Protocol::Tcp, node.at(family, PORT))
                .expect("an answer");
            assert_eq!(answer.who, node.name());
            assert_eq!(answer.peer.ip(), world.client().ip(family));
        }
        let pod = world.pod(0, 0);
        let _server = pod.serve(Protocol::Tcp, PORT).expect("a server");
        let asked = world.client().ask(Protocol::Tcp, pod.at(family, PORT));
        assert!(asked.is_err(), "{asked:?}");
    }
}

fn a_virtual_server_reaches_pods() {
    let world = World::new(&[2, 1]).expect("a world");
    let (node, client) = (world.node(0), world.pod(0, 1));
    let pods = [world.pod(0, 0), world.pod(1, 0)];
    let servers = pods.map(|pod| pod.serve(Protocol::Tcp, PORT).expect("a server"));
    node.ip_batch("link add kube-ipvs0 type dummy\n")
        .expect("a device");
    for (family, virtual_ip) in [(Family::V4, "10.96.0.10"), (Family::V6, "fd00:96::10")] {
        let address = format!("address add {virtual_ip} dev kube-ipvs0\n");
        node.ip_batch(&address).expect("an address");
        let to = SocketAddr::new(virtual_ip.parse().expect("an address"), 80);
        let ipvsadm = |arguments: &str| {
            let arguments: Vec<_> = arguments.split(' ').collect();
            node.output("ipvsadm", &arguments)
        };
        ipvsadm(&format!("-A -t {to} -s rr")).expect("a virtual server");
        for pod in pods {
            let real = pod.at(family, PORT);
            ipvsadm(&format!("-a -t {to} -r {real} -m")).expect("a real server");
        }
        let answers = client.ask_times(4, Protocol::Tcp, to).expect("answers");
        assert_eq!(answers.into_values().collect::<Vec<_>>(), [2, 2]);
        let answer = client.ask(Protocol::Tcp, to).expect("an answer");
        assert_eq!(answer.peer.ip(), client.ip(family));
    }
    drop(servers);
}

fn what_gets_no_answer_differs() {
    let world = World::new(&[1]).expect("a world");
    let (pod, node) = (world.pod(0, 0), world.node(0));
    let here = "198.18.0.1 198.18.0.2 198.18.0.3".split(' ');
    let [refusing, silent, unreachable] = here.collect::<Vec<_>>()[..] else {
        panic!("three addresses");
    };
    let routes = format!(
        "route add local {refusing} dev lo\n\
         route add blackhole {silent}\n\
         route add unreachable {unreachable}\n"
    );
    node.ip_batch(&routes).expect("routes");
    let ask =
        |protocol, to: &str| pod.ask(protocol, format!("{to}:80").parse().expect("an address"));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let refused = ask(protocol, refusing);
        assert!(
            matches!(refused, Err(DialError::Refused)),
            "{protocol:?}: {refused:?}"
        );
        let silence = ask(protocol, silent);
        assert!(
            matches!(silence, Err(DialError::Silent)),
            "{protocol:?}: {silence:?}"
        );
    }
    // Of UDP sockets the kernel keeps that to itself.
    let no_way = ask(Protocol::Tcp, unreachable);
    assert!(matches!(no_way, Err(DialError::Unreachable)), "{no_way:?}");
}

/// Makes a world with a process in it, says which, and waits for its own end.
pub(crate) fn hold() -> ExitCode {
    let world = World::new(&[1]).expect("a world");
    let pod = world.pod(0, 0);
    let process = pod.start(Path::new("sleep"), ["600"]).expect("a process");
    let device = pod.output("readlink", &["/proc/self/ns/net"]);
    println!("{} {}", process.id(), device.expect("a namespace").trim());
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    ExitCode::SUCCESS
}

fn a_killed_test_leaves_nothing() {
    let this = std::env::current_exe().expect("this program");
    let mut test = Command::new(this)
        .arg(HOLD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("another test");
    let mut line = String::new();
    BufReader::new(test.stdout.as_mut().expect("its output"))
        .read_line(&mut line)
        .expect("what it says");
    let (process, namespace) = line.trim().split_once(' ').expect("two words");
    assert_eq!(holders(namespace), [process]);
    test.kill().expect("it can be killed");
    test.wait().expect("it ends");
    eventually("the process in the pod ends", || {
        match &holders(namespace)[..] {
            [] => Ok(()),
            left => Err(format!("{left:?} are in {namespace}")),
        }
    });
}

/// Processes in a network namespace.
fn holders(namespace: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let in_it = processes.filter(|process| {
        let link = fs::read_link(process.path().join("ns/net"));
        link.is_ok_and(|link| link.to_string_lossy() == namespace)
    });
    in_it
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}
