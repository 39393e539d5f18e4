use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::document::Diagnostic;

const FULL: &str = "\
format: 1
dir: /var/lib/quietus
http: {listen: \"0.0.0.0:7070\", settle: 1m, tls: {cert: \"${file:/c}\", key: \"${file:/k}\"}}
ledger: {kind: kafka, brokers: [\"a:9092\", \"b:9092\"], prefix: q., security: {protocol: sasl_ssl, password: \"${env:PW}\"}}
kafka: {registry: \"http://127.0.0.1:8081\"}
tenant_key: \"${file:/key}\"
identities: {default: email, max_linked: 5}
tokens: [{name: ci, role: platform, sha256: \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\", expires: 2027-01-01}]
load: [policies/, systems/]
telemetry: {level: \"info,quietus=debug\", format: json, otlp: null}
";

fn good(text: &str) -> Config {
    Config::parse("q.yaml", text.as_bytes()).unwrap_or_else(|found| panic!("{text}: {found:?}"))
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn said(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_full_file_is_read() {
    let c = good(FULL);
    assert_eq!((c.dir.as_str(), c.http.listen.port(), c.http.settle), ("/var/lib/quietus", 7070, 60_000));
    assert_eq!(c.http.tls, Some(Tls { cert: "${file:/c}".into(), key: "${file:/k}".into() }));
    assert_eq!((c.ledger.kind, c.ledger.partitions(), c.ledger.brokers.len()), (LedgerKind::Kafka, 32, 2));
    assert_eq!(c.ledger.security["password"], "${env:PW}");
    assert_eq!(c.kafka.registry.as_deref(), Some("http://127.0.0.1:8081"));
    assert_eq!((c.identities.default.as_str(), c.identities.max_linked), ("email", 5));
    assert_eq!(c.tokens[0].expires, Millis::parse("2027-01-01T00:00:00Z"));
    assert_eq!((c.telemetry.format, c.telemetry.otlp.clone()), (LogFormat::Json, None));
    assert_eq!(c.load, ["policies/", "systems/"]);
    assert!(c.check().is_empty(), "{:?}", c.check());
}

#[test]
fn defaults_need_no_file() {
    let c = Config::default();
    assert_eq!(c.http.listen.to_string(), "127.0.0.1:7070");
    assert_eq!((c.ledger.kind, c.ledger.partitions()), (LedgerKind::Embedded, 4));
    assert!(c.check().is_empty());
    assert!(c.origins().iter().all(|s| s.origin == Origin::Default));
}

#[test]
fn the_strongest_layer_wins_in_whatever_order() {
    let vars = env(&[
        ("QUIETUS_HTTP__LISTEN", "127.0.0.1:2"),
        ("QUIETUS_HTTP__SETTLE", "2m"),
        ("QUIETUS_LEDGER__BROKERS", "a:1, b:2"),
        ("QUIETUS_LOAD", "[x/, y/]"),
        ("QUIETUS_IDENTITIES__MAX_LINKED", "7"),
        ("QUIETUS_KAFKA__SECURITY__USERNAME", "u"),
        ("QUIETUS_URL", "http://elsewhere"),
        ("QUIETUS_PORT_7070_TCP", "tcp://10.0.0.1:7070"),
        ("PATH", "/bin"),
    ]);
    let mut c = good("http: {listen: \"127.0.0.1:1\", settle: 1m}\ndir: /file\n");
    c.apply_flag("http.listen", "--listen", "127.0.0.1:3").unwrap();
    c.apply_env(&vars).unwrap();
    assert_eq!((c.http.listen.port(), c.http.settle, c.dir.as_str()), (3, 120_000, "/file"));
    assert_eq!(c.ledger.brokers, ["a:1", "b:2"]);
    assert_eq!(c.load, ["x/", "y/"]);
    assert_eq!((c.identities.max_linked, c.kafka.security["username"].as_str()), (7, "u"));
    let origin = |key: &str| c.origins().into_iter().find(|s| s.key == key).unwrap().origin.to_string();
    assert_eq!(origin("http.listen"), "flag --listen");
    assert_eq!(origin("http.settle"), "env QUIETUS_HTTP__SETTLE");
    assert_eq!(origin("dir"), "q.yaml:2");
    assert_eq!(origin("telemetry.level"), "default");
    assert_eq!(origin("kafka.security.username"), "env QUIETUS_KAFKA__SECURITY__USERNAME");
}

#[test]
fn wrong_variables_and_flags_are_named() {
    for (name, value, wanted) in [
        (
            "QUIETUS_HTTP__LISTN",
            "x",
            "QUIETUS_HTTP__LISTN:1:1: `listn` is no key of `http`; did you mean `listen`?",
        ),
        (
            "QUIETUS_HTPP__LISTEN",
            "x",
            "QUIETUS_HTPP__LISTEN:1:1: `htpp` is no key of the configuration; did you mean `http`?",
        ),
        (
            "QUIETUS_LEDGER__PARTITIONS",
            "0",
            "QUIETUS_LEDGER__PARTITIONS:1:1: `partitions` cannot be 0; write 1 to 1024",
        ),
        ("QUIETUS_LOAD", "[x", "QUIETUS_LOAD:2:1: not valid YAML"),
        ("QUIETUS_TENANT_KEY", "hunter2", "QUIETUS_TENANT_KEY:1:1: `tenant_key` is a literal secret; "),
    ] {
        let found = Config::default().apply_env(&env(&[(name, value)])).unwrap_err();
        assert!(said(&found)[0].starts_with(wanted), "{name}: {:?}", said(&found));
        assert!(!said(&found)[0].contains("hunter2"));
    }
    let found = Config::default().apply_flag("http.listen", "--listen", "7070").unwrap_err();
    assert!(said(&found)[0].starts_with("--listen:1:1: `7070` is no address to listen on"), "{found:?}");
}

#[test]
fn wrong_files_are_refused_with_place_and_remedy() {
    for (text, wanted) in [
        ("htp: {}\n", "1:1: `htp` is no key of the configuration; did you mean `http`?"),
        (
            "http: {listen: here}\n",
            "1:16: `here` is no address to listen on; write an address and a port, such as \"127.0.0.1:7070\" or \"[::]:7070\"",
        ),
        ("http:\n  settle: 5\n", "2:11: `settle` is no duration: `5`; write its unit: 5s, 5m, 5h or 5d"),
        (
            "http: {tls: {key: PEM}}\n",
            "1:19: `key` is a literal secret; write ${env:NAME} or ${file:PATH} in its place; change the secret, it stood in a file",
        ),
        ("ledger: {kind: sled}\n", "1:16: `kind` cannot be `sled`; known: embedded, kafka"),
        ("ledger: {partitions: 5000}\n", "1:22: `partitions` cannot be 5000; write 1 to 1024"),
        ("kafka: {registry: localhost}\n", "1:19: `registry` must be a URL; write http://… or https://…"),
        (
            "kafka: {security: {protocol: tls}}\n",
            "1:30: `protocol` cannot be `tls`; known: plaintext, ssl, sasl_plaintext, sasl_ssl",
        ),
        (
            "kafka: {security: {user: ann}}\n",
            "1:20: `user` is no key of `security`; known: protocol, mechanism, username, password, ca, cert, key",
        ),
        (
            "kafka: {security: {password: x}}\n",
            "1:30: `password` is a literal secret; write ${env:NAME} or ${file:PATH} in its place; change the secret, it stood in a file",
        ),
        (
            "identities: {default: Mail}\n",
            "1:23: `Mail` cannot be an identity type; use lower case, digits and `_`, such as customer_id",
        ),
        (
            "tokens: [{name: a, role: b, sha256: abc}]\n",
            "1:37: `sha256` must be 64 hexadecimal digits; write what `printf %s TOKEN | sha256sum` says, in quotes",
        ),
        ("telemetry: {level: inf}\n", "1:20: `inf` is no log level; did you mean `info`?"),
        (
            "tenant_key: abc\n",
            "1:13: `tenant_key` is a literal secret; write ${env:NAME} or ${file:PATH} in its place; change the secret, it stood in a file",
        ),
        ("dir: a\n---\ndir: b\n", "3:1: a second document in the configuration; write one"),
    ] {
        let found = Config::parse("q.yaml", text.as_bytes()).unwrap_err();
        assert_eq!(said(&found)[0], format!("q.yaml:{wanted}"), "{text}");
    }
}

#[test]
fn settings_that_do_not_go_together() {
    for (text, wanted) in [
        (
            "http: {listen: \"0.0.0.0:1\"}\n",
            "q.yaml:1:16: a node without tokens listens on loopback only; add `tokens:`, or listen on 127.0.0.1",
        ),
        (
            "ledger: {kind: kafka}\n",
            "q.yaml:1:16: a Kafka ledger needs brokers; add `ledger: {brokers: [HOST:PORT]}`",
        ),
        (
            "ledger:\n  security: {username: x}\n",
            "q.yaml:2:24: `ledger.security` means nothing to an embedded ledger; write `kind: kafka`, or move it to `kafka:` for sources",
        ),
        (
            "ledger: {snapshot_every: 10ms}\n",
            "q.yaml:1:26: `snapshot_every` is too short: a node would do nothing else; write 1s or more; 7d is the default",
        ),
        ("http: {tls: {cert: c}}\n", "q.yaml:1:20: `http.tls.cert` needs `http.tls.key`; add `http.tls.key`"),
    ] {
        assert_eq!(said(&good(text).check())[0], wanted, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_environment_is_answered(name in "QUIETUS_[A-Z_]{0,20}", value in "\\PC{0,20}") {
        let _ = Config::default().apply_env(&env(&[(&name, &value)]));
        let _ = Config::default().apply_flag(&name.to_lowercase(), "--x", &value);
    }
}
