//! Coverage: which columns of a registered database look like personal data and are neither mapped nor waived.
//!
//! Invariant: the same words as `init` guesses by, so that what it wrote covers what it saw, and a table or column
//! that came later shows. A column counts when its name tells a category, or when it came into a table whose rows
//! are about a person and no dataset lists it.

use quietus_contract::catalogue::{Column, Table};
use quietus_core::system::{Collection, Manifest};
use serde::{Deserialize, Serialize};

use super::{Node, NodeError};
use crate::registering::guess::{self, About};
use crate::registering::people::People;

/// `POST /v1/systems/{name}/coverage`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CoverageView {
    pub system: String,
    /// Nothing is uncovered.
    pub ok: bool,
    pub tables: u64,
    pub columns: u64,
    /// Columns with a category.
    pub mapped: u64,
    /// Columns left alone for a reason.
    pub waived: u64,
    pub uncovered: Vec<Uncovered>,
}

/// A column that nobody has decided about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Uncovered {
    /// `[schema.]table.column`
    pub column: String,
    /// What it looks like; null = it belongs to a person's row.
    pub category: Option<String>,
    pub why: String,
    pub fix: String,
}

impl Node {
    pub async fn coverage(&self, name: &str) -> Result<CoverageView, NodeError> {
        let manifest = self.system(name)?;
        let failed = |what: String| NodeError::Conflict {
            code: "no-catalogue",
            what,
            fix: "mend `connection` in its manifest, or cover this kind of system by other means".to_owned(),
        };
        let connector = match self.registry().connector(name) {
            Some(Ok(connector)) => connector,
            Some(Err(failure)) => return Err(failed(format!("{name} is not connected: {}", failure.detail))),
            None => return Err(NodeError::NotFound { what: format!("system {name} is not connected yet") }),
        };
        let catalogue = connector.catalogue().await.map_err(|f| failed(format!("{name}: {f}")))?;
        Ok(coverage(&manifest, &catalogue.tables))
    }
}

fn coverage(manifest: &Manifest, tables: &[Table]) -> CoverageView {
    let people = People::of(tables);
    let mut view = CoverageView { system: manifest.system.clone(), ..CoverageView::default() };
    for (at, table) in tables.iter().enumerate() {
        view.tables += 1;
        let collection = mapped(manifest, table);
        let about = match (people.subject(tables, at), collection.map(|c| c.subject.is_some())) {
            (Some((_, about)), _) => about,
            (None, Some(true)) => About::Person,
            (None, _) => About::Nobody,
        };
        for column in &table.columns {
            view.columns += 1;
            match stand(collection, column) {
                Stand::Mapped => view.mapped += 1,
                Stand::Waived => view.waived += 1,
                Stand::Structure => {}
                Stand::Listed => view.uncovered.extend(looks(table, column, about)),
                Stand::Unlisted => view
                    .uncovered
                    .extend(looks(table, column, about).or_else(|| came_later(table, column, about))),
            }
        }
    }
    view.ok = view.uncovered.is_empty();
    view
}

/// Schemas are told apart where the dataset names one; else it means the default one.
fn mapped<'m>(manifest: &'m Manifest, table: &Table) -> Option<&'m Collection> {
    let of = |schema: &Option<String>| match (schema, &table.schema) {
        (Some(named), Some(own)) => named == own,
        (None, Some(own)) => own == "public",
        (_, None) => true,
    };
    let sets = manifest.datasets.iter().filter(|d| of(&d.schema));
    sets.flat_map(|d| &d.collections).find(|c| c.name == table.name)
}

enum Stand {
    Mapped,
    Waived,
    /// It names rows, ties them together, or dates them.
    Structure,
    /// Somebody wrote it down without a category.
    Listed,
    Unlisted,
}

