//! Shapes by number: what many items share is kept once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use quietus_core::record::{Shape, ShapeCopy};

use super::bytes::{Reader, Writer};

/// Shapes known by their place in memory, at the most.
const RECENT: usize = 256;

/// Numbers count from 0 and are never given anew.
#[derive(Debug, Default)]
pub struct Shapes {
    all: Vec<Arc<Shape>>,
    numbers: BTreeMap<Arc<Shape>, u32>,
    /// By where they lie in memory: rows of one frame share their shapes, and most look-ups end here.
    recent: HashMap<usize, (Arc<Shape>, u32)>,
}

impl Shapes {
    pub fn intern(&mut self, shape: &Arc<Shape>) -> u32 {
        let place = Arc::as_ptr(shape).addr();
        // It is kept alive there, so that nothing else comes to lie in its place.
        if let Some((_, number)) = self.recent.get(&place) {
            return *number;
        }
        let number = match self.numbers.get(shape) {
            Some(number) => *number,
            None => self.push(Arc::clone(shape)),
        };
        if self.recent.len() >= RECENT {
            self.recent.clear();
        }
        self.recent.insert(place, (Arc::clone(shape), number));
        number
    }

    fn push(&mut self, shape: Arc<Shape>) -> u32 {
        // Four thousand million shapes do not fit into memory.
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.insert(Arc::clone(&shape), number);
        self.all.push(shape);
        number
    }

    pub fn get(&self, number: u32) -> Option<&Arc<Shape>> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Shape>> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Those from `first` on, for the disk.
    pub fn write(&self, first: usize) -> Vec<u8> {
        let mut out = Writer::default();
        self.all.iter().skip(first).for_each(|shape| write(&mut out, shape));
        out.0
    }

    /// Takes in what [`Self::write`] wrote, behind what is known. None = bytes that are no shapes.
    pub fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader(bytes);
        while !reader.is_empty() {
            let shape = read(&mut reader)?;
            self.push(Arc::new(shape));
        }
        Some(())
    }
}

fn write(out: &mut Writer, shape: &Shape) {
    texts(out, &shape.categories);
    texts(out, &shape.purposes);
    for word in [&shape.jurisdiction, &shape.service, &shape.controller] {
        optional(out, word.as_deref());
    }
    out.number(shape.copies.len() as u64);
    for copy in &shape.copies {
        out.text(&copy.system).text(&copy.dataset);
        out.option(copy.purposes.as_ref(), |out, purposes| texts(out, purposes));
        optional(out, copy.disclosure.as_deref());
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Shape> {
    Some(Shape {
        categories: reader.list(Reader::text)?,
        purposes: reader.list(Reader::text)?,
        jurisdiction: reader.option(Reader::text)?,
        service: reader.option(Reader::text)?,
        controller: reader.option(Reader::text)?,
        copies: reader.list(|r| {
            Some(ShapeCopy {
                system: r.text()?,
                dataset: r.text()?,
                purposes: r.option(|r| r.list(Reader::text))?,
                disclosure: r.option(Reader::text)?,
            })
        })?,
        ..Shape::default()
    })
}

fn texts(out: &mut Writer, texts: &[String]) {
    out.number(texts.len() as u64);
    texts.iter().for_each(|text| {
        out.text(text);
    });
}

fn optional(out: &mut Writer, word: Option<&str>) {
    out.option(word, |out, word| {
        out.text(word);
    });
}
