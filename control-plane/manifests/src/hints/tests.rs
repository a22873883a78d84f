//! What each hint says.

use crate::parse;

fn told(text: &str) -> Vec<String> {
    let findings = parse("f", text.as_bytes()).findings.into_iter();
    findings
        .filter(|finding| finding.field.is_empty())
        .map(|finding| format!("{}: {}", finding.reason, finding.message))
        .collect()
}

const HEAD: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n";

#[test]
fn two_dashes_are_no_separator() {
    assert_eq!(
        told(&format!("{HEAD}--\n{HEAD}")).first().unwrap(),
        "BadSeparator: line 5: `--` is not a separator; write `---`"
    );
}

#[test]
fn a_commented_separator_is_a_warning_only_where_both_pieces_are_good() {
    let class = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: a\nspec:\n  controller: a.io/b\n";
    let good = format!("{class}# ---\n{}", class.replace("name: a", "name: b"));
    let file = parse("f", good.as_bytes());
    assert!(file.is_good(), "{:?}", file.findings);
    assert_eq!((file.objects.len(), file.findings.len()), (2, 1));
    let bad = parse("f", good.replace("name: b", "nam: b").as_bytes());
    assert!(!bad.is_good());
    assert_eq!(bad.objects.len(), 0);
}

#[test]
fn a_second_object_without_a_separator_is_told_by_its_line() {
    assert_eq!(
        told(&format!("{HEAD}{HEAD}")),
        [
            "MissingSeparator: line 5: `apiVersion` is there for the second time: write `---` between two objects"
        ]
    );
}

#[test]
fn dots_are_a_placeholder() {
    assert_eq!(
        told(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ...\n  ports:\n  - port: 80\n    ...\n"
        ),
        [
            "Placeholder: line 6: `...` is a placeholder, not YAML; write what belongs there, or remove it; the same in \
             line 9"
        ]
    );
}

#[test]
fn wrong_columns_are_told_with_the_right_one() {
    for (text, message) in [
        (
            "spec:\n  ports:\n  - port: 80\n selector:\n   app: web\n",
            "BadIndentation: line 8: indent to match `ports`: `selector` has 1 space and needs 2",
        ),
        (
            "spec:\n  ports:\n  - port: 80\n   targetPort: 8080\n",
            "BadIndentation: line 8: indent to match `port`: `targetPort` has 3 spaces and needs 4",
        ),
        (
            "spec:\n  type: ClusterIP\n    selector:\n      app: web\n",
            "BadIndentation: line 7: indent to match `type`: `selector` has 4 spaces and needs 2",
        ),
        (
            "spec:\n\tports: []\n",
            "BadIndentation: line 6 is indented with a tab; YAML wants spaces",
        ),
    ] {
        assert_eq!(told(&format!("{HEAD}{text}")), [message], "{text}");
    }
}

#[test]
fn a_key_needs_its_colon_and_a_space() {
    assert_eq!(
        told(&format!("{HEAD}spec:\n  ports\n  - port: 80\n")),
        ["NotYaml: line 6: `ports` needs a colon"]
    );
    assert_eq!(
        told(&format!(
            "{HEAD}spec:\n  type:ClusterIP\n  ports:\n  - port: 80\n"
        )),
        ["NotYaml: line 6: `type:ClusterIP` needs a space behind the colon"]
    );
    assert_eq!(
        told("apiVersion: v1\nkind: Namespace\nmetadata:\n  name:web\n"),
        ["NotYaml: line 4: `name:web` needs a space behind the colon"]
    );
}

#[test]
fn an_item_moves_as_a_whole_with_its_dash() {
    let item = "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n";
    let list = |indent: &str| {
        indent.to_owned() + &item.trim_end().replace('\n', &format!("\n{indent}")) + "\n"
    };
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}",
        list("  "),
        list(" ")
    );
    assert_eq!(
        told(&text),
        [
            "BadIndentation: line 8: indent to match `apiVersion`: `apiVersion` has 3 spaces and needs 4"
        ]
    );
}

#[test]
fn an_open_quote_is_told_where_it_begins() {
    assert_eq!(
        told("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: \"web\n  labels:\n    a: b\n"),
        ["NotYaml: not YAML: a quote that begins here is never closed"]
    );
}

#[test]
fn an_indented_separator_is_none() {
    let text = format!("{HEAD}---\n{HEAD}").replace('\n', "\n  ");
    assert_eq!(
        told(&format!("  {text}")).first().unwrap(),
        "BadSeparator: line 5: `---` separates documents only in the first column"
    );
}

#[test]
fn shell_lines_and_templates_are_not_yaml() {
    for (text, message) in [
        (
            format!("vim a.yaml\n{HEAD}"),
            "NotYaml: line 1 is not YAML: `vim a.yaml`; remove it",
        ),
        (
            format!("{HEAD}[root@a ~]# ls\nTCP 10.0.0.1:80 rr\n"),
            "NotYaml: line 5 is not YAML: `[root@a ~]# ls`; remove it and the rest up to line 6",
        ),
        (
            format!("```yaml\n{HEAD}"),
            "NotYaml: line 1 is not YAML: ````yaml`; remove it",
        ),
        (
            format!("{HEAD}spec:\n  type: {{{{ .Values.type }}}}\n"),
            "NotYaml: line 6 is a template (`type: {{ .Values.type }}`); render it first, for example with `helm template`",
        ),
        (
            "  1 kind: Service\n  2 apiVersion: v1\n  3 metadata: {}\n".to_owned(),
            "NotYaml: the lines begin with an editor's line numbers (`1 kind: Service`); remove line numbers",
        ),
    ] {
        assert_eq!(told(&text), [message], "{text}");
    }
}

#[test]
fn several_problems_of_one_document_are_all_told() {
    let text = "vi a.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: \"80\"\n    nodeport: 1\n \
                selector:\n   app: web\n";
    let findings = parse("f", text.as_bytes()).findings;
    let reasons: Vec<&str> = findings.iter().map(|finding| &*finding.reason).collect();
    assert_eq!(
        reasons,
        ["NotYaml", "WrongType", "UnknownField", "BadIndentation"]
    );
}