fn stand(collection: Option<&Collection>, column: &Column) -> Stand {
    let Some(collection) = collection else { return Stand::Unlisted };
    let name = &column.name;
    let listed = collection.fields.iter().find(|f| f.name == *name);
    let has_category = |f: &quietus_core::system::Field| {
        !f.categories.is_empty() || f.fields.iter().any(|inner| !inner.categories.is_empty())
    };
    if listed.is_some_and(|f| f.waived.is_some()) {
        return Stand::Waived;
    }
    if listed.is_some_and(has_category) {
        return Stand::Mapped;
    }
    let single = [
        &collection.recorded_at,
        &collection.last_activity,
        &collection.process,
        &collection.item,
        &collection.soft_delete,
    ];
    let structure = collection.key.contains(name)
        || collection.subject.as_ref().is_some_and(|s| s.column == *name)
        || collection.references.iter().any(|r| r.columns.contains(name))
        || single.iter().any(|c| c.as_deref() == Some(name));
    match (structure, listed) {
        (true, _) => Stand::Structure,
        (false, Some(_)) => Stand::Listed,
        (false, None) => Stand::Unlisted,
    }
}

fn looks(table: &Table, column: &Column, about: About) -> Option<Uncovered> {
    let guess = guess::column(column, about)
        .filter(|_| !table.references.iter().any(|r| r.columns.contains(&column.name)))?;
    Some(Uncovered {
        column: place(table, column),
        fix: format!(
            "map it: `data_categories: [{}]`, or waive it: `quietus: {{waived: \"why\"}}`",
            guess.is
        ),
        category: Some(guess.is),
        why: guess.why,
    })
}

fn came_later(table: &Table, column: &Column, about: About) -> Option<Uncovered> {
    let name = &column.name;
    let names_rows = table.key.contains(name) || table.references.iter().any(|r| r.columns.contains(name));
    (about > About::Nobody && !names_rows).then(|| Uncovered {
        column: place(table, column),
        category: None,
        why: "the rows are about people, and no dataset lists this column".to_owned(),
        fix: "list it in the dataset: with its category, waived, or without either where it says nothing of them".to_owned(),
    })
}

fn place(table: &Table, column: &Column) -> String {
    match table.schema.as_deref().filter(|s| *s != "public") {
        Some(schema) => format!("{schema}.{}.{}", table.name, column.name),
        None => format!("{}.{}", table.name, column.name),
    }
}

#[cfg(test)]
mod tests {
    use quietus_contract::catalogue::ColumnKind;
    use quietus_core::system::{Dataset, Field, SubjectColumn};

    use super::*;

    fn table(name: &str, columns: &[&str]) -> Table {
        let column =
            |name: &&str| Column { name: (*name).into(), kind: ColumnKind::Text, ..Column::default() };
        Table {
            name: name.into(),
            columns: columns.iter().map(column).collect(),
            key: vec!["id".into()],
            ..Table::default()
        }
    }

    fn users(fields: Vec<Field>) -> Manifest {
        let collection = Collection {
            name: "users".into(),
            key: vec!["id".into()],
            subject: Some(SubjectColumn { column: "id".into(), kind: "user_id".into() }),
            fields,
            ..Collection::default()
        };
        let datasets =
            vec![Dataset { fides_key: "shop".into(), schema: None, collections: vec![collection] }];
        Manifest { system: "shop".into(), datasets, ..Manifest::default() }
    }

    fn field(name: &str) -> Field {
        Field { name: name.into(), ..Field::default() }
    }

    #[test]
    fn what_nobody_decided_about_is_uncovered() {
        let manifest = users(vec![
            field("id"),
            Field { categories: vec!["user.contact.email".into()], ..field("email") },
            Field { waived: Some("public anyway".into()), ..field("nickname") },
            field("plan"),
            field("phone"),
        ]);
        let tables = [
            table("users", &["id", "email", "nickname", "plan", "phone", "shoe_size"]),
            table("newsletter", &["id", "email"]),
            table("products", &["id", "name", "description"]),
        ];
        let view = coverage(&manifest, &tables);
        let found: Vec<&str> = view.uncovered.iter().map(|u| u.column.as_str()).collect();
        assert_eq!(found, ["users.phone", "users.shoe_size", "newsletter.email"]);
        assert!(!view.ok && view.uncovered[1].category.is_none());
        assert_eq!((view.tables, view.columns, view.mapped, view.waived), (3, 11, 1, 1));
    }
}
