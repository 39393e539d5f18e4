//! The draft written down: YAML that can be applied as it is, with the reason behind each guess.

use std::fmt::Write;

use quietus_contract::catalogue::ColumnKind;

use super::draft::{Draft, Drafted, Field, Set};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub name: String,
    pub text: String,
}

/// The manifest, its datasets, and a policy to begin with.
pub fn files(draft: &Draft) -> Vec<NamedFile> {
    let name = &draft.address.name;
    let file = |kind: &str, text| NamedFile { name: format!("{name}.{kind}.yaml"), text };
    vec![file("system", system(draft)), file("dataset", datasets(draft)), file("policy", policy(draft))]
}

const HEAD: &str = "# Written by `quietus init` from the catalogue; no row was read. Every guess says why it was made:\n\
                    # correct it, or take the mark away once you have looked.\n";

fn system(draft: &Draft) -> String {
    let address = &draft.address;
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "system: {}", text(&address.name));
    let _ = writeln!(out, "kind: {}", address.kind);
    out.push_str("mode: observe  # counts and plans; `quietus system enforce` lets it delete\n");
    let _ = writeln!(out, "connection: {{url: {}}}", quoted(&address.written));
    out.push_str("purposes: [service]  # guessed: what nearly everybody keeps data for\n");
    out.push_str("# retains: true  # keeps the copy that a statutory minimum asks for\n");
    out.push_str(&rescans(draft));
    let _ = writeln!(out, "datasets: [{}]", text(&format!("{}.dataset.yaml", address.name)));
    for passed in &draft.passed_over {
        let _ = writeln!(out, "# {} is {}: left out", comment(&passed.name), passed.what);
    }
    out
}

/// The column that most tables about people have, for following the database.
fn rescans(draft: &Draft) -> String {
    let about_people: Vec<&Drafted> = draft.tables().filter(|t| t.subject.is_some()).collect();
    let named: Vec<&str> =
        about_people.iter().filter_map(|t| t.changed_at.as_ref()).map(|g| g.is.as_str()).collect();
    let most = named.iter().max_by_key(|name| named.iter().filter(|n| n == name).count());
    match most {
        None => "# scan: {every: 1d}  # rescans once a day\n".to_owned(),
        Some(column) => {
            let have = named.iter().filter(|n| n == &column).count();
            let of = about_people.len();
            format!(
                "# scan: {{every: 1d, by: {}}}  # rescans what changed; {have} of {of} tables about people have that column\n",
                text(column)
            )
        }
    }
}

fn datasets(draft: &Draft) -> String {
    let mut out = String::from(HEAD);
    out.push_str("dataset:\n");
    for set in &draft.sets {
        dataset(&mut out, set);
    }
    if draft.sets.is_empty() {
        out = format!("{HEAD}dataset: []  # no table was found\n");
    }
    out
}

fn dataset(out: &mut String, set: &Set) {
    let _ = writeln!(out, "  - fides_key: {}", text(&set.fides_key));
    if let Some(schema) = &set.schema {
        let _ = writeln!(out, "    fides_meta: {{namespace: {{schema: {}}}}}", text(schema));
    }
    out.push_str("    collections:\n");
    set.tables.iter().for_each(|table| collection(out, table));
}

fn collection(out: &mut String, drafted: &Drafted) {
    let table = &drafted.table;
    let rows = table.rows.map(|n| format!("  # about {n} rows")).unwrap_or_default();
    let _ = writeln!(out, "      - name: {}{rows}", text(&table.name));
    if table.key.is_empty() {
        out.push_str(
            "        # nothing names its rows: give it a primary key, or nothing in it can be erased\n",
        );
    } else {
        own(out, drafted);
    }
    if drafted.subject.is_none() {
        out.push_str("        # no guess whom its rows are about: `subject: {column: …, type: …}` under `quietus` says it\n");
    }
    for left in &drafted.left_out {
        let _ = writeln!(out, "        # {}: no reference here", comment(left));
    }
    if drafted.fields.is_empty() {
        out.push_str("        fields: []\n");
        return;
    }
    out.push_str("        fields:\n");
    drafted.fields.iter().for_each(|f| field(out, f));
}

