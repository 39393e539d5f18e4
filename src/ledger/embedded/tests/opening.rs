//! Who may open a ledger, and as what.

use super::*;
use crate::ledger::embedded::verify;

#[tokio::test]
async fn a_ledger_has_one_owner_at_a_time_and_can_be_verified_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, recovered) = open(dir.path());
    assert!(recovered.created);
    let refused = Ledger::create_or_open(dir.path(), options()).unwrap_err();
    assert_eq!(refused, LedgerError::Locked { dir: dir.path().to_owned() });
    ledger.append(P0, vec![1]).await.unwrap();
    let seen = verify(dir.path()).unwrap();
    assert_eq!((seen.frames, seen.clean, seen.partitions), (1, false, 2));
    let clone = ledger.clone();
    drop(ledger);
    assert!(Ledger::create_or_open(dir.path(), options()).is_err(), "a clone still holds it");
    drop(clone);
    let (ledger, recovered) = open(dir.path());
    assert!(recovered.clean, "dropping the last clone shuts down in order");
    assert_eq!(recovered.ledger, ledger.id());
    // A closed ledger can be opened again although the old handle is still around.
    ledger.close().await.unwrap();
    assert!(open(dir.path()).1.clean);
}

#[test]
fn partitions_and_the_kind_of_clock_are_fixed_when_a_ledger_is_made() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let with = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        Ledger::create_or_open(dir.path(), options).map(drop).unwrap_err().to_string()
    };
    assert!(with(|o| o.partitions = 4).contains("set `ledger.partitions: 2`"));
    assert!(with(|o| o.partitions = 0).contains("must be 1 to 1024"));
    assert!(with(|o| o.simulated = true).contains("real clock"));
    assert!(with(|o| o.segment_bytes = 2 << 30).contains("1 GiB"));
    assert!(verify(dir.path()).unwrap().clean, "a refusal leaves the mark of a clean shutdown");
    assert_eq!(
        Ledger::create_or_open(dir.path(), Options { generation: 7, ..options() }).unwrap().0.generation(),
        1
    );
}
