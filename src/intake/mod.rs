//! Sources → facts: map, hash, seal, route.
