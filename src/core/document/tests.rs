use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Node {
    let mut nodes = read("t.yaml", text.as_bytes()).unwrap();
    assert_eq!(nodes.len(), 1, "{text}");
    nodes.remove(0)
}

fn refused(bytes: &[u8]) -> String {
    let found = read("t.yaml", bytes).unwrap_err();
    assert!(found.iter().all(|d| d.fix.is_some()), "{found:?}");
    found.first().unwrap().to_string()
}

#[test]
fn scalars_follow_the_core_schema() {
    let text = |t: &str| Value::Text(t.into());
    let float = |t: &str| Value::Float(t.into());
    let table = [
        ("NO", text("NO")),
        ("yes", text("yes")),
        ("off", text("off")),
        ("22:00", text("22:00")),
        ("2026-12-01", text("2026-12-01")),
        ("true", Value::Bool(true)),
        ("FALSE", Value::Bool(false)),
        ("null", Value::Null),
        ("~", Value::Null),
        ("0o17", Value::Int(15)),
        ("0x1F", Value::Int(31)),
        ("017", Value::Int(17)),
        ("-12", Value::Int(-12)),
        ("+12", Value::Int(12)),
        ("1_000", text("1_000")),
        ("0b1", text("0b1")),
        ("0o8", text("0o8")),
        ("9223372036854775808", float("9223372036854775808")),
        ("1.10", float("1.10")),
        (".5", float(".5")),
        ("5.", float("5.")),
        ("1e3", float("1e3")),
        ("1e", text("1e")),
        ("1.2.3", text("1.2.3")),
        (".", text(".")),
        ("-", Value::List(vec![Node { value: Value::Null, line: 1, column: 5, plain: Some("".into()) }])),
        (".inf", float(".inf")),
        ("-.INF", float("-.INF")),
        (".nan", float(".nan")),
        ("-.nan", text("-.nan")),
        ("\"12\"", text("12")),
        ("'true'", text("true")),
        ("!!str 12", text("12")),
        ("! 12", text("12")),
        ("!!int 12", Value::Int(12)),
        ("!!float 12", float("12")),
        ("\"\"", text("")),
    ];
    for (written, value) in table {
        let node = one(&format!("a:\n  {written}\n"));
        let read = node.get("a").unwrap().value.clone();
        match (&read, &value) {
            (Value::List(a), Value::List(b)) => assert_eq!(a.len(), b.len(), "{written}"),
            _ => assert_eq!(read, value, "{written}"),
        }
    }
}

#[test]
fn a_number_can_be_read_back_as_written() {
    let node = one("clause: 1.10\nid: 007\non: true\nnone: ~\nlist: []\n");
    let text = |k: &str| node.get(k).unwrap().text().map(str::to_owned);
    assert_eq!(text("clause").as_deref(), Some("1.10"));
    assert_eq!(text("id").as_deref(), Some("007"));
    assert_eq!(text("on").as_deref(), Some("true"));
    assert_eq!((text("none"), text("list")), (None, None));
}

#[test]
fn places_are_those_of_the_file() {
    let node = one("# first\na: 1\nlist:\n  - x: é é\n    y: [1, {z: 2}]\n");
    let at = |n: &Node| (n.line, n.column);
    let item = &node.get("list").unwrap().as_list().unwrap()[0];
    assert_eq!(at(&node), (2, 1));
    assert_eq!(at(item), (4, 5));
    assert_eq!(at(item.get("x").unwrap()), (4, 8));
    let inner = &item.get("y").unwrap().as_list().unwrap()[1];
    assert_eq!(at(inner.get("z").unwrap()), (5, 16));
    assert_eq!(inner.as_map().unwrap()[0].0, Key { text: "z".into(), line: 5, column: 13 });
}

