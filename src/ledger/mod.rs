//! The ordered log everything goes through: append a frame, read from an offset.
