//! End to end: lifecycle events by a Python and a Java program on a real broker, until rows are gone from PostgreSQL
//! and a read-back saw it.

use std::process::Command;

use quietus_test_servers::{Postgres, java_program, python};

use super::*;

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_and_java_programs_tell_is_erased_from_postgresql_and_verified() {
    let (kafka, postgres) = (broker(), Postgres::shared().unwrap_or_else(|why| panic!("{why}")));
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.database().unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = "CREATE TABLE users (id bigint PRIMARY KEY, email text);
                INSERT INTO users SELECT n, 'x' FROM generate_series(1, 50) n";
    client.batch_execute(rows).await.unwrap();
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.publish().await;
    let mut manifest = crate::world::shop(&url);
    manifest["kind"] = json!("postgres");
    world.register(&manifest).await;
    let (by_python, by_java) = (own("by-python"), own("by-java"));
    for (topic, format) in [(&by_python, "avro"), (&by_java, "cloudevents")] {
        topics.create(topic, 3).await;
        let text =
            format!("source: {topic}\nfrom: {{kafka: {{topic: {topic}}}}}\nformat: {format}\nsettle: 0s\n");
        put(&world, topic, &text).await;
    }

    let here = root().join("tests/it/kafka/producers");
    let (brokers, python_topic, java_topic) = (kafka.brokers(), by_python.clone(), by_java.clone());
    let produced = tokio::task::spawn_blocking(move || {
        let requirements = root().join("connectors/examples/python/requirements.txt");
        let interpreter = python(&root(), &requirements).unwrap_or_else(|why| panic!("{why}"));
        let script = here.join("produce.py");
        run(Command::new(interpreter)
            .arg(script)
            .args([&brokers, &python_topic, "1", "20"])
            .arg(root().join("schemas/avro")));
        let mut java =
            java_program(&root(), &here.join("Produce.java")).unwrap_or_else(|why| panic!("{why}"));
        run(java.args([&brokers, &java_topic, "21", "40"]));
    });
    produced.await.unwrap();
    caught_up(&world, &by_python).await;
    caught_up(&world, &by_java).await;
    assert_eq!(world.get("/v1/dead-letters").await.1["items"], json!([]));
    let sweep = world.sweep().await;
    let figures = (&sweep["erased"], &sweep["verified"], &sweep["failed"]);
    assert_eq!(figures, (&json!(40), &json!(40), &json!(0)), "{sweep}");
    let left = client.query_one("SELECT min(id), count(*) FROM users", &[]).await.unwrap();
    assert_eq!((left.get::<_, i64>(0), left.get::<_, i64>(1)), (41, 10));
    world.stop().await;
}