#[test]
fn several_documents_and_aliases() {
    let nodes = read("t", b"---\na: &x {b: 1}\nc: *x\n---\nd: 2\n---\n").unwrap();
    assert_eq!(nodes.len(), 2);
    let alias = nodes[0].get("c").unwrap();
    assert_eq!((alias.line, alias.column, alias.get("b").unwrap().line), (3, 4, 2));
}

#[test]
fn json_is_read_as_it_is() {
    let text =
        "{\n\t\"a\": [1, -2.5e3, \"\\ud83d\\ude00 \\/ \\\\ud83d\", true, null],\n\t\"b\": {\"\": \"\"}\n}\n";
    let wanted: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(to_json(&one(text)), wanted);
}

#[test]
fn odd_files_are_refused_with_place_and_remedy() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let laughs = (1..9).fold("a0: &a0 [x, x, x, x]\n".to_owned(), |text, i| {
        let p = i - 1;
        text + &format!("a{i}: &a{i} [*a{p}, *a{p}, *a{p}, *a{p}]\n")
    });
    let heavy = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(20));
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "1:1: the file is empty"),
        (b"# nothing\n".to_vec(), "1:1: the file is empty"),
        (b"---\n---\n".to_vec(), "1:1: the file is empty"),
        (b"a: 1\nb: \xff\n".to_vec(), "2:4: not valid UTF-8"),
        (b"a: 1\nb: x\0y\n".to_vec(), "2:5: the control character U+0000"),
        (b"a: \x1b[31m\n".to_vec(), "1:4: the control character U+001B"),
        (b"a: 1\nb: 2\na: 3\n".to_vec(), "3:1: the key `a` stands here twice (first in line 1)"),
        (b"a: {b: 1, b: 2}\n".to_vec(), "1:11: the key `b` stands here twice"),
        (b"a:\n\tb: 1\n".to_vec(), "2:2: not valid YAML"),
        (b"a:\n  b: 1\n\tc: 2\n".to_vec(), "2:6: not valid YAML"),
        (b"1: x\n".to_vec(), "1:1: a key must be a text, this is `1`; write \"1\""),
        (b"true: x\n".to_vec(), "1:1: a key must be a text"),
        (b"? [a, b]\n: x\n".to_vec(), "1:3: a key must be a text, this is a list"),
        (b": x\n".to_vec(), "1:1: a key must be a text"),
        (b"a: &x {b: 1}\nc:\n  <<: *x\n".to_vec(), "3:3: `<<` merges nothing"),
        (b"a: !secret x\n".to_vec(), "1:4: the tag `!secret` means nothing here"),
        (b"a: !!binary aGk=\n".to_vec(), "1:4: the tag"),
        (b"a: !!set {b}\n".to_vec(), "1:4: the tag"),
        (b"a: !!int x\n".to_vec(), "1:4: this is no `!!int`"),
        (b"a: *x\n".to_vec(), "1:4: not valid YAML"),
        (b"a: &x [*x]\n".to_vec(), "1:8: an alias inside its own anchor"),
        (b"a: &x 1\n---\nb: *x\n".to_vec(), "3:4: "),
        (b"a: [1, 2\nb: 3\n".to_vec(), "2:"),
        (b"a: \"x\n".to_vec(), "1:"),
        (b"a: b: c\n".to_vec(), "1:5: not valid YAML"),
        (b"a: 1\n b: 2\n".to_vec(), "2:"),
        (deep.into_bytes(), "1:65: nested deeper than 64 levels"),
        (laughs.into_bytes(), "7:10: aliases expand"),
        (heavy.into_bytes(), "2:69: aliases expand to more than"),
        (vec![b'x'; MAX + 1], "1:1: the file is larger than 16 MiB"),
    ];
    let mut wrong = Vec::new();
    for (bytes, wanted) in table {
        let said = refused(&bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        if !said.starts_with(&format!("t.yaml:{wanted}")) {
            wrong.push(format!("{shown:?}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const MAX: usize = 16 << 20;

#[test]
fn sixty_four_levels_are_read() {
    assert!(read("t", format!("{}{}", "[".repeat(64), "]".repeat(64)).as_bytes()).is_ok());
}

#[test]
fn large_hostile_files_end_soon() {
    for text in [
        "[", "{", "- ", "? ", "&a ", "!t ", "\"", "a: ", "[a, ", "*a ", "| ", "#", "- - ", "x\n", "'\n",
        "---\n", "a: {",
    ] {
        let bytes = text.repeat((1 << 20) / text.len());
        let _ = read("t", bytes.as_bytes());
    }
}

#[test]
fn fields_ask_and_name_what_is_left() {
    let node = one("id: x\nkeep: 5\nlimit: -1\nwait: 10\nlist: a\nonn: true\nformat: 2\n");
    let mut found = Diagnostics::new("f.yaml");
    let mut fields = Fields::of(&node, "a rule", &mut found).unwrap();
    fields.format(&mut found);
    assert_eq!(fields.need_text("id", &mut found).as_deref(), Some("x"));
    assert_eq!(fields.int("keep", &mut found), Some(5));
    assert_eq!(fields.int_in("limit", 0, i64::MAX, &mut found), None);
    assert_eq!(fields.duration("wait", &mut found), None);
    assert!(fields.texts("list", &mut found).is_empty());
    assert_eq!(fields.one_or_many("list", &mut found), ["a"]);
    assert_eq!(fields.bool("on", &mut found), None);
    assert_eq!(fields.need_text("name", &mut found), None);
    fields.finish(&mut found);
    let said: Vec<_> = found.into_vec().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "f.yaml:1:1: a rule needs `name`; add `name:`",
            "f.yaml:3:8: `limit` cannot be -1; write 0 or more",
            "f.yaml:4:7: `wait` is no duration: `10`; write its unit: 10s, 10m, 10h or 10d",
            "f.yaml:5:7: `list` must be a list; write [a]",
            "f.yaml:6:1: `onn` is no key of a rule; did you mean `on`?",
            "f.yaml:7:9: `format` `2` is not known to this version; write `format: 1`, or use a newer quietus",
        ]
    );
}

#[test]
fn durations_and_nearest() {
    assert_eq!(duration("5m"), Ok(300_000));
    assert_eq!(duration("1d"), Ok(86_400_000));
    assert_eq!(duration("250ms"), Ok(250));
    for wrong in ["", "5", "-5m", "5 m", "1.5h", "5y", "m", "99999999999999999d", "５m"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
    assert_eq!(nearest("postgers", ["sqlite", "postgres"]), Some("postgres"));
    assert_eq!(nearest("erase-after", ["erase_after"]), Some("erase_after"));
    assert_eq!(nearest("zebra", ["sqlite", "postgres"]), None);
}

#[test]
fn a_diagnostic_serialises_as_in_problem_json() {
    let d = read("a.yaml", b"a: [").unwrap_err().remove(0);
    let json = serde_json::to_value(&d).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["file", "line", "column", "detail", "fix"]);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        any::<char>().prop_map(|c| c.to_string().into()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map("[a-z:#\"' -]{0,6}", inner, 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("t", &bytes);
    }

    #[test]
    fn random_yaml_like_text_never_panics(text in "[a-c0-2 \\n\\t:,\\[\\]{}&*!|>'\"%#?~.<-]{0,80}") {
        if let Err(found) = read("t", text.as_bytes()) {
            prop_assert!(found.iter().all(|d| d.line > 0 && d.column > 0 && d.fix.is_some()));
        }
    }

    #[test]
    fn any_json_is_read_as_serde_reads_it(value in json()) {
        prop_assume!(!value.is_null());
        let text = serde_json::to_string(&value).unwrap();
        let nodes = read("t", text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{text}: {e:?}")))?;
        prop_assert_eq!(to_json(&nodes[0]), value);
    }
}
