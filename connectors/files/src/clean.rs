//! Files that were read to their end and hold nothing of the people asked for.
//!
//! A permit may run out while a large folder is read. The next attempt then goes on where this one stopped, because
//! what was clean is not read again as long as the file is the same and nobody new is asked for. In memory only: a
//! restart costs one more reading, and the read-back never looks here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::swap::Generation;
use crate::wanted::Wanted;

/// Files remembered at most; past it all are forgotten, which costs time alone.
const MOST: usize = 100_000;

#[derive(Default)]
pub(crate) struct Clean {
    files: Mutex<HashMap<String, (Generation, u64)>>,
}

impl Clean {
    pub(crate) fn knows(&self, path: &str, generation: Generation, wanted: &Wanted) -> bool {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(path) == Some(&(generation, wanted.fingerprint()))
    }

    pub(crate) fn remember(&self, path: &str, generation: Generation, wanted: &Wanted) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= MOST {
            files.clear();
        }
        files.insert(path.to_owned(), (generation, wanted.fingerprint()));
    }
}
