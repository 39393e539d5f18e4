//! Blocks of the store.

use quietus::store::disk::decode;

use super::chosen;

/// The first byte chooses what they are taken for.
pub fn store(bytes: &[u8]) {
    let (kind, block) = chosen(bytes);
    let kinds = decode::Kind::ALL;
    let kind = kinds[usize::from(kind) % kinds.len()];
    assert_ne!(decode::reads_again(kind, block), Some(false), "{kind:?}");
}
