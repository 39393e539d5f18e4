//! From a database's URL to a plan with numbers, on 20 tables and a million rows, nothing edited: how long it takes,
//! and whether the numbers are those that SQL counts.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use quietus_test_servers::Postgres;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::process::Process;

const ROWS: i64 = 1_000_000;
const SECONDS_MAX: f64 = 60.0;
/// Scanned, recorded and in the state, a second; in a release build.
const RATE_MIN: f64 = 30_000.0;

/// A person's table, twelve tables that point at it, and seven about nobody.
const PEOPLE: &[(&str, &str, i64)] = &[
    ("orders", "status {text} NOT NULL, total {number} NOT NULL, shipping_address {text}", 20),
    ("payments", "amount {number} NOT NULL, iban {text}", 12),
    ("reviews", "body {text}, stars {integer}", 8),
    ("support_tickets", "subject {text}, body {text}", 5),
    ("page_views", "page_url {text}, user_agent {text}", 15),
    ("sessions", "ip_address {text}, token {text}", 8),
    ("addresses", "street {text}, city {text}, zip {text}", 6),
    ("devices", "device_id {text}", 4),
    ("consents", "purpose {text}", 4),
    ("wishlists", "title {text}", 3),
    ("messages", "text {text}", 4),
    ("logins", "ip {text}", 3),
];
const OTHERS: &[(&str, &str)] = &[
    ("products", "name {text}, description {text}"),
    ("categories", "name {text}"),
    ("warehouses", "name {text}, capacity {integer}"),
    ("suppliers", "title {text}"),
    ("currencies", "code {text}"),
    ("tax_rates", "rate {number}"),
    ("banners", "caption {text}"),
];
const CUSTOMERS: i64 = 8;

/// The statements that make it; `dialect` names the types, `series` a table of numbers, `ago` a time so many days back.
fn statements(dialect: &dyn Fn(&str) -> String, series: &dyn Fn(i64) -> String, ago: &str) -> Vec<String> {
    let mut all = vec![dialect(
        "CREATE TABLE customers (id {integer} PRIMARY KEY, email {text} NOT NULL UNIQUE, full_name {text}, phone {text}, created_at {time} NOT NULL)",
    )];
    let customers = ROWS * CUSTOMERS / 100;
    all.push(format!(
        "INSERT INTO customers SELECT n, 'c' || n || '@example.org', 'Name ' || n, '+49' || n, {ago} FROM {}",
        series(customers)
    ));
    for (name, columns, share) in PEOPLE {
        all.push(dialect(&format!(
            "CREATE TABLE {name} (id {{integer}} PRIMARY KEY, customer_id {{integer}} NOT NULL REFERENCES customers (id), {columns}, created_at {{time}} NOT NULL)"
        )));
        let values: Vec<String> = columns
            .split(", ")
            .map(|c| {
                if c.contains("{text}") {
                    format!("'{} ' || n", c.split(' ').next().unwrap())
                } else {
                    "n".to_owned()
                }
            })
            .collect();
        all.push(format!(
            "INSERT INTO {name} SELECT n, 1 + n % {customers}, {}, {ago} FROM {}",
            values.join(", "),
            series(ROWS * share / 100)
        ));
        all.push(format!("CREATE INDEX {name}_customer ON {name} (customer_id)"));
    }
    for (name, columns) in OTHERS {
        all.push(dialect(&format!("CREATE TABLE {name} (id {{integer}} PRIMARY KEY, {columns})")));
    }
    all
}

struct Figures {
    tables: i64,
    rows: i64,
    seconds: f64,
    scan_seconds: f64,
    items: i64,
    due: i64,
    as_of: String,
}

