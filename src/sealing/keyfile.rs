//! A secret key's file: 64 hexadecimal digits, readable by its owner alone, made once and never overwritten.
//!
//! Invariant: either the whole key is durable under its name or nothing is there; two nodes that start at once end
//! up with one key. Rejected: writing the file in place, where a crash leaves half a key and every subject recorded
//! under it is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::cell::SealError;
use super::keys::Keys;
use crate::durable;

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{}: cannot {doing} the {} file: {cause}", .path.display(), .key.name)]
    Io { path: PathBuf, key: Kind, doing: &'static str, cause: io::Error },
    #[error("{}: the {} can be read by others (mode {mode:03o}): chmod 600 it, and replace the key if others may have read it", .path.display(), .key.name)]
    ReadableByOthers { path: PathBuf, key: Kind, mode: u32 },
    #[error("{}: the {} must be 64 hexadecimal digits: restore the file from its backup; {}", .path.display(), .key.name, .key.loss)]
    NotAKey { path: PathBuf, key: Kind },
    #[error("the tenant key must be 64 hexadecimal digits (`openssl rand -hex 32` makes one)")]
    NotHex,
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    name: &'static str,
    /// What a new one in its place would not do.
    loss: &'static str,
}

const TENANT: Kind =
    Kind { name: "tenant key", loss: "a new key cannot find what was recorded under the old one" };

/// Signs the audit's checkpoints.
pub const AUDIT: Kind =
    Kind { name: "audit key", loss: "a new key cannot vouch for what the old one signed" };

pub type Secret = Zeroizing<[u8; 32]>;

impl Keys {
    /// From 64 hexadecimal digits, as an environment variable or a resolved secret holds them.
    pub fn from_hex(text: &str) -> Result<Self, KeyFileError> {
        Ok(Self::from_tenant(&*secret(text).ok_or(KeyFileError::NotHex)?)?)
    }

    /// Reads the tenant key; makes one where there is no file. True = it was made now.
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), KeyFileError> {
        let (tenant, made) = load_or_create(path, TENANT)?;
        Ok((Self::from_tenant(&tenant)?, made))
    }

    /// Reads the tenant key from a file that only its owner can read.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        Ok(Self::from_tenant(&*load(path, TENANT)?)?)
    }
}

fn secret(text: &str) -> Option<Secret> {
    let digits = Zeroizing::new(text.trim().to_ascii_lowercase());
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).map(Zeroizing::new).ok()?;
    <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new)
}

/// Reads a key; makes one where there is no file. True = it was made now.
pub fn load_or_create(path: &Path, key: Kind) -> Result<(Secret, bool), KeyFileError> {
    match load(path, key) {
        Err(KeyFileError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            let made = create(path, key)?;
            Ok((load(path, key)?, made))
        }
        loaded => {
            let loaded = loaded?;
            let synced = durable::sync_found(path);
            synced.map_err(|cause| KeyFileError::Io { path: path.to_owned(), key, doing: "sync", cause })?;
            Ok((loaded, false))
        }
    }
}

/// Reads a key from a file that only its owner can read.
pub fn load(path: &Path, key: Kind) -> Result<Secret, KeyFileError> {
    let io = |doing| move |cause| KeyFileError::Io { path: path.to_owned(), key, doing, cause };
    let file = File::open(path).map_err(io("open"))?;
    let mode = file.metadata().map_err(io("inspect"))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::ReadableByOthers { path: path.to_owned(), key, mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(80));
    // A key is 64 digits and a line end; a file that goes on is something else.
    file.take(80).read_to_string(&mut text).map_err(io("read"))?;
    secret(&text).ok_or_else(|| KeyFileError::NotAKey { path: path.to_owned(), key })
}

/// False when another process made the file meanwhile.
fn create(path: &Path, key: Kind) -> Result<bool, KeyFileError> {
    let io = |doing| move |cause| KeyFileError::Io { path: path.to_owned(), key, doing, cause };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    durable::make_folder(parent).map_err(io("make the folder of"))?;

    let mut secret = Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(secret.as_mut_slice()).map_err(|_| SealError::Crypto)?;
    let digits = Zeroizing::new(data_encoding::HEXLOWER.encode(secret.as_slice()) + "\n");

    let mut name = path.file_name().unwrap_or_default().to_owned();
    let mut unique = [0u8; 8];
    aws_lc_rs::rand::fill(&mut unique).map_err(|_| SealError::Crypto)?;
    name.push(format!(".{}.new", data_encoding::HEXLOWER.encode(&unique)));
    let draft = parent.join(name);
    let written = write_draft(&draft, &digits).map_err(io("write"));
    // Unlike a rename, a link never replaces a key that is already there.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(io("put in place")(cause)),
    });
    let removed = fs::remove_file(&draft).map_err(io("remove the draft of"));
    let made = linked?;
    removed?;
    durable::sync_folder(parent).map_err(io("sync the folder of"))?;
    Ok(made)
}

fn write_draft(draft: &Path, digits: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    // A draft left by a crash keeps its old mode, and the umask may have taken bits away: say it again.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(digits.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(keys: &Keys) -> String {
        format!("{:?}", keys.subject_key("t", "1"))
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/tenant.key");
        let (made, new) = Keys::load_or_create(&path).unwrap();
        assert!(new);
        let (found, new) = Keys::load_or_create(&path).unwrap();
        assert!(!new);
        assert_eq!(name(&made), name(&found));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
        let (other, _) = Keys::load_or_create(&dir.path().join("other.key")).unwrap();
        assert_ne!(name(&made), name(&other));
    }

    #[test]
    fn many_starts_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenant.key");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || Keys::load_or_create(&path).unwrap())
            })
            .collect();
        let loaded: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert!(loaded.iter().all(|(keys, _)| name(keys) == name(&loaded[0].0)));
        assert_eq!(loaded.iter().filter(|(_, made)| *made).count(), 1, "a key is made once");
        assert!(!create(&path, TENANT).unwrap(), "and never replaced");
        assert_eq!(name(&Keys::load(&path).unwrap()), name(&loaded[0].0));
    }

    #[test]
    fn a_key_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenant.key");
        Keys::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(Keys::load_or_create(&path), Err(KeyFileError::ReadableByOthers { .. })),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_damaged_key_is_never_replaced_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenant.key");
        for text in ["", "abcd", &"g".repeat(64), &"a".repeat(65), &"a".repeat(200)] {
            write_draft(&path, text).unwrap();
            let error = Keys::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
            assert!(text.len() < 4 || !error.to_string().contains(text));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
