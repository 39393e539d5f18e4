//! What is refused, each with its line, its column and the remedy.

use super::*;

const BASE: &str = "\
policy: p
timezone: Europe/Berlin
events:
  closed: {of: subject, open_ended: true}
purposes:
  shop: {use: essential.service, basis: contract}
";

/// The base with `extra` below it, from line 7 on.
fn with(extra: &str) -> String {
    format!("{BASE}{extra}\n")
}

/// (what is wrong, text, place, words that the message holds)
type Row = (&'static str, String, &'static str, &'static [&'static str]);

fn rows() -> Vec<Row> {
    let rule = |body: &str| with(&format!("rules:\n  - {{{body}}}"));
    vec![
        ("not YAML", "policy: [".to_owned(), "p.yaml:", &[]),
        ("no map", "- policy".to_owned(), "p.yaml:1:1:", &["must be a map"]),
        ("no name", "timezone: UTC\nrules: []".to_owned(), "p.yaml:1:1:", &["needs `policy`", "add `policy:`"]),
        ("two policies", "policy: a\ntimezone: UTC\n---\npolicy: b\n".to_owned(), "p.yaml:4:1:", &["second document", "one policy per file"]),
        ("unknown key", with("ruls: []"), "p.yaml:7:1:", &["`ruls`", "did you mean `rules`?"]),
        ("duplicate key", with("policy: q"), "p.yaml:7:1:", &["policy"]),
        ("unknown format", with("format: 2"), "p.yaml:7:9:", &["format"]),
        ("unknown zone", "policy: p\ntimezone: Europe/Berln\n".to_owned(), "p.yaml:2:11:", &["did you mean `Europe/Berlin`?"]),
        ("unknown regime", with("regimes: [gdrp]"), "p.yaml:7:11:", &["did you mean `gdpr`?"]),
        ("bad effective", with("effective: soon"), "p.yaml:7:12:", &["2026-12-01T00:00:00"]),
        ("bad fiscal year", with("fiscal_year: \"02-29\""), "p.yaml:7:14:", &["04-01"]),
        ("bad evidence", with("evidence: 3m"), "p.yaml:7:11:", &["min or mo?", "3mo for months"]),
        ("bad cool-down", with("holds: {cool_down: 1mo}"), "p.yaml:7:20:", &["24h"]),
        ("bad cron", with("sweep: {schedule: \"0 2 * *\"}"), "p.yaml:7:19:", &["five or six"]),
        ("a day no month has", with("sweep: {schedule: \"0 2 31 2 *\"}"), "p.yaml:7:19:", &["no month has"]),
        ("limit of nothing", with("sweep: {limit: 0}"), "p.yaml:7:16:", &["limit"]),
        ("unknown clock", with("clocks: {gdpr: {erasure: 20d}}"), "p.yaml:7:17:", &["erasure", "erase"]),
        ("group is a country", with("jurisdictions: {DE: [FR]}"), "p.yaml:7:17:", &["country already"]),
        ("group member", with("jurisdictions: {EEA: [DE, Norway]}"), "p.yaml:7:27:", &["Norway"]),
        ("residency", with("residency: {CH: {store_in: [Switzerland]}}"), "p.yaml:7:29:", &["ISO 3166"]),
        ("category key", with("categories: {user..x: {title: X}}"), "p.yaml:7:14:", &["category key"]),
        ("no period", rule("id: r, category: user"), "p.yaml:8:5:", &["no period", "keep:"]),
        ("m", rule("id: r, keep: 6m after recorded"), "p.yaml:8:19:", &["min or mo?"]),
        ("no start", rule("id: r, keep: 180d"), "p.yaml:8:19:", &["after what", "180d after recorded"]),
        ("working days", rule("id: r, keep: 15wd after recorded"), "p.yaml:8:19:", &["working days", "15d"]),
        ("mixed length", rule("id: r, keep: 1d12h after recorded"), "p.yaml:8:19:", &["mixes"]),
        ("undeclared event", rule("id: r, keep: 180d after closd"), "p.yaml:8:19:", &["`closd` is not declared", "`closed`"]),
        ("unknown edge", rule("id: r, keep: 1y after recorded to year_end"), "p.yaml:8:19:", &["end_of_year"]),
        ("no fiscal year", rule("id: r, keep: 1y after recorded to end_of_fiscal_year"), "p.yaml:8:19:", &["fiscal_year: \"04-01\""]),
        ("unknown category", rule("id: r, category: user.contct, keep: 1y after recorded"), "p.yaml:8:23:", &["did you mean `user.contact`?"]),
        ("unknown jurisdiction", rule("id: r, jurisdiction: de, keep: 1y after recorded"), "p.yaml:8:27:", &["did you mean `DE`?"]),
        ("unknown purpose", rule("id: r, purpose: shp, keep: 1y after recorded"), "p.yaml:8:22:", &["did you mean `shop`?"]),
        ("indefinitely", rule("id: r, keep: indefinitely"), "p.yaml:8:19:", &["without a reason", "add `why:`"]),
        ("unknown action", rule("id: r, keep: 1y after recorded, then: delete"), "p.yaml:8:44:", &["write `erase`"]),
        ("stages and keep", rule("id: r, keep: 1y after recorded, then: [{restrict: 0d after closed}, {erase: 1d after closed}]"), "p.yaml:8:19:", &["stages replace `keep`"]),
        ("stages in disorder", rule("id: r, then: [{erase: 0d after closed}, {restrict: 1d after closed}]"), "p.yaml:8:46:", &["later stage"]),
        ("period map", rule("id: r, keep: {soonest: [1d after closed]}"), "p.yaml:8:20:", &["soonest"]),
        ("unknown rule key", rule("id: r, keep: 1d after closed, perpose: shop"), "p.yaml:8:36:", &["did you mean `purpose`?"]),
        ("no id", rule("keep: 1d after closed"), "p.yaml:8:5:", &["needs `id`"]),
        ("id twice", with("rules:\n  - {id: r, keep: 1d after closed}\n  - {id: r, keep: 1d after closed}"), "p.yaml:9:10:", &["line 8 already"]),
        ("event without assume", "policy: p\ntimezone: UTC\nevents:\n  closed: {of: subject}\n".to_owned(), "p.yaml:4:11:", &["`assume: PERIOD`", "open_ended: true"]),
        ("event of nothing", "policy: p\ntimezone: UTC\nevents:\n  closed: {of: person, open_ended: true}\n".to_owned(), "p.yaml:4:16:", &["`of`"]),
        ("circle", "policy: p\ntimezone: UTC\nevents:\n  a: {of: subject, assume: b}\n  b: {of: subject, assume: 1d after a}\n".to_owned(), "p.yaml:4:28:", &["assumed from itself"]),
        ("reserved", "policy: p\ntimezone: UTC\nevents:\n  recorded: {of: item, open_ended: true}\n".to_owned(), "p.yaml:4:3:", &["name of the language"]),
        ("unknown use", "policy: p\ntimezone: UTC\npurposes:\n  a: {use: marketing.advertisin, basis: consent}\n".to_owned(), "p.yaml:4:12:", &["did you mean `marketing.advertising`?"]),
        ("nearly marketing", "policy: p\ntimezone: UTC\npurposes:\n  a: {use: marketting, basis: consent}\n".to_owned(), "p.yaml:4:12:", &["did you mean `marketing`?"]),
        ("unknown basis", "policy: p\ntimezone: UTC\npurposes:\n  a: {use: marketing, basis: consnt}\n".to_owned(), "p.yaml:4:30:", &["did you mean `consent`?"]),
        ("ended by nothing", with("").replace("basis: contract", "basis: contract, ended_by: clsed"), "p.yaml:6:61:", &["`clsed` is not declared"]),
        ("ends on", with("").replace("basis: contract", "basis: contract, ends_on: [delete]"), "p.yaml:6:61:", &["`delete`"]),
        (
            "minimum beyond the maximum",
            rule("id: r, category: user, purpose: shop, keep: 1y after closed, at_least: 13mo after closed"),
            "p.yaml:8:5:",
            &["less than its own", "keep: 13mo after closed"],
        ),
        (
            "minimum beyond another rule's maximum",
            with("rules:\n  - {id: k, category: user, purpose: shop, keep: 1y after closed}\n  - {id: m, category: user.name, purpose: shop, at_least: 2y after closed}"),
            "p.yaml:9:5:",
            &["`k` (line 8) keeps only for 1y", "keep: 2y after closed"],
        ),
        (
            "equal scopes",
            with("rules:\n  - {id: a, category: user, keep: 1y after closed}\n  - {id: b, category: user, keep: 2y after closed}"),
            "p.yaml:9:5:",
            &["overlap and differ", "remove one"],
        ),
        (
            "overlap",
            with("rules:\n  - {id: a, category: user.contact, keep: 1y after closed}\n  - {id: b, category: user, service: support, keep: 2y after closed}"),
            "p.yaml:9:5:",
            &["`a` (line 8) and `b` overlap", "- {id: a-b, category: user.contact, service: support, keep: 1y after closed}"],
        ),
    ]
}

