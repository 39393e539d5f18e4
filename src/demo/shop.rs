//! The demo's application: two SQLite databases as a shop would have them, written by the shop alone.
//!
//! Triggers keep count of what was deleted, each with the day it was made: a row that comes back by a restore has the
//! old one, a customer who comes back a new one. So anyone can compare with what quietus reports, in plain SQL.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

pub const SHOP: &str = "
CREATE TABLE customers (
  customer_id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, city TEXT, created_at TEXT NOT NULL);
CREATE TABLE orders (
  order_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, ship_to TEXT, ordered_at TEXT NOT NULL);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE TABLE invoices (
  invoice_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, amount_cents INTEGER, issued_on TEXT NOT NULL);
CREATE INDEX invoices_customer ON invoices (customer_id);
CREATE TABLE tickets (
  ticket_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, subject TEXT NOT NULL, message TEXT, opened_at TEXT NOT NULL);
CREATE INDEX tickets_customer ON tickets (customer_id);
CREATE TABLE asked (customer_id INTEGER PRIMARY KEY);
CREATE TABLE today (day TEXT NOT NULL);
CREATE TABLE gone (tab TEXT NOT NULL, id INTEGER NOT NULL, born TEXT NOT NULL);
CREATE TRIGGER customers_gone AFTER DELETE ON customers BEGIN INSERT INTO gone VALUES ('customers', old.customer_id, old.created_at); END;
CREATE TRIGGER orders_gone AFTER DELETE ON orders BEGIN INSERT INTO gone VALUES ('orders', old.order_id, old.ordered_at); END;
CREATE TRIGGER invoices_gone AFTER DELETE ON invoices BEGIN INSERT INTO gone VALUES ('invoices', old.invoice_id, old.issued_on); END;
CREATE TRIGGER tickets_gone AFTER DELETE ON tickets BEGIN INSERT INTO gone VALUES ('tickets', old.ticket_id, old.opened_at); END;
";

pub const CRM: &str = "
CREATE TABLE newsletter (
  customer_id INTEGER PRIMARY KEY, address TEXT, subscribed_at TEXT NOT NULL);
CREATE TABLE gone (tab TEXT NOT NULL, id INTEGER NOT NULL, born TEXT NOT NULL);
CREATE TRIGGER newsletter_gone AFTER DELETE ON newsletter BEGIN INSERT INTO gone VALUES ('newsletter', old.customer_id, old.subscribed_at); END;
";

/// The shop's two databases.
#[derive(Debug)]
pub struct Shop {
    shop: Connection,
    crm: Connection,
    crm_path: PathBuf,
}

impl Shop {
    /// Makes both in `dir`.
    pub fn create(dir: &Path) -> rusqlite::Result<Self> {
        let shop = Connection::open(dir.join("shop.db"))?;
        shop.execute_batch(SHOP)?;
        let crm_path = dir.join("crm.db");
        let crm = Connection::open(&crm_path)?;
        crm.execute_batch(CRM)?;
        Ok(Self { shop, crm, crm_path })
    }

    pub fn customer(&self, id: i64, name: &str, city: &str, at: &str) -> rusqlite::Result<()> {
        let email = format!("{}.{id}@example.org", name.to_lowercase().replace(' ', "."));
        let sql = "INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.shop.execute(sql, params![id, name, email, format!("+4930{:07}", id * 37), city, at]).map(|_| ())
    }

    pub fn order(&self, id: i64, customer: i64, city: &str, at: &str) -> rusqlite::Result<()> {
        let sql = "INSERT INTO orders VALUES (?1, ?2, ?3, ?4)";
        self.shop
            .execute(sql, params![id, customer, format!("Hauptstr. {}, {city}", id % 90 + 1), at])
            .map(|_| ())
    }

    pub fn invoice(&self, id: i64, customer: i64, cents: i64, day: &str) -> rusqlite::Result<()> {
        self.shop
            .execute("INSERT INTO invoices VALUES (?1, ?2, ?3, ?4)", params![id, customer, cents, day])
            .map(|_| ())
    }

    pub fn ticket(&self, id: i64, customer: i64, message: &str, at: &str) -> rusqlite::Result<()> {
        let sql = "INSERT INTO tickets VALUES (?1, ?2, 'question', ?3, ?4)";
        self.shop.execute(sql, params![id, customer, message, at]).map(|_| ())
    }

    pub fn subscribe(&self, customer: i64, address: &str, at: &str) -> rusqlite::Result<()> {
        let sql = "INSERT INTO newsletter VALUES (?1, ?2, ?3)";
        self.crm.execute(sql, params![customer, address, at]).map(|_| ())
    }

    /// The shop notes who asked to be erased.
    pub fn asks(&self, customer: i64) -> rusqlite::Result<()> {
        self.shop.execute("INSERT INTO asked VALUES (?1)", [customer]).map(|_| ())
    }

    /// The day of the last night's sweep, for whoever compares.
    pub fn ends(&self, day: &str) -> rusqlite::Result<()> {
        self.shop.execute("INSERT INTO today VALUES (?1)", [day]).map(|_| ())
    }

    /// Every customer as a line of the night's backup.
    pub fn customers(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT concat_ws(',', customer_id, name, email, phone, city, created_at) FROM customers ORDER BY 1";
        self.shop.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
    }

    /// Puts back what a backup has and the table has not; whom it brings back.
    pub fn restore(&self, rows: &[Vec<String>]) -> rusqlite::Result<Vec<i64>> {
        let mut back = Vec::new();
        let sql = "INSERT OR IGNORE INTO customers VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut insert = self.shop.prepare(sql)?;
        for row in rows {
            let id = row.first().and_then(|id| id.parse().ok()).unwrap_or_default();
            if insert.execute(rusqlite::params_from_iter(row))? > 0 {
                back.push(id);
            }
        }
        Ok(back)
    }

    /// The second database goes away: its file is not where it should be.
    pub fn crm_away(&self) -> std::io::Result<()> {
        std::fs::rename(&self.crm_path, self.crm_path.with_extension("away"))
    }

    pub fn crm_back(&self) -> std::io::Result<()> {
        std::fs::rename(self.crm_path.with_extension("away"), &self.crm_path)
    }
}
