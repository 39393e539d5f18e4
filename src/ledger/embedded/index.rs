//! Where frames are: every 64th of each stream, and where each segment begins. In memory, made again at each start.

use std::collections::BTreeMap;

use super::segment::SegmentHead;
use crate::ledger::{Position, Stream};

/// One entry per so many frames: 24 bytes for some 30,000 facts.
const EVERY: u64 = 64;

#[derive(Debug)]
pub struct Index {
    /// By slot: (offset, where its frame begins), ascending.
    frames: Vec<Vec<(u64, Position)>>,
    /// Segment → size of its head and the streams' first offsets in it.
    segments: BTreeMap<u64, (u64, Vec<u64>)>,
}

impl Index {
    pub fn new(streams: usize) -> Self {
        Self { frames: vec![Vec::new(); streams], segments: BTreeMap::new() }
    }

    pub fn segment(&mut self, head: &SegmentHead) {
        self.segments.insert(head.number, (head.size(), head.starts.clone()));
    }

    pub fn frame(&mut self, slot: usize, offset: u64, position: Position) {
        if offset.is_multiple_of(EVERY)
            && let Some(entries) = self.frames.get_mut(slot)
        {
            entries.push((offset, position));
        }
    }

    /// The oldest offset that is still there; of the control log all is.
    pub fn first(&self, slot: usize) -> u64 {
        if slot == Stream::Control.slot() { 0 } else { self.in_segments(slot) }
    }

    /// The oldest offset that is still in a segment.
    pub fn in_segments(&self, slot: usize) -> u64 {
        let first = self.segments.first_key_value();
        first.and_then(|(_, (_, starts))| starts.get(slot)).copied().unwrap_or(0)
    }

    /// Entries of the control log that stand before this segment.
    pub fn control_before(&self, segment: u64) -> u64 {
        let starts = self.segments.get(&segment).map(|(_, starts)| starts);
        starts.and_then(|starts| starts.get(Stream::Control.slot())).copied().unwrap_or(0)
    }

    /// The oldest place that is still there.
    pub fn beginning(&self) -> Position {
        match self.segments.first_key_value() {
            Some((segment, (size, _))) => Position { segment: *segment, at: *size },
            None => Position::default(),
        }
    }

    /// A place at or before the frame, as near as is known.
    pub fn find(&self, slot: usize, offset: u64) -> Position {
        let near = self.frames.get(slot).and_then(|entries| {
            let after = entries.partition_point(|(at, _)| *at <= offset);
            entries.get(after.checked_sub(1)?).map(|(_, position)| *position)
        });
        let begun =
            |(_, (_, starts)): &(&u64, &(u64, Vec<u64>))| starts.get(slot).is_some_and(|s| *s <= offset);
        let segment = self.segments.iter().rev().find(begun);
        let start = segment.map(|(segment, (size, _))| Position { segment: *segment, at: *size });
        near.max(start).unwrap_or_default().max(self.beginning())
    }

    /// The oldest segment that holds a frame at or above its stream's floor; the newest is never given up.
    pub fn needed_from(&self, floors: &[u64]) -> u64 {
        let below = |starts: &[u64]| starts.iter().zip(floors).all(|(start, floor)| start <= floor);
        let newest = self.segments.iter().rev().find(|(_, (_, starts))| below(starts));
        newest.map_or(self.beginning().segment, |(segment, _)| *segment)
    }

    pub fn forget_before(&mut self, segment: u64) {
        self.segments = self.segments.split_off(&segment);
        for entries in &mut self.frames {
            entries.retain(|(_, position)| position.segment >= segment);
        }
    }
}
