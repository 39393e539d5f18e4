//! One binary for everything that needs the whole.

mod demo;
mod full_disk;
mod no_plaintext;
mod world;
