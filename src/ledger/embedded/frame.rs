//! A frame on disk: 44 bytes of head, then the body.
//!
//! ```text
//! magic "QFr1" | length u32 | crc32c u32 | stream u32 | back u32 | offset u64 | chain 16 | body
//! ```
//! `crc` covers all that follows it, seeded with the ledger's id, the segment, the position and the length: a frame
//! is valid in one place only. `chain` = BLAKE3(previous chain, head, body) cut to 16 bytes: what is dropped,
//! swapped or copied in breaks it at the next frame. `back` = how far before this frame its group began; all before
//! the group was durable when the frame was written, which is what tells a torn tail from damage.

use super::segment::SegmentHead;

pub const HEAD: usize = 44;
pub const MAGIC: [u8; 4] = *b"QFr1";
/// A body's limit.
pub const MAX_BODY: usize = 8 << 20;

pub type Chain = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub length: u32,
    crc: u32,
    pub stream: u32,
    pub back: u32,
    pub offset: u64,
    pub chain: Chain,
}

impl FrameHead {
    /// The head of a body that will stand at `at`, and so the chain after it.
    pub fn seal(
        segment: &SegmentHead,
        at: u64,
        before: &Chain,
        stream: u32,
        back: u32,
        offset: u64,
        body: &[u8],
    ) -> Self {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut head = Self { length, crc: 0, stream, back, offset, chain: [0; 16] };
        head.chain = head.chain_after(before, body);
        head.crc = head.checksum(segment, at, body);
        head
    }

    pub fn encode(&self) -> [u8; HEAD] {
        let mut out = [0u8; HEAD];
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &self.length.to_le_bytes(),
            &self.crc.to_le_bytes(),
            &self.stream.to_le_bytes(),
            &self.back.to_le_bytes(),
            &self.offset.to_le_bytes(),
            &self.chain,
        ];
        let bytes = fields.iter().flat_map(|field| field.iter());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        out
    }

    /// None when it cannot be a head. Says nothing yet about the body.
    pub fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let rest = &mut bytes.as_slice();
        if take::<4>(rest)? != MAGIC {
            return None;
        }
        let head = Self {
            length: u32::from_le_bytes(take(rest)?),
            crc: u32::from_le_bytes(take(rest)?),
            stream: u32::from_le_bytes(take(rest)?),
            back: u32::from_le_bytes(take(rest)?),
            offset: u64::from_le_bytes(take(rest)?),
            chain: take(rest)?,
        };
        (head.body_length() <= MAX_BODY).then_some(head)
    }

    pub fn body_length(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Head and body.
    pub fn size(&self) -> u64 {
        HEAD as u64 + u64::from(self.length)
    }

    pub fn slot(&self) -> usize {
        usize::try_from(self.stream).unwrap_or(usize::MAX)
    }

    /// This is the frame that was written at `at`, byte for byte.
    pub fn intact(&self, segment: &SegmentHead, at: u64, body: &[u8]) -> bool {
        self.crc == self.checksum(segment, at, body)
    }

    pub fn follows(&self, before: &Chain, body: &[u8]) -> bool {
        self.chain == self.chain_after(before, body)
    }

    fn checksum(&self, segment: &SegmentHead, at: u64, body: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&segment.ledger);
        let crc = crc32c::crc32c_append(crc, &segment.number.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &at.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &self.numbers());
        let crc = crc32c::crc32c_append(crc, &self.chain);
        crc32c::crc32c_append(crc, body)
    }

    fn chain_after(&self, before: &Chain, body: &[u8]) -> Chain {
        let mut hash = blake3::Hasher::new();
        hash.update(before).update(&self.numbers()).update(body);
        hash.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }

    fn numbers(&self) -> [u8; 20] {
        let mut out = [0u8; 20];
        let small = [self.length, self.stream, self.back].map(u32::to_le_bytes);
        let bytes = small.iter().flatten().copied().chain(self.offset.to_le_bytes());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        out
    }
}

/// The next `N` bytes.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
