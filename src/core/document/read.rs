//! Bytes → nodes, with every limit checked before memory is spent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{At, Diagnostic, Diagnostics, Key, Node, Value, scalar};

const MAX_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 64;
const MAX_ALIAS_NODES: usize = 10_000;
const MAX_ALIAS_BYTES: usize = MAX_BYTES;

/// The documents of a file, one node each (a document without content is skipped, a file without any is refused).
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let mut found = Diagnostics::new(file);
    let nodes = decode(bytes, &mut found).and_then(|text| parse(&text, &mut found));
    match nodes {
        Some(nodes) if !found.has_errors() => Ok(nodes),
        _ => Err(found.into_vec()),
    }
}

/// UTF-8 without what YAML forbids: the scanner takes a NUL for the end of the file, so it must not get to see one.
fn decode<'a>(bytes: &'a [u8], found: &mut Diagnostics) -> Option<Cow<'a, str>> {
    if bytes.len() > MAX_BYTES {
        found.error((1, 1), "the file is larger than 16 MiB", "split it");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
            let at = place_after(&String::from_utf8_lossy(good));
            found.error(at, "not valid UTF-8", "save the file as UTF-8");
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((i, c)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        let at = place_after(text.get(..i).unwrap_or_default());
        let detail = format!("the control character U+{:04X} is not allowed", u32::from(c));
        found.error(at, detail, "remove it, or write it as an escape in double quotes");
        return None;
    }
    Some(join_surrogates(text))
}

/// What a quoted scalar may hold raw (`nb-json`, as in JSON), and line breaks.
fn is_allowed(c: char) -> bool {
    c >= ' ' || matches!(c, '\t' | '\n' | '\r')
}

fn place_after(text: &str) -> At {
    let line = text.bytes().filter(|b| *b == b'\n').count() + 1;
    let last = text.rsplit('\n').next().unwrap_or_default();
    At { line, column: last.chars().count() + 1 }
}

/// JSON writes characters beyond 16 bits as two `\u` escapes, which YAML does not know: they become one `\U`.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let suspicious = ["\\ud", "\\uD"].iter().any(|s| text.contains(s));
    if !suspicious || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let unit = |t: &str| u16::from_str_radix(t.strip_prefix('u')?.get(..4)?, 16).ok();
        let high = unit(after);
        let low = after.get(5..).and_then(|t| unit(t.strip_prefix('\\')?));
        let pair = high.zip(low).and_then(|(h, l)| char::decode_utf16([h, l]).next()?.ok());
        let taken = match pair.filter(|c| u32::from(*c) > 0xffff) {
            Some(c) => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
                11
            }
            None => {
                out.push('\\');
                let escaped = after.chars().next();
                out.extend(escaped);
                escaped.map_or(0, char::len_utf8)
            }
        };
        rest = after.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn parse(text: &str, found: &mut Diagnostics) -> Option<Vec<Node>> {
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => tree.take(event, span, found)?,
            Err(e) => {
                syntax(&e, text, found);
                return None;
            }
        }
    }
    if tree.documents.is_empty() {
        found.error((1, 1), "the file is empty", "write at least one document");
    }
    Some(tree.documents)
}

fn syntax(e: &ScanError, text: &str, found: &mut Diagnostics) {
    let line = text.lines().nth(e.marker().line().saturating_sub(1)).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let fix = if e.info().contains("tab") || indent.contains('\t') {
        "indent with spaces, not tabs"
    } else if e.info().contains("mapping values") || e.info().contains("simple key") {
        "check the indentation, and quote a text that holds `: `"
    } else if e.info().contains("anchor") {
        "define the anchor before the alias"
    } else {
        "check quotes, brackets and indentation near here"
    };
    found.error(place(e.marker()), format!("not valid YAML: {}", e.info()), fix);
}

fn place(mark: &saphyr_parser::Marker) -> At {
    At { line: mark.line().max(1), column: mark.col() + 1 }
}

/// What a node costs when an alias repeats it.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A list or a map whose end has not come.
struct Open {
    at: At,
    anchor: usize,
    size: Size,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, lines: BTreeMap<String, usize>, key: Option<Key> },
}

#[derive(Default)]
struct Tree {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, Size)>,
    repeated: Size,
}

impl Tree {
    /// None ends the reading: a limit was passed.
    fn take(&mut self, event: Event<'_>, span: Span, found: &mut Diagnostics) -> Option<()> {
        let at = place(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Some(())
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", at, found);
                self.begin(at, anchor, Content::List(Vec::new()), found)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", at, found);
                let content = Content::Map { entries: Vec::new(), lines: BTreeMap::new(), key: None };
                self.begin(at, anchor, content, found)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let value = match open.content {
                    Content::List(list) => Value::List(list),
                    Content::Map { entries, .. } => Value::Map(entries),
                };
                self.add(node(value, open.at, None), open.anchor, open.size, found);
                Some(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size { nodes: 1, bytes: text.len(), depth: 0 };
                let scalar = scalar_node(&text, style, tag.as_deref(), at, found);
                self.add(scalar, anchor, size, found);
                Some(())
            }
            Event::Alias(anchor) => self.repeat(anchor, at, found),
        }
    }

