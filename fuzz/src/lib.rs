//! What the fuzz targets do with their bytes; `targets/` has one file for each.

mod decoders;

pub use decoders::*;
