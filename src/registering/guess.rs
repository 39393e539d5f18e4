//! Which columns are personal data, by the words of their names.
//!
//! Invariant: every key here is one of the bundled taxonomy's. A word that mostly means something else (`name` of a
//! product, `state` of an order) counts only where the table says that it is about a person.

use quietus_contract::catalogue::{Column, ColumnKind};

use super::lexicon::{COLUMNS, Kinds, Word};
use super::{Guess, says, words};

/// What a table's rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    Nobody,
    /// A row belongs to a person.
    Person,
    /// A row is a person.
    Themselves,
}

/// The category that a column's name tells.
pub fn column(column: &Column, about: About) -> Option<Guess<String>> {
    let name = words(&column.name);
    if let Some((phrases, category, ..)) = COLUMNS.iter().find(|word| fits(word, column, &name, about)) {
        let said = phrases.iter().find(|p| says(&name, &[p])).unwrap_or(&"it");
        return Some(Guess::new(*category, format!("its name says {}", said.replace('_', " "))));
    }
    (column.kind == ColumnKind::Address && about > About::Nobody)
        .then(|| Guess::new("user.device.ip_address", format!("its type is {}", column.declared)))
}

fn fits((phrases, category, least, kinds): &Word, column: &Column, name: &str, about: About) -> bool {
    if about < *least || !says(name, phrases) {
        return false;
    }
    // `email_verified`, `phone_confirmed_at`, `has_address`: about the value, not the value.
    let by_kind = match column.kind {
        ColumnKind::Boolean => *category == "user.privacy_preferences",
        ColumnKind::Time => *kinds == Kinds::Time,
        ColumnKind::Integer | ColumnKind::Number | ColumnKind::Uuid => *kinds == Kinds::Any,
        ColumnKind::Text | ColumnKind::Document | ColumnKind::Other | ColumnKind::Address => true,
        ColumnKind::Bytes => *kinds != Kinds::Time,
    };
    // `address_id` names another row.
    let points_away =
        name.ends_with("_id_") && !phrases.iter().any(|p| p.ends_with("_id") && says(name, &[p]));
    let counts = matches!(column.kind, ColumnKind::Integer)
        && says(name, &["count", "total", "number_of", "num", "attempts"]);
    by_kind && !points_away && !counts
}

#[cfg(test)]
mod tests {
    use super::super::rows::TABLES;
    use super::*;
    use quietus_core::policy::Taxonomy;

    fn of(name: &str, kind: ColumnKind, about: About) -> Option<String> {
        let described = Column { name: name.into(), kind, ..Column::default() };
        column(&described, about).map(|g| g.is)
    }

    #[test]
    fn every_key_is_one_of_the_taxonomys() {
        let keys = COLUMNS.iter().map(|(_, key, ..)| key).chain(TABLES.iter().map(|(_, key)| key));
        let unknown: Vec<_> = keys.filter(|key| !Taxonomy::bundled().is_category(key)).collect();
        assert_eq!(unknown, Vec::<&&str>::new());
    }

    #[test]
    fn a_columns_name_tells_what_it_holds() {
        use ColumnKind::{Boolean, Integer, Text, Time};
        for (name, kind, about, category) in [
            ("email", Text, About::Nobody, Some("user.contact.email")),
            ("billingEmail", Text, About::Nobody, Some("user.contact.email")),
            ("email_verified", Boolean, About::Themselves, None),
            ("email_confirmed_at", Time, About::Themselves, None),
            ("phone", Integer, About::Nobody, Some("user.contact.phone_number")),
            ("First Name", Text, About::Nobody, Some("user.name.first")),
            ("name", Text, About::Nobody, None),
            ("name", Text, About::Themselves, Some("user.name")),
            ("birth_date", Time, About::Nobody, Some("user.demographic.date_of_birth")),
            ("address_id", Integer, About::Person, None),
            ("device_id", Integer, About::Person, Some("user.device.device_id")),
            ("ip_address", Text, About::Nobody, Some("user.device.ip_address")),
            ("shipping_address", Text, About::Nobody, Some("user.contact.address")),
            ("zip", Text, About::Nobody, Some("user.contact.address.postal_code")),
            ("description", Text, About::Nobody, None),
            ("login_count", Integer, About::Themselves, None),
            ("status", Text, About::Themselves, None),
            ("password_hash", Text, About::Themselves, Some("user.authorization.password")),
        ] {
            assert_eq!(of(name, kind, about).as_deref(), category, "{name} {kind:?} {about:?}");
        }
    }
}