fn own(out: &mut String, drafted: &Drafted) {
    out.push_str("        quietus:\n");
    let _ = writeln!(out, "          key: [{}]", list(&drafted.table.key));
    if let Some(subject) = &drafted.subject {
        let (column, kind) = (text(&subject.is.column), &subject.is.kind);
        let why = comment(&subject.why);
        let _ = writeln!(out, "          subject: {{column: {column}, type: {kind}}}  # guessed: {why}");
        out.push_str("          purposes: [service]  # guessed\n");
    }
    for (key, column) in [("recorded_at", &drafted.recorded_at), ("last_activity", &drafted.last_activity)] {
        if let Some(column) = column {
            let _ =
                writeln!(out, "          {key}: {}  # guessed: {}", text(&column.is), comment(&column.why));
        }
    }
    if drafted.subject.is_some() && drafted.recorded_at.is_none() {
        out.push_str("          # no guess when a row began: without `recorded_at: COLUMN` it has no date\n");
    }
    if !drafted.references.is_empty() {
        out.push_str("          references:\n");
        for reference in &drafted.references {
            let _ = writeln!(
                out,
                "            - {{columns: [{}], collection: {}, to: [{}]}}",
                list(&reference.columns),
                text(&reference.table),
                list(&reference.to)
            );
        }
    }
}

fn field(out: &mut String, field: &Field) {
    let name = text(&field.column.name);
    match &field.category {
        Some(category) => {
            let _ = writeln!(out, "          - name: {name}");
            let why = comment(&category.why);
            let _ = writeln!(out, "            data_categories: [{}]  # guessed: {why}", category.is);
        }
        None => {
            let _ = writeln!(out, "          - name: {name}  # no guess");
        }
    }
    let mut meta = vec![format!("data_type: {}", fides_type(field.column.kind))];
    if field.in_key {
        meta.insert(0, "primary_key: true".to_owned());
    }
    if let Some(length) = field.column.length {
        meta.push(format!("length: {length}"));
    }
    let _ = writeln!(out, "            fides_meta: {{{}}}", meta.join(", "));
    if let Some(mask) = &field.mask {
        let _ = writeln!(
            out,
            "            quietus: {{mask: {}}}  # guessed: the column takes no NULL",
            quoted(mask)
        );
    }
    if let Some(note) = &field.note {
        let _ = writeln!(out, "            # {note}");
    }
}

/// Fides' word for it.
fn fides_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Integer => "integer",
        ColumnKind::Number => "float",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Text | ColumnKind::Time | ColumnKind::Uuid | ColumnKind::Address => "string",
        ColumnKind::Document | ColumnKind::Bytes | ColumnKind::Other => "string",
    }
}

fn policy(draft: &Draft) -> String {
    let mut out = format!(
        "{HEAD}# A policy to begin with, so that a plan has numbers. How long is lawful, no catalogue knows: set each\n\
         # period before anything is enforced.\n"
    );
    let _ = writeln!(out, "policy: {}", text(&draft.address.name));
    out.push_str(
        "timezone: UTC  # guessed: days end at midnight there; write your own, such as Europe/Berlin\n",
    );
    out.push_str("purposes:\n  service: {use: essential.service, basis: contract}  # guessed\n");
    out.push_str("rules:\n");
    out.push_str("  # One period for everything about people. A rule whose category lies within another's wins there:\n");
    for category in draft.categories() {
        let _ = writeln!(out, "  #   {category}");
    }
    out.push_str(
        "  - {id: everything, category: user, purpose: service, keep: 3y after recorded}  # guessed: a common limitation period\n",
    );
    out
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| text(name)).collect::<Vec<_>>().join(", ")
}

/// As it is where YAML takes it for a text, else quoted.
fn text(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { value.to_owned() } else { quoted(value) }
}

/// A double-quoted scalar: JSON's escapes are YAML's too.
fn quoted(value: &str) -> String {
    serde_json::Value::String(value.to_owned()).to_string()
}

