//! Given a partition, when records are read, then duties stand where they should.

mod derived;
mod partner;
mod world;
