//! Which categories the datasets hold, under which purposes: what `policy check` looks at.

use std::collections::BTreeSet;

use super::check::Used;
use crate::system::{Dataset, Field};

/// Every pair that these datasets use, each once. A collection that names no purposes takes `default`, its manifest's.
pub fn used(datasets: &[Dataset], default: &[String]) -> Vec<Used> {
    let mut pairs = BTreeSet::new();
    for dataset in datasets {
        for collection in &dataset.collections {
            let mut categories = BTreeSet::new();
            collection.fields.iter().for_each(|field| collect(field, &mut categories));
            let purposes = if collection.purposes.is_empty() { default } else { &collection.purposes };
            let purposes: Vec<Option<String>> = match purposes {
                [] => vec![None],
                named => named.iter().cloned().map(Some).collect(),
            };
            for category in categories {
                pairs.extend(purposes.iter().map(|purpose| Used {
                    category: category.to_owned(),
                    purpose: purpose.clone(),
                    collection: format!("{}.{}", dataset.fides_key, collection.name),
                }));
            }
        }
    }
    pairs.into_iter().collect()
}

/// A waived field is left alone: no rule needs to cover it.
fn collect<'d>(field: &'d Field, categories: &mut BTreeSet<&'d str>) {
    if field.waived.is_none() {
        categories.extend(field.categories.iter().map(String::as_str));
        field.fields.iter().for_each(|inner| collect(inner, categories));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Collection;

    #[test]
    fn pairs_are_categories_by_purposes_nested_fields_too() {
        let field = |categories: &[&str], fields: Vec<Field>, waived: Option<&str>| Field {
            categories: categories.iter().map(|c| (*c).to_owned()).collect(),
            fields,
            waived: waived.map(str::to_owned),
            ..Field::default()
        };
        let collection = |name: &str, purposes: &[&str]| Collection {
            name: name.to_owned(),
            purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
            fields: vec![
                field(&["user.name"], vec![field(&["user.name", "user.contact"], Vec::new(), None)], None),
                field(&["user.device"], Vec::new(), Some("kept in clear for support")),
            ],
            ..Collection::default()
        };
        let dataset = Dataset {
            fides_key: "shop".to_owned(),
            collections: vec![collection("users", &["a", "b"]), collection("logs", &[])],
            ..Dataset::default()
        };
        let shown = |default: &[String]| -> Vec<String> {
            let pairs = used(std::slice::from_ref(&dataset), default);
            pairs
                .iter()
                .map(|p| format!("{} {} {}", p.category, p.purpose.as_deref().unwrap_or("-"), p.collection))
                .collect()
        };
        assert_eq!(
            shown(&[]),
            [
                "user.contact - shop.logs",
                "user.contact a shop.users",
                "user.contact b shop.users",
                "user.name - shop.logs",
                "user.name a shop.users",
                "user.name b shop.users"
            ]
        );
        assert!(shown(&["c".to_owned()]).contains(&"user.name c shop.logs".to_owned()));
    }
}
