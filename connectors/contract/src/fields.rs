//! Which fields of a collection a command means: the same answer in every connector.
//!
//! A field is meant when it carries the category itself or one below it (`user.contact` means the field that is
//! `user.contact.email`). Where no field can be changed there is no success to report, so the answer is a reason.

use quietus_core::system::{Collection, Field};

/// The key columns: the dataset's `key`, else its fields marked as primary key. Empty = none declared.
pub fn key_columns(collection: &Collection) -> Vec<String> {
    if !collection.key.is_empty() {
        return collection.key.clone();
    }
    collection.fields.iter().filter(|f| f.primary_key).map(|f| f.name.clone()).collect()
}

/// The fields to replace when these categories are to be gone from a record; never empty.
///
/// A field that also carries a category which is not over cannot go: then the whole change is refused.
pub fn fields_to_mask<'a>(
    collection: &'a Collection,
    categories: &[String],
) -> Result<Vec<&'a Field>, String> {
    let place = &collection.name;
    let over = |category: &String| categories.iter().any(|wanted| within(category, wanted));
    let open = || collection.fields.iter().filter(|f| f.waived.is_none());
    if let Some(nested) = open().find(|f| nested(f, &over)) {
        return Err(format!(
            "{place}.{}: fields inside a column cannot be changed on their own",
            nested.name
        ));
    }
    if let Some(missing) =
        categories.iter().find(|wanted| !open().any(|f| f.categories.iter().any(|c| within(c, wanted))))
    {
        return Err(format!("{place}: no field that may be changed carries {missing}"));
    }
    let fields: Vec<&Field> = open().filter(|f| f.categories.iter().any(over)).collect();
    for field in &fields {
        if let Some(live) = field.categories.iter().find(|c| !over(c)) {
            return Err(format!("{place}.{} also carries {live}, which is not over", field.name));
        }
    }
    if fields.is_empty() { Err(format!("{place}: no category was named")) } else { Ok(fields) }
}

/// The fields to set when `category` is corrected: those that carry exactly it; never empty.
pub fn fields_to_correct<'a>(collection: &'a Collection, category: &str) -> Result<Vec<&'a Field>, String> {
    let carries = |f: &&Field| f.waived.is_none() && f.categories.iter().any(|c| c == category);
    let fields: Vec<&Field> = collection.fields.iter().filter(carries).collect();
    if fields.is_empty() {
        return Err(format!("{}: no field that may be changed carries exactly {category}", collection.name));
    }
    Ok(fields)
}

/// Fields that hold an identity of this type: the subject column first.
pub fn identity_columns<'a>(collection: &'a Collection, kind: &str) -> Vec<&'a str> {
    let subject = collection.subject.iter().filter(|s| s.kind == kind).map(|s| s.column.as_str());
    let fields =
        collection.fields.iter().filter(|f| f.identity.as_deref() == Some(kind)).map(|f| f.name.as_str());
    let mut columns: Vec<&str> = Vec::new();
    for column in subject.chain(fields) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Whole dot segments: `user.contact.email` is within `user.contact`, `user.contacts` is not.
fn within(category: &str, wanted: &str) -> bool {
    category.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn nested(field: &Field, over: &impl Fn(&String) -> bool) -> bool {
    field.fields.iter().any(|f| f.waived.is_none() && (f.categories.iter().any(over) || nested(f, over)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection() -> Collection {
        let field = |name: &str, category: &str| Field {
            name: name.into(),
            categories: vec![category.into()],
            ..Field::default()
        };
        Collection {
            name: "people".into(),
            fields: vec![
                field("email", "user.contact.email"),
                field("city", "user.contact.address.city"),
                Field { waived: Some("public".into()), ..field("nick", "user.name") },
                Field { categories: vec!["user.genetic".into(), "user.health".into()], ..field("file", "") },
                Field { fields: vec![field("ip", "user.device.ip_address")], ..Field::default() },
            ],
            ..Collection::default()
        }
    }

    fn names(categories: &[&str]) -> Result<Vec<String>, String> {
        let categories: Vec<String> = categories.iter().map(|c| (*c).to_owned()).collect();
        fields_to_mask(&collection(), &categories).map(|f| f.iter().map(|f| f.name.clone()).collect())
    }

    #[test]
    fn a_category_means_itself_and_what_lies_below_by_whole_segments() {
        assert_eq!(names(&["user.contact"]).expect("two"), ["email", "city"]);
        assert_eq!(names(&["user.contact.email"]).expect("one"), ["email"]);
        assert!(names(&["user.cont"]).is_err());
    }

    #[test]
    fn what_cannot_be_changed_is_a_reason_not_an_empty_success() {
        for (categories, why) in [
            (&["user.name"][..], "user.name"),
            (&["user.device"], "inside a column"),
            (&["user.contact", "user.sensor"], "user.sensor"),
            (&["user.health"], "also carries user.genetic"),
            (&[], "no category"),
        ] {
            assert!(names(categories).expect_err(why).contains(why), "{categories:?}");
        }
        assert_eq!(names(&["user.health", "user.genetic"]).expect("both over"), ["file"]);
    }
}
