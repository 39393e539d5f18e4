//! The database that is erased from, read by the rig's own connection. Triggers log every DELETE and every UPDATE.

use std::path::Path;

use serde_json::{Value, json};
use tokio_postgres::NoTls;

/// SQLite's triggers have no clock of their own but the statement's, and it tells no commit's time: the statement's
/// stands for both.
const SQLITE: &str = "PRAGMA journal_mode = WAL;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE profiles (id INTEGER PRIMARY KEY, email TEXT, city TEXT);
CREATE TABLE log (id INTEGER, what TEXT, at INTEGER);
CREATE TRIGGER users_gone AFTER DELETE ON users
  BEGIN INSERT INTO log VALUES (old.id, 'deleted', CAST(unixepoch('subsec') * 1000 AS INTEGER)); END;
CREATE TRIGGER profiles_gone AFTER DELETE ON profiles
  BEGIN INSERT INTO log VALUES (old.id, 'deleted', CAST(unixepoch('subsec') * 1000 AS INTEGER)); END;
CREATE TRIGGER users_changed AFTER UPDATE ON users
  BEGIN INSERT INTO log VALUES (old.id, 'changed', CAST(unixepoch('subsec') * 1000 AS INTEGER)); END;
CREATE TRIGGER profiles_changed AFTER UPDATE ON profiles
  BEGIN INSERT INTO log VALUES (old.id, 'changed', CAST(unixepoch('subsec') * 1000 AS INTEGER)); END;";

const POSTGRES: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE TABLE profiles (id bigint PRIMARY KEY, email text, city text);
CREATE TABLE log (id bigint, what text, at bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log VALUES (old.id, CASE tg_op WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
  RETURN NULL; END $$;
CREATE TRIGGER users_log AFTER DELETE OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER profiles_log AFTER DELETE OR UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION note();";

/// One row that was deleted or changed, by the database's own clock, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub id: i64,
    pub deleted: bool,
    /// When the statement touched the row: nothing may be touched early.
    pub at: i64,
    /// When it became so for everybody: nothing may become so under a hold.
    pub committed: i64,
}

#[derive(Debug)]
pub struct Database {
    url: String,
    access: Access,
}

enum Access {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        })
    }
}

impl Database {
    pub fn sqlite(file: &Path) -> Self {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        connection.execute_batch(SQLITE).unwrap();
        Self { url: format!("sqlite://{}", file.display()), access: Access::Sqlite(connection) }
    }

    pub async fn postgres(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(POSTGRES).await.unwrap();
        Self { url: url.to_owned(), access: Access::Postgres(client) }
    }

    /// The manifest that registers it.
    pub fn manifest(&self) -> Value {
        let kind = self.url.split_once(':').map_or("", |(kind, _)| kind);
        let own = json!({"key": ["id"], "subject": {"column": "id", "type": "customer_id"}});
        let id = json!({"name": "id", "fides_meta": {"primary_key": true}});
        let email = json!({"name": "email", "data_categories": ["user.contact.email"]});
        let city = json!({"name": "city", "data_categories": ["user.contact.address.city"]});
        json!({
            "system": "shop-db", "kind": kind, "mode": "enforce", "connection": {"url": self.url},
            "datasets": [{"fides_key": "shop", "name": "shop", "collections": [
                {"name": "users", "quietus": own, "fields": [id, email]},
                {"name": "profiles", "quietus": own, "fields": [id, email, city]},
            ]}],
        })
    }

    pub async fn insert(&self, ids: &[i64]) {
        self.write("users", ids, |id| format!("({id}, 'u{id}@example.org')")).await;
    }

    pub async fn insert_profiles(&self, ids: &[i64]) {
        self.write("profiles", ids, |id| format!("({id}, 'u{id}@example.org', 'Bonn')")).await;
    }

    async fn write(&self, table: &str, ids: &[i64], row: impl Fn(&i64) -> String) {
        if ids.is_empty() {
            return;
        }
        let rows: Vec<String> = ids.iter().map(row).collect();
        let statement = format!("INSERT INTO {table} VALUES {}", rows.join(", "));
        match &self.access {
            Access::Sqlite(c) => c.execute_batch(&statement).unwrap(),
            Access::Postgres(c) => c.batch_execute(&statement).await.unwrap(),
        }
    }

    pub async fn rows(&self) -> Vec<i64> {
        self.numbers("SELECT id FROM users ORDER BY id").await
    }

    /// Profiles that still say how to reach somebody.
    pub async fn reachable(&self) -> Vec<i64> {
        self.numbers("SELECT id FROM profiles WHERE email IS NOT NULL ORDER BY id").await
    }

    /// Profiles that lost what was to stay.
    pub async fn overdone(&self) -> Vec<i64> {
        self.numbers("SELECT id FROM profiles WHERE city IS NULL ORDER BY id").await
    }

    async fn numbers(&self, statement: &str) -> Vec<i64> {
        match &self.access {
            Access::Sqlite(c) => {
                let mut statement = c.prepare(statement).unwrap();
                statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
            Access::Postgres(c) => c.query(statement, &[]).await.unwrap().iter().map(|r| r.get(0)).collect(),
        }
    }

    /// Everything that was done here, oldest first.
    pub async fn effects(&self) -> Vec<Effect> {
        let effect = |id: i64, what: String, at: i64, committed: i64| Effect {
            id,
            deleted: what == "deleted",
            at,
            committed,
        };
        match &self.access {
            Access::Sqlite(c) => {
                let mut statement = c.prepare("SELECT id, what, at FROM log ORDER BY at, id").unwrap();
                let rows =
                    statement.query_map([], |r| Ok(effect(r.get(0)?, r.get(1)?, r.get(2)?, r.get(2)?)));
                rows.unwrap().map(Result::unwrap).collect()
            }
            Access::Postgres(c) => {
                let statement = "SELECT id, what, at,
                    (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::bigint FROM log ORDER BY at, id";
                let rows = c.query(statement, &[]).await.unwrap();
                rows.iter().map(|r| effect(r.get(0), r.get(1), r.get(2), r.get(3))).collect()
            }
        }
    }
}
