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

use super::content::{Change, Inode};
use super::journal::{CREATE, LINK, MKDIR, RENAME, Record, SIZE, SYNC_BEGINS, SYNC_ENDS, UNLINK, WRITE};
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
#[derive(Debug, Default)]
pub struct Undone {
    /// Writes to files, by the part of the node's folder that they lie in.
    pub writes: BTreeMap<String, usize>,
    pub names: usize,
}

impl Undone {
    pub fn add(&mut self, other: Self) {
        other.writes.into_iter().for_each(|(part, count)| *self.writes.entry(part).or_default() += count);
        self.names += other.names;
    }

    fn wrote(&mut self, path: &Path, count: usize) {
        if count > 0 {
            let part = path.iter().nth(1).unwrap_or_default().to_string_lossy().into_owned();
            *self.writes.entry(part).or_default() += count;
        }
    }
}

type Name = (usize, String);

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
    /// Syncs that have not ended, by ticket: of what, and since when.
    begun: BTreeMap<u64, (usize, u64)>,
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

    /// Takes in what is left of a process that ended; its unfinished syncs ended with it.
    pub fn killed(&mut self) {
        self.follow();
        self.begun.clear();
    }

    /// Somebody waits for a sync of something that is not durable yet.
    pub fn is_syncing(&self) -> bool {
        self.begun.values().any(|(inode, _)| match &self.inodes[*inode] {
            Inode { is_folder: true, .. } => self.steps.iter().any(|step| step.touches(*inode)),
            file => !file.since.is_empty(),
        })
    }

    /// Takes in what the layer wrote down since. Hold the journal, or let nobody write to it.
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
                self.step((record.op == RENAME).then_some(from), Some((to, inode)));
            }
            UNLINK => self.step(Some(self.name(record.path)), None),
            SYNC_BEGINS => {
                let inode = known();
                self.begun.insert(record.ticket, (inode, self.moment));
            }
            SYNC_ENDS => {
                let (inode, until) = self.begun.remove(&record.ticket).unwrap();
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
        let (ours, theirs) = (self.laid_out(&self.seen, |inode, _| inode.whole()), tree(&self.folder));
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
        let tree = self.laid_out(&names, |inode, path| match cut {
            Cut::Everything | Cut::Bytes => {
                undone.wrote(path, inode.since.len());
                inode.durable.clone()
            }
            Cut::Names => inode.whole(),
            Cut::Torn(block) => {
                let (bytes, count) = inode.torn(block, chance);
                undone.wrote(path, count);
                bytes
            }
        });
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
        mut bytes: impl FnMut(&Inode, &Path) -> Vec<u8>,
    ) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let (mut out, mut open) = (BTreeMap::new(), vec![(0, PathBuf::new())]);
        while let Some((folder, path)) = open.pop() {
            for ((_, name), index) in names.range((folder, String::new())..(folder + 1, String::new())) {
                let (path, inode) = (path.join(name), &self.inodes[*index]);
                if inode.is_folder {
                    open.push((*index, path.clone()));
                }
                let content = (!inode.is_folder).then(|| bytes(inode, &path));
                out.insert(path, content);
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
