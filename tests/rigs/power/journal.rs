//! What the layer wrote down: see `layer.c`.

pub const CREATE: u32 = 1;
pub const MKDIR: u32 = 2;
pub const WRITE: u32 = 3;
pub const SIZE: u32 = 4;
pub const RENAME: u32 = 5;
pub const LINK: u32 = 6;
pub const UNLINK: u32 = 7;
pub const SYNC_BEGINS: u32 = 8;
pub const SYNC_ENDS: u32 = 9;

/// One call that went through.
pub struct Record<'a> {
    pub op: u32,
    pub inode: u64,
    pub at: u64,
    pub length: u64,
    pub ticket: u64,
    pub path: &'a str,
    pub second: &'a str,
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// None = the rest is no whole record: the process ended while it wrote that.
    pub fn read(rest: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = rest.split_first_chunk::<40>()?;
        let word = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let short = |at: usize| usize::from(u16::from_ne_bytes(head[at..at + 2].try_into().unwrap()));
        let op = u32::from_ne_bytes(head[..4].try_into().unwrap());
        let (path, rest) = rest.split_at_checked(short(4))?;
        let (second, rest) = rest.split_at_checked(short(6))?;
        let length = if op == WRITE { usize::try_from(word(24)).unwrap() } else { 0 };
        let (bytes, rest) = rest.split_at_checked(length)?;
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        let (path, second) = (text(path), text(second));
        let (inode, at, length, ticket) = (word(8), word(16), word(24), word(32));
        Some((Self { op, inode, at, length, ticket, path, second, bytes }, rest))
    }
}
