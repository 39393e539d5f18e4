//! `quietus connector conform` on the Python example: whole it passes, and each thing taken out of it is found.

use serde_json::Value;

use super::{Example, address, broker, topic};
use crate::cli::{quietus, root};

const LAWS: usize = 10;

/// Exit code, and law → outcome.
fn conform(place: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
    let words = ["connector", "conform", "--json", "--timeout", "30s"];
    let args: Vec<String> = words.iter().chain(place).map(|a| (*a).to_owned()).collect();
    let output = quietus(&root(), &args);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    eprintln!("{told}");
    let text = |law: &Value, key: &str| law[key].as_str().unwrap().to_owned();
    let laws = told["laws"].as_array().unwrap().iter();
    (output.status.code(), laws.map(|law| (text(law, "law"), text(law, "outcome"))).collect())
}

fn broken(laws: &[(String, String)]) -> Vec<&str> {
    laws.iter().filter(|(_, outcome)| outcome == "broken").map(|(law, _)| law.as_str()).collect()
}

/// What is taken out of the example, and the law that it then breaks.
const WITHOUT: [(Option<&str>, Option<&str>); 4] = [
    (None, None),
    (Some("--no-dedupe"), Some("dedupe")),
    (Some("--no-verify"), Some("verify")),
    (Some("--no-not-after"), Some("not_after")),
];

/// `place` makes the example's arguments and those of `conform`.
fn each_is_found(place: impl Fn() -> (Vec<String>, Vec<String>) + Sync) {
    let one = |without: Option<&str>, law: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        let (example, asked) = place();
        let example: Vec<&str> = example.iter().map(String::as_str).chain(without).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let _example = Example::start(folder.path(), &example, None);
        let (code, laws) = conform(&asked);
        assert_eq!(laws.len(), LAWS);
        let wanted: Vec<&str> = law.into_iter().collect();
        assert_eq!((code, broken(&laws)), (Some(i32::from(law.is_some())), wanted), "{without:?}");
        assert!(laws.iter().all(|(_, outcome)| outcome != "not_applicable"), "{laws:?}");
    };
    std::thread::scope(|all| {
        WITHOUT.iter().for_each(|(without, law)| {
            all.spawn(|| one(*without, *law));
        });
    });
}

#[test]
fn the_python_example_keeps_every_law_on_topics_and_each_thing_taken_out_of_it_is_found() {
    let kafka = broker();
    let brokers = kafka.brokers();
    each_is_found(|| {
        let place = ["--topic".to_owned(), topic(), "--brokers".to_owned(), brokers.clone()];
        (place.to_vec(), place.to_vec())
    });
}

#[test]
fn the_python_example_keeps_every_law_over_http_and_each_thing_taken_out_of_it_is_found() {
    each_is_found(|| {
        let address = address();
        let url = format!("http://{address}/");
        (vec!["--listen".to_owned(), address], vec!["--url".to_owned(), url])
    });
}

#[test]
fn where_nobody_answers_nothing_is_known() {
    let args = ["connector", "conform", "--url", "http://127.0.0.1:1/", "--timeout", "1s"].map(str::to_owned);
    let output = quietus(&root(), &args);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no connector answers there"), "{output:?}");
}
