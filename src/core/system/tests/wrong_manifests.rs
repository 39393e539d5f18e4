use super::{errors, manifest};

/// Manifest → the first error's `LINE:COL: …`, whole.
const WRONG: &[(&str, &str)] = &[
    ("kind: memory\n", "1:1: a system manifest needs `system`; add `system:`"),
    (
        "sytem: a\nkind: memory\n",
        "1:1: a system manifest needs `system`; `sytem` is not known: write `system`",
    ),
    (
        "system: a b\nkind: memory\n",
        "1:9: `a b` cannot be a system's name; use letters, digits, `_`, `-` and `.` only, at most 64",
    ),
    ("system: a\nkind: postgers\n", "2:7: `postgers` is no kind of system; did you mean `postgres`?"),
    (
        "system: a\nkind: postgres\n",
        "1:1: a `postgres` system needs a url; add `connection: {url: \"${env:NAME}\"}`",
    ),
    (
        "system: a\nkind: kafka\nconnection: {brokers: b, secret: \"${env:S}\", user: ann}\n",
        "3:46: `user` is no setting of a `kafka` system; write `username`, as in `kafka: {security: …}`",
    ),
    (
        "system: a\nkind: http\nconnection: {url: \"https://p.example\"}\nhttp: {identity: email, submit: {path: /erase, body: {people: all}}}\n",
        "4:33: the body of `submit` does not say whom it means; write the people into it, such as body: {people: \"{values}\"}",
    ),
    ("- a\n", "1:1: a system manifest must be a map, this is a list; write `key: value`"),
    (
        "system: a\nkind: memory\nformat: 2\n",
        "3:9: `format` `2` is not known to this version; write `format: 1`, or use a newer quietus",
    ),
    (
        "system: a\nkind: memory\nmode: enforced\n",
        "3:7: `mode` cannot be `enforced`; did you mean `enforce`?",
    ),
    (
        "system: a\nkind: memory\nretains: yes\n",
        "3:10: `retains` must be true or false, this is `yes`; write true or false",
    ),
    (
        "system: a\nkind: memory\nreatins: true\n",
        "3:1: `reatins` is no key of a system manifest; did you mean `retains`?",
    ),
    (
        "system: a\nkind: memory\nexpires: 24\n",
        "3:10: `expires` is no duration: `24`; write its unit: 24s, 24m, 24h or 24d",
    ),
    (
        "system: a\nkind: memory\nexpires: 0s\n",
        "3:10: `expires` cannot be nothing; write a longer one, or leave it out",
    ),
    ("system: a\nkind: memory\nlimits: {batch: -1}\n", "3:17: `batch` cannot be -1; write 1 to 10000"),
    (
        "system: a\nkind: memory\nlimits: {per_second: fast}\n",
        "3:22: `per_second` must be a whole number, this is `fast`; write digits without quotes",
    ),
    (
        "system: a\nkind: memory\nlimits: {batsh: 1}\n",
        "3:10: `batsh` is no key of `limits`; did you mean `batch`?",
    ),
    (
        "system: a\nkind: memory\nwindows: [{days: [mo], from: \"1:00\", to: \"05:00\"}]\n",
        "3:19: `mo` is no day or range of days; did you mean `mon`?",
    ),
    (
        "system: a\nkind: memory\nwindows: [{from: 1:00, to: 05:00}]\n",
        "3:18: `1:00` is no time of day; write hours and minutes of the 24 h clock, such as \"01:00\"",
    ),
    (
        "system: a\nkind: memory\nwindows: [{from: 01:00, to: 25:00}]\n",
        "3:29: `25:00` is no time of day; write hours and minutes of the 24 h clock, such as \"01:00\"",
    ),
    (
        "system: a\nkind: memory\nwindows: [{from: 01:00, to: 01:00}]\n",
        "3:29: a window that ends when it begins; write from: \"00:00\", to: \"24:00\" for all day",
    ),
    ("system: a\nkind: memory\nwindows: [{from: 01:00}]\n", "3:11: a window needs `to`; add `to:`"),
    (
        "system: a\nkind: memory\nerase_after: [a]\n",
        "3:15: `erase_after` names this system itself; name another system, or leave it out",
    ),
    (
        "system: a\nkind: memory\nverify_with: a\n",
        "3:14: `verify_with` names this system itself; name another system, or leave it out",
    ),
    (
        "system: a\nkind: sqlite\nconnection: {url: \"sqlite:///a\"}\nverify_with: b\n",
        "4:14: a `sqlite` system cannot say how far a replica is, which `verify_with` needs; leave `verify_with` out; `kind: postgres` can",
    ),
    (
        "system: a\nkind: http\nconnection: {url: \"https://a.example\"}\nhttp:\n  identity: email\n  submit: {path: /e, body: \"{values}\"}\n  correct: {path: /c, body: \"{values}\"}\n",
        "7:12: the body of `correct` does not say what is to be set; write the values into it, such as body: {…, set: \"{corrections}\"}",
    ),
    (
        "system: a\nkind: http\nconnection: {url: \"https://a.example\"}\nhttp:\n  identity: email\n  submit: {path: /e, body: \"{values}\"}\n  read_back: {path: /f, body: \"{values}\", absent: {/n: 0}}\n  correct: {path: /c, body: [\"{values}\", \"{corrections}\"]}\n",
        "8:12: `read_back` says who is gone, and nothing says what was corrected; add `read_back: {path, body, absent, holds: {/POINTER: CATEGORY}}` to `correct`",
    ),
    (
        "system: a\nkind: memory\nlimits: {replica_lag_max: 10s}\n",
        "3:27: a `memory` system cannot say how far a replica is, which `replica_lag_max` needs; leave `replica_lag_max` out; `kind: postgres` can",
    ),
    (
        "system: a\nkind: memory\ncopies_of: [{system: a}]\n",
        "3:22: a system cannot hold copies of itself; name the system that the copies are made of",
    ),
    (
        "system: a\nkind: memory\ncopies_of: [{dataset: a.b}]\n",
        "3:13: an entry of `copies_of` needs `system`; add `system:`",
    ),
    (
        "system: a\nkind: memory\ncopies_of: [{system: b, key: \"u:{id\"}]\n",
        "3:30: the template `key` cannot be read; close it with `}`",
    ),
    (
        "system: a\nkind: memory\ncopies_of: [{system: b, set: all}]\n",
        "3:13: `set` and `member` belong together; write both, such as set: \"users:all\", member: \"{id}\"",
    ),
    ("system: a\nkind: memory\nscan: {by: x}\n", "3:7: `scan` needs `every`; add `every:`"),
    (
        "system: a\nkind: memory\ndatasets: [none.yaml]\n",
        "3:12: the dataset file `none.yaml` cannot be read: no such file; check the path: it is relative to the manifest",
    ),
    (
        "system: a\nkind: memory\ndatasets: [users.yaml, users.yaml]\n",
        "3:24: the dataset `shop` comes twice; give each its own fides_key",
    ),
    ("system: a\nkind: memory\nhttp: {}\n", "3:7: `http` needs `identity`; add `identity:`"),
    (
        "system: a\nkind: files\nconnection: {url: \"file:///x\"}\nfiles: [{path: ../x, match: {id: customer_id}}]\n",
        "4:16: a path must stay below the connection's folder; write it relative, without `..`",
    ),
    (
        "system: a\nkind: files\nconnection: {url: \"file:///x\"}\nfiles: [{path: \"{id}.csv\", match: {id: customer_id}}]\n",
        "4:16: a path has segments, in which only `{date}` and `*` stand for something else; write it as in dt={date}/*.jsonl.gz",
    ),
    (
        "system: a\nkind: files\nconnection: {url: \"file:///x\"}\nfiles: [{path: x, match: {id: Customer}}]\n",
        "4:31: `Customer` cannot be an identity type; use lower case, digits and `_`, such as customer_id",
    ),
    (
        "system: a\nkind: sqlite\nconnection: {url: shop.db}\n",
        "3:19: this is no URL of a `sqlite` system; write sqlite:///…",
    ),
    (
        "system: a\nkind: memory\nconnection: {pasword: x}\n",
        "3:14: `pasword` is no connection setting; did you mean `password`?",
    ),
    (
        "system: a\nkind: memory\nconnection: {url: \"${vault:x}\"}\n",
        "3:19: `url` holds a reference that cannot be read; write ${env:NAME} or ${file:PATH}",
    ),
    (
        "system: a\nkind: memory\nconnection: {url: \"${env:X\"}\n",
        "3:19: `url` holds a reference that cannot be read; close it with `}`",
    ),
    (
        "system: a\nkind: memory\n---\nsystem: b\n",
        "4:1: a second manifest in one file; give each system its own file",
    ),
    ("system: a\nkind: memory\nowner: [x]\n", "3:8: `owner` must be a text, this is a list; write one value"),
    (
        "system: a\nkind: memory\nlimits: {batch: 5, batch: 6}\n",
        "3:20: the key `batch` stands here twice (first in line 3); remove one of the two",
    ),
];

