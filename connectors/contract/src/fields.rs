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

/// The fields to replace when `category` is to be gone from a record; never empty.
pub fn fields_to_mask<'a>(collection: &'a Collection, category: &str) -> Result<Vec<&'a Field>, String> {
    let carrying: Vec<&Field> =
        collection.fields.iter().filter(|f| f.categories.iter().any(|c| within(c, category))).collect();
    if let Some(nested) = collection.fields.iter().find(|f| nested_within(f, category)) {
        return Err(format!(
            "field {} carries {category} in a nested field, which cannot be changed on its own",
            nested.name
        ));
    }
    let open: Vec<&Field> = carrying.iter().copied().filter(|f| f.waived.is_none()).collect();
    match (open.is_empty(), carrying.is_empty()) {
        (false, _) => Ok(open),
        (true, false) => Err(format!("every field of {} that carries {category} is waived", collection.name)),
        (true, true) => Err(format!("no field of {} carries {category}", collection.name)),
    }
}

/// The fields to set when `category` is corrected: those that carry exactly it; never empty.
pub fn fields_to_correct<'a>(collection: &'a Collection, category: &str) -> Result<Vec<&'a Field>, String> {
    let fields: Vec<&Field> =
        collection.fields.iter().filter(|f| f.categories.iter().any(|c| c == category)).collect();
    if fields.is_empty() {
        return Err(format!("no field of {} carries {category}", collection.name));
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

fn nested_within(field: &Field, wanted: &str) -> bool {
    field.fields.iter().any(|f| {
        f.waived.is_none() && (f.categories.iter().any(|c| within(c, wanted)) || nested_within(f, wanted))
    })
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
                Field { fields: vec![field("ip", "user.device.ip_address")], ..Field::default() },
            ],
            ..Collection::default()
        }
    }

    #[test]
    fn a_category_means_itself_and_what_lies_below_by_whole_segments() {
        let c = collection();
        let names =
            |k: &str| fields_to_mask(&c, k).map(|f| f.iter().map(|f| f.name.clone()).collect::<Vec<_>>());
        assert_eq!(names("user.contact").expect("two"), ["email", "city"]);
        assert_eq!(names("user.contact.email").expect("one"), ["email"]);
        assert!(names("user.cont").is_err());
    }

    #[test]
    fn what_cannot_be_changed_is_a_reason_not_an_empty_success() {
        let c = collection();
        assert!(fields_to_mask(&c, "user.name").expect_err("waived").contains("waived"));
        assert!(fields_to_mask(&c, "user.device").expect_err("nested").contains("nested"));
        assert!(fields_to_mask(&c, "user.sensor").is_err());
    }
}
