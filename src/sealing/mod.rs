//! Keys and sealed cells: no plaintext identity at rest.
//!
//! Intake turns every identity into a keyed hash ([`Keys::subject_key`]) after [`normalise`] has made its many
//! spellings one, and seals what must be read again ([`locator`], identity values, corrected values) into cells
//! ([`cell`]). Everything derives from one 32-byte tenant key ([`keyfile`]): whoever loses it loses every look-up.
//!
//! Rejected: a random nonce beside each cell (12 more bytes an item, and equal locators would no longer give equal
//! cells, which is what makes a repeat recognisable); plain hashes (an identity can be guessed and compared).

pub mod cell;
pub mod identity;
pub mod keyfile;
pub mod keys;
pub mod locator;

pub use cell::{SealError, Sealer};
pub use identity::parse_identity;
pub use keyfile::{AUDIT, KeyFileError, Secret, load, load_or_create};
pub use keys::Keys;
pub use quietus_core::normalise::{Refusal, normalise};
