//! Bytes to objects, one behaviour at a time.

use meshlite_snapshot::Severity;
use proptest::prelude::*;

use super::*;
use crate::Object;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector:\n    app: web\n  ports:\n  \
                       - port: 80\n";

fn read(text: &str) -> ManifestFile {
    parse("file.yaml", text.as_bytes())
}

/// `line: severity: field: message` of each finding.
fn told(text: &str) -> Vec<String> {
    let findings = read(text).findings.into_iter();
    findings
        .map(|finding| {
            let line = finding.source.unwrap().line;
            format!(
                "{line}: {}: {}: {}",
                finding.severity, finding.field, finding.message
            )
        })
        .collect()
}

fn names(file: &ManifestFile) -> Vec<String> {
    let objects = file.objects.iter();
    objects
        .map(|located| located.object.reference().to_string())
        .collect()
}

fn service_of(file: &ManifestFile) -> &k8s_openapi::api::core::v1::ServiceSpec {
    match &file.objects.first().unwrap().object {
        Object::Service(service) => service.spec.as_ref().unwrap(),
        other => panic!("no Service: {other:?}"),
    }
}

#[test]
fn a_bad_document_harms_no_other() {
    let file = read(&format!(
        "{SERVICE}---\napiVersion: v1\nkind: Service\n bad\n---\n{}",
        SERVICE.replace("web", "api")
    ));
    assert!(!file.is_good());
    assert_eq!(names(&file), ["Service default/web", "Service default/api"]);
    let source = &file.objects.get(1).unwrap().source;
    assert_eq!((source.document, source.line), (3, 15));
}

#[test]
fn json_is_read_as_yaml_is() {
    let yaml = read(SERVICE);
    let json = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
	"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}"#;
    assert_eq!(read(json).objects, yaml.objects);
    let lines = read(&format!("{json}\n{}\n", json.replace("web", "api")));
    assert_eq!(
        names(&lines),
        ["Service default/web", "Service default/api"]
    );
    assert!(lines.is_good());
}

#[test]
fn json_that_is_not_yaml_is_read_too() {
    let file = read(
        r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "annotations": {"a\/b": "\ud83d\ude00"}}}"#,
    );
    assert_eq!(file.findings, []);
    let annotations = file.objects[0].object.metadata().annotations.clone();
    assert_eq!(annotations.unwrap()["a/b"], "\u{1f600}");
}

