//! Which columns are personal data, by the words of their names.
//!
//! Invariant: every key here is one of the bundled taxonomy's. A word that mostly means something else (`name` of a
//! product, `state` of an order) counts only where the table says that it is about a person.

use quietus_contract::catalogue::{Column, ColumnKind, Table};

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

/// Which values can be what the word says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Text,
    /// Numbers as well.
    Any,
    Time,
}

use Kinds::{Any, Text, Time};

type Word = (&'static [&'static str], &'static str, About, Kinds);

/// The first that fits counts.
const COLUMNS: &[Word] = &[
    (
        &["password", "passwd", "pwd", "passphrase", "passwort"],
        "user.authorization.password",
        About::Nobody,
        Text,
    ),
    (
        &["email", "e_mail", "mail", "email_address", "mail_address"],
        "user.contact.email",
        About::Nobody,
        Text,
    ),
    (&["fax", "fax_number"], "user.contact.fax_number", About::Nobody, Any),
    (
        &["phone", "mobile", "telephone", "tel", "cellphone", "msisdn", "telefon", "phone_number"],
        "user.contact.phone_number",
        About::Nobody,
        Any,
    ),
    (
        &[
            "first_name",
            "firstname",
            "given_name",
            "givenname",
            "forename",
            "vorname",
            "fname",
            "middle_name",
        ],
        "user.name.first",
        About::Nobody,
        Text,
    ),
    (
        &[
            "last_name",
            "lastname",
            "surname",
            "family_name",
            "familyname",
            "nachname",
            "lname",
            "maiden_name",
        ],
        "user.name.last",
        About::Nobody,
        Text,
    ),
    (
        &[
            "username",
            "user_name",
            "login",
            "login_name",
            "nickname",
            "nick",
            "screen_name",
            "handle",
            "benutzername",
        ],
        "user.account.username",
        About::Nobody,
        Text,
    ),
    (
        &[
            "full_name",
            "fullname",
            "display_name",
            "customer_name",
            "contact_name",
            "recipient",
            "recipient_name",
            "holder",
            "cardholder",
            "holder_name",
            "person_name",
            "patient_name",
            "employee_name",
            "member_name",
            "guest_name",
            "author_name",
            "sender_name",
        ],
        "user.name",
        About::Nobody,
        Text,
    ),
    (
        &["employer", "company", "organization", "organisation", "firma"],
        "user.contact.organization",
        About::Themselves,
        Text,
    ),
    (&["name"], "user.name", About::Themselves, Text),
    (
        &["date_of_birth", "birth_date", "birthdate", "birthday", "dob", "geburtsdatum", "born", "born_on"],
        "user.demographic.date_of_birth",
        About::Nobody,
        Time,
    ),
    (&["birth_year", "year_of_birth", "age", "age_range"], "user.demographic.age_range", About::Person, Any),
    (&["gender", "sex", "geschlecht"], "user.demographic.gender", About::Nobody, Any),
    (&["marital_status", "marital", "civil_status"], "user.demographic.marital_status", About::Nobody, Any),
    (
        &["religion", "religious", "faith", "konfession"],
        "user.demographic.religious_belief",
        About::Nobody,
        Any,
    ),
    (&["ethnicity", "ethnic", "race"], "user.demographic.race_ethnicity", About::Person, Any),
    (&["political", "party_membership"], "user.demographic.political_opinion", About::Person, Any),
    (&["sexual_orientation"], "user.demographic.sexual_orientation", About::Nobody, Any),
    (&["nationality", "citizenship"], "user.demographic", About::Nobody, Text),
    (&["locale", "language", "lang", "preferred_language"], "user.demographic.language", About::Person, Text),
    (
        &["ip", "ip_address", "ipaddress", "remote_addr", "client_ip", "last_ip", "ipv", "ip_addr"],
        "user.device.ip_address",
        About::Nobody,
        Any,
    ),
    (&["user_agent", "useragent", "browser"], "user.device", About::Nobody, Text),
    (
        &[
            "device_id",
            "imei",
            "udid",
            "idfa",
            "gaid",
            "mac_address",
            "advertising_id",
            "device_token",
            "push_token",
            "fcm_token",
            "device",
        ],
        "user.device.device_id",
        About::Person,
        Any,
    ),
    (&["cookie", "cookie_id"], "user.device.cookie_id", About::Nobody, Any),
    (
        &["passport", "passport_number", "passport_no"],
        "user.government_id.passport_number",
        About::Nobody,
        Any,
    ),
    (
        &["drivers_license", "driver_license", "driving_licence", "license_number", "licence_number"],
        "user.government_id.drivers_license_number",
        About::Person,
        Any,
    ),
    (
        &[
            "ssn",
            "social_security",
            "social_security_number",
            "national_id",
            "national_insurance",
            "tax_id",
            "tin",
            "personal_id",
            "id_card",
            "identity_card",
            "id_number",
            "steuer_id",
        ],
        "user.government_id.national_identification_number",
        About::Nobody,
        Any,
    ),
    (
        &["license_plate", "number_plate", "vin"],
        "user.government_id.vehicle_registration",
        About::Person,
        Any,
    ),
    (
        &["iban", "bic", "bank_account", "account_number", "account_no", "sort_code", "routing_number"],
        "user.financial.bank_account",
        About::Nobody,
        Any,
    ),
    (
        &[
            "credit_card",
            "card_number",
            "cc_number",
            "card_no",
            "pan",
            "card_last",
            "last_4",
            "cvv",
            "cvc",
            "card",
        ],
        "user.financial.credit_card",
        About::Nobody,
        Any,
    ),
    (
        &["salary", "wage", "income", "credit_score", "credit_limit", "net_worth"],
        "user.financial",
        About::Nobody,
        Any,
    ),
    (
        &["insurance_number", "insurance_id", "health_insurance"],
        "user.health_and_medical.insurance_beneficiary_id",
        About::Nobody,
        Any,
    ),
    (
        &["medical_record", "mrn", "patient_number", "record_number"],
        "user.health_and_medical.record_id",
        About::Person,
        Any,
    ),
    (
        &[
            "diagnosis",
            "blood_type",
            "blood_group",
            "allergy",
            "allergies",
            "medication",
            "prescription",
            "symptoms",
            "icd",
            "treatment",
            "disability",
        ],
        "user.health_and_medical",
        About::Nobody,
        Any,
    ),
    (&["genome", "dna", "genetic"], "user.health_and_medical.genetic", About::Nobody, Any),
    (&["fingerprint"], "user.biometric.fingerprint", About::Person, Any),
    (
        &["latitude", "longitude", "lat", "lng", "lon", "geo", "gps", "coordinates", "geolocation"],
        "user.location.precise",
        About::Person,
        Any,
    ),
    (
        &["zip", "zip_code", "zipcode", "postal_code", "postcode", "postalcode", "plz"],
        "user.contact.address.postal_code",
        About::Nobody,
        Any,
    ),
    (&["city", "town", "ort"], "user.contact.address.city", About::Person, Text),
    (&["country", "country_code", "land"], "user.contact.address.country", About::Person, Text),
    (&["province", "county", "state_province"], "user.contact.address.state", About::Person, Text),
    (
        &[
            "street",
            "street_address",
            "address_line",
            "strasse",
            "straße",
            "house_number",
            "line_1",
            "line_2",
            "address_1",
            "address_2",
        ],
        "user.contact.address.street",
        About::Nobody,
        Any,
    ),
    (&["address", "addr", "adresse", "residence"], "user.contact.address", About::Nobody, Text),
    (
        &[
            "api_key",
            "access_token",
            "refresh_token",
            "auth_token",
            "session_token",
            "secret",
            "otp",
            "mfa_secret",
            "totp",
            "pin",
            "security_answer",
            "reset_token",
            "token",
        ],
        "user.authorization.credentials",
        About::Person,
        Text,
    ),
    (&["job_title", "position", "profession", "occupation"], "user.job_title", About::Themselves, Text),
    (&["department", "employee_number", "personnel_number"], "user.workplace", About::Themselves, Any),
    (
        &["avatar", "photo", "picture", "selfie", "profile_image", "portrait"],
        "user.content.self_image",
        About::Person,
        Any,
    ),
    (
        &["website", "homepage", "url", "linkedin", "twitter", "facebook"],
        "user.contact.url",
        About::Themselves,
        Text,
    ),
    (&["search_term", "search_query", "query"], "user.behavior.search_history", About::Person, Text),
    (
        &["referrer", "page_url", "visited_url", "landing_page"],
        "user.behavior.browsing_history",
        About::Person,
        Text,
    ),
    (&["preferences", "settings"], "user.account.settings", About::Person, Text),
    (
        &["consent", "opt_in", "newsletter", "marketing_consent"],
        "user.privacy_preferences",
        About::Person,
        Any,
    ),
    (
        &[
            "bio",
            "biography",
            "about_me",
            "message",
            "body",
            "comment",
            "comments",
            "note",
            "notes",
            "remarks",
            "feedback",
            "review",
            "text",
            "content",
            "description",
            "subject",
            "caption",
        ],
        "user.content",
        About::Person,
        Text,
    ),
];

