//! Rows into frames, per partition, in the order they came.
//!
//! Invariant: rows of one partition leave in the order they came, and no frame holds more than 512 of them or grows
//! near the ledger's limit. Facts and changes alternate as records of one frame; a change of trace ends it.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use quietus_core::record::{Change, Changes, Fact, Facts, Frame, Mark, Record, Shape, ShapeCopy};

use super::cloudevent::Position;
use super::lifecycle::Recorded;

/// Facts that an open record has room for at once.
const MANY: usize = 64;
/// A frame is closed beyond this; one event adds at most its own size to it.
const FRAME_BYTES: usize = 1 << 20;

/// Where the rows were read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    pub source: String,
    pub generation: i32,
    /// The ranges that were read; empty where the source has no positions.
    pub marks: Vec<Mark>,
    /// Per partition of the ledger, per mark: the highest offset that it has taken in already.
    pub taken: Vec<Vec<i64>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { source: "http".into(), generation: 0, marks: Vec::new(), taken: Vec::new() }
    }
}

#[derive(Debug)]
pub struct Router<'a> {
    feed: &'a Feed,
    partitions: u32,
    lanes: BTreeMap<u32, Lane>,
    /// Per mark: the highest offset whose rows are all laid out.
    whole: Vec<i64>,
    /// Made anew for each fact; kept for its memory.
    shape: Vec<u8>,
}

#[derive(Debug, Default)]
struct Lane {
    closed: Vec<Frame>,
    records: Vec<Record>,
    trace: Option<String>,
    open: Open,
    rows: usize,
    bytes: usize,
    /// Per mark: the highest offset that a record of this lane says.
    said: Vec<i64>,
}

#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Facts(Box<OpenFacts>),
    Changes(Changes),
}

#[derive(Debug, Default)]
struct OpenFacts {
    facts: Facts,
    shapes: HashMap<Vec<u8>, u16>,
}

impl<'a> Router<'a> {
    pub fn new(feed: &'a Feed, partitions: u32) -> Self {
        let whole = feed.marks.iter().map(|m| m.from.saturating_sub(1)).collect();
        Self { feed, partitions, lanes: BTreeMap::new(), whole, shape: Vec::new() }
    }

    /// The rows that follow are of this position: those before it are all laid out.
    pub fn begin(&mut self, position: Option<Position>) {
        if let Some((whole, at)) = position.and_then(|p| Some((self.whole.get_mut(p.mark)?, p.offset))) {
            *whole = (*whole).max(at.saturating_sub(1));
        }
    }

    /// The partition has what was read there.
    pub fn has(&self, partition: u32, position: Option<Position>) -> bool {
        let taken = self.feed.taken.get(partition as usize);
        position.is_some_and(|p| taken.and_then(|t| t.get(p.mark)).is_some_and(|taken| p.offset <= *taken))
    }

    /// `fact` with the shape of `recorded`, whose position in the batch is filled in here.
    pub fn fact(&mut self, partition: u32, trace: Option<&str>, recorded: &Recorded<'_>, mut fact: Fact) {
        spell(recorded, &mut self.shape);
        let size = 160 + fact.cells.iter().map(Vec::len).sum::<usize>();
        let marks = Marks::new(self.feed, &self.whole, partition);
        let lane = self.lanes.entry(partition).or_default();
        lane.make_room(trace, &marks);
        if !matches!(lane.open, Open::Facts(_)) {
            lane.close_record(&marks);
            let (source, source_generation) = (self.feed.source.clone(), self.feed.generation);
            let mut facts = Facts { source, source_generation, ..Facts::default() };
            facts.reserve(MANY);
            lane.open = Open::Facts(Box::new(OpenFacts { facts, shapes: HashMap::new() }));
        }
        let Open::Facts(open) = &mut lane.open else { return };
        let OpenFacts { facts, shapes } = open.as_mut();
        fact.shape = match shapes.get(&self.shape) {
            Some(at) => *at,
            None => {
                // At most one a row, and a frame holds 512 rows.
                let at = u16::try_from(facts.shapes.len()).unwrap_or(u16::MAX);
                facts.shapes.push(shape(recorded));
                shapes.insert(self.shape.clone(), at);
                lane.bytes += self.shape.len();
                at
            }
        };
        facts.push(&fact);
        lane.rows += 1;
        lane.bytes += size;
    }

    pub fn change(&mut self, partition: u32, trace: Option<&str>, change: Change) {
        let size = size_of(&change);
        let marks = Marks::new(self.feed, &self.whole, partition);
        let lane = self.lanes.entry(partition).or_default();
        lane.make_room(trace, &marks);
        if !matches!(lane.open, Open::Changes(_)) {
            lane.close_record(&marks);
            let (source, source_generation) = (self.feed.source.clone(), self.feed.generation);
            lane.open = Open::Changes(Changes { source, source_generation, ..Changes::default() });
        }
        let Open::Changes(changes) = &mut lane.open else { return };
        changes.rows.push(change);
        lane.rows += 1;
        lane.bytes += size;
    }

