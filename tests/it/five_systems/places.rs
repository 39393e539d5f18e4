//! The systems themselves: two real PostgreSQL databases, SQLite, Redis, files, a backup, a partner; each is looked
//! into by the test's own eyes.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quietus_test_servers::{Postgres, Redis};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::partner::Partner;
use crate::world::shop;

/// Takes its time over each row.
const SLOW: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, email text);
    INSERT INTO users VALUES (4711, 'ann@example.org'), (1, 'bob@example.org');
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(1.5); RETURN OLD; END';
    CREATE TRIGGER slow BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION dawdle();";

/// Deletes the row, says so, and has put it back by the time it commits.
const LYING: &str = "
    CREATE TABLE contacts (id bigint PRIMARY KEY, email text);
    INSERT INTO contacts VALUES (4711, 'ann@example.org'), (1, 'bob@example.org');
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO contacts VALUES (OLD.id, OLD.email); RETURN NULL; END';
    CREATE TRIGGER lies AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION keep();";

pub const SECRET: &str = "whsec_dGhlIG1haWxlcidzIG93biBzZWNyZXQ=";
const DAY: Duration = Duration::from_secs(86_400);
const LINE_OF_ANOTHER: &str = "{\"user_id\": \"1\", \"seen\": true}\r\n";

pub struct Places {
    _postgres: Arc<Postgres>,
    shop: String,
    crm: String,
    legacy: PathBuf,
    archive: PathBuf,
    nights: PathBuf,
    secret: PathBuf,
    cache: Mutex<Redis>,
    pub partner: Partner,
}

pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn count(url: &str, table: &str, which: &str) -> i64 {
    let client = connect(url).await;
    client.query_one(&format!("SELECT count(*) FROM {table} WHERE {which}"), &[]).await.unwrap().get(0)
}

impl Places {
    pub async fn open(dir: &Path) -> Self {
        let postgres = Postgres::shared().unwrap();
        let (shop, crm) = (postgres.database().unwrap(), postgres.database().unwrap());
        connect(&shop).await.batch_execute(SLOW).await.unwrap();
        connect(&crm).await.batch_execute(LYING).await.unwrap();
        let (legacy, archive, nights) =
            (dir.join("legacy.db"), dir.join("archive/events.jsonl"), dir.join("nights"));
        let old = rusqlite::Connection::open(&legacy).unwrap();
        let rows = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
                    INSERT INTO users VALUES (4711, 'a'), (1, 'b')";
        old.execute_batch(rows).unwrap();
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        fs::write(&archive, format!("{{\"user_id\":4711}}\n{LINE_OF_ANOTHER}")).unwrap();
        fs::create_dir(&nights).unwrap();
        fs::write(nights.join("1.dump"), "rows").unwrap();
        let generation = File::open(nights.join("1.dump")).unwrap();
        let made = generation.metadata().unwrap().modified().unwrap();
        generation.set_times(FileTimes::new().set_modified(made - DAY / 2)).unwrap();
        let secret = dir.join("mailer.secret");
        fs::write(&secret, SECRET).unwrap();
        let places = Self {
            secret,
            _postgres: postgres,
            shop,
            crm,
            legacy,
            archive,
            nights,
            cache: Mutex::new(Redis::start().unwrap()),
            partner: Partner::open(&["4711", "1"]).await,
        };
        places.fill_cache();
        places
    }