    fn begin(&mut self, at: At, anchor: usize, content: Content, found: &mut Diagnostics) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            found.error(at, "nested deeper than 64 levels", "flatten the file");
            return None;
        }
        self.open.push(Open { at, anchor, size: Size { nodes: 1, bytes: 0, depth: 1 }, content });
        Some(())
    }

    fn repeat(&mut self, anchor: usize, at: At, found: &mut Diagnostics) -> Option<()> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            found.error(at, "an alias inside its own anchor, or of another document", "write the value out");
            return None;
        };
        self.repeated.nodes += size.nodes;
        self.repeated.bytes += size.bytes;
        if self.repeated.nodes > MAX_ALIAS_NODES || self.repeated.bytes > MAX_ALIAS_BYTES {
            found.error(at, "aliases expand to more than 10,000 nodes or 16 MiB", "write fewer aliases");
            return None;
        }
        if self.open.len() + size.depth > MAX_DEPTH {
            found.error(at, "nested deeper than 64 levels", "flatten the file");
            return None;
        }
        let (node, size) = (Node { line: at.line, column: at.column, ..node.clone() }, *size);
        self.add(node, 0, size, found);
        Some(())
    }

    /// A finished node goes to where it belongs: the document, the list, the key or the value of the map.
    fn add(&mut self, node: Node, anchor: usize, size: Size, found: &mut Diagnostics) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            if !(node.is_null() && node.plain.as_deref().is_none_or(str::is_empty)) {
                self.documents.push(node);
            }
            return;
        };
        open.size.nodes += size.nodes;
        open.size.bytes += size.bytes;
        open.size.depth = open.size.depth.max(size.depth + 1);
        match &mut open.content {
            Content::List(list) => list.push(node),
            Content::Map { entries, lines, key } => match key.take() {
                None => *key = Some(as_key(&node, lines, found)),
                Some(key) => entries.push((key, node)),
            },
        }
    }
}

fn as_key(node: &Node, lines: &mut BTreeMap<String, usize>, found: &mut Diagnostics) -> Key {
    let text = match &node.value {
        Value::Text(text) if text == "<<" && node.plain.is_some() => {
            found.error(node, "`<<` merges nothing in YAML 1.2", "write the keys out");
            text.clone()
        }
        Value::Text(text) => text.clone(),
        _ => {
            let shown = node.text().map_or_else(|| node.kind().to_owned(), |t| format!("`{t}`"));
            let fix = node.text().map_or_else(|| "write a text".to_owned(), |t| format!("write \"{t}\""));
            found.error(node, format!("a key must be a text, this is {shown}"), fix);
            String::new()
        }
    };
    if let Some(first) = lines.get(&text) {
        let detail = format!("the key `{text}` stands here twice (first in line {first})");
        found.error(node, detail, "remove one of the two");
    } else {
        lines.insert(text.clone(), node.line);
    }
    Key { text, line: node.line, column: node.column }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: At, found: &mut Diagnostics) -> Node {
    let plain = style == ScalarStyle::Plain;
    let value = match tag {
        None if plain => scalar::plain(text),
        None => Value::Text(text.to_owned()),
        Some(tag) => tagged(text, tag, at, found),
    };
    node(value, at, plain.then(|| text.into()))
}

fn tagged(text: &str, tag: &Tag, at: At, found: &mut Diagnostics) -> Value {
    let value = scalar::plain(text);
    let kind = if tag.is_yaml_core_schema() { tag.suffix.as_str() } else { "" };
    match (kind, &value) {
        ("str", _) => Value::Text(text.to_owned()),
        ("null", Value::Null) | ("bool", Value::Bool(_)) | ("int", Value::Int(_)) => value,
        ("float", Value::Float(_)) => value,
        ("float", Value::Int(_)) => Value::Float(text.to_owned()),
        ("null" | "bool" | "int" | "float", _) => {
            found.error(at, format!("this is no `!!{kind}`"), "remove the tag");
            value
        }
        _ if tag.handle.is_empty() && tag.suffix == "!" => Value::Text(text.to_owned()),
        _ => {
            unknown_tag(tag, at, found);
            value
        }
    }
}

fn check_tag(tag: Option<&Tag>, own: &str, at: At, found: &mut Diagnostics) {
    if let Some(tag) = tag.filter(|t| !(t.is_yaml_core_schema() && t.suffix == own)) {
        unknown_tag(tag, at, found);
    }
}

fn unknown_tag(tag: &Tag, at: At, found: &mut Diagnostics) {
    found.error(at, format!("the tag `{tag}` means nothing here"), "remove the tag");
}

fn node(value: Value, at: At, plain: Option<Box<str>>) -> Node {
    Node { value, line: at.line, column: at.column, plain }
}
