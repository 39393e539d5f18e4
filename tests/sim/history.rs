//! What happened, one line each: hashed, so that the same seed can be held to the same bytes.

use quietus::core::time::Millis;

#[derive(Debug)]
pub struct History {
    hasher: blake3::Hasher,
    lines: Vec<String>,
    shown: bool,
}

impl History {
    pub fn new() -> Self {
        let shown = std::env::var_os("QUIETUS_SIM_TRACE").is_some();
        Self { hasher: blake3::Hasher::new(), lines: Vec::new(), shown }
    }

    pub fn line(&mut self, at: i64, what: &str) {
        let line = format!("{} {what}", Millis(at));
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
        if self.shown {
            eprintln!("{line}");
        }
        self.lines.push(line);
    }

    pub fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// The last lines, for whoever looks for what went wrong.
    pub fn tail(&self, lines: usize) -> String {
        let from = self.lines.len().saturating_sub(lines);
        self.lines[from..].join("\n")
    }
}