    pub fn manifests(&self) -> Vec<Value> {
        let postgres = |url: &str, system: &str, key: &str, table: &str| {
            let mut manifest = shop(url);
            manifest["kind"] = json!("postgres");
            manifest["system"] = json!(system);
            manifest["datasets"][0]["fides_key"] = json!(key);
            manifest["datasets"][0]["collections"][0]["name"] = json!(table);
            manifest
        };
        let mut legacy = shop(&format!("sqlite://{}", self.legacy.display()));
        legacy["system"] = json!("legacy");
        legacy["datasets"][0]["fides_key"] = json!("legacy");
        let of = |more: Value| {
            let mut entry = json!({"system": "shop-db", "dataset": "shop.users"});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([entry])
        };
        let folder = |path: &Path| format!("file://{}", path.display());
        vec![
            postgres(&self.shop, "shop-db", "shop", "users"),
            postgres(&self.crm, "crm-db", "crm", "contacts"),
            legacy,
            json!({"system": "cache", "kind": "redis", "mode": "enforce",
                   "connection": {"url": self.cache.lock().unwrap().url()},
                   "copies_of": of(json!({"key": "user:{id}"}))}),
            json!({"system": "archive", "kind": "files", "mode": "enforce", "copies_of": of(json!({})),
                   "connection": {"url": folder(self.archive.parent().unwrap())},
                   "files": [{"path": "*.jsonl", "format": "jsonl", "match": {"user_id": "customer_id"}}]}),
            json!({"system": "nightly", "kind": "backup", "mode": "enforce", "expires": "1d",
                   "copies_of": of(json!({})), "connection": {"url": folder(&self.nights)}}),
            json!({"system": "mailer", "kind": "http", "mode": "enforce", "copies_of": of(json!({})),
                   "connection": {"url": self.partner.url, "secret": format!("${{file:{}}}", self.secret.display())},
                   "http": {"identity": "customer_id", "deadline": "30d",
                            "submit": {"path": "/erase", "body": {"people": "{values}"}, "ref": "/job"},
                            "poll": {"path": "/jobs/{ref}", "every": "30d", "done": {"/state": ["done"]}},
                            "read_back": {"path": "/find", "body": {"people": "{values}"},
                                          "absent": {"/found": []}}}}),
        ]
    }

    /// Whether the person is there still; what cannot be looked into is taken to hold them.
    pub async fn holds(&self, system: &str) -> bool {
        match system {
            "shop-db" => count(&self.shop, "users", "id = 4711").await > 0,
            "crm-db" => count(&self.crm, "contacts", "id = 4711").await > 0,
            "legacy" => self.legacy_rows("id = 4711") > 0,
            "archive" => fs::read_to_string(&self.archive).unwrap().contains("4711"),
            "nightly" => self.nights.join("1.dump").exists(),
            "mailer" => self.partner.books().people.contains("4711"),
            "cache" => self.in_cache("user:4711").unwrap_or(true),
            other => panic!("nobody knows {other}"),
        }
    }

    /// Nobody else lost anything.
    pub async fn others_are_there(&self) {
        assert_eq!(count(&self.shop, "users", "id = 1").await, 1);
        assert_eq!(count(&self.crm, "contacts", "id = 1").await, 1);
        assert_eq!(self.legacy_rows("id = 1"), 1);
        assert!(fs::read_to_string(&self.archive).unwrap().ends_with(LINE_OF_ANOTHER));
        assert!(self.partner.books().people.contains("1"));
        assert_ne!(self.in_cache("user:1"), Some(false));
    }

    fn legacy_rows(&self, which: &str) -> i64 {
        let old = rusqlite::Connection::open(&self.legacy).unwrap();
        old.query_row(&format!("SELECT count(*) FROM users WHERE {which}"), [], |r| r.get(0)).unwrap()
    }

    /// None = it is down.
    fn in_cache(&self, key: &str) -> Option<bool> {
        let mut cache =
            redis::Client::open(self.cache.lock().unwrap().url()).unwrap().get_connection().ok()?;
        redis::cmd("EXISTS").arg(key).query(&mut cache).ok()
    }

    fn fill_cache(&self) {
        let url = self.cache.lock().unwrap().url();
        let mut cache = redis::Client::open(url).unwrap().get_connection().unwrap();
        for id in ["4711", "1"] {
            redis::cmd("SET").arg(format!("user:{id}")).arg("{}").exec(&mut cache).unwrap();
        }
    }

    pub fn stop_cache(&self) {
        self.cache.lock().unwrap().stop().unwrap();
    }

    pub fn start_cache(&self) {
        self.cache.lock().unwrap().start_again().unwrap();
        self.fill_cache();
    }

    /// The next night's backup comes, the last that may hold the person goes.
    pub fn rotate(&self) {
        fs::write(self.nights.join("2.dump"), "rows of the others").unwrap();
        fs::remove_file(self.nights.join("1.dump")).unwrap();
    }

    pub async fn mend_crm(&self) {
        connect(&self.crm).await.batch_execute("DROP TRIGGER lies ON contacts").await.unwrap();
    }
}
