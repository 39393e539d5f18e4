//! Given a partition, when records are read, then duties stand where they should.

mod asking;
mod corrections;
mod derived;
mod evidence;
mod links;
mod lives;
mod news;
mod partner;
mod people;
mod reapply;
mod retries;
mod sweeps;
mod time;
mod world;
