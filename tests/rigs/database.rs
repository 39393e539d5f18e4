//! The database that is erased from, read by the rig's own connection. A trigger logs every DELETE with its time.

use std::path::Path;

use serde_json::{Value, json};
use tokio_postgres::NoTls;

/// SQLite's triggers have no clock of their own but the statement's.
const SQLITE: &str = "PRAGMA journal_mode = WAL;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE gone (id INTEGER, at INTEGER);
CREATE TRIGGER users_gone AFTER DELETE ON users
  BEGIN INSERT INTO gone VALUES (old.id, CAST(unixepoch('subsec') * 1000 AS INTEGER)); END;";

const POSTGRES: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE TABLE gone (id bigint, at bigint);
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO gone VALUES (old.id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint); RETURN old; END $$;
CREATE TRIGGER users_gone AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION note_gone();";

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
        json!({
            "system": "shop-db", "kind": kind, "mode": "enforce", "connection": {"url": self.url},
            "datasets": [{"fides_key": "shop", "name": "shop", "collections": [{
                "name": "users",
                "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}},
                "fields": [
                    {"name": "id", "fides_meta": {"primary_key": true}},
                    {"name": "email", "data_categories": ["user.contact.email"]},
                ],
            }]}],
        })
    }

    pub async fn insert(&self, ids: &[i64]) {
        let rows: Vec<String> = ids.iter().map(|id| format!("({id}, 'u{id}@example.org')")).collect();
        let statement = format!("INSERT INTO users VALUES {}", rows.join(", "));
        match &self.access {
            Access::Sqlite(c) => c.execute_batch(&statement).unwrap(),
            Access::Postgres(c) => c.batch_execute(&statement).await.unwrap(),
        }
    }

    pub async fn rows(&self) -> Vec<i64> {
        let rows = self.pairs("SELECT id, 0::bigint FROM users ORDER BY id").await;
        rows.into_iter().map(|(id, _)| id).collect()
    }

    /// (id, milliseconds) of every DELETE.
    pub async fn gone(&self) -> Vec<(i64, i64)> {
        self.pairs("SELECT id, at FROM gone ORDER BY at, id").await
    }

    async fn pairs(&self, statement: &str) -> Vec<(i64, i64)> {
        match &self.access {
            Access::Sqlite(c) => {
                let mut statement = c.prepare(&statement.replace("::bigint", "")).unwrap();
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Access::Postgres(c) => {
                c.query(statement, &[]).await.unwrap().iter().map(|r| (r.get(0), r.get(1))).collect()
            }
        }
    }
}
