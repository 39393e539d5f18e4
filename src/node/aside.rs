//! One store in another's place: the one that was there is put aside until the other was found to be this ledger's.
//!
//! | killed | left | the next start |
//! |---|---|---|
//! | before the store is put aside | `store`, perhaps a half written `store.new` | takes `store.new` away |
//! | before the other is in its place | `store.aside`, perhaps `store.new` | brings `store.aside` back |
//! | before the other was opened | the other as `store`, `store.aside` | opens it, then takes `store.aside` away; or brings that back |
//!
//! Invariant: a store that may be the only one is never taken away; each rename is durable before the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::faults::{self, Point};

/// Where the other store is written before it takes the place.
pub(super) fn draft(store: &Path) -> PathBuf {
    store.with_file_name("store.new")
}

fn aside(store: &Path) -> PathBuf {
    store.with_file_name("store.aside")
}

/// What a start that was killed left, before the store is opened.
pub(super) fn settle(store: &Path) -> io::Result<()> {
    if !store.exists() {
        come_back(store)?;
    }
    take_away(&draft(store))
}

/// The store as it is goes aside.
pub(super) fn put(store: &Path) -> io::Result<()> {
    if store.exists() {
        fs::rename(store, aside(store)).and_then(|()| durable::sync_above(store))?;
    }
    Ok(())
}

/// The draft, whole and durable, takes the store's place, which goes aside.
pub(super) fn exchange(store: &Path) -> io::Result<()> {
    faults::pass(Point::BeforeExchange);
    put(store)?;
    faults::pass(Point::AmidExchange);
    fs::rename(draft(store), store).and_then(|()| durable::sync_above(store))?;
    faults::pass(Point::AfterExchange);
    Ok(())
}

/// What was put aside takes its place again; false = there is none.
pub(super) fn come_back(store: &Path) -> io::Result<bool> {
    let aside = aside(store);
    if !aside.exists() {
        return Ok(false);
    }
    take_away(store)?;
    fs::rename(&aside, store).and_then(|()| durable::sync_above(store))?;
    Ok(true)
}

/// The store in its place is to be believed.
pub(super) fn forget(store: &Path) -> io::Result<()> {
    take_away(&aside(store))
}

/// A folder that is not there is no error.
pub(super) fn take_away(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        gone => gone,
    }
}
