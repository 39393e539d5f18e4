//! What was confirmed, until the node has made it durable; and up to where the topic need not be read again.
//!
//! Invariant: a partition's position never passes an answer that somebody may still ask about: it stands at the first
//! that is not settled. What nobody asked about for [`KEPT`] is to no command that is out, for those are asked about
//! in turn, every second as far as a call has room. What another secret signed counts as another system's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::Confirmation;

/// Answers that are remembered; older ones are read again at the next start, as long as the topic keeps them.
const REMEMBERED: usize = 200_000;
const KEPT: Duration = Duration::from_secs(3_600);
/// How often it is looked for what is older.
const SWEEP: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Heard {
    answers: BTreeMap<String, Answer>,
    /// Oldest first.
    order: BTreeMap<u64, String>,
    next: u64,
    partitions: BTreeMap<i32, Partition>,
    swept: Option<Instant>,
}

struct Answer {
    /// Its place in the order.
    number: u64,
    said: Confirmation,
    count: usize,
    /// Where it stands in the topic: the attempt, its partition and offset.
    places: Vec<(i32, i32, i64)>,
    /// When it was heard or asked about last.
    touched: Instant,
}

#[derive(Default)]
struct Partition {
    /// Nothing is left to read.
    ended: bool,
    next: Option<i64>,
    /// Offsets of answers that are not settled. One that was forgotten stays among them.
    open: BTreeSet<i64>,
    position: Option<i64>,
}

impl Heard {
    /// The topic is read anew, by these partitions.
    pub fn begin(&mut self, partitions: &[i32]) {
        self.partitions = partitions.iter().map(|p| (*p, Partition::default())).collect();
        self.answers.values_mut().for_each(|answer| answer.places.clear());
    }

    /// None = it is no answer to this system.
    pub fn take(&mut self, partition: i32, offset: i64, said: Option<Confirmation>, now: Instant) {
        let here = self.partitions.entry(partition).or_default();
        here.ended = false;
        here.next = Some(offset + 1);
        let Some(said) = said else { return };
        here.open.insert(offset);
        let place = (said.attempt, partition, offset);
        if let Some(known) = self.answers.get_mut(&said.id) {
            known.places.push(place);
            (known.count, known.touched) = (known.count + 1, now);
            // Whatever is read late: an older attempt's answer takes no newer one's place.
            if said.attempt >= known.said.attempt {
                known.said = said;
            }
            return;
        }
        let number = self.next;
        self.next += 1;
        self.order.insert(number, said.id.clone());
        let id = said.id.clone();
        self.answers.insert(id, Answer { number, said, count: 1, places: vec![place], touched: now });
        while self.answers.len() > REMEMBERED {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.answers.remove(&oldest);
        }
    }

    pub fn ended(&mut self, partition: i32) {
        self.partitions.entry(partition).or_default().ended = true;
    }

    /// The brokers are lost: nobody knows what was said since.
    pub fn lost(&mut self) {
        self.partitions.values_mut().for_each(|p| p.ended = false);
    }

    pub fn is_current(&self) -> bool {
        !self.partitions.is_empty() && self.partitions.values().all(|p| p.ended)
    }

    pub fn ask(&mut self, id: &str, now: Instant) -> Option<Confirmation> {
        let answer = self.answers.get_mut(id)?;
        answer.touched = now;
        Some(answer.said.clone())
    }

    pub fn count(&self, id: &str) -> usize {
        self.answers.get(id).map_or(0, |answer| answer.count)
    }

    /// Up to this attempt the command's answers are durable.
    pub fn settle(&mut self, id: &str, attempt: u32) {
        let Some(answer) = self.answers.get_mut(id) else { return };
        let is_settled = |of: i32| i64::from(of) <= i64::from(attempt);
        for (_, partition, offset) in answer.places.extract_if(.., |(of, ..)| is_settled(*of)) {
            if let Some(partition) = self.partitions.get_mut(&partition) {
                partition.open.remove(&offset);
            }
        }
        if is_settled(answer.said.attempt) {
            self.order.remove(&answer.number);
            self.answers.remove(id);
        }
    }

    /// The offset to go on at, of each partition where it moved.
    pub fn moved(&mut self, now: Instant) -> Vec<(i32, i64)> {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.sweep(now);
        }
        let mut moved = Vec::new();
        for (number, partition) in &mut self.partitions {
            let position = partition.open.first().copied().or(partition.next);
            if position != partition.position {
                partition.position = position;
                moved.extend(position.map(|at| (*number, at)));
            }
        }
        moved
    }

    fn sweep(&mut self, now: Instant) {
        let is_old = |answer: &Answer| now.saturating_duration_since(answer.touched) > KEPT;
        let old = self.answers.iter().filter(|(_, answer)| is_old(answer)).map(|(id, _)| id.clone());
        let old: Vec<String> = old.collect();
        old.iter().for_each(|id| self.settle(id, u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, attempt: i32) -> Option<Confirmation> {
        Some(Confirmation { id: id.to_owned(), attempt, ..Confirmation::default() })
    }

    #[test]
    fn the_position_stops_at_the_first_answer_that_is_not_settled() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.begin(&[0, 1]);
        assert_eq!(heard.moved(now), []);
        heard.take(0, 7, None, now);
        assert_eq!(heard.moved(now), [(0, 8)], "another system's");
        heard.take(0, 8, said("a", 1), now);
        heard.take(0, 9, said("b", 1), now);
        heard.take(1, 0, said("a", 2), now);
        assert_eq!(heard.moved(now), [(1, 0)]);
        heard.settle("b", 1);
        assert_eq!(heard.moved(now), []);
        // The second attempt's answer is not settled with the first's.
        heard.settle("a", 1);
        assert_eq!((heard.moved(now), heard.ask("a", now)), (vec![(0, 10)], said("a", 2)));
        heard.settle("a", 2);
        assert_eq!((heard.moved(now), heard.ask("a", now)), (vec![(1, 1)], None));
    }

    #[test]
    fn what_nobody_asks_about_holds_nothing_up_for_ever() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.begin(&[0]);
        heard.take(0, 0, said("a", 1), now);
        heard.take(0, 1, said("b", 1), now);
        let later = now + KEPT;
        assert_eq!((heard.moved(later), heard.ask("a", later)), (vec![(0, 0)], said("a", 1)));
        let later = later + SWEEP;
        assert_eq!(heard.moved(later), [], "it is asked about still");
        assert_eq!((heard.ask("b", later), heard.answers.len()), (None, 1));
        let later = later + KEPT + SWEEP;
        assert_eq!((heard.moved(later), heard.answers.len(), heard.order.len()), (vec![(0, 2)], 0, 0));
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_read_again() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.begin(&[0]);
        let many = i64::try_from(REMEMBERED).unwrap() + 10;
        (0..many).for_each(|n| heard.take(0, n, said(&n.to_string(), 1), now));
        assert_eq!((heard.answers.len(), heard.ask("9", now)), (REMEMBERED, None));
        (10..many).for_each(|n| heard.settle(&n.to_string(), 1));
        assert_eq!(heard.moved(now), [(0, 0)]);
    }
}
