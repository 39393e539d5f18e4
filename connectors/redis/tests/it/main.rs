//! What the redis connector does beyond the laws, on a real server.

#![expect(clippy::expect_used, reason = "a test stops where it cannot go on")]
#![expect(clippy::disallowed_methods, reason = "a test issues its own permits")]

mod cache;
mod check;
mod correct;
mod erase;
mod verify;
