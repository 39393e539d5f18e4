//! `init` on real databases: what it writes passes every check as it is, and leads to a plan.

use std::fs;
use std::path::Path;

use quietus_test_servers::Postgres;
use serde_json::Value;
use tokio_postgres::NoTls;

use super::cli::quietus;
use super::world::World;

fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let output = quietus(folder, &args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const SCHEMA: &str = r#"
CREATE TABLE "Customers" (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, "First Name" varchar(40), created_at timestamptz NOT NULL);
CREATE SCHEMA "Sales & More";
CREATE TABLE "Sales & More".orders (shop text, no bigint, "customerId" bigint NOT NULL REFERENCES "Customers" (id),
  total numeric(10, 2) NOT NULL, order_date date NOT NULL, PRIMARY KEY (shop, no));
CREATE TABLE "Sales & More".order_lines (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), shop text NOT NULL, no bigint NOT NULL,
  FOREIGN KEY (shop, no) REFERENCES "Sales & More".orders (shop, no));
CREATE TABLE visits (id bigint, at timestamptz NOT NULL, customer_id bigint REFERENCES "Customers" (id), ip inet,
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visits_2020 PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE visits_later PARTITION OF visits DEFAULT;
CREATE VIEW everybody AS SELECT * FROM "Customers";
CREATE TABLE nameless (note text);
INSERT INTO "Customers" SELECT n, 'c' || n || '@example.org', 'A', now() - n * interval '1 year' FROM generate_series(1, 6) n;
INSERT INTO "Sales & More".orders SELECT 'north', n, n, 1.5, current_date - (n * 365)::int FROM generate_series(1, 6) n;
INSERT INTO visits SELECT n, now() - n * interval '1 year', n, '127.0.0.1' FROM generate_series(1, 6) n;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_schema_of_odd_names_is_registered_scanned_and_planned_unedited() {
    let server = Postgres::shared().unwrap();
    let url = server.database().unwrap();
    let (sql, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    sql.batch_execute(SCHEMA).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = url.replacen('@', ":s3cret-pw@", 1);

    // With a password: it stands in no file and on no stream.
    let (code, _, said) =
        tokio::task::block_in_place(|| run(folder.path(), &["init", &secret, "--out", "secret"]));
    assert!(code == Some(0) && said.contains("_URL") && said.contains("everybody"), "{said}");
    let all: String = fs::read_dir(folder.path().join("secret"))
        .unwrap()
        .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    assert!(!all.contains("s3cret-pw") && !said.contains("s3cret-pw"), "the password was written down");
    assert!(all.contains("${env:QUIETUS_") && all.matches("# guessed").count() > 10, "{all}");

    let (code, told, said) =
        tokio::task::block_in_place(|| run(folder.path(), &["init", &url, "--out", "shop", "--json"]));
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["tables"].as_u64(), told["about_people"].as_u64()), (Some(5), Some(3)), "{told}");
    let name = sql.query_one("SELECT current_database()::text", &[]).await.unwrap().get::<_, String>(0);
    let (dataset, system) = (format!("shop/{name}.dataset.yaml"), format!("shop/{name}.system.yaml"));
    let (code, found, _) =
        tokio::task::block_in_place(|| run(folder.path(), &["dataset", "check", &dataset]));
    assert_eq!((code, found.as_str()), (Some(0), ""));
    let (code, _, said) =
        tokio::task::block_in_place(|| run(folder.path(), &["init", &url, "--out", "shop"]));
    assert!(code == Some(2) && said.contains("--force"), "{said}");
    let text = fs::read_to_string(folder.path().join(&dataset)).unwrap();
    assert!(
        !text.contains("visits_2020")
            && text.contains("{columns: [shop, \"no\"], collection: orders, to: [shop, \"no\"]}"),
        "{text}"
    );

    let w = World::start(folder.path()).await;
    let at = |args: &[&str]| {
        let args = [args, &["--url", w.url.as_str(), "--json"]].concat();
        let (code, told, said) = tokio::task::block_in_place(|| run(folder.path(), &args));
        (code, serde_json::from_str::<Value>(&told).unwrap_or(Value::Null), said)
    };
    assert_eq!(at(&["system", "add", &system]).0, Some(0));
    let (code, applied, said) = at(&["apply", "shop"]);
    assert_eq!(
        (code, &applied["results"][1]["result"]),
        (Some(0), &Value::from("unchanged")),
        "{applied} {said}"
    );
    let (code, scan, said) = at(&["system", "scan", &name, "--wait"]);
    assert_eq!(
        (code, scan["rows"].as_u64(), scan["recorded"].as_u64()),
        (Some(0), Some(18), Some(18)),
        "{scan} {said}"
    );
    let (_, plan, _) = at(&["sweep", "plan"]);
    // Of six rows a table, those of four, five and six years are over; three years to the day, not yet.
    assert_eq!((plan["items"].as_u64(), plan["due"].as_u64()), (Some(18), Some(9)), "{plan}");
    let (code, covered, _) = at(&["system", "coverage", &name]);
    assert_eq!(code, Some(0), "{covered}");
    sql.batch_execute("ALTER TABLE \"Sales & More\".order_lines ADD gift_email text").await.unwrap();
    let (code, covered, _) = at(&["system", "coverage", &name]);
    assert_eq!(
        (code, &covered["uncovered"][0]["column"]),
        (Some(1), &Value::from("Sales & More.order_lines.gift_email")),
        "{covered}"
    );
    w.stop().await;
}
