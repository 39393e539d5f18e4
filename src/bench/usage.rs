//! What the process and a folder take.

use std::path::Path;

/// Peak resident memory of this process in MiB, as the kernel tells it; 0 where it does not.
pub fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix("kB")).and_then(|l| l.trim().parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Bytes of all files below a folder.
pub fn bytes_below(dir: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        total += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(total)
}