/// On one line, whatever a name holds.
fn comment(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use quietus_contract::Catalogue;
    use quietus_contract::catalogue::{Column, ForeignKey, Table};
    use quietus_core::document::Severity;
    use quietus_core::policy::{self, Taxonomy};
    use quietus_core::system;

    use super::*;
    use crate::registering::Address;

    fn column(name: &str, kind: ColumnKind, nullable: bool) -> Column {
        Column { name: name.into(), kind, nullable, ..Column::default() }
    }

    fn reference(columns: &[&str], table: &str, to: &[&str]) -> ForeignKey {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        ForeignKey { columns: own(columns), schema: Some("public".into()), table: table.into(), to: own(to) }
    }

    /// Names as awkward as a database allows, a composite key, a circle, another schema.
    fn awkward() -> Catalogue {
        use ColumnKind::{Integer, Text, Time};
        let public = Some("public".to_owned());
        let odd = "odd \"Na: me\" #1\n- x";
        let users = Table {
            schema: public.clone(),
            name: "Users".into(),
            rows: Some(7),
            columns: vec![
                column("id", Integer, false),
                column(odd, Text, true),
                Column { unique: true, ..column("e mail", Text, false) },
                column("null", Text, false),
                column("phone", Text, false),
                column("createdAt", Time, false),
                column("favourite order", Integer, true),
            ],
            key: vec!["id".into()],
            references: vec![reference(&["favourite order"], "orders", &["no"])],
        };
        let orders = Table {
            schema: public.clone(),
            name: "orders".into(),
            columns: vec![
                column("shop", Text, false),
                column("no", Integer, false),
                column("user_id", Integer, false),
                column("total", ColumnKind::Number, false),
            ],
            key: vec!["shop".into(), "no".into()],
            references: vec![reference(&["user_id"], "Users", &["id"])],
            ..Table::default()
        };
        let lines = Table {
            schema: Some("Sales & More".into()),
            name: "lines".into(),
            columns: vec![column("shop", Text, false), column("no", Integer, false)],
            references: vec![reference(&["shop", "no"], "orders", &["shop", "no"])],
            ..Table::default()
        };
        let nothing = Table { schema: public, name: "no".into(), ..Table::default() };
        Catalogue { tables: vec![lines, users, nothing, orders], passed_over: Vec::new() }
    }

    #[test]
    fn whatever_a_catalogue_says_its_files_pass_their_checks() {
        let address = Address::read("postgres://lab@h/shop", "postgres://lab@h/shop").unwrap();
        let draft = Draft::new(address, &awkward());
        let files = files(&draft);
        let [system_file, dataset_file, policy_file] = files.as_slice() else { panic!("three files") };
        let is_category = |key: &str| Taxonomy::bundled().is_category(key);
        let errors = |found: Vec<quietus_core::document::Diagnostic>| -> Vec<String> {
            found.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect()
        };
        let (datasets, found) = system::parse_dataset("d", dataset_file.text.as_bytes(), &is_category);
        assert_eq!(errors(found), Vec::<String>::new(), "{}", dataset_file.text);
        let load = |_: &str| Ok(dataset_file.text.clone().into_bytes());
        let (manifest, found) = system::parse_manifest("s", system_file.text.as_bytes(), &load, &is_category);
        assert_eq!(errors(found), Vec::<String>::new(), "{}", system_file.text);
        let (policy, mut found) = policy::parse("p", policy_file.text.as_bytes(), Taxonomy::bundled());
        found.extend(policy::check::check("p", &policy.unwrap(), None));
        assert_eq!(errors(found), Vec::<String>::new(), "{}", policy_file.text);

        assert_eq!(manifest.map(|m| m.datasets), Some(datasets.clone()));
        let keys: Vec<_> = datasets.iter().map(|d| (d.fides_key.as_str(), d.schema.as_deref())).collect();
        assert_eq!(keys, [("shop", Some("public")), ("shop_Sales___More", Some("Sales & More"))]);
        let find = |name: &str| datasets[0].collections.iter().find(|c| c.name == name).unwrap();
        let (users, orders) = (find("Users"), find("orders"));
        assert!(users.references.is_empty(), "the reference that may be empty gives way to the circle");
        assert_eq!(orders.references[0].collection, "Users");
        assert_eq!(
            (&orders.key, users.recorded_at.as_deref()),
            (&vec!["shop".to_owned(), "no".to_owned()], Some("createdAt"))
        );
        assert_eq!(orders.subject.as_ref().map(|s| s.kind.as_str()), Some("user_id"));
        assert_eq!(users.fields[1].name, "odd \"Na: me\" #1\n- x");
        let categories: Vec<_> = orders.fields.iter().map(|f| f.categories.join(",")).collect();
        assert_eq!(categories, ["", "", "", "user.behavior.purchase_history"]);
        assert_eq!(orders.fields[3].mask.as_deref(), Some("0"));
        let phone = users.fields.iter().find(|f| f.name == "phone").unwrap();
        assert_eq!(phone.mask.as_deref(), Some("redacted"));
        assert!(users.fields[2].mask.is_none(), "a unique column cannot hold one mask in two rows");
        let marked = |mark: &str| dataset_file.text.matches(mark).count();
        assert!(marked("# guessed") + marked("# no guess\n") > 10);
    }
}
