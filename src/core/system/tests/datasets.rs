use super::super::{children_first, parse_dataset};
use super::{errors, known};

/// Dataset (below `fides_key: d`, its collections) → the first error.
const WRONG_COLLECTIONS: &[(&str, &str)] = &[
    ("- {fields: []}", "4:5: a collection needs `name`; add `name:`"),
    ("- {name: a}", "4:5: a collection needs `fields`; add `fields:`"),
    (
        "- {name: a, fields: []}\n  - {name: a, fields: []}",
        "5:12: the collection `a` stands here twice (first in line 4); remove one of the two",
    ),
    (
        "- {name: a, fields: [{name: x}, {name: x}]}",
        "4:42: the field `x` stands here twice (first in line 4); remove one of the two",
    ),
    (
        "- {name: a, fields: [{name: x, data_categories: [user.nmae]}]}",
        "4:52: `user.nmae` is no known data category; `user` is known: use it, or declare this one under `categories:` of the policy",
    ),
    (
        "- {name: a, fields: [{name: x, data_categories: user.name}]}",
        "4:51: `data_categories` must be a list; write [user.name]",
    ),
    (
        "- {name: a, fields: [{name: x, data_categorys: [user.name]}]}",
        "4:34: `data_categorys` is no key of a field; did you mean `data_categories`?",
    ),
    (
        "- {name: a, quietus: {}, fields: [{name: x, data_categories: [user.name]}]}",
        "4:5: the collection `a` has personal data and no key; mark its key with `fides_meta: {primary_key: true}`, or add `quietus: {key: [COLUMN]}`",
    ),
    (
        "- {name: a, quietus: {key: [idd]}, fields: [{name: id}]}",
        "4:31: `idd` is no field of the collection `a`; did you mean `id`?",
    ),
    (
        "- {name: a, quietus: {subject: {column: idd, type: t}}, fields: [{name: id}]}",
        "4:43: `idd` is no field of the collection `a`; did you mean `id`?",
    ),
    (
        "- {name: a, quietus: {subject: {column: id}}, fields: [{name: id}]}",
        "4:34: a subject needs `type`; add `type:`",
    ),
    (
        "- {name: a, quietus: {subject: {column: id, type: A b}}, fields: [{name: id}]}",
        "4:53: `A b` cannot be an identity type; use lower case, digits and `_`, such as customer_id",
    ),
    (
        "- {name: a, quietus: {recorded_at: x}, fields: [{name: created}]}",
        "4:38: `x` is no field of the collection `a`; known: created",
    ),
    (
        "- {name: a, quietus: {recordedat: id}, fields: [{name: id}]}",
        "4:25: `recordedat` is no key of `quietus` of a collection; did you mean `recorded_at`?",
    ),
    (
        "- {name: a, quietus: {on_due: rows}, fields: [{name: id}]}",
        "4:33: `on_due` cannot be `rows`; did you mean `row`?",
    ),
    (
        "- {name: a, quietus: {joint: redacted}, fields: [{name: id}]}",
        "4:32: `joint` cannot be `redacted`; did you mean `redact`?",
    ),
    (
        "- {name: a, quietus: {jurisdiction: {columm: id}}, fields: [{name: id}]}",
        "4:39: a jurisdiction needs `column`; `columm` is not known: write `column`",
    ),
    (
        "- {name: a, quietus: {references: [{columns: [id], collection: b}]}, fields: [{name: id}]}",
        "4:66: `b` is no collection of this dataset; known: a",
    ),
    (
        "- {name: a, quietus: {key: id, references: [{columns: [id, n], collection: a}]}, fields: [{name: id}, {name: n}]}",
        "4:47: 2 columns point at 1; write `to:` with 2 columns",
    ),
    (
        "- {name: a, quietus: {references: [{columns: [id], collection: a, to: [nope]}]}, fields: [{name: id}]}",
        "4:73: `nope` is no field of the collection `a`; known: id",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {references: [{dataset: d, field: bb.id}]}}]}",
        "4:80: `bb.id` names no collection of this dataset; known: a",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {references: [{dataset: d, field: a.y}]}}]}",
        "4:80: `y` is no field of the collection `a`; known: x",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {references: [{dataset: d, field: a.x, direction: up}]}}]}",
        "4:96: `direction` cannot be `up`; known: from, to",
    ),
    (
        "- {name: a, fides_meta: {erase_after: [d.b]}, fields: []}",
        "4:42: `b` is no collection of this dataset; known: a",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {data_type: strng}}]}",
        "4:58: Fides knows no data_type `strng`; did you mean `string`?",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {length: 2}, quietus: {mask: abc}}]}",
        "4:75: the mask is longer than the field takes (2); write a shorter one",
    ),
    (
        "- {name: a, fields: [{name: x, fides_meta: {primry_key: true}}]}",
        "4:47: `primry_key` is no key of fides_meta; did you mean `primary_key`?",
    ),
    (
        "- {name: a, fields: [{name: x, quietus: {musk: abc}}]}",
        "4:44: `musk` is no key of `quietus` of a field; did you mean `mask`?",
    ),
    (
        "- {name: a, fields: [{name: id, fides_meta: {primary_key: true}}, {name: b, fides_meta: {references: [{dataset: d, field: b.id}]}}]}\n  - {name: b, fields: [{name: id, fides_meta: {primary_key: true}}, {name: a, fides_meta: {references: [{dataset: d, field: a.id}]}}]}",
        "4:5: the collections reference each other in a circle: a → b → a; leave one of these references out, and let the database set that column to NULL first",
    ),
];