#[test]
fn wrong_manifests_are_refused_with_place_and_remedy() {
    let mut wrong = Vec::new();
    for (text, wanted) in WRONG {
        let (_, found) = manifest(text);
        let said = errors(&found).into_iter().next().unwrap_or_default();
        if said != format!("dir/s.yaml:{wanted}") {
            wrong.push(format!("{text:?}\n  wanted {wanted}\n  said   {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn literal_secrets_are_refused_and_not_repeated() {
    for connection in [
        "{url: \"postgres://u:hunter2@h/d\"}",
        "{url: \"postgres://u:hunter2/x@h/d\"}",
        "{url: \"postgres://u:hunter2${env:X}@h/d\"}",
        "{url: \"postgres://h/d?user=u&password=hunter2\"}",
        "{url: \"postgres://h/d?sslpassword=hunter2\"}",
        "{url: \"${env:URL}?token=hunter2\"}",
        "{url: \"postgres://h/d\", password: hunter2}",
        "{url: \"postgres://h/d\", secret: hunter2}",
        "{url: \"postgres://h/d\", token: [hunter2]}",
        "{url: \"postgres://h/d\", password: \"${env:X}hunter2\"}",
        "{url: \"postgres://h/d\", key: \"hunter2\"}",
    ] {
        let (_, found) = manifest(&format!("system: a\nkind: postgres\nconnection: {connection}\n"));
        let said = errors(&found).join("\n");
        assert!(said.contains("literal secret") && said.contains("${env:NAME}"), "{connection}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