    /// The frames, those of a partition in their order. Every record says how far it goes, so that a partition that
    /// kept only the first of them takes the rest, and nothing twice; one without rows says that it has seen the batch.
    pub fn finish(mut self) -> Vec<(u32, Frame)> {
        self.whole = self.feed.marks.iter().map(|m| m.to).collect();
        let every = if self.feed.taken.is_empty() { 0 } else { self.partitions };
        for partition in 0..every {
            let marks = Marks::new(self.feed, &self.whole, partition);
            let lane = self.lanes.entry(partition).or_default();
            if matches!(lane.open, Open::Nothing) && !marks.beyond(&lane.said).is_empty() {
                let (source, source_generation) = (self.feed.source.clone(), self.feed.generation);
                lane.open = Open::Changes(Changes { source, source_generation, ..Changes::default() });
            }
        }
        let mut frames = Vec::new();
        for (partition, mut lane) in self.lanes {
            lane.close_frame(&Marks::new(self.feed, &self.whole, partition));
            frames.extend(lane.closed.into_iter().map(|frame| (partition, frame)));
        }
        frames
    }
}

/// How far a partition's records go, when they are closed now.
struct Marks<'m> {
    marks: &'m [Mark],
    whole: &'m [i64],
    taken: &'m [i64],
}

impl<'m> Marks<'m> {
    fn new(feed: &'m Feed, whole: &'m [i64], partition: u32) -> Self {
        let taken = feed.taken.get(partition as usize).map(Vec::as_slice).unwrap_or_default();
        Self { marks: &feed.marks, whole, taken }
    }

    /// A mark that says nothing new would make the engine drop its record.
    fn beyond(&self, said: &[i64]) -> Vec<Mark> {
        let whole = self.marks.iter().zip(self.whole).enumerate();
        whole
            .filter(|(n, (mark, to))| {
                let known = [said.get(*n), self.taken.get(*n)].into_iter().flatten().max();
                let known = known.copied().unwrap_or(i64::MIN);
                **to >= mark.from && **to > known
            })
            .map(|(_, (mark, to))| Mark { to: *to, ..mark.clone() })
            .collect()
    }
}

impl Lane {
    fn make_room(&mut self, trace: Option<&str>, marks: &Marks<'_>) {
        if self.rows >= Facts::MAX || self.bytes >= FRAME_BYTES || self.trace.as_deref() != trace {
            self.close_frame(marks);
            self.trace = trace.map(str::to_owned);
        }
    }

    fn close_record(&mut self, marks: &Marks<'_>) {
        let beyond = match self.open {
            Open::Nothing => return,
            Open::Facts(_) | Open::Changes(_) => marks.beyond(&self.said),
        };
        if !beyond.is_empty() {
            self.said = marks.whole.to_vec();
        }
        match std::mem::take(&mut self.open) {
            Open::Facts(open) => self.records.push(Facts { marks: beyond, ..open.facts }.into()),
            Open::Changes(changes) => self.records.push(Changes { marks: beyond, ..changes }.into()),
            Open::Nothing => {}
        }
    }

    fn close_frame(&mut self, marks: &Marks<'_>) {
        self.close_record(marks);
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.closed.push(Frame::of(records).traced(self.trace.clone()));
        }
        (self.rows, self.bytes) = (0, 0);
    }
}

/// The shape in bytes, for comparing without building it. Lengths and counts make it unambiguous.
fn spell(recorded: &Recorded<'_>, out: &mut Vec<u8>) {
    out.clear();
    let mut text = |text: &str| {
        out.extend_from_slice(&(text.len() as u64 + 1).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    let end = "\0";
    recorded.categories.iter().for_each(|c| text(c));
    text(end);
    recorded.purposes.iter().for_each(|p| text(p));
    text(end);
    for field in [recorded.jurisdiction, recorded.service, recorded.controller] {
        text(field.unwrap_or(end));
    }
    for copy in &recorded.copies {
        text(copy.system);
        text(copy.dataset);
        match &copy.purposes {
            None => text(end),
            Some(purposes) => purposes.iter().for_each(|p| text(p)),
        }
        text(end);
    }
}

fn shape(recorded: &Recorded<'_>) -> Shape {
    let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    Shape {
        categories: owned(&recorded.categories),
        purposes: owned(&recorded.purposes),
        jurisdiction: recorded.jurisdiction.map(str::to_owned),
        service: recorded.service.map(str::to_owned),
        controller: recorded.controller.map(str::to_owned),
        copies: recorded
            .copies
            .iter()
            .map(|copy| ShapeCopy {
                system: copy.system.to_owned(),
                dataset: copy.dataset.to_owned(),
                purposes: copy.purposes.as_deref().map(owned),
                disclosure: None,
            })
            .collect(),
        ..Shape::default()
    }
}

fn size_of(change: &Change) -> usize {
    let copy = |c: &quietus_core::record::NamedCopy| {
        let purposes = c.purposes.iter().flatten().map(|p| p.len() + 2).sum::<usize>();
        c.system.len()
            + c.dataset.len()
            + c.cell.len()
            + c.disclosure.as_ref().map_or(0, String::len)
            + purposes
            + 16
    };
    let bytes = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len);
    128 + bytes(&change.values)
        + bytes(&change.linked)
        + change.name.as_ref().map_or(0, String::len)
        + change.copies.iter().map(copy).sum::<usize>()
}
