//! What people and programs see of a node: HTTP, and the types that HTTP, the typed client and the CLI share.

pub mod http;
pub mod wire;
