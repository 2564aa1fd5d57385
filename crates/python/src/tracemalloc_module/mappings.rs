//! What the process has mapped where, and what may be done with it.

use std::fs;
use std::ops::Range;

/// A line of `/proc/self/maps`.
pub struct Mapping {
    /// The addresses.
    pub range: Range<usize>,
    /// As the system writes them: `r--p`.
    pub rights: [u8; 4],
}

/// All mappings; none if the system does not tell.
pub fn read() -> Vec<Mapping> {
    // Bytes, not text: file names are in it, and those are any bytes.
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    maps.split(|&byte| byte == b'\n')
        .filter_map(parse)
        .collect()
}

/// The mapping that an address is in.
pub fn find(mappings: &[Mapping], address: usize) -> Option<&Mapping> {
    mappings
        .iter()
        .find(|mapping| mapping.range.contains(&address))
}

fn parse(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.split(|&byte| byte == b' ');
    let range = str::from_utf8(fields.next()?).ok()?;
    let (low, high) = range.split_once('-')?;
    let low = usize::from_str_radix(low, 16).ok()?;
    let high = usize::from_str_radix(high, 16).ok()?;
    let rights = fields.next()?.try_into().ok()?;
    Some(Mapping {
        range: low..high,
        rights,
    })
}
