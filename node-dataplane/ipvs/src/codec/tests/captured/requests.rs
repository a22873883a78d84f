//! A change says the same as ipvsadm does when it is told the same.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_netlink::Attributes;

use super::*;
use crate::{
    Change, PersistenceEngine, Timeouts,
    codec::{Header, uapi},
};

/// What ipvsadm is told to do with services, and the change that says the same.
fn service_changes() -> Vec<(&'static str, Change)> {
    let add = |key, settings| Change::AddService(service(key, settings));
    let new = ServiceSettings::new;
    let sip = Persistence {
        engine: Some(PersistenceEngine::SIP),
        ..Persistence::per_address(Family::V4, 600)
    };
    vec![
        (
            "ipvsadm -A -t 10.96.0.10:53 -s rr",
            add(dns(), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:53 -s wrr -p 10800 -M 255.255.255.0",
            add(at(Protocol::UDP, "10.96.0.10:53"), masked()),
        ),
        (
            "ipvsadm -A -t [fd00::10]:443 -s sh -b sh-fallback,sh-port -p 300 -M 64",
            add(at(Protocol::TCP, "[fd00::10]:443"), sourced()),
        ),
        (
            "ipvsadm -A -t 10.96.0.11:80 -s mh -b mh-port",
            add(
                at(Protocol::TCP, "10.96.0.11:80"),
                flagged(Scheduler::MH, ServiceFlags::MH_PORT),
            ),
        ),
        (
            "ipvsadm -A -f 257 -s wlc -p 600",
            add(
                mark(Family::V4),
                persistent(Scheduler::WLC, Persistence::per_address(Family::V4, 600)),
            ),
        ),
        (
            "ipvsadm -A -f 257 -6 -s rr",
            add(mark(Family::V6), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A --sctp-service 10.96.0.10:36412 -s rr",
            add(at(Protocol::SCTP, "10.96.0.10:36412"), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:5060 --pe sip -p 600 -s rr",
            add(
                at(Protocol::UDP, "10.96.0.10:5060"),
                persistent(Scheduler::RR, sip),
            ),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:514 -s rr -o",
            add(
                at(Protocol::UDP, "10.96.0.10:514"),
                flagged(Scheduler::RR, ServiceFlags::ONE_PACKET),
            ),
        ),
        (
            "ipvsadm -E -t 10.96.0.11:80 -s wlc",
            Change::EditService(service(
                at(Protocol::TCP, "10.96.0.11:80"),
                new(Scheduler::WLC),
            )),
        ),
        (
            "ipvsadm --set 1000 100 200",
            Change::SetTimeouts(Timeouts {
                tcp: 1000,
                tcp_fin: 100,
                udp: 200,
            }),
        ),
        (
            "ipvsadm -D -t 10.96.0.11:80",
            Change::DeleteService(at(Protocol::TCP, "10.96.0.11:80")),
        ),
        ("ipvsadm -Z -t 10.96.0.10:53", Change::Zero(dns())),
        ("ipvsadm -Z", Change::ZeroAll),
    ]
}

/// What ipvsadm is told to do with destinations, and the change that says the same.
fn destination_changes() -> Vec<(&'static str, Change)> {
    let add = |address, forwarding, weight| {
        Change::AddDestination(dns(), to(address, forwarding, weight))
    };
    let edit = |weight| {
        Change::EditDestination(dns(), to("127.0.0.1:5353", Forwarding::Masquerade, weight))
    };
    let gre = Tunnel::Gre {
        checksum: TunnelChecksum::Full,
    };
    vec![
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 3",
            add("127.0.0.1:5353", Forwarding::Masquerade, 3),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.2:53 -g -x 100 -y 50",
            Change::AddDestination(dns(), limited()),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.3:53 -i",
            add("10.244.0.3:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.4:53 -i --tun-type gue --tun-port 6080 --tun-remcsum",
            add("10.244.0.4:53", Forwarding::Tunnel(GUE), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.5:53 -i --tun-type gre --tun-csum",
            add("10.244.0.5:53", Forwarding::Tunnel(gre), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r [fd00::7]:53 -i",
            add("[fd00::7]:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        ),
        (
            "ipvsadm -a -t [fd00::10]:443 -r [fd00::7]:8443 -m",
            Change::AddDestination(
                at(Protocol::TCP, "[fd00::10]:443"),
                to("[fd00::7]:8443", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -a -f 257 -r 10.244.0.6:8080 -m",
            Change::AddDestination(
                mark(Family::V4),
                to("10.244.0.6:8080", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -a -u 10.96.0.10:53 -r 127.0.0.1:5353 -m",
            Change::AddDestination(
                at(Protocol::UDP, "10.96.0.10:53"),
                to("127.0.0.1:5353", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -e -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 0",
            edit(0),
        ),
        (
            "ipvsadm -e -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 1",
            edit(1),
        ),
        (
            "ipvsadm -d -t 10.96.0.10:53 -r 10.244.0.5:53",
            Change::DeleteDestination(dns(), to("10.244.0.5:53", Forwarding::Route, 1).key),
        ),
    ]
}

/// The command of a request, and its attributes by the path of their kinds.
fn dissect(request: &[u8]) -> (u8, BTreeMap<Vec<u16>, Vec<u8>>) {
    let command = request[16];
    let nests = command != uapi::IPVS_CMD_SET_CONFIG;
    let mut flat = BTreeMap::new();
    for attribute in Attributes(&request[20..])
        .into_iter()
        .map(|a| a.expect("an attribute"))
    {
        if nests {
            for inner in attribute
                .nested()
                .into_iter()
                .map(|a| a.expect("an attribute"))
            {
                flat.insert(vec![attribute.kind, inner.kind], inner.bytes().to_vec());
            }
        } else {
            flat.insert(vec![attribute.kind], attribute.bytes().to_vec());
        }
    }
    (command, flat)
}

/// Whether the kernel looks at an attribute in answer to a command (`ip_vs_genl_set_cmd`). ipvsadm sends some in vain.
fn is_read(command: u8, path: &[u16], value: &[u8]) -> bool {
    match *path {
        [uapi::IPVS_CMD_ATTR_SERVICE, kind] => {
            kind <= uapi::IPVS_SVC_ATTR_FWMARK
                || matches!(
                    command,
                    uapi::IPVS_CMD_NEW_SERVICE | uapi::IPVS_CMD_SET_SERVICE
                )
        }
        [
            uapi::IPVS_CMD_ATTR_DEST,
            uapi::IPVS_DEST_ATTR_ADDR
            | uapi::IPVS_DEST_ATTR_PORT
            | uapi::IPVS_DEST_ATTR_ADDR_FAMILY,
        ] => true,
        // Zero is what the kernel takes it for where it is not there.
        [uapi::IPVS_CMD_ATTR_DEST, kind] if kind >= uapi::IPVS_DEST_ATTR_TUN_TYPE => {
            command != uapi::IPVS_CMD_DEL_DEST && value.iter().any(|byte| *byte != 0)
        }
        [uapi::IPVS_CMD_ATTR_DEST, _] => command != uapi::IPVS_CMD_DEL_DEST,
        _ => true,
    }
}

#[test]
fn a_change_says_the_same_as_ipvsadm() {
    let captured = sections(include_str!("../../../../captured/requests.txt"));
    let mut told: Vec<_> = service_changes();
    told.extend(destination_changes());
    assert_eq!(
        told.iter()
            .map(|(command, _)| *command)
            .collect::<BTreeSet<_>>(),
        captured.keys().copied().collect(),
        "each captured command has its change"
    );
    for (title, change) in told {
        let theirs = &captured[title][0];
        let mut ours = Vec::new();
        let header = Header {
            family: 0x20,
            sequence: 1,
            acknowledge: true,
        };
        change.encode(header, &mut ours);
        assert_eq!(ours[4..8], theirs[4..8], "family and flags of {title}");
        let (command, mut ours) = dissect(&ours);
        let (their_command, mut theirs) = dissect(theirs);
        assert_eq!(command, their_command, "command of {title}");
        ours.retain(|path, value| is_read(command, path, value));
        theirs.retain(|path, value| is_read(command, path, value));
        assert_eq!(ours, theirs, "attributes of {title}");
    }
}
