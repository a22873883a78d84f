//! The tables of a small mesh, whole.

use std::time::SystemTime;

use meshlite_proto::v1;

use super::{super::view::Asked, *};

fn at(seconds_ago: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - seconds_ago)
}

fn mk_client(node: &str, role: v1::Role, behind: Option<u64>) -> v1::Client {
    v1::Client {
        identity: Some(v1::ClientIdentity {
            id: format!("{node}-1"),
            node_name: node.into(),
            build: "0.1.0".into(),
            ..v1::ClientIdentity::default()
        }),
        role: role.into(),
        connected_at: Some(at(312).into()),
        sent_generation: 42,
        installed_generation: 41,
        converged: true,
        replica: "cp-0".into(),
        behind_since: behind.map(|seconds| at(seconds).into()),
        ..v1::Client::default()
    }
}

fn mk_view(clients: Vec<v1::Client>, unreachable: Vec<v1::UnreachableReplica>) -> View {
    let status = v1::ServerStatus {
        build: "0.1.0".into(),
        epoch: "e1".into(),
        generation: 42,
        replica: "cp-0".into(),
        leader_name: "cp-1".into(),
        sources: vec![v1::Watermark {
            resource: "services".into(),
            resource_version: "17".into(),
            staleness: Some(Duration::from_secs(90).try_into().unwrap()),
            ..v1::Watermark::default()
        }],
        errors: 1,
        ..v1::ServerStatus::default()
    };
    let asked = Asked {
        address: "https://10.0.0.1:18000".into(),
        answer: Ok(status),
    };
    View::new(clients, unreachable, vec![asked], at(0))
}

#[test]
fn everybody_is_a_row_and_the_leader_is_marked() {
    let mut rejecting = mk_client("n2", v1::Role::Ingress, Some(3));
    rejecting.rejections.push(v1::Rejection {
        topic: Some(v1::Topic {
            r#type: v1::ResourceType::Listener.into(),
            scope: String::new(),
        }),
        name: "meshlite/http".into(),
        reason: v1::RejectReason::NotProgrammed.into(),
        message: "port 80 is taken".into(),
        ..v1::Rejection::default()
    });
    let view = mk_view(
        vec![rejecting, mk_client("n1", v1::Role::L4Node, None)],
        vec![],
    );
    assert!(!view.converged);
    assert_eq!(
        print(&view, Format::Text),
        "\
NODE  ROLE     REPLICA  CONNECTED  GENERATION  LAG  CONVERGED  REJECTED  BUILD
n1    node     cp-0     5m12s      41          0s   yes        0         0.1.0
n2    ingress  cp-0     5m12s      41          3s   no         1         0.1.0

NODE  ROLE     REJECTED                REASON         WHY
n2    ingress  Listener meshlite/http  NotProgrammed  port 80 is taken

CONTROL-PLANE  LEADER  CLIENTS  GENERATION  BUILD      ADDRESS
cp-0                   2        42          0.1.0      https://10.0.0.1:18000
cp-1           leader  0        <unknown>   <unknown>  <unknown>

CONTROL-PLANE  SOURCE    VERSION  STALE-FOR
cp-0           services  17       1m30s

1 node, 1 ingress: 1 of 2 converged, 1 rejection; 1 error and 0 warnings about objects"
    );
    assert!(print(&view, Format::Wide).contains("n2-1"));
}

#[test]
fn a_replica_that_cannot_be_reached_leaves_convergence_unproved() {
    let converged = mk_view(vec![mk_client("n1", v1::Role::L4Node, None)], vec![]);
    assert!(converged.converged);
    let unreachable = v1::UnreachableReplica {
        address: "10.0.0.2:18000".into(),
        error: "refused".into(),
    };
    let view = mk_view(
        vec![mk_client("n1", v1::Role::L4Node, None)],
        vec![unreachable],
    );
    assert!(!view.converged);
    let text = print(&view, Format::Text);
    assert!(
        text.contains("UNREACHABLE     WHY\n10.0.0.2:18000  refused\n"),
        "{text}"
    );
}

#[test]
fn times_are_brief() {
    for (seconds, text) in [
        (5, "5s"),
        (312, "5m12s"),
        (11_220, "3h7m"),
        (352_800, "4d2h"),
    ] {
        assert_eq!(brief(Duration::from_secs(seconds)), text);
    }
    assert_eq!(brief(Duration::from_millis(850)), "850ms");
}
