//! What is known of a process when its capture begins.

use wrasse_tracer::Exhausted;

use crate::varint::{Bytes, Reader};

/// Who was captured. Serialised as pairs of name and value, of which a reader
/// leaves out those that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The host's version, such as `CPython 3.12.1`.
    pub host: String,
    /// wrasse's version.
    pub wrasse: String,
    /// The process's number.
    pub process: u32,
    /// When the capture began, in nanoseconds since 1970.
    pub started: u64,
    /// How many frames of each traceback were kept.
    pub frames: u16,
    /// Are allocations counted that were not alive any more at a sample?
    pub counts_allocations: bool,
}

impl Meta {
    pub(crate) fn write(&self, bytes: &mut Bytes) -> Result<(), Exhausted> {
        let pairs = [
            ("host", self.host.clone()),
            ("wrasse", self.wrasse.clone()),
            ("process", self.process.to_string()),
            ("started", self.started.to_string()),
            ("frames", self.frames.to_string()),
            (
                "counts_allocations",
                u8::from(self.counts_allocations).to_string(),
            ),
        ];
        bytes.number((pairs.len() + self.arguments.len()) as u64)?;
        for (name, value) in &pairs {
            bytes.text(name.as_bytes())?;
            bytes.text(value.as_bytes())?;
        }
        for argument in &self.arguments {
            bytes.text(b"argument")?;
            bytes.text(argument.as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut meta = Meta::default();
        let mut reader = Reader(payload);
        for _ in 0..reader.number()? {
            let name = reader.text()?;
            let value = String::from_utf8_lossy(reader.text()?).into_owned();
            match name {
                b"argument" => meta.arguments.push(value),
                b"host" => meta.host = value,
                b"wrasse" => meta.wrasse = value,
                b"process" => meta.process = value.parse().ok()?,
                b"started" => meta.started = value.parse().ok()?,
                b"frames" => meta.frames = value.parse().ok()?,
                b"counts_allocations" => meta.counts_allocations = value == "1",
                _ => {}
            }
        }
        Some(meta)
    }
}
