//! The demo's manifests: what lies where, and what it is.

use std::path::Path;

/// The shop's database: customers, orders, invoices and tickets. Invoices are what the law wants kept.
pub fn shop(dir: &Path) -> String {
    format!(
        r#"system: shop-db
kind: sqlite
mode: enforce
connection: {{url: "sqlite://{}"}}
owner: shop-team
datasets:
  - fides_key: shop
    name: The shop
    collections:
      - name: customers
        quietus: {{subject: {{column: customer_id, type: customer_id}}, recorded_at: created_at}}
        fields:
          - {{name: customer_id, fides_meta: {{primary_key: true}}}}
          - {{name: name, data_categories: [user.name]}}
          - {{name: email, data_categories: [user.contact.email]}}
          - {{name: phone, data_categories: [user.contact.phone_number]}}
          - {{name: city, data_categories: [user.contact.address.city]}}
          - {{name: created_at}}
      - name: orders
        quietus: {{subject: {{column: customer_id, type: customer_id}}, recorded_at: ordered_at}}
        fields:
          - {{name: order_id, fides_meta: {{primary_key: true}}}}
          - {{name: customer_id}}
          - {{name: ship_to, data_categories: [user.behavior.purchase_history]}}
          - {{name: ordered_at}}
      - name: invoices
        quietus: {{subject: {{column: customer_id, type: customer_id}}, recorded_at: issued_on}}
        fields:
          - {{name: invoice_id, fides_meta: {{primary_key: true}}}}
          - {{name: customer_id}}
          - {{name: amount_cents, data_categories: [user.financial]}}
          - {{name: issued_on}}
      - name: tickets
        quietus: {{subject: {{column: customer_id, type: customer_id}}, recorded_at: opened_at, on_due: columns}}
        fields:
          - {{name: ticket_id, fides_meta: {{primary_key: true}}}}
          - {{name: customer_id}}
          - {{name: subject}}
          - {{name: message, data_categories: [user.content], quietus: {{mask: "[erased]"}}}}
          - {{name: opened_at}}
"#,
        dir.join("shop.db").display()
    )
}

/// The newsletter's database: consent alone keeps what lies there.
pub fn crm(dir: &Path) -> String {
    format!(
        r#"system: crm-db
kind: sqlite
mode: enforce
connection: {{url: "sqlite://{}"}}
owner: marketing-team
datasets:
  - fides_key: crm
    name: The newsletter
    collections:
      - name: newsletter
        quietus: {{subject: {{column: customer_id, type: customer_id}}, recorded_at: subscribed_at}}
        fields:
          - {{name: customer_id, fides_meta: {{primary_key: true}}}}
          - {{name: address, data_categories: [user.contact.email]}}
          - {{name: subscribed_at}}
"#,
        dir.join("crm.db").display()
    )
}

/// Rendered pages in front of the shop's database: found by the customer, purged over HTTP.
pub fn cache(url: &str) -> String {
    format!(
        r#"system: page-cache
kind: http
mode: enforce
connection: {{url: "{url}"}}
owner: shop-team
copies_of: [{{system: shop-db, dataset: shop.customers}}]
http:
  identity: customer_id
  submit: {{method: POST, path: /purge, body: {{people: "{{values}}"}}, ref: /job}}
  poll: {{path: "/jobs/{{ref}}", every: 1s, done: {{/state: [done]}}}}
  read_back: {{path: /look, body: {{people: "{{values}}"}}, absent: {{/found: []}}}}
"#
    )
}

/// Whoever mails the newsletter: erases when it gets round to it, and answers for itself.
pub fn partner(url: &str) -> String {
    format!(
        r#"system: mailing-partner
kind: http
mode: enforce
connection: {{url: "{url}"}}
owner: marketing-team
copies_of: [{{system: crm-db, dataset: crm.newsletter}}]
http:
  identity: customer_id
  submit: {{method: POST, path: /erasures, body: {{people: "{{values}}"}}, ref: /job}}
  poll: {{path: "/erasures/{{ref}}", every: 1s, done: {{/state: [done]}}}}
  read_back: {{path: /search, body: {{people: "{{values}}"}}, absent: {{/found: []}}}}
  deadline: 30d
"#
    )
}

/// Sign-ups by month, a line each.
pub fn archive(dir: &Path) -> String {
    format!(
        r#"system: archive
kind: files
mode: enforce
connection: {{url: "file://{}"}}
owner: shop-team
copies_of: [{{system: shop-db, dataset: shop.customers}}]
files: [{{path: "dt={{date}}/signups.jsonl", format: jsonl, match: {{customer_id: customer_id}}}}]
"#,
        dir.join("archive").display()
    )
}

/// The nightly backups of the customers: nothing in them can be erased, they rotate.
pub fn backups(dir: &Path) -> String {
    format!(
        r#"system: nightly
kind: backup
mode: enforce
connection: {{url: "file://{}"}}
owner: operations
expires: {}d
copies_of: [{{system: shop-db, dataset: shop.customers}}]
"#,
        dir.join("backups").display(),
        super::disk::NIGHTS
    )
}
