//! What people and programs see of a node: HTTP, the command line, and the types that both share.

pub mod cli;
pub mod client;
pub mod documents;
pub mod http;
pub mod wire;
