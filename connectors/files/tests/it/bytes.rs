//! Whom a line names, and that every other line stays the bytes it was.

use proptest::prelude::*;
use quietus_contract::{Finding, Outcome};

use crate::archive::{Archive, target};

#[test]
fn a_field_is_compared_as_its_value_and_its_types_spelling() {
    let lines: [(&str, bool); 16] = [
        (r#"{"user":"4711"}"#, true),
        (r#"{"user":4711}"#, true),
        (r#"{ "x":[1,{"user":9}] , "user" :  4711.0 }"#, true),
        (r#"{"us\u0065r":"47\u00311"}"#, true),
        (r#"{"user":" 4711 "}"#, true),
        (r#"{"user":1,"user":4711}"#, true),
        (r#"{"mail":" Ann@Example.ORG"}"#, true),
        (r#"{"user":47110}"#, false),
        (r#"{"user":"04711"}"#, false),
        (r#"{"user":[4711]}"#, false),
        (r#"{"user":null,"x":"4711"}"#, false),
        (r#"{"x":{"user":"4711"}}"#, false),
        (r#"{"User":"4711"}"#, false),
        (r#"["4711"]"#, false),
        ("", false),
        ("   ", false),
    ];
    let archive = Archive::new();
    let all: String = lines.iter().map(|(l, _)| format!("{l}\r\n")).collect();
    let kept: String = lines.iter().filter(|(_, gone)| !gone).map(|(l, _)| format!("{l}\r\n")).collect();
    for path in ["dt=1/a.jsonl", "dt=1/b.jsonl.gz"] {
        archive.put(path, format!("\u{feff}{all}").as_bytes());
    }
    let (number, mail) = (target(1, "customer_id:4711"), target(2, "email:ann@example.org"));
    let before = archive.verify(&number);
    assert_eq!(
        (before.identity_rows, before.finding),
        (Some(12), Finding::Found { count: 12, by: "identity".into() })
    );
    let outcomes = archive.erase(&[number.clone(), mail.clone(), target(3, "customer_id:12")]);
    assert_eq!(outcomes, [Outcome::Removed(12), Outcome::Removed(2), Outcome::Absent]);
    for path in ["dt=1/a.jsonl", "dt=1/b.jsonl.gz"] {
        assert_eq!(String::from_utf8_lossy(&archive.get(path)), format!("\u{feff}{kept}"), "{path}");
    }
    for gone in [number, mail] {
        let back = archive.verify(&gone);
        assert_eq!((back.finding, back.identity_rows), (Finding::Gone, Some(0)));
    }
    assert_eq!(archive.leftovers(), Vec::<String>::new());
}

#[test]
fn csv_keeps_quotes_breaks_and_blank_lines_of_the_others() {
    let archive = Archive::new();
    let text = "\u{feff}note,user\r\n\"a \"\"quoted\"\"\nline\",7\r\n\r\n\"b,\r\nc\",\"4711\"\r\nplain,4711\n\"open\r\n\",8";
    archive.put("a.csv", text.as_bytes());
    archive.put("b.csv.gz", text.as_bytes());
    let without_mail = archive.erase(&[target(1, "customer_id:4711")]);
    // The header lacks a column that the manifest matches: nobody can be found for sure.
    assert!(matches!(&without_mail[0], Outcome::Failed(f) if f.detail.contains("mail")), "{without_mail:?}");
    for path in ["a.csv", "b.csv.gz"] {
        archive.put(path, text.replace("note,user", "mail,user").as_bytes());
    }
    assert_eq!(archive.erase(&[target(1, "customer_id:4711")]), [Outcome::Removed(4)]);
    let kept = "\u{feff}mail,user\r\n\"a \"\"quoted\"\"\nline\",7\r\n\r\n\"open\r\n\",8";
    for path in ["a.csv", "b.csv.gz"] {
        assert_eq!(String::from_utf8_lossy(&archive.get(path)), kept, "{path}");
    }
}

#[test]
fn what_the_gate_stops_stays_and_so_does_a_line_that_is_also_theirs() {
    let archive = Archive::new();
    let lines = ["{\"user\":1}\n", "{\"user\":2}\n", "{\"user\":1,\"mail\":\"b@x\"}\n", "{\"user\":3}\n"];
    archive.put("dt=1/a.jsonl", lines.concat().as_bytes());
    let targets = [target(1, "customer_id:1"), target(2, "customer_id:2"), target(3, "email:b@x")];
    let outcomes = archive.erase_but(&targets, &[3]);
    assert!(matches!(outcomes[0], Outcome::Blocked { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Removed(1));
    assert!(matches!(outcomes[2], Outcome::Blocked { .. }), "{outcomes:?}");
    let left = String::from_utf8(archive.get("dt=1/a.jsonl")).expect("text");
    assert!(left.contains(lines[2]) && left.contains(lines[3]) && !left.contains(lines[1]), "{left}");
}

fn csv_row() -> impl Strategy<Value = (String, Option<u8>)> {
    let note = "[a-z \"\n\r,é]{0,8}";
    (note, prop::option::of(0_u8..4), any::<bool>()).prop_map(|(note, user, quoted)| {
        let id = user.map_or_else(|| "none".to_owned(), |u| u.to_string());
        let id = if quoted { format!("\"{id}\"") } else { id };
        (format!("\"{}\",{id}", note.replace('"', "\"\"")), user)
    })
}

fn json_row() -> impl Strategy<Value = (String, Option<u8>)> {
    let note = "[a-z \"\\\\\u{1}\u{7f}é😀]{0,8}";
    (note, prop::option::of(0_u8..4), 0_usize..4, " {0,3}").prop_map(|(note, user, form, space)| {
        let note = serde_json::to_string(&note).expect("a string");
        let row = match (user, form) {
            (None, 0) => format!("{space}{{\"note\":{note}}}"),
            (None, _) => format!("{{\"user\":{space}\"none\",\"note\":{note}}}{space}"),
            (Some(u), 0) => format!("{{\"user\":{u},{space}\"note\":{note}}}"),
            (Some(u), 1) => format!("{{\"note\":{note},\"user\":\"{u}\"}}"),
            (Some(u), _) => format!("{space}{{\"user\":{space}{u}.0 ,\"note\":{note}}}"),
        };
        (row, user)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_file_less_any_people_is_exactly_the_other_lines(
        rows in prop::collection::vec((prop_oneof![Just(true), Just(false)], csv_row(), json_row()), 0..30),
        csv in any::<bool>(), gzip in any::<bool>(), last in any::<bool>(),
        people in prop::collection::btree_set(0_u8..4, 1..4),
    ) {
        let archive = Archive::new();
        let path = match (csv, gzip) {
            (true, true) => "a.csv.gz",
            (true, false) => "a.csv",
            (false, true) => "dt=1/a.jsonl.gz",
            (false, false) => "dt=1/a.jsonl",
        };
        let rows: Vec<(String, Option<u8>)> = rows.into_iter().map(|(crlf, c, j)| {
            let (text, user) = if csv { c } else { j };
            (text + if crlf { "\r\n" } else { "\n" }, user)
        }).collect();
        let head = if csv { "mail,user\r\n" } else { "" };
        let whole = |keep: &dyn Fn(&Option<u8>) -> bool| {
            let mut text = head.to_owned();
            for (n, (row, user)) in rows.iter().enumerate() {
                let row = if n + 1 == rows.len() && !last { row.trim_end_matches(['\r', '\n']) } else { row };
                if keep(user) { text.push_str(row) }
            }
            text
        };
        archive.put(path, whole(&|_| true).as_bytes());
        let targets: Vec<_> = people.iter().map(|p| target(*p + 1, &format!("customer_id:{p}"))).collect();
        let outcomes = archive.erase(&targets);
        for (person, outcome) in people.iter().zip(&outcomes) {
            let lines = rows.iter().filter(|(_, u)| u == &Some(*person)).count() as u64;
            let wanted = if lines == 0 { Outcome::Absent } else { Outcome::Removed(lines) };
            prop_assert_eq!(outcome, &wanted);
        }
        let kept = whole(&|user| user.is_none_or(|u| !people.contains(&u)));
        let left = String::from_utf8(archive.get(path)).expect("text");
        prop_assert_eq!(left, kept);
        for gone in &targets {
            prop_assert_eq!(archive.verify(gone).finding, Finding::Gone);
        }
        prop_assert!(archive.leftovers().is_empty());
    }
}
