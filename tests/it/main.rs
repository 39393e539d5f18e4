//! One binary for everything that needs the whole.

mod demo;
