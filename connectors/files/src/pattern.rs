//! The path of a set of files: segments in which `{date}` stands for one or more characters and `*` for any.
//!
//! Neither goes past a `/`, and neither matches a name that begins with a dot: so the copies that a rewrite makes
//! beside a file are never taken for one, and other programs' hidden files are left alone.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    segments: Vec<Vec<Part>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// At least this many characters of any kind.
    Any(usize),
}

impl Pattern {
    pub(crate) fn parse(path: &str) -> Result<Self, &'static str> {
        let segments: Vec<Vec<Part>> = path.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// How many segments; the last is the file's.
    pub(crate) fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether a name may stand in this segment.
    pub(crate) fn matches(&self, depth: usize, name: &[u8]) -> bool {
        let Some(parts) = self.segments.get(depth) else { return false };
        let wild_start = matches!(parts.first(), Some(Part::Any(_)));
        !(wild_start && name.starts_with(b".")) && fits(parts, name)
    }
}

fn segment(text: &str) -> Result<Vec<Part>, &'static str> {
    if matches!(text, "" | "." | "..") {
        return Err("a path is relative and has no empty segment, `.` or `..`");
    }
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['*', '{', '}']) {
        let (before, found) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        rest = if let Some(after) = found.strip_prefix('*') {
            parts.push(Part::Any(0));
            after
        } else if let Some(after) = found.strip_prefix("{date}") {
            parts.push(Part::Any(1));
            after
        } else {
            return Err("only `{date}` and `*` stand for something else than themselves");
        };
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

fn fits(parts: &[Part], name: &[u8]) -> bool {
    match parts.split_first() {
        None => name.is_empty(),
        Some((Part::Text(text), rest)) => name.strip_prefix(&**text).is_some_and(|left| fits(rest, left)),
        Some((Part::Any(least), [])) => name.len() >= *least,
        Some((Part::Any(least), rest)) => {
            (*least..=name.len()).any(|n| name.get(n..).is_some_and(|left| fits(rest, left)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stays_within_its_segment() {
        let pattern = Pattern::parse("dt={date}/*.jsonl.gz").expect("a pattern");
        assert_eq!(pattern.depth(), 2);
        for (depth, name, wanted) in [
            (0, "dt=2026-01-01", true),
            (0, "dt=", false),
            (0, "xdt=1", false),
            (1, "a.jsonl.gz", true),
            (1, ".jsonl.gz", false),
            (1, ".quietus-1.jsonl.gz", false),
            (1, "a.jsonl.gz.bak", false),
            (2, "a", false),
        ] {
            assert_eq!(pattern.matches(depth, name.as_bytes()), wanted, "{name}");
        }
        assert!(Pattern::parse("a*b{date}c").expect("a pattern").matches(0, b"aXbb1c"));
    }

    #[test]
    fn what_would_leave_the_folder_or_means_nothing_is_refused() {
        for bad in ["../x", "a//b", "/a", "a/./b", "{id}.csv", "a}b", "{date"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
