//! What lies on a disk when the power goes, from what the layer wrote down.
//!
//! A file's bytes and its length are durable once a sync of that file has ended that began after them, a name (made,
//! moved, taken away) once a sync of its folder has: POSIX promises no more. Whatever else may be lost, or not: see
//! [`Cut`]. What is never lost is rejected as a thought: that a close, a rename or `sync_file_range` makes durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::chance::Chance;

/// What of it is lost that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Everything,
    /// Names are lost, and every byte written is there.
    Names,
    /// Names are there, and the bytes are not.
    Bytes,
    /// Every block of a file is as it was at some moment since it was durable, its length too, and of each folder's
    /// names the latest are lost. Blocks have this many bytes.
    Torn(usize),
}

/// Whether a sync of a file makes names durable that were there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Only a sync of their folder does.
    Strict,
    /// As where names stand in one journal that every sync writes (ext4).
    Along,
}

/// What a cut has undone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undone {
    pub writes: usize,
    pub names: usize,
}

type Name = (usize, String);

#[derive(Debug, Default)]
struct Inode {
    is_folder: bool,
    durable: Vec<u8>,
    since: Vec<(u64, Change)>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

/// A change of names; a move is both at once.
#[derive(Debug)]
struct Step {
    moment: u64,
    gone: Option<Name>,
    there: Option<(Name, usize)>,
}

#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    journal: PathBuf,
    /// So much of the journal was read.
    read: u64,
    inodes: Vec<Inode>,
    /// The latest inode of a number: the kernel uses them again.
    numbers: BTreeMap<u64, usize>,
    /// As the node sees it, and as it lies on the disk. The folder itself is inode 0.
    seen: BTreeMap<Name, usize>,
    durable: BTreeMap<Name, usize>,
    steps: Vec<Step>,
    begun: BTreeMap<u64, u64>,
    moment: u64,
    names: Names,
    lies: Option<&'static str>,
}

impl Disk {
    /// All of it durable. Files that lie in the folder itself are the rig's.
    pub fn of(folder: &Path, journal: &Path, names: Names) -> Self {
        fs::write(journal, "").unwrap();
        let mut disk = Self {
            folder: folder.to_owned(),
            journal: journal.to_owned(),
            read: 0,
            inodes: Vec::new(),
            numbers: BTreeMap::new(),
            seen: BTreeMap::new(),
            durable: BTreeMap::new(),
            steps: Vec::new(),
            begun: BTreeMap::new(),
            moment: 0,
            names,
            lies: None,
        };
        disk.inode(fs::metadata(folder).unwrap().ino(), true);
        for (path, bytes) in tree(folder) {
            let number = fs::metadata(folder.join(&path)).unwrap().ino();
            let inode = disk.inode(number, bytes.is_none());
            disk.inodes[inode].durable = bytes.unwrap_or_default();
            let name = disk.name(path.to_str().unwrap());
            disk.seen.insert(name, inode);
        }
        disk.durable = disk.seen.clone();
        disk
    }

    /// A disk that says of files whose name ends so that they are synced, and they are not.
    pub fn lying_about(self, lies: Option<&'static str>) -> Self {
        Self { lies, ..self }
    }