#[test]
fn wrong_datasets_are_refused_with_place_and_remedy() {
    let mut wrong = Vec::new();
    for (collections, wanted) in WRONG_COLLECTIONS {
        let text = format!("dataset:\n- fides_key: d\n  collections:\n  {collections}\n");
        let (_, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
        let said = errors(&found).into_iter().next().unwrap_or_default();
        if said != format!("d.yaml:{wanted}") {
            wrong.push(format!("{collections}\n  wanted {wanted}\n  said   {said}"));
        }
    }
    for (text, wanted) in [
        ("datset: []\n", "1:1: a dataset file needs `dataset`; `datset` is not known: write `dataset`"),
        ("dataset:\n- name: x\n", "2:3: a dataset needs `fides_key`; add `fides_key:`"),
        (
            "dataset:\n- {fides_key: a, collections: []}\n- {fides_key: a, collections: []}\n",
            "3:15: the dataset `a` stands here twice (first in line 2); give each its own fides_key",
        ),
        (
            "dataset:\n- {fides_key: a, collections: [], quietus: {}}\n",
            "2:44: `quietus` belongs to a collection or a field; move it below its collection",
        ),
        (
            "dataset:\n- {fides_key: a/b, collections: []}\n",
            "2:15: `a/b` cannot be a fides_key; use letters, digits, `_`, `-` and `.` only, at most 64",
        ),
    ] {
        let (_, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
        let said = errors(&found).into_iter().next().unwrap_or_default();
        if said != format!("d.yaml:{wanted}") {
            wrong.push(format!("{text}\n  wanted {wanted}\n  said   {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_fides_allows_passes() {
    let text = "dataset:\n- fides_key: d\n  some_future_key: 1\n  collections:\n  - name: a\n    zebra: {}\n    fields:\n    - {name: x, colour: red, fides_meta: {wholly_new: 1}}\n";
    let (datasets, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
    assert_eq!((datasets.len(), errors(&found)), (1, vec![]));
}

#[test]
fn categories_cascade_but_not_to_what_finds_rows() {
    let text = "dataset:\n- fides_key: d\n  collections:\n  - name: a\n    data_categories: [user.contact]\n    fields:\n    - {name: id, fides_meta: {primary_key: true}}\n    - {name: email, fides_meta: {identity: email}}\n    - {name: note}\n    - {name: who, data_categories: [user.name]}\n    - {name: log, quietus: {waived: no personal data}}\n";
    let (datasets, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
    assert_eq!(errors(&found), Vec::<String>::new());
    let of = |name: &str| datasets[0].collections[0].field(name).unwrap().categories.join(",");
    assert_eq!(["id", "email", "note", "who", "log"].map(of), ["", "", "user.contact", "user.name", ""]);
}

#[test]
fn a_reference_written_on_the_parent_is_turned_round() {
    let text = "dataset:\n- fides_key: d\n  collections:\n  - name: users\n    fields:\n    - name: id\n      fides_meta: {primary_key: true, references: [{dataset: d, field: orders.user_id, direction: to}]}\n  - name: orders\n    fields:\n    - {name: id, fides_meta: {primary_key: true}}\n    - {name: user_id}\n";
    let (datasets, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
    assert_eq!(errors(&found), Vec::<String>::new());
    let order: Vec<_> = children_first(&datasets[0]).unwrap().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(order, ["orders", "users"]);
}

#[test]
fn a_join_is_a_foreign_key_as_long_as_it_closes_no_circle() {
    let text = "\
fides_key: d
collections:
- name: a
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {references: [{dataset: d, field: b.email, direction: to}]}}
- name: b
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {references: [{dataset: d, field: a.email, direction: from}]}}
";
    let (datasets, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
    assert_eq!(errors(&found), Vec::<String>::new());
    let order: Vec<_> = children_first(&datasets[0]).unwrap().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(order, ["a", "b"]);
}

#[test]
fn a_collection_of_fides_without_a_key_is_a_warning() {
    let text = "fides_key: d\ncollections: [{name: visit, fields: [{name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}]}]\n";
    let (datasets, found) = parse_dataset("d.yaml", text.as_bytes(), &known);
    assert_eq!((datasets.len(), errors(&found)), (1, vec![]));
    assert!(
        found[0]
            .to_string()
            .starts_with("d.yaml:2:15: warning: the collection `visit` has personal data and no key"),
        "{found:?}"
    );
}