/// What a person types, timed; only the node's start and its free port are the rig's.
fn onboard(folder: &Path, url: &str) -> Figures {
    let begun = Instant::now();
    let quietus = |args: &[&str]| -> Value {
        let binary = std::env::var("QUIETUS_RIG_BINARY");
        let mut command = Command::new(binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_quietus")));
        let output = command.args(args).arg("--json").current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {:?}\n{said}", output.status);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    };
    let written = quietus(&["init", url, "--out", "shop"]);
    let mut node = Process::at(folder);
    assert!(node.start(None));
    let at = node.caller().url;
    let at = |args: &[&str]| quietus(&[args, &["--url", at.as_str()]].concat());
    at(&["apply", "shop"]);
    let system =
        written["files"][0].as_str().unwrap().rsplit('/').next().unwrap().replace(".system.yaml", "");
    let scanning = Instant::now();
    let scan = at(&["system", "scan", &system, "--timeout", "300s"]);
    let scan_seconds = scanning.elapsed().as_secs_f64();
    let plan = at(&["sweep", "plan", "--timeout", "120s"]);
    let seconds = begun.elapsed().as_secs_f64();
    at(&["system", "coverage", &system]);
    let rescan = Instant::now();
    let again = at(&["system", "scan", &system, "--timeout", "300s"]);
    assert_eq!(again["recorded"], 0, "a second scan has nothing new to record: {again}");
    eprintln!("scanned in {scan_seconds:.1} s, again in {:.1} s", rescan.elapsed().as_secs_f64());
    node.kill();
    Figures {
        tables: written["tables"].as_i64().unwrap(),
        rows: scan["rows"].as_i64().unwrap(),
        seconds,
        scan_seconds,
        items: plan["items"].as_i64().unwrap(),
        due: plan["due"].as_i64().unwrap(),
        as_of: plan["as_of"].as_str().unwrap().to_owned(),
    }
}

/// `items` and `due` are what SQL counts.
fn judge(kind: &str, found: &Figures, items: i64, due: i64) {
    let line = json!({
        "database": kind, "tables": found.tables, "rows": found.rows,
        "seconds": (found.seconds * 10.0).round() / 10.0,
        "rows_per_second": (found.rows as f64 / found.scan_seconds).round(),
        "items": found.items, "due": found.due,
    });
    println!("{line}");
    assert_eq!(
        (found.tables, found.rows, found.items, found.due),
        (20, ROWS, items, due),
        "SQL counts otherwise"
    );
    assert!(found.seconds < SECONDS_MAX, "{:.1} s, and {SECONDS_MAX} are promised", found.seconds);
    let rate = found.rows as f64 / found.scan_seconds;
    assert!(cfg!(debug_assertions) || rate > RATE_MIN, "{rate:.0} rows/s, and {RATE_MIN} are promised");
}

/// Every table whose rows are about somebody.
fn tables() -> impl Iterator<Item = &'static str> {
    std::iter::once("customers").chain(PEOPLE.iter().map(|(name, ..)| *name))
}

#[tokio::test(flavor = "multi_thread")]
async fn onboard_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let server = Postgres::start().unwrap();
    let url = server.url();
    let (sql, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    let dialect = |text: &str| {
        let text = text.replace("{integer}", "bigint").replace("{number}", "numeric(12,2)");
        text.replace("{text}", "text").replace("{time}", "timestamptz")
    };
    let series = |n: i64| format!("generate_series(1, {n}) AS s(n)");
    for statement in statements(&dialect, &series, "now() - (n % 2000) * interval '1 day'") {
        sql.batch_execute(&statement).await.unwrap();
    }
    sql.batch_execute("ANALYZE").await.unwrap();
    let found = tokio::task::block_in_place(|| onboard(folder.path(), &url));
    let (mut items, mut due) = (0, 0);
    for table in tables() {
        let count = format!(
            "SELECT count(*), count(*) FILTER (WHERE (created_at AT TIME ZONE 'UTC')::date + interval '3 years 1 day' \
             <= '{}'::timestamptz AT TIME ZONE 'UTC') FROM {table}",
            found.as_of
        );
        let row = sql.query_one(&count, &[]).await.unwrap();
        items += row.get::<_, i64>(0);
        due += row.get::<_, i64>(1);
    }
    judge("postgres", &found, items, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn onboard_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let sql = rusqlite::Connection::open(&path).unwrap();
    let dialect = |text: &str| {
        let text = text.replace("{integer}", "INTEGER").replace("{number}", "NUMERIC");
        text.replace("{text}", "TEXT").replace("{time}", "DATETIME")
    };
    let series = |n: i64| {
        format!(
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {n}) SELECT n FROM s)"
        )
    };
    let all = statements(&dialect, &series, "datetime('now', '-' || (n % 2000) || ' days')");
    sql.execute_batch(&format!("BEGIN; {}; COMMIT;", all.join("; "))).unwrap();
    let url = format!("sqlite://{}", path.display());
    let found = tokio::task::block_in_place(|| onboard(folder.path(), &url));
    let (mut items, mut due) = (0, 0);
    for table in tables() {
        let count = format!(
            "SELECT count(*), count(*) FILTER (WHERE datetime(date(created_at), '+3 years', '+1 day') <= datetime('{}')) FROM {table}",
            found.as_of
        );
        let (all, over): (i64, i64) = sql.query_row(&count, [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        items += all;
        due += over;
    }
    judge("sqlite", &found, items, due);
}