#[test]
fn an_unknown_field_is_a_warning_and_a_misspelt_one_an_error() {
    assert_eq!(
        told(&format!("{SERVICE}    nodeport: 30080\n")),
        ["10: error: spec.ports[0].nodeport: unknown field; did you mean nodePort?"]
    );
    let odd = format!("{SERVICE}    weight: 1\n");
    assert_eq!(
        told(&odd),
        [
            "10: warning: spec.ports[0].weight: unknown field, ignored; known here: appProtocol, name, nodePort, port, \
             protocol, targetPort"
        ]
    );
    assert_eq!(names(&read(&odd)), ["Service default/web"]);
    assert_eq!(
        told(&format!("{SERVICE}  topologyKeys: []\n")),
        [
            "10: warning: spec.topologyKeys: removed in Kubernetes 1.22; use spec.trafficDistribution"
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_is_an_error() {
    assert_eq!(
        told(&format!("{SERVICE}  selector:\n    app: api\n")),
        ["10: error: spec.selector: the key is there twice; only one of them can count"]
    );
    let labels = SERVICE.replace("    app: web\n", "    app: web\n    app: api\n");
    assert_eq!(
        told(&labels),
        ["8: error: spec.selector[app]: the key is there twice; only one of them can count"]
    );
}

#[test]
fn every_wrong_type_is_told_with_its_line() {
    let text = SERVICE
        .replace("port: 80", "port: \"80\"")
        .replace("app: web", "app: 1");
    assert_eq!(
        told(&text),
        [
            "7: error: spec.selector[app]: invalid type: integer `1`, expected a string: write text that looks like a \
             number or a boolean in quotes",
            "9: error: spec.ports[0].port: invalid type: string \"80\", expected i32: write a number, without quotes",
        ]
    );
}

#[test]
fn quoted_text_that_looks_like_a_number_is_text() {
    for value in [
        "\"1\"",
        "!!str 1",
        "!!str null",
        "'true'",
        "1.2.3",
        "v1",
        "\"\\u0031\"",
        "null",
        "|\n      1\n",
    ] {
        let file = read(&SERVICE.replace("app: web", &format!("app: {value}")));
        let errors = file.findings.iter();
        let wrong_type = errors.filter(|finding| finding.reason == "WrongType");
        assert_eq!(wrong_type.count(), 0, "{value}");
    }
}

#[test]
fn a_list_is_its_items() {
    let item = "  ".to_owned() + &SERVICE.trim_end().replace('\n', "\n    ");
    let list = format!(
        "apiVersion: v1\nitems:\n  - {}\n  - {}\n        nodeport: 1\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
        item.trim_start(),
        item.trim_start().replace("web", "api")
    );
    let file = read(&list);
    assert_eq!(names(&file), ["Service default/web"], "{list}");
    assert_eq!(file.objects[0].source.line, 3);
    assert_eq!(
        told(&list),
        ["21: error: spec.ports[0].nodeport: unknown field; did you mean nodePort?"]
    );
}

#[test]
fn a_list_in_flow_style_or_of_one_kind_is_its_items() {
    let json = r#"{"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}]}"#;
    assert_eq!(read(json).objects, read(SERVICE).objects);
    assert!(read("apiVersion: v1\nkind: List\nitems: []\n").is_good());
    assert!(!read("apiVersion: v1\nkind: List\nitems: 5\n").is_good());
}

#[test]
fn no_item_of_a_list_is_lost_without_a_word() {
    const ITEM: &str = "apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {type: ExternalName, externalName: a.b}\n";
    let item = |name: &str| ITEM.replace("name: a}", &format!("name: {name}}}"));
    let list = |first: &str, between: &str, second: &str| {
        let (a, b) = (item("a"), item("b"));
        format!("apiVersion: v1\nkind: List\nitems:\n{first}- {a}{between}{second}- {b}")
    };
    assert_eq!(read(&list("", "", "")).objects.len(), 2);
    assert_eq!(read(&list("", "# a\n\n", "")).objects.len(), 2);
    for text in [
        list("", "some prose\n", ""),
        list("", "metadata: {}\n", ""),
        list("", "items:\n", ""),
        list("", "]\n", ""),
        list("  ", "", " ").replace("\n  ", "\n    "),
    ] {
        assert!(!read(&text).is_good(), "{text}");
    }
}

#[test]
fn an_item_of_a_list_may_refer_to_one_before() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {name: a}\n  spec: {podCIDR: \
                &range 10.0.0.0/24}\n- apiVersion: v1\n  kind: Node\n  metadata: {name: b}\n  spec: {podCIDRs: [*range]}\n";
    let file = read(text);
    assert!(file.is_good(), "{:?}", file.findings);
    assert_eq!(names(&file), ["Node a", "Node b"]);
}

#[test]
fn of_very_many_problems_the_first_are_told() {
    let ports = "  - port: 0\n".repeat(3000);
    let text = SERVICE.replace("  - port: 80\n", &ports);
    let file = read(&text);
    assert!(!file.is_good() && file.objects.is_empty());
    assert_eq!(file.findings.len(), 33);
    let last = file.findings.last().unwrap().to_string();
    assert!(last.ends_with("more problems are not listed"), "{last}");
}

#[test]
fn other_kinds_are_counted_but_must_be_yaml() {
    let file =
        read("apiVersion: v1\nkind: ConfigMap\ndata: {}\n---\napiVersion: v1\nkind: ConfigMap\n");
    assert_eq!(file.skipped.get("ConfigMap"), Some(&2));
    assert!(file.is_good());
    assert!(!read("apiVersion: v1\nkind: ConfigMap\ndata: {\n").is_good());
}

#[test]
fn what_is_no_object_is_an_error() {
    for text in [
        "a: 1\n",
        "- a\n",
        "text\n",
        "5",
        "kind: Service\n",
        "apiVersion: v1\n",
        "{}",
    ] {
        let file = read(text);
        assert_eq!(file.findings.len(), 1, "{text}: {:?}", file.findings);
        assert!(!file.is_good());
    }
}

#[test]
fn a_file_that_is_no_text_is_an_error() {
    let file = parse("f", b"apiVersion: v1\nkind: \xffService\n");
    assert_eq!(file.findings[0].message, "line 2 is not UTF-8 text");
    let file = parse("f", b"\xff\xfea\0:\0\n\0");
    assert_eq!(
        file.findings[0].message,
        "the file is UTF-16; save it as UTF-8"
    );
}

#[test]
fn anchors_and_merge_keys_are_applied() {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  labels: &labels\n    app: web\nspec:\n  selector:\n    \
                <<: *labels\n    tier: front\n  ports:\n  - &port\n    name: a\n    port: 80\n  - <<: *port\n    name: b\n    \
                port: 81\n";
    let file = read(text);
    let spec = service_of(&file);
    let selector = spec.selector.as_ref().unwrap();
    assert_eq!((&*selector["app"], &*selector["tier"]), ("web", "front"));
    assert_eq!(spec.ports.as_ref().unwrap().len(), 2);
    assert!(file.is_good(), "{:?}", file.findings);
}

#[test]
fn a_numeric_string_as_legacy_service_port_is_a_number() {
    let text = "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata:\n  name: a\nspec:\n  backend:\n    \
                serviceName: a\n    servicePort: \"80\"\n  rules:\n  - http:\n      paths:\n      - backend:\n          \
                serviceName: b\n          servicePort: http\n";
    let file = read(text);
    let Object::Ingress(ingress) = &file.objects[0].object else {
        panic!("{file:?}");
    };
    let spec = ingress.spec.as_ref().unwrap();
    let port = |backend: &k8s_openapi::api::networking::v1::IngressBackend| {
        backend.service.as_ref().unwrap().port.clone().unwrap()
    };
    assert_eq!(
        port(spec.default_backend.as_ref().unwrap()).number,
        Some(80)
    );
    let path = &spec.rules.as_ref().unwrap()[0].http.as_ref().unwrap().paths[0];
    assert_eq!(port(&path.backend).name.as_deref(), Some("http"));
    assert_eq!(path.path_type, "ImplementationSpecific");
    assert!(file.is_good());
    assert_eq!(file.findings.len(), 2, "{:?}", file.findings);
}

#[test]
fn parse_all_is_parse_of_each() {
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|n| {
            let text =
                SERVICE.replace("web", &format!("web-{n}")) + "---\n" + SERVICE + "---\n:::\n";
            (format!("{n}.yaml"), text.repeat(n).into_bytes())
        })
        .collect();
    let each: Vec<ManifestFile> = files.iter().map(|(path, text)| parse(path, text)).collect();
    assert_eq!(parse_all(files), each);
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
    ] {
        let file = read(&format!("apiVersion: v1\nkind: ConfigMap\ndata: {text}"));
        assert!(!file.is_good());
    }
}

