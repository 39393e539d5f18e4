//! A file or a folder, and what of its bytes is durable.

use std::collections::BTreeSet;

use crate::chance::Chance;

#[derive(Debug, Default)]
pub struct Inode {
    pub is_folder: bool,
    pub durable: Vec<u8>,
    /// What came later, by the moment.
    pub since: Vec<(u64, Change)>,
}

#[derive(Debug)]
pub enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

impl Inode {
    /// As the node sees it.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        self.since.iter().for_each(|(_, change)| change.apply(&mut bytes));
        bytes
    }

    /// Every block as it was at some moment since it was durable, and the length; and how many changes are not all there.
    pub fn torn(&self, size: usize, chance: &mut Chance) -> (Vec<u8>, usize) {
        let mut lengths = vec![self.durable.len()];
        for (_, change) in &self.since {
            let last = lengths[lengths.len() - 1];
            lengths.push(match change {
                Change::Size(size) => *size,
                Change::Write { at, bytes } => last.max(at + bytes.len()),
            });
        }
        let some = |chance: &mut Chance| usize::try_from(chance.below(lengths.len() as u64)).unwrap();
        let at_length = some(chance);
        let mut lost: BTreeSet<usize> = (at_length..self.since.len()).collect();
        lost.retain(|change| lengths[*change] != lengths[change + 1]);
        let mut bytes = self.durable.clone();
        bytes.resize(lengths[at_length], 0);
        for (index, block) in bytes.chunks_mut(size).enumerate() {
            let (from, until) = (index * size, index * size + block.len());
            let touches =
                |(at, (_, change)): (usize, &(u64, Change))| change.touches(from, until).then_some(at);
            let touched: Vec<usize> = self.since.iter().enumerate().filter_map(touches).collect();
            let there = usize::try_from(chance.below(touched.len() as u64 + 1)).unwrap();
            touched[..there].iter().for_each(|at| self.since[*at].1.apply_to(block, from));
            lost.extend(&touched[there..]);
        }
        (bytes, lost.len())
    }
}

impl Change {
    pub fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Size(size) => file.resize(*size, 0),
            Self::Write { at, bytes } => {
                file.resize(file.len().max(at + bytes.len()), 0);
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// What it does to this part of a file.
    fn apply_to(&self, block: &mut [u8], from: usize) {
        let until = from + block.len();
        match self {
            Self::Size(size) => block[(*size).clamp(from, until) - from..].fill(0),
            Self::Write { at, bytes } => {
                let (start, end) = ((*at).clamp(from, until), (at + bytes.len()).clamp(from, until));
                if start < end {
                    block[start - from..end - from].copy_from_slice(&bytes[start - at..end - at]);
                }
            }
        }
    }

    fn touches(&self, from: usize, until: usize) -> bool {
        match self {
            Self::Size(size) => *size < until,
            Self::Write { at, bytes } => *at < until && from < at + bytes.len(),
        }
    }
}
