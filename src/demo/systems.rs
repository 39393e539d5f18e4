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
