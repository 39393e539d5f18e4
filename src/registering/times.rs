//! When a row began, and when its person was last seen: columns told by their names.

use quietus_contract::catalogue::{Column, ColumnKind, Table};

use super::{Guess, says, words};

/// The likeliest first.
const BEGAN: &[&str] = &[
    "created_at",
    "createdat",
    "created",
    "created_on",
    "creation_date",
    "date_created",
    "create_time",
    "creation_time",
    "inserted_at",
    "recorded_at",
    "registered_at",
    "registration_date",
    "signed_up_at",
    "signup_date",
    "date_joined",
    "joined_at",
    "hired_at",
    "hire_date",
    "angelegt_am",
    "erstellt_am",
    "ordered_at",
    "order_date",
    "placed_at",
    "purchased_at",
    "purchase_date",
    "booked_at",
    "invoice_date",
    "issued_at",
    "issue_date",
    "payment_date",
    "paid_at",
    "sent_at",
    "posted_at",
    "published_at",
    "submitted_at",
    "requested_at",
    "received_at",
    "uploaded_at",
    "logged_at",
    "occurred_at",
    "happened_at",
    "event_time",
    "event_date",
    "viewed_at",
    "visited_at",
    "granted_at",
    "started_at",
    "start_date",
    "date",
    "time",
    "timestamp",
    "ts",
    "at",
];

const SEEN: &[&str] = &[
    "last_activity_at",
    "last_activity",
    "last_active_at",
    "last_active",
    "last_seen_at",
    "last_seen",
    "last_login_at",
    "last_login",
    "last_login_date",
    "last_sign_in_at",
    "last_visit_at",
    "last_visit",
    "last_used_at",
    "last_used",
];

const CHANGED: &[&str] = &[
    "updated_at",
    "updatedat",
    "modified_at",
    "updated_on",
    "last_modified",
    "modified",
    "updated",
    "changed_at",
];

/// The column that says when a row was recorded.
pub fn recorded_at(table: &Table) -> Option<Guess<String>> {
    let exact = BEGAN.iter().find_map(|name| find(table, |words| words == format!("_{name}_")));
    let within = || {
        BEGAN.iter().filter(|n| n.contains('_')).find_map(|name| find(table, |words| says(words, &[name])))
    };
    let only = || {
        let mut times = table.columns.iter().filter(|c| c.kind == ColumnKind::Time && is_beginning(c));
        times
            .next()
            .filter(|_| times.next().is_none())
            .map(|c| Guess::new(c.name.clone(), "the only time in the table"))
    };
    exact.or_else(within).or_else(only)
}

/// The column that says when the person of a row was last seen.
pub fn last_activity(table: &Table) -> Option<Guess<String>> {
    SEEN.iter().find_map(|name| find(table, |words| words == format!("_{name}_")))
}

/// The column that says when a row changed: for rescans.
pub fn changed_at(table: &Table) -> Option<Guess<String>> {
    CHANGED.iter().find_map(|name| find(table, |words| words == format!("_{name}_")))
}

fn find(table: &Table, fits: impl Fn(&str) -> bool) -> Option<Guess<String>> {
    let named = |c: &&Column| may_hold_a_time(c) && fits(&words(&c.name));
    table.columns.iter().find(named).map(|c| Guess::new(c.name.clone(), "its name"))
}

/// Times are kept as numbers and texts too.
fn may_hold_a_time(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Time | ColumnKind::Integer | ColumnKind::Text | ColumnKind::Number)
        && column.length.is_none_or(|length| length >= 8)
}

fn is_beginning(column: &Column) -> bool {
    let not = [
        "birth",
        "birthdate",
        "birthday",
        "dob",
        "updated",
        "modified",
        "changed",
        "deleted",
        "expires",
        "expiry",
        "expired",
        "until",
        "end",
        "ended",
        "due",
        "last",
        "next",
        "valid",
        "closed",
        "cancelled",
        "verified",
    ];
    !says(&words(&column.name), &not)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, ColumnKind)]) -> Table {
        let column = |(name, kind): &(&str, ColumnKind)| Column {
            name: (*name).into(),
            kind: *kind,
            ..Column::default()
        };
        Table { columns: columns.iter().map(column).collect(), ..Table::default() }
    }

    #[test]
    fn the_likeliest_column_says_when_a_row_began() {
        use ColumnKind::{Integer, Text, Time};
        for (columns, began) in [
            (&[("updated_at", Time), ("created_at", Time)][..], Some("created_at")),
            (&[("createdAt", Integer)], Some("createdAt")),
            (&[("order_created_at", Text)], Some("order_created_at")),
            (&[("birth_date", Time)], None),
            (&[("updated_at", Time)], None),
            (&[("shipped", Time)], Some("shipped")),
            (&[("a_day", Time), ("b_day", Time)], None),
        ] {
            assert_eq!(recorded_at(&table(columns)).map(|g| g.is).as_deref(), began, "{columns:?}");
        }
        assert_eq!(
            last_activity(&table(&[("last_login_at", Time)])).map(|g| g.is).as_deref(),
            Some("last_login_at")
        );
    }
}
