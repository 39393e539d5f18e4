use super::super::check_systems;
use super::good;

fn systems(texts: &[&str]) -> Vec<String> {
    let all = texts.iter().map(|t| good(t)).map(|m| (m.system.clone(), m)).collect();
    check_systems(&all).iter().map(ToString::to_string).collect()
}

#[test]
fn circles_among_systems_are_refused_where_they_begin() {
    let a = "system: a\nkind: memory\nerase_after: [b]\ncopies_of:\n- {system: c}\n";
    let b = "system: b\nkind: memory\nerase_after:\n- c\n- a\ncopies_of: [{system: a}]\n";
    let c = "system: c\nkind: memory\n";
    assert_eq!(
        systems(&[a, b, c]),
        ["dir/s.yaml:3:15: `erase_after` leads in a circle: a → b → a; remove one of these links"]
    );
    let c = "system: c\nkind: memory\ncopies_of: [{system: b}]\n";
    let said = systems(&[a, "system: b\nkind: memory\ncopies_of: [{system: a}]\n", c]);
    assert_eq!(
        said,
        ["dir/s.yaml:5:3: `copies_of` leads in a circle: a → c → b → a; remove one of these links"]
    );
}

#[test]
fn names_of_other_systems_are_looked_up() {
    let db = "system: db\nkind: memory\ndatasets: [users.yaml]\n";
    let cache = "system: cache\nkind: memory\nerase_after: [bd]\ncopies_of:\n- {system: db, dataset: shop.users, key: \"u:{id}:{nmae}\"}\n- {system: db, dataset: shop.user}\n";
    assert_eq!(
        systems(&[db, cache]),
        [
            "dir/s.yaml:3:15: warning: no system `bd` is registered yet; did you mean `db`?",
            "dir/s.yaml:5:3: `{nmae}` is no field of `shop.users`; known: id, created, country, email, address.street",
            "dir/s.yaml:6:3: `shop.user` is no collection of the system `db`; did you mean `shop.users`?",
        ]
    );
}
