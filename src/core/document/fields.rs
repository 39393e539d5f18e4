//! Takes a map apart, key by key, and refuses what nobody asked for.

use super::{Diagnostics, Key, Node, Value};

/// A reader over one map. Ask for every key the map may have, then [`Fields::finish`] names what is left.
///
/// A key whose value is null counts as left out.
#[derive(Debug)]
pub struct Fields<'a> {
    node: &'a Node,
    entries: &'a [(Key, Node)],
    what: String,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// None, and an error, when this is no map. `what` names it in messages: "a rule".
    pub fn of(node: &'a Node, what: &str, found: &mut Diagnostics) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            found.error(node, format!("{what} must be a map, this is {}", node.kind()), "write `key: value`");
            return None;
        };
        Some(Self { node, entries, what: what.to_owned(), known: Vec::new() })
    }

    /// The map itself, for its place.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The value of `key`, if it is there and not null.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.take_raw(key).filter(|n| !n.is_null())
    }

    /// The value of `key`, null included: where "left out" and "nothing" differ.
    pub fn take_raw(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// As [`Fields::take`]; its absence is an error.
    pub fn need(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<&'a Node> {
        let raw = self.take_raw(key);
        match raw {
            Some(node) if !node.is_null() => return Some(node),
            Some(node) => found.error(
                node,
                format!("`{key}` is empty"),
                format!("write its value, or see {}", self.what),
            ),
            None => {
                let near = self.misspelt(key);
                let fix = match near {
                    Some(near) => format!("`{near}` is not known: write `{key}`"),
                    None => format!("add `{key}:`"),
                };
                found.error(self.node, format!("{} needs `{key}`", self.what), fix);
            }
        }
        None
    }

    /// A scalar as written.
    pub fn text(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<String> {
        self.take(key).and_then(|n| text(n, key, found))
    }

    pub fn need_text(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<String> {
        self.need(key, found).and_then(|n| text(n, key, found))
    }

    /// A list of scalars as written; a single one is refused.
    pub fn texts(&mut self, key: &'static str, found: &mut Diagnostics) -> Vec<String> {
        let Some(node) = self.take(key) else { return Vec::new() };
        if let (None, Some(text)) = (node.as_list(), node.text()) {
            found.error(node, format!("`{key}` must be a list"), format!("write [{text}]"));
            return Vec::new();
        }
        texts_of(node, key, found)
    }

    /// A list of scalars as written, or a single one.
    pub fn one_or_many(&mut self, key: &'static str, found: &mut Diagnostics) -> Vec<String> {
        self.take(key).map(|n| texts_of(n, key, found)).unwrap_or_default()
    }

    /// The nodes of a list; left out = none.
    pub fn list(&mut self, key: &'static str, found: &mut Diagnostics) -> &'a [Node] {
        let Some(node) = self.take(key) else { return &[] };
        node.as_list().unwrap_or_else(|| {
            found.error(
                node,
                format!("`{key}` must be a list, this is {}", node.kind()),
                "write it as [a, b]",
            );
            &[]
        })
    }

    /// The entries of a map with free keys; left out = none.
    pub fn map(&mut self, key: &'static str, found: &mut Diagnostics) -> &'a [(Key, Node)] {
        let Some(node) = self.take(key) else { return &[] };
        node.as_map().unwrap_or_else(|| {
            found.error(
                node,
                format!("`{key}` must be a map, this is {}", node.kind()),
                "write it as {name: value}",
            );
            &[]
        })
    }

    /// The fields of a map with fixed keys.
    pub fn fields(&mut self, key: &'static str, what: &str, found: &mut Diagnostics) -> Option<Fields<'a>> {
        self.take(key).and_then(|n| Fields::of(n, what, found))
    }

    pub fn bool(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<bool> {
        let node = self.take(key)?;
        match node.value {
            Value::Bool(b) => Some(b),
            _ => {
                found.error(
                    node,
                    format!("`{key}` must be true or false, this is {}", shown(node)),
                    "write true or false",
                );
                None
            }
        }
    }

    pub fn int(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<i64> {
        self.int_in(key, i64::MIN, i64::MAX, found)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn int_in(&mut self, key: &'static str, low: i64, high: i64, found: &mut Diagnostics) -> Option<i64> {
        let node = self.take(key)?;
        match node.value {
            Value::Int(i) if (low..=high).contains(&i) => return Some(i),
            Value::Int(i) => {
                let fix = match (low, high) {
                    (_, i64::MAX) => format!("write {low} or more"),
                    _ => format!("write {low} to {high}"),
                };
                found.error(node, format!("`{key}` cannot be {i}"), fix);
            }
            _ => {
                let detail = format!("`{key}` must be a whole number, this is {}", shown(node));
                found.error(node, detail, "write digits without quotes");
            }
        }
        None
    }

    /// A duration (`10s`, `5m`, `24h`, `1d`) in milliseconds.
    pub fn duration(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<i64> {
        let node = self.take(key)?;
        match node.text().map(duration) {
            Some(Ok(millis)) => Some(millis),
            Some(Err(fix)) => {
                found.error(node, format!("`{key}` is no duration: {}", shown(node)), fix);
                None
            }
            None => {
                found.error(
                    node,
                    format!("`{key}` must be a duration, this is {}", node.kind()),
                    "write 10s, 5m, 24h or 1d",
                );
                None
            }
        }
    }

    /// One of a few words; another is an error naming the nearest.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        found: &mut Diagnostics,
    ) -> Option<T> {
        let node = self.take(key)?;
        let text = text(node, key, found)?;
        let hit = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if hit.is_none() {
            let fix = choose(&text, words.iter().map(|(word, _)| *word));
            found.error(node, format!("`{key}` cannot be {}", shown(node)), fix);
        }
        hit
    }

    /// `format: 1`, which every kind of file may say; no other is known.
    pub fn format(&mut self, found: &mut Diagnostics) {
        if let Some(node) = self.take("format").filter(|n| n.value != Value::Int(1)) {
            let detail = format!("`format` {} is not known to this version", shown(node));
            found.error(node, detail, "write `format: 1`, or use a newer quietus");
        }
    }

    /// Says that these keys are known without reading them.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Every key that nobody asked for is an error naming the nearest known one.
    pub fn finish(self, found: &mut Diagnostics) {
        for (key, _) in self.entries {
            if found.is_full() {
                return;
            }
            if !self.known.contains(&key.text.as_str()) {
                let fix = choose(&key.text, self.known.iter().copied());
                found.error(key, format!("`{}` is no key of {}", clip(&key.text), self.what), fix);
            }
        }
    }

    /// As [`Fields::finish`] for a format that is not ours: a key near a known one is a misspelling and an error, any
    /// other passes.
    pub fn finish_foreign(self, found: &mut Diagnostics) {
        for (key, _) in self.entries {
            if found.is_full() {
                return;
            }
            let near = nearest(&key.text, self.known.iter().copied()).filter(|n| *n != key.text);
            if let Some(near) = near.filter(|_| !self.known.contains(&key.text.as_str())) {
                let detail = format!("`{}` is no key of {}", clip(&key.text), self.what);
                found.error(key, detail, format!("did you mean `{near}`?"));
            }
        }
    }

    /// A key of this map that looks like `wanted` and that nobody asked for.
    fn misspelt(&self, wanted: &str) -> Option<&'a str> {
        let left = self.entries.iter().map(|(k, _)| k.text.as_str()).filter(|k| !self.known.contains(k));
        nearest(wanted, left)
    }
}

/// The candidate that `word` was probably meant to be; None when none is near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Distance is quadratic in length: no name is longer than this, hostile ones are.
    if word.len() > 200 {
        return None;
    }
    let folded = word.to_lowercase().replace('-', "_");
    let length = folded.chars().count();
    let allowed = (length / 3).max(1).min(length.saturating_sub(1));
    let distance = |c: &str| strsim::damerau_levenshtein(&folded, &c.to_lowercase().replace('-', "_"));
    let near = candidates.into_iter().filter(|c| !c.is_empty() && c.len() <= 200);
    near.map(|c| (distance(c), c)).filter(|(d, _)| *d <= allowed).min().map(|(_, c)| c)
}

/// A settings' duration → milliseconds; the error is the remedy.
pub fn duration(text: &str) -> Result<i64, String> {
    let usage = || "write a whole number with ms, s, m, h or d, such as 10s or 24h".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| {
        if text.is_empty() {
            usage()
        } else {
            format!("write its unit: {text}s, {text}m, {text}h or {text}d")
        }
    })?;
    let (digits, unit) = text.split_at_checked(split).ok_or_else(usage)?;
    let unit: i64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(usage()),
    };
    let count: i64 = digits.parse().map_err(|_| usage())?;
    count.checked_mul(unit).ok_or_else(|| "write a shorter one".to_owned())
}

/// The remedy for a word outside a closed list: the nearest, else the list.
pub(crate) fn choose<'c>(word: &str, known: impl Iterator<Item = &'c str> + Clone) -> String {
    // A list that nobody would read to its end helps nobody.
    const SHOWN: usize = 40;
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let more = if known.clone().nth(SHOWN).is_some() { ", …" } else { "" };
    format!("known: {}{more}", known.take(SHOWN).collect::<Vec<_>>().join(", "))
}

/// A scalar for a message, cut short.
pub(crate) fn shown(node: &Node) -> String {
    node.text().map_or_else(|| node.kind().to_owned(), |t| format!("`{}`", clip(t)))
}

/// Cut short, and nothing in it can talk to a terminal.
fn clip(text: &str) -> String {
    let mut out: String =
        text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}

fn text(node: &Node, key: &str, found: &mut Diagnostics) -> Option<String> {
    let text = node.text().map(str::to_owned);
    match &text {
        None => {
            found.error(node, format!("`{key}` must be a text, this is {}", node.kind()), "write one value")
        }
        Some(t) if t.trim().is_empty() => {
            found.error(node, format!("`{key}` is empty"), "write its value, or leave it out")
        }
        Some(_) => return text,
    }
    None
}

fn texts_of(node: &Node, key: &str, found: &mut Diagnostics) -> Vec<String> {
    match node.as_list() {
        Some(list) => list.iter().filter_map(|n| text(n, key, found)).collect(),
        None => text(node, key, found).into_iter().collect(),
    }
}