/// What a row of a table of this name tells about the person it belongs to.
const TABLES: &[(&[&str], &str)] = &[
    (
        &[
            "order",
            "orders",
            "purchase",
            "purchases",
            "cart",
            "carts",
            "basket",
            "baskets",
            "wishlist",
            "wishlists",
            "booking",
            "bookings",
            "reservation",
            "reservations",
            "shipment",
            "shipments",
            "delivery",
            "deliveries",
            "return",
            "returns",
            "bestellung",
            "bestellungen",
        ],
        "user.behavior.purchase_history",
    ),
    (
        &[
            "payment",
            "payments",
            "invoice",
            "invoices",
            "transaction",
            "transactions",
            "billing",
            "refund",
            "refunds",
            "bill",
            "bills",
            "rechnung",
            "rechnungen",
            "payslip",
            "payslips",
            "payroll",
            "wallet",
            "wallets",
            "credit",
            "credits",
            "voucher",
            "vouchers",
            "loan",
            "loans",
        ],
        "user.financial",
    ),
    (
        &[
            "prescription",
            "prescriptions",
            "diagnosis",
            "diagnoses",
            "treatment",
            "treatments",
            "appointment",
            "appointments",
            "lab_result",
            "lab_results",
            "visit_note",
            "admission",
            "admissions",
            "vaccination",
            "vaccinations",
        ],
        "user.health_and_medical",
    ),
    (&["search", "searches"], "user.behavior.search_history"),
    (
        &["page_view", "page_views", "pageview", "pageviews", "click", "clicks", "visit", "visits"],
        "user.behavior.browsing_history",
    ),
    (
        &["play", "plays", "view", "views", "watch_history", "stream", "streams", "download", "downloads"],
        "user.behavior.media_consumption",
    ),
    (
        &[
            "event",
            "events",
            "activity",
            "activities",
            "log",
            "logs",
            "login",
            "logins",
            "audit",
            "history",
            "session",
            "sessions",
            "notification",
            "notifications",
            "usage",
        ],
        "user.behavior",
    ),
    (
        &[
            "message",
            "messages",
            "post",
            "posts",
            "comment",
            "comments",
            "review",
            "reviews",
            "ticket",
            "tickets",
            "feedback",
            "upload",
            "uploads",
            "document",
            "documents",
            "attachment",
            "attachments",
            "file",
            "files",
            "survey",
            "surveys",
            "answer",
            "answers",
            "rating",
            "ratings",
            "note",
            "notes",
        ],
        "user.content",
    ),
    (&["photo", "photos", "avatar", "avatars"], "user.content.self_image"),
    (&["address", "addresses"], "user.contact.address"),
    (&["consent", "consents", "preference", "preferences"], "user.privacy_preferences"),
    (&["setting", "settings", "subscription", "subscriptions"], "user.account.settings"),
    (&["device", "devices"], "user.device"),
    (&["location", "locations", "position", "positions", "trip", "trips"], "user.location"),
    (
        &[
            "friend",
            "friends",
            "friendship",
            "friendships",
            "follower",
            "followers",
            "contact",
            "contacts",
            "connection",
            "connections",
            "membership",
            "memberships",
            "group",
            "groups",
        ],
        "user.social",
    ),
    (
        &["token", "tokens", "credential", "credentials", "api_key", "api_keys"],
        "user.authorization.credentials",
    ),
];

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
        ColumnKind::Time => *kinds == Time,
        ColumnKind::Integer | ColumnKind::Number | ColumnKind::Uuid => *kinds == Any,
        ColumnKind::Text | ColumnKind::Document | ColumnKind::Other | ColumnKind::Address => true,
        ColumnKind::Bytes => *kinds != Time,
    };
    // `address_id` names another row.
    let points_away =
        name.ends_with("_id_") && !phrases.iter().any(|p| p.ends_with("_id") && says(name, &[p]));
    let counts = matches!(column.kind, ColumnKind::Integer)
        && says(name, &["count", "total", "number_of", "num", "attempts"]);
    by_kind && !points_away && !counts
}

/// The category that a table's name tells of the rest of its columns.
pub fn table(table: &Table) -> Option<Guess<String>> {
    let name = words(&table.name);
    let (phrases, category) = TABLES.iter().find(|(phrases, _)| says(&name, phrases))?;
    let said = phrases.iter().find(|p| says(&name, &[p])).unwrap_or(&"it");
    Some(Guess::new(*category, format!("the table's name says {}", said.replace('_', " "))))
}

#[cfg(test)]
mod tests {
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
