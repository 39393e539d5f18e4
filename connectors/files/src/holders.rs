//! Whether some process still has a file open for writing, as far as this one may see.
//!
//! A writer that opened the file before it was swapped goes on writing to the old one; it must not be removed under
//! it. Processes of other users are seen only with the right to look at them: a file that is written by another user
//! than the node's is watched by its growth alone.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Any descriptor but `except`'s own that may write to this file.
pub(crate) fn has_writer(file: &File, except: &File) -> bool {
    let Ok(meta) = file.metadata() else { return false };
    let (device, inode) = (meta.dev(), meta.ino());
    let own = std::process::id().to_string();
    let excepted = except.as_raw_fd().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|n| n.bytes().all(|b| b.is_ascii_digit())) else { continue };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let number = descriptor.file_name();
            if pid == own && number.to_str() == Some(&*excepted) {
                continue;
            }
            let same = fs::metadata(descriptor.path()).is_ok_and(|m| m.ino() == inode && m.dev() == device);
            if same && may_write(&process.path().join("fdinfo").join(&number)) {
                return true;
            }
        }
    }
    false
}

/// The access mode is the last two bits of `flags:`, an octal number.
fn may_write(info: &std::path::Path) -> bool {
    let text = fs::read_to_string(info).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|f| u32::from_str_radix(f.trim(), 8).ok()).is_some_and(|f| f & 0o3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen_and_a_reader_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        let writer = File::create(&path).expect("a file");
        let reader = File::open(&path).expect("the file");
        assert!(has_writer(&reader, &reader));
        assert!(!has_writer(&reader, &writer));
        drop(writer);
        assert!(!has_writer(&reader, &reader));
    }
}