#[test]
fn every_mistake_is_placed_and_has_a_remedy() {
    let mut wrong = Vec::new();
    for (what, text, place, words) in rows() {
        let errors: Vec<Diagnostic> =
            findings(&text).into_iter().filter(|d| d.severity == Severity::Error).collect();
        let fine = |error: &Diagnostic| {
            let shown = error.to_string();
            // What the scanner itself stumbles over is placed, and has no remedy beyond its own words.
            let remedy = error.fix.is_some() || matches!(what, "not YAML" | "duplicate key");
            remedy && shown.starts_with(place) && words.iter().all(|word| shown.contains(word))
        };
        if errors.len() != 1 || !errors.iter().all(fine) {
            wrong.push((what, errors.iter().map(ToString::to_string).collect::<Vec<_>>()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_printed_rule_settles_the_overlap() {
    let overlapping = with(
        "jurisdictions: {ONE: [DE, FR], TWO: [FR-75, DE, PL]}
rules:
  - {id: a, category: [user.contact, user.name], jurisdiction: ONE, keep: 1y after closed, then: anonymise}
  - {id: b, category: user, jurisdiction: TWO, service: \"s 1\", keep: 2y after closed}",
    );
    let found = findings(&overlapping);
    assert_eq!(found.len(), 4, "two categories by two places: {found:?}");
    let mut settled = overlapping.trim_end().to_owned();
    for (n, finding) in found.iter().enumerate() {
        let (_, rule) = finding.fix.as_deref().and_then(|fix| fix.split_once("you mean: - ")).unwrap();
        settled.push_str(&format!("\n  - {}", rule.replacen("id: a-b", &format!("id: s{n}"), 1)));
    }
    assert_eq!(errors(&settled), Vec::<String>::new(), "{settled}");
}

#[test]
fn what_is_doubtful_is_a_warning() {
    for (body, says) in [
        ("id: r, keep: indefinitely, why: \"the archive act\"", "indefinitely"),
        ("id: r, keep: 1y after recorded, then: restrict", "discharge"),
        ("id: r, then: [{restrict: 0d after closed}, {mask: 1d after closed}]", "discharge"),
        ("id: r, at_least: 1y after recorded, then: erase", "no effect"),
        ("id: r, keep: 1y after recorded, why: because", "no effect"),
    ] {
        let found = findings(&with(&format!("rules:\n  - {{{body}}}")));
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(
            found[0].severity == Severity::Warning && found[0].detail.contains(says),
            "{body}: {found:?}"
        );
    }
}

#[test]
fn a_minimum_is_no_error_where_the_starts_differ_or_no_purpose_is_named() {
    for body in [
        "id: r, category: user, keep: 1y after closed, at_least: 2y after closed",
        "id: r, category: user, purpose: shop, keep: 1y after closed, at_least: 2y after recorded",
        "id: r, category: user, purpose: shop, keep: 1y after closed, at_least: 2y after closed to end_of_year",
        "id: r, category: user, purpose: shop, keep: 1y after closed, at_least: 365d after closed",
    ] {
        assert_eq!(findings(&with(&format!("rules:\n  - {{{body}}}"))), Vec::new(), "{body}");
    }
}

#[test]
fn with_datasets_only_what_they_use_is_an_error() {
    let text = with(
        "rules:\n  - {id: a, category: user.contact, keep: 1y after closed}\n  - {id: b, category: user, service: s, keep: 2y after closed}",
    );
    let policy = parse("p.yaml", text.as_bytes(), Taxonomy::bundled()).0.unwrap();
    let used = |category: &str| {
        let pair = crate::policy::Used {
            category: category.to_owned(),
            purpose: None,
            collection: "shop.users".to_owned(),
        };
        check("p.yaml", &policy, Some(&[pair]))
    };
    assert_eq!(used("user.contact.email")[0].severity, Severity::Error);
    assert_eq!(used("user.name")[0].severity, Severity::Warning);
    let uncovered = used("system.operations");
    assert!(
        uncovered
            .iter()
            .any(|d| d.detail.contains("no rule covers `system.operations`")
                && d.severity == Severity::Warning)
    );
}

#[test]
fn a_flood_of_combinations_is_refused_before_it_is_taken_apart() {
    let many: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
    let list = many.join(", ");
    let rule = format!(
        "rules:\n  - {{id: r, system: [{list}], service: [{list}], controller: [{list}], keep: 1d after closed}}"
    );
    let (policy, found) = parse("p.yaml", with(&rule).as_bytes(), Taxonomy::bundled());
    assert!(
        found.iter().any(|d| d.severity == Severity::Error && d.detail.contains("combinations")),
        "{found:?}"
    );
    assert!(policy.unwrap().rules.is_empty());
}