/// Lines as people write and break them.
fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "apiVersion: v1",
        "kind: Service",
        "kind: List",
        "metadata:",
        "  name: web",
        "spec:",
        "  ports:",
        "  - port: 80",
        "    targetPort: http",
        " selector:",
        "   app: web",
        "---",
        "--",
        "#---",
        "...",
        "  ...",
        "items:",
        "- kind: Pod",
        "vim a.yaml",
        "[root@a ~]# ls",
        "\tx",
        "a: |",
        "  text",
        "  <<: *a",
        "b: &a {c: 1}",
        "{\"kind\": \"Pod\"}",
        "{{ x }}",
        "12 a",
        "key: \"open",
        "'",
        "",
        "a: ...",
        "!!binary x: y",
        "? a",
        ": b",
        "\u{feff}",
        "é: ü",
        "- - - a",
    ]);
    prop::collection::vec(line, 0..25).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse("f", &bytes);
    }

    #[test]
    fn no_lines_make_it_panic(text in lines()) {
        parse("f", text.as_bytes());
    }

    #[test]
    fn no_broken_manifest_makes_it_panic(at in 0_usize..160, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = SERVICE.as_bytes().to_vec();
        let at = at.min(bytes.len() - 1);
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        parse("f", &bytes);
    }

    #[test]
    fn whatever_stands_beside_it_a_good_document_is_read(before in lines(), after in lines()) {
        let text = format!("{before}\n---\n{SERVICE}---\n{after}");
        let file = parse("f", text.as_bytes());
        let alone = parse("f", SERVICE.as_bytes()).objects.remove(0).object;
        prop_assert!(file.objects.iter().any(|located| located.object == alone));
    }

    #[test]
    fn every_error_has_a_line_of_the_file(text in lines()) {
        let file = parse("f", text.as_bytes());
        let count = text.split('\n').count();
        for finding in &file.findings {
            let line = finding.source.as_ref().unwrap().line as usize;
            prop_assert!((1..=count).contains(&line), "{finding} of {count}");
        }
        let errors = file.findings.iter().filter(|finding| finding.severity == Severity::Error);
        prop_assert_eq!(errors.count() == 0, file.is_good());
    }
}
