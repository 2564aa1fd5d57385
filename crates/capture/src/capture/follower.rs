//! A capture file that still grows, read as it comes.
//!
//! A [`Capture`] keeps the whole file, so as to go back to any sample. Whoever
//! looks on needs the last one only: here nothing of the file is kept but what
//! has been understood, and each byte is read once.

use std::collections::BTreeMap;

use wrasse_tracer::{ThreadTotals, Totals};

use super::{Capture, End, Sample, Unreadable, check_head, parse_section};
use crate::frame::{FILE_HEAD, Kind, Next, next_frame};
use crate::meta::Meta;
use crate::sums::Location;
use crate::writer::Pause;

/// What a file has said so far.
#[derive(Debug, Default)]
pub struct Follower {
    /// Its tables, samples, pauses and threads. Nothing in it refers to the file.
    capture: Capture,
    /// What each traceback has at the last sample.
    totals: Vec<Totals>,
    sections: BTreeMap<String, Box<[u8]>>,
    /// The beginning of a frame whose rest has not come yet.
    pending: Vec<u8>,
    /// Where in the file that begins.
    at: usize,
    has_meta: bool,
}

impl Follower {
    /// Read what the file goes on with. Time is linear in `bytes`, but for a frame
    /// that comes in many pieces.
    ///
    /// # Errors
    /// [`Unreadable`]; not [`Unreadable::Empty`], for more may come. What was read
    /// before stays; nothing more can be read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        let read = self.read(&mut rest);
        let used = pending.len() - rest.len();
        self.at += used;
        self.pending = pending;
        self.pending.drain(..used);
        read
    }

    fn read(&mut self, rest: &mut &[u8]) -> Result<(), Unreadable> {
        let whole = rest.len();
        if self.capture.version == 0 {
            match check_head(rest) {
                Ok(version) => self.capture.version = version,
                Err(Unreadable::Empty) => return Ok(()),
                Err(error) => return Err(error),
            }
            *rest = &rest[FILE_HEAD..];
        }
        loop {
            let damaged = Unreadable::Damaged(self.at + whole - rest.len());
            match next_frame(rest) {
                Next::Frame(kind, payload) => {
                    self.take(Kind::from_byte(kind), payload).ok_or(damaged)?;
                }
                Next::Over | Next::CutOff => return Ok(()),
                Next::Damaged => return Err(damaged),
            }
        }
    }

    fn take(&mut self, kind: Option<Kind>, payload: &[u8]) -> Option<()> {
        if kind == Some(Kind::Section) {
            if let Some((name, length)) = parse_section(payload)? {
                let content = payload[payload.len() - length..].into();
                self.sections.insert(name, content);
            }
            return Some(());
        }
        self.capture
            .read_frame(kind, payload, 0, &mut self.totals)?;
        self.has_meta |= kind == Some(Kind::Meta);
        // Places in a file that is not kept.
        self.capture.changes.clear();
        Some(())
    }

    /// Has the file said whose it is? Until then there is nothing.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.has_meta
    }

    /// Who is captured.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.capture.meta
    }

    /// Totals so far, in the order of time.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.capture.samples
    }

    /// Pauses for collections so far, in the order of time.
    #[must_use]
    pub fn pauses(&self) -> &[Pause] {
        &self.capture.pauses
    }

    /// Threads, as far as known.
    #[must_use]
    pub fn threads(&self) -> &[ThreadTotals] {
        &self.capture.threads
    }

    /// The end, if it has come.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.capture.end
    }

    /// The last section of that name: a JSON text.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(|content| &**content)
    }

    /// What each traceback has at the last sample; there may be later ones that have
    /// had nothing yet.
    #[must_use]
    pub fn totals(&self) -> &[Totals] {
        &self.totals
    }

    /// The line that a traceback of [`Follower::totals`] allocates at, one of
    /// [`Follower::locations`]; nothing for a traceback without frames.
    #[must_use]
    pub fn line(&self, traceback: usize) -> Option<u32> {
        self.capture.frames(traceback).next()
    }

    /// The source lines so far.
    #[must_use]
    pub fn locations(&self) -> &[Location] {
        self.capture.locations()
    }

    /// The strings, by the numbers in a [`Location`].
    #[must_use]
    pub fn string(&self, string: u32) -> &[u8] {
        self.capture.string(string)
    }
}
