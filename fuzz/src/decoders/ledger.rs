//! Frames of the ledger.

use quietus::ledger::codec::{decode_frame, encode_frame};

pub fn frame(bytes: &[u8]) {
    let Ok(frame) = decode_frame(bytes) else { return };
    let again = encode_frame(&frame).expect("what was read can be written");
    assert_eq!(decode_frame(&again).as_ref(), Ok(&frame), "what is written is read");
}