    fn inode(&mut self, number: u64, is_folder: bool) -> usize {
        self.inodes.push(Inode { is_folder, ..Inode::default() });
        self.numbers.insert(number, self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    /// A path below the folder, as its own folder's inode and a name in that.
    fn name(&self, path: &str) -> Name {
        let mut parts: Vec<&str> = path.split('/').collect();
        let last = parts.pop().unwrap();
        let folder = parts.iter().fold(0, |folder, part| self.seen[&(folder, (*part).to_owned())]);
        (folder, last.to_owned())
    }

    /// Takes in what the layer wrote down since. A process that ended took its unfinished syncs with it.
    pub fn follow(&mut self) {
        let mut bytes = Vec::new();
        let mut file = File::open(&self.journal).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((record, after)) = Record::read(rest) {
            self.take(&record);
            rest = after;
        }
        self.read += bytes.len() as u64;
        self.begun.clear();
    }

    fn take(&mut self, record: &Record<'_>) {
        self.moment += 1;
        let known = || self.numbers[&record.inode];
        let length = usize::try_from(record.length).unwrap();
        match record.op {
            CREATE | MKDIR => {
                let inode = self.inode(record.inode, record.op == MKDIR);
                self.step(None, Some((self.name(record.path), inode)));
            }
            WRITE => {
                let at = usize::try_from(record.at).unwrap();
                let change = Change::Write { at, bytes: record.bytes.to_vec() };
                let inode = known();
                self.inodes[inode].since.push((self.moment, change));
            }
            SIZE => {
                let inode = known();
                self.inodes[inode].since.push((self.moment, Change::Size(length)));
            }
            RENAME | LINK => {
                let (from, to) = (self.name(record.path), self.name(record.second));
                let inode = self.seen[&from];
                assert!(!self.inodes[inode].is_folder, "a folder is moved: {}", record.path);
                self.step((record.op == RENAME).then_some(from), Some((to, inode)));
            }
            UNLINK => self.step(Some(self.name(record.path)), None),
            SYNC_BEGINS => drop(self.begun.insert(record.ticket, self.moment)),
            SYNC_ENDS => {
                let (inode, until) = (known(), self.begun.remove(&record.ticket).unwrap());
                if self.lies.is_none_or(|ending| !record.path.ends_with(ending)) {
                    self.sync(inode, until);
                }
            }
            other => panic!("{other} is no record"),
        }
    }

    fn step(&mut self, gone: Option<Name>, there: Option<(Name, usize)>) {
        let step = Step { moment: self.moment, gone, there };
        step.apply(&mut self.seen);
        self.steps.push(step);
    }

    fn sync(&mut self, inode: usize, until: u64) {
        let folder = self.inodes[inode].is_folder;
        let along = self.names == Names::Along;
        let durable = &mut self.durable;
        self.steps.retain(|step| {
            let is_durable = step.moment < until && (along || folder && step.touches(inode));
            if is_durable {
                step.apply(durable);
            }
            !is_durable
        });
        let Inode { durable, since, .. } = &mut self.inodes[inode];
        let count = since.iter().take_while(|(moment, _)| *moment < until).count();
        since.drain(..count).for_each(|(_, change)| change.apply(durable));
    }

    /// Paths that are not in the folder as the layer wrote them down: it missed a call.
    pub fn missed(&self) -> BTreeSet<PathBuf> {
        let all = |inode: &Inode, _: usize| {
            let mut bytes = inode.durable.clone();
            inode.since.iter().for_each(|(_, change)| change.apply(&mut bytes));
            bytes
        };
        let (ours, theirs) = (self.laid_out(&self.seen, all), tree(&self.folder));
        let differs = |path: &&PathBuf| ours.get(*path) != theirs.get(*path);
        ours.keys().chain(theirs.keys()).filter(differs).cloned().collect()
    }

    /// The power goes: the folder is as the disk has it.
    pub fn cut(self, cut: Cut, chance: &mut Chance) -> Undone {
        let mut undone = Undone::default();
        let mut names = self.durable.clone();
        let mut left: BTreeMap<usize, u64> = BTreeMap::new();
        for step in &self.steps {
            *left.entry(step.folder()).or_default() += 1;
        }
        if let Cut::Torn(_) = cut {
            left.values_mut().for_each(|count| *count = chance.below(*count + 1));
        }
        for step in &self.steps {
            let left = left.get_mut(&step.folder()).unwrap();
            let is_lost = matches!(cut, Cut::Everything | Cut::Names) || *left == 0;
            match is_lost {
                true => undone.names += 1,
                false => {
                    *left -= 1;
                    step.apply(&mut names);
                }
            }
        }
        let mut lost = BTreeMap::new();
        let tree = self.laid_out(&names, |inode, index| match cut {
            Cut::Everything | Cut::Bytes => {
                lost.insert(index, inode.since.len());
                inode.durable.clone()
            }
            Cut::Names => {
                let mut bytes = inode.durable.clone();
                inode.since.iter().for_each(|(_, change)| change.apply(&mut bytes));
                bytes
            }
            Cut::Torn(block) => {
                let (bytes, count) = torn(inode, block, chance);
                lost.insert(index, count);
                bytes
            }
        });
        undone.writes = lost.values().sum();
        for entry in fs::read_dir(&self.folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
        for (path, bytes) in tree {
            let path = self.folder.join(path);
            match bytes {
                None => fs::create_dir(&path).unwrap(),
                Some(bytes) => {
                    fs::write(&path, bytes).unwrap();
                    // The keys' own, and good enough for the others.
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                }
            }
        }
        undone
    }

    /// Every path that can be reached; None = a folder.
    fn laid_out(
        &self,
        names: &BTreeMap<Name, usize>,
        mut bytes: impl FnMut(&Inode, usize) -> Vec<u8>,
    ) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let (mut out, mut open) = (BTreeMap::new(), vec![(0, PathBuf::new())]);
        while let Some((folder, path)) = open.pop() {
            for ((_, name), index) in names.range((folder, String::new())..(folder + 1, String::new())) {
                let (path, inode) = (path.join(name), &self.inodes[*index]);
                if inode.is_folder {
                    open.push((*index, path.clone()));
                }
                out.insert(path, (!inode.is_folder).then(|| bytes(inode, *index)));
            }
        }
        out
    }
}

impl Step {
    fn apply(&self, names: &mut BTreeMap<Name, usize>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((name, inode)) = &self.there {
            names.insert(name.clone(), *inode);
        }
    }

    fn folder(&self) -> usize {
        self.there.as_ref().map(|(name, _)| name).or(self.gone.as_ref()).unwrap().0
    }

    fn touches(&self, folder: usize) -> bool {
        self.folder() == folder || self.gone.as_ref().is_some_and(|gone| gone.0 == folder)
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
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

/// And how many of its changes are not all there.
fn torn(inode: &Inode, size: usize, chance: &mut Chance) -> (Vec<u8>, usize) {
    let mut lengths = vec![inode.durable.len()];
    for (_, change) in &inode.since {
        let last = lengths[lengths.len() - 1];
        lengths.push(match change {
            Change::Size(size) => *size,
            Change::Write { at, bytes } => last.max(at + bytes.len()),
        });
    }
    let some = |chance: &mut Chance| usize::try_from(chance.below(lengths.len() as u64)).unwrap();
    let at_length = some(chance);
    let mut lost: BTreeSet<usize> = (at_length..inode.since.len()).collect();
    lost.retain(|change| lengths[*change] != lengths[change + 1]);
    let mut bytes = inode.durable.clone();
    bytes.resize(lengths[at_length], 0);
    for (index, block) in bytes.chunks_mut(size).enumerate() {
        let (from, until) = (index * size, index * size + block.len());
        let touches = |(at, (_, change)): (usize, &(u64, Change))| change.touches(from, until).then_some(at);
        let touched: Vec<usize> = inode.since.iter().enumerate().filter_map(touches).collect();
        let there = usize::try_from(chance.below(touched.len() as u64 + 1)).unwrap();
        touched[..there].iter().for_each(|at| inode.since[*at].1.apply_to(block, from));
        lost.extend(&touched[there..]);
    }
    (bytes, lost.len())
}

/// What lies below it; files of the folder itself are left out.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let (mut out, mut open) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(folder.join(&path)).unwrap().map(Result::unwrap) {
            let below = path.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(below.clone());
                out.insert(below, None);
            } else if path != Path::new("") {
                out.insert(below, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
    out
}

const CREATE: u32 = 1;
const MKDIR: u32 = 2;
const WRITE: u32 = 3;
const SIZE: u32 = 4;
const RENAME: u32 = 5;
const LINK: u32 = 6;
const UNLINK: u32 = 7;
const SYNC_BEGINS: u32 = 8;
const SYNC_ENDS: u32 = 9;

/// As the layer writes it: see there.
struct Record<'a> {
    op: u32,
    inode: u64,
    at: u64,
    length: u64,
    ticket: u64,
    path: &'a str,
    second: &'a str,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// None = the rest is no whole record: the process ended while it wrote that.
    fn read(rest: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = rest.split_first_chunk::<40>()?;
        let word = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let short = |at: usize| usize::from(u16::from_ne_bytes(head[at..at + 2].try_into().unwrap()));
        let op = u32::from_ne_bytes(head[..4].try_into().unwrap());
        let (path, rest) = rest.split_at_checked(short(4))?;
        let (second, rest) = rest.split_at_checked(short(6))?;
        let length = if op == WRITE { usize::try_from(word(24)).unwrap() } else { 0 };
        let (bytes, rest) = rest.split_at_checked(length)?;
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        let (path, second) = (text(path), text(second));
        let (inode, at, length, ticket) = (word(8), word(16), word(24), word(32));
        Some((Self { op, inode, at, length, ticket, path, second, bytes }, rest))
    }
}
