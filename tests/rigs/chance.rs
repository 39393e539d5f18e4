//! A rig's choices.

use crate::process::now;

/// xorshift: the same seed makes the same choices.
#[derive(Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What this variable says.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |n| n.parse().expect("a number"))
}

/// The seed that this variable says, else one that nobody had yet; said on stderr, to be repeated.
pub fn seed(variable: &str) -> u64 {
    let seed = number(variable, now().unsigned_abs()).max(1);
    eprintln!("{variable}={seed}");
    seed
}
