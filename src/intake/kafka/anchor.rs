//! A record that was read, by which its topic is known again.
//!
//! Clients of this library are not told a topic's id, so its identity is what was read of it: a topic made anew holds
//! another record at the offset of the last one, or none. What compaction or retention took away says nothing.
//!
//! Invariant: an anchor is replaced only once it was found in its place. Otherwise what was read of a new topic,
//! before anybody noticed that it is one, would vouch for it.

use std::collections::BTreeMap;

/// Offset and fingerprint.
pub type Anchor = (i64, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// Partition → what must still be there.
    held: BTreeMap<i32, Anchor>,
    /// Partition → the newest record that was read.
    newest: BTreeMap<i32, Anchor>,
}

impl Anchors {
    /// What cannot be read anchors nothing.
    pub fn read(text: &str) -> Self {
        Self { held: serde_json::from_str(text).unwrap_or_default(), newest: BTreeMap::new() }
    }

    /// As it stands in the ledger, as the source's position.
    pub fn written(&self) -> String {
        serde_json::to_string(&self.to_check()).unwrap_or_default()
    }

    pub fn drop_at(&mut self, partition: i32, offset: i64, fingerprint: String) {
        // The first is held at once: there is nothing earlier that could vouch for it.
        self.held.entry(partition).or_insert_with(|| (offset, fingerprint.clone()));
        self.newest.insert(partition, (offset, fingerprint));
    }

    /// What to look for, before [`Anchors::found`].
    pub fn to_check(&self) -> BTreeMap<i32, Anchor> {
        self.held.clone()
    }

    pub fn newest(&self) -> BTreeMap<i32, Anchor> {
        self.newest.clone()
    }

    /// Everything that was to be found was there: from now on it is `newest`, as it was before anybody looked.
    pub fn found(&mut self, newest: BTreeMap<i32, Anchor>) {
        self.held.extend(newest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_and_nonsense_is_none() {
        let mut anchors = Anchors::default();
        anchors.drop_at(3, 17, "ab".into());
        assert_eq!(Anchors::read(&anchors.written()).to_check(), anchors.to_check());
        assert_eq!(Anchors::read("0:521"), Anchors::default());
    }

    #[test]
    fn what_was_read_later_vouches_only_once_the_earlier_was_found() {
        let mut anchors = Anchors::default();
        anchors.drop_at(0, 1, "old".into());
        anchors.drop_at(0, 2, "new".into());
        assert_eq!(anchors.to_check()[&0], (1, "old".to_owned()));
        let before = anchors.newest();
        anchors.drop_at(0, 3, "newer".into());
        anchors.found(before);
        assert_eq!(anchors.to_check()[&0], (2, "new".to_owned()));
    }
}
