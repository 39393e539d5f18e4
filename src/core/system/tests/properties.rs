use proptest::prelude::*;

use super::super::*;
use super::{known, manifest};

/// Files made to be slow: without the bounds on fields, columns and references this takes minutes.
#[test]
fn large_hostile_datasets_end_soon() {
    let many = |n: usize, f: &dyn Fn(usize) -> String| (0..n).map(f).collect::<Vec<_>>().join("\n");
    let field = |i| format!("  - {{name: f{i}, data_categorys: [x]}}");
    let wrong_columns = format!("quietus: {{key: [{}]}}", "nope, ".repeat(30_000));
    let chain = |i: usize| {
        let next = i + 1;
        format!(
            "- {{name: c{i}, fields: [{{name: x, fides_meta: {{references: [{{dataset: d, field: c{next}.x}}]}}}}]}}"
        )
    };
    for text in [
        format!("fides_key: d\ncollections:\n- name: a\n  fields:\n{}\n", many(6_000, &field)),
        format!(
            "fides_key: d\ncollections:\n- name: a\n  {wrong_columns}\n  fields:\n{}\n",
            many(4_000, &field)
        ),
        format!(
            "fides_key: d\ncollections:\n{}\n- {{name: c2000, fields: [{{name: x}}]}}\n",
            many(2_000, &chain)
        ),
        format!("fides_key: d\ncollections: []\n{}\n", many(30_000, &|i| format!("key{i}: 1"))),
    ] {
        let (_, found) = parse_dataset("d", text.as_bytes(), &known);
        assert!(found.len() < 1_000);
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,6}"
}

fn field() -> impl Strategy<Value = Field> {
    let leaf = (name(), any::<bool>(), proptest::option::of("\\PC{0,8}"), proptest::option::of(name()))
        .prop_map(|(name, primary_key, mask, identity)| Field {
            name,
            primary_key,
            mask,
            identity,
            ..Field::default()
        });
    leaf.prop_recursive(3, 12, 4, |inner| {
        (name(), proptest::collection::vec(inner, 1..4)).prop_map(|(name, fields)| Field {
            name,
            fields,
            ..Field::default()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_manifest_survives_its_canonical_form(
        system in name(),
        expires in proptest::option::of(any::<i64>()),
        windows in proptest::collection::vec((0u16..1440, 0u16..=1440), 0..3),
        rest in proptest::collection::btree_map(name(), "\\PC{0,8}", 0..3),
        collections in proptest::collection::vec((name(), proptest::collection::vec(field(), 0..4)), 0..4),
        enforce in any::<bool>(),
    ) {
        let collections = collections
            .into_iter()
            .map(|(name, fields)| Collection { name, fields, on_due: OnDue::Columns, joint: Some(Joint::Keep), ..Collection::default() })
            .collect();
        let m = Manifest {
            system,
            kind: "memory".into(),
            mode: if enforce { Mode::Enforce } else { Mode::Observe },
            expires,
            windows: windows.into_iter().map(|(from, to)| Window { days: vec![1], from, to }).collect(),
            copies_of: vec![CopiesOf { system: "x".into(), rest, ..CopiesOf::default() }],
            datasets: vec![Dataset { fides_key: "d".into(), schema: None, collections }],
            ..Manifest::default()
        };
        let back = Manifest::from_canonical(&m.canonical_json()).unwrap();
        prop_assert_eq!(back.canonical_json(), m.canonical_json());
        prop_assert_eq!(back, m);
    }

    /// A file made of right pieces in wrong places: findings, never a panic.
    #[test]
    fn hostile_manifests_never_panic(picks in proptest::collection::vec((0usize..40, 0usize..40), 1..12)) {
        let words = ["system", "kind", "a", "memory", "postgres", "datasets", "fides_key", "collections", "fields", "name",
            "quietus", "key", "subject", "references", "columns", "collection", "connection", "url", "windows", "days", "from",
            "to", "-", "{", "}", "[", "]", ":", ",", "${", "copies_of", "http", "files", "limits", "mon-", "24:00", "99999999999999999999", "~", "é", "x.y"];
        let text: String = picks.iter().map(|(a, b)| format!("{}: {}\n", words[*a % words.len()], words[*b % words.len()])).collect();
        let _ = manifest(&text);
        let _ = parse_dataset("d", text.as_bytes(), &known);
        let flow: String = picks.iter().map(|(a, b)| format!("{} {}", words[*a % words.len()], words[*b % words.len()])).collect();
        let _ = manifest(&flow);
    }

    /// Deleting in this order never leaves a row that points at what is gone.
    #[test]
    fn children_come_first(edges in proptest::collection::vec((0usize..8, 0usize..8), 0..16)) {
        let collections = (0..8)
            .map(|i| Collection {
                name: format!("c{i}"),
                references: edges.iter().filter(|(from, _)| *from == i)
                    .map(|(_, to)| Reference { collection: format!("c{to}"), ..Reference { columns: vec![], collection: String::new(), to: vec![] } })
                    .collect(),
                ..Collection::default()
            })
            .collect();
        let dataset = Dataset { collections, ..Dataset::default() };
        match children_first(&dataset) {
            Ok(order) => {
                prop_assert_eq!(order.len(), 8);
                let place = |n: &str| order.iter().position(|c| c.name == n).unwrap();
                for (child, parent) in edges.iter().filter(|(c, p)| c != p) {
                    let (child, parent) = (place(&format!("c{child}")), place(&format!("c{parent}")));
                    prop_assert!(child < parent);
                }
            }
            Err(Cycle(names)) => {
                // Each waits for the next: the next one references it.
                for (i, parent) in names.iter().enumerate() {
                    let child = &names[(i + 1) % names.len()];
                    let there = edges.iter().any(|(c, p)| format!("c{c}") == *child && format!("c{p}") == *parent);
                    prop_assert!(there);
                }
            }
        }
    }
}
