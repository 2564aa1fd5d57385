//! A capture file, read back.

mod follower;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use wrasse_tracer::{Amount, MAX_FRAMES, ThreadTotals, Totals};

use crate::frame::{
    Ending, FILE_HEAD, FORMAT_VERSION, Kind, MAGIC, Next, file_head, next_frame, parse_end,
};
use crate::meta::Meta;
use crate::sums::{Location, Sums, SumsBuilder};
use crate::varint::Reader;
use crate::writer::{Pause, SECTION_FORM};

pub use follower::Follower;

/// Why a file is no capture that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is something else.
    NotACapture,
    /// It was written by a newer wrasse, in this version of the format.
    Newer(u16),
    /// It ends before its first frame does.
    Empty,
    /// Around this byte it is not what was written.
    Damaged(usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::NotACapture => formatter.write_str("not a capture file of wrasse"),
            Unreadable::Newer(version) => write!(
                formatter,
                "written by a newer wrasse (format {version}, this one reads {FORMAT_VERSION}): upgrade wrasse"
            ),
            Unreadable::Empty => {
                formatter.write_str("nothing in it: it ends before its first frame does")
            }
            Unreadable::Damaged(at) => write!(
                formatter,
                "damaged at byte {at}: it is not what wrasse wrote"
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Nanoseconds since the capture began.
    pub time: u64,
    /// Bytes alive.
    pub live_bytes: u64,
    /// The most bytes alive until then.
    pub peak_bytes: u64,
    /// Physical memory of the process in bytes; 0 if not known.
    pub resident_bytes: u64,
    /// Blocks alive.
    pub live_blocks: u64,
    /// Bytes ever allocated; 0 where that is not counted.
    pub allocated_bytes: u64,
    /// Blocks ever allocated; 0 where that is not counted.
    pub allocated_blocks: u64,
    /// Bytes freed before the next block was allocated; 0 before version 2.
    pub temporary_bytes: u64,
    /// Blocks freed so soon.
    pub temporary_blocks: u64,
}

/// When and how a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Nanoseconds since the capture began.
    pub time: u64,
    /// How.
    pub ending: Ending,
}

#[derive(Clone, Copy, Debug)]
struct Traceback {
    /// The most recent frame's node plus one, or 0.
    node: u32,
    /// Frames in all, kept or not.
    total: u16,
    domain: u32,
}

/// Everything that a capture file holds.
#[derive(Debug, Default)]
pub struct Capture {
    /// Who was captured.
    pub meta: Meta,
    /// Totals, in the order of time.
    pub samples: Vec<Sample>,
    /// Pauses for collections, in the order of time.
    pub pauses: Vec<Pause>,
    /// Threads, as far as known.
    pub threads: Vec<ThreadTotals>,
    /// The end; nothing if the process was cut off (killed, or still running).
    pub end: Option<End>,
    /// Does the file end in the middle of a frame?
    pub is_cut_off: bool,
    strings: Vec<Box<[u8]>>,
    locations: Vec<Location>,
    /// Parent plus one, or 0; location.
    nodes: Vec<(u32, u32)>,
    /// How many nodes there are from each to its root.
    depths: Vec<u16>,
    tracebacks: Vec<Traceback>,
    data: Vec<u8>,
    /// Where in `data` the changes of each sample are.
    changes: Vec<Range<usize>>,
    /// Where in `data` the content of each section is, by its name.
    sections: BTreeMap<String, Range<usize>>,
    /// What each traceback had live at the peak, where that was written down.
    peak: Vec<Amount>,
    /// The format's version.
    version: u16,
}

impl Capture {
    /// Read a whole file.
    ///
    /// # Errors
    /// [`Unreadable`]. A file that ends in the middle of a frame is no error.
    pub fn read(data: Vec<u8>) -> Result<Self, Unreadable> {
        let mut capture = Capture {
            version: check_head(&data)?,
            ..Capture::default()
        };
        let mut has_meta = false;
        let mut last = vec![];
        let mut rest = &data[FILE_HEAD..];
        loop {
            let at = data.len() - rest.len();
            let damaged = Unreadable::Damaged(at);
            let (kind, payload) = match next_frame(&mut rest) {
                Next::Frame(kind, payload) => (Kind::from_byte(kind), payload),
                Next::Over => break,
                Next::CutOff => {
                    capture.is_cut_off = true;
                    break;
                }
                Next::Damaged => return Err(damaged),
            };
            let start = data.len() - rest.len() - payload.len();
            capture
                .read_frame(kind, payload, start, &mut last)
                .ok_or(damaged)?;
            has_meta |= kind == Some(Kind::Meta);
        }
        if !has_meta {
            return Err(Unreadable::Empty);
        }
        capture.keep(data);
        Ok(capture)
    }

    /// Keeps of a file what is read again later: changes and sections.
    fn keep(&mut self, mut data: Vec<u8>) {
        let changes = self.changes.iter_mut();
        let mut parts: Vec<&mut Range<usize>> = changes.chain(self.sections.values_mut()).collect();
        parts.sort_unstable_by_key(|part| part.start);
        let mut end = 0;
        for part in parts {
            let length = part.len();
            data.copy_within(part.clone(), end);
            *part = end..end + length;
            end += length;
        }
        data.truncate(end);
        data.shrink_to_fit();
        self.data = data;
    }

    /// Lets go of what tracebacks had at each sample and at the peak, and of sections:
    /// from now on there are none.
    pub fn forget_figures(&mut self) {
        self.data = Vec::new();
        self.changes = Vec::new();
        self.peak = Vec::new();
        self.sections.clear();
    }

    /// Lets go of all tracebacks with their figures.
    pub fn forget_tracebacks(&mut self) {
        self.forget_figures();
        self.nodes = Vec::new();
        self.depths = Vec::new();
        self.tracebacks = Vec::new();
    }

    /// Take in what a frame says, whose payload begins at the file's byte `start`.
    /// `last` is what each traceback had at the sample before.
    fn read_frame(
        &mut self,
        kind: Option<Kind>,
        payload: &[u8],
        start: usize,
        last: &mut Vec<Totals>,
    ) -> Option<()> {
        // What is not known is left out.
        let Some(kind) = kind else { return Some(()) };
        match kind {
            Kind::Meta => self.meta = Meta::read(payload)?,
            Kind::Tables => self.read_tables(payload)?,
            Kind::Sample => {
                let changes = self.read_sample(payload)?;
                apply(changes, last, self.tracebacks.len(), self.version)?;
                let skipped = payload.len() - changes.0.len();
                let at = start + skipped..start + payload.len();
                self.changes.push(at);
            }
            Kind::Pauses => self.read_pauses(payload)?,
            Kind::Threads => self.read_threads(payload)?,
            Kind::Peak => self.read_peak(payload)?,
            Kind::End => {
                let (time, ending) = parse_end(payload)?;
                self.end = Some(End { time, ending });
            }
            Kind::Section => {
                if let Some((name, length)) = parse_section(payload)? {
                    let end = start + payload.len();
                    self.sections.insert(name, end - length..end);
                }
            }
        }
        Some(())
    }

    fn read_tables(&mut self, payload: &[u8]) -> Option<()> {
        let mut reader = Reader(payload);
        for _ in 0..reader.number()? {
            self.strings.push(reader.text()?.into());
        }
        for _ in 0..reader.number()? {
            let (file, function, line) = (reader.small()?, reader.small()?, reader.small()?);
            let is_string = |number: u32| (number as usize) < self.strings.len();
            let function = function.checked_sub(1);
            (is_string(file) && function.is_none_or(is_string)).then_some(())?;
            self.locations.push(Location {
                file,
                function,
                line,
            });
        }
        for _ in 0..reader.number()? {
            let (parent, location) = (reader.small()?, reader.small()?);
            ((location as usize) < self.locations.len()).then_some(())?;
            let depth = match parent.checked_sub(1) {
                None => 1,
                // Only nodes before this one: there are no cycles.
                Some(parent) => self.depths.get(parent as usize)?.checked_add(1)?,
            };
            self.nodes.push((parent, location));
            self.depths.push(depth);
        }
        for _ in 0..reader.number()? {
            let (node, total, domain) = (reader.small()?, reader.small()?, reader.small()?);
            (node as usize <= self.nodes.len()).then_some(())?;
            self.tracebacks.push(Traceback {
                node,
                total: u16::try_from(total).ok()?,
                domain,
            });
        }
        Some(())
    }

    fn read_sample<'a>(&mut self, payload: &'a [u8]) -> Option<Reader<'a>> {
        let mut reader = Reader(payload);
        self.samples.push(Sample {
            time: reader.number()?,
            live_bytes: reader.number()?,
            peak_bytes: reader.number()?,
            resident_bytes: reader.number()?,
            live_blocks: reader.number()?,
            allocated_bytes: reader.number()?,
            allocated_blocks: reader.number()?,
            temporary_bytes: self.number_since_2(&mut reader)?,
            temporary_blocks: self.number_since_2(&mut reader)?,
        });
        Some(reader)
    }

    fn read_pauses(&mut self, payload: &[u8]) -> Option<()> {
        let mut reader = Reader(payload);
        for _ in 0..reader.number()? {
            self.pauses.push(Pause {
                start: reader.number()?,
                duration: reader.number()?,
                generation: u8::try_from(reader.number()?).ok()?,
                collected: reader.number()?,
                uncollectable: reader.number()?,
            });
        }
        Some(())
    }

    /// What files of version 1 do not have is 0.
    fn number_since_2(&self, reader: &mut Reader<'_>) -> Option<u64> {
        match self.version {
            0 | 1 => Some(0),
            _ => reader.number(),
        }
    }

    fn read_threads(&mut self, payload: &[u8]) -> Option<()> {
        let mut reader = Reader(payload);
        self.threads.clear();
        for _ in 0..reader.number()? {
            let (number, name) = (reader.number()?, reader.text()?.into());
            let mut amount = |is_old| {
                let mut next = || match is_old {
                    true => reader.number(),
                    false => self.number_since_2(&mut reader),
                };
                Some(Amount {
                    bytes: next()?,
                    blocks: next()?,
                })
            };
            let (allocated, live) = (amount(true)?, amount(false)?);
            let (peak, temporary) = (amount(false)?, amount(false)?);
            self.threads.push(ThreadTotals {
                number,
                name,
                live,
                peak,
                allocated,
                temporary,
            });
        }
        Some(())
    }

    fn read_peak(&mut self, payload: &[u8]) -> Option<()> {
        let mut reader = Reader(payload);
        let mut peak = vec![Amount::default(); self.tracebacks.len()];
        let mut number = 0usize;
        for _ in 0..reader.number()? {
            number = number.checked_add(usize::try_from(reader.number()?).ok()?)?;
            *peak.get_mut(number)? = Amount {
                bytes: reader.number()?,
                blocks: reader.number()?,
            };
        }
        self.peak = peak;
        Some(())
    }

    /// What each traceback had live at the peak, in the order of [`Capture::totals`].
    /// Nothing where the file ended before that was written down, or the peak came
    /// later; [`Capture::peak_sample`] then is the best there is.
    pub fn peak(&self) -> Option<&[Amount]> {
        let bytes = |sum: u64, each: &Amount| sum.saturating_add(each.bytes);
        let highest = self.samples.last()?.peak_bytes;
        let is_it = !self.peak.is_empty() && self.peak.iter().fold(0, bytes) >= highest;
        is_it.then_some(&self.peak)
    }

    /// The sample with the most live bytes, the first of several. What was
    /// live then is known line by line; the peak itself may have been between
    /// two samples, and is in [`Sample::peak_bytes`].
    pub fn peak_sample(&self) -> Option<usize> {
        let all = self.samples.iter().enumerate();
        all.max_by_key(|(at, sample)| (sample.live_bytes, std::cmp::Reverse(*at)))
            .map(|(at, _)| at)
    }

    /// What each traceback had allocated at a sample. Empty where there is no
    /// such sample. Time is linear in the changes up to it.
    pub fn totals(&self, sample: usize) -> Vec<Totals> {
        let mut totals = Vec::new();
        for changes in self.changes.iter().take(sample.saturating_add(1)) {
            // Read once already, when the file was.
            let changes = Reader(&self.data[changes.clone()]);
            let applied = apply(changes, &mut totals, self.tracebacks.len(), self.version);
            debug_assert!(applied.is_some());
        }
        totals
    }

    /// What was live at each of some samples, in ascending order, by traceback. Time
    /// is linear in the changes up to the last of them.
    pub fn live_at(&self, samples: &[usize]) -> Vec<Vec<Amount>> {
        debug_assert!(samples.is_sorted());
        let mut totals = Vec::new();
        let mut next = 0;
        let mut found = Vec::new();
        for &sample in samples {
            for changes in self
                .changes
                .iter()
                .take(sample.saturating_add(1))
                .skip(next)
            {
                // As in `totals`.
                let changes = Reader(&self.data[changes.clone()]);
                let applied = apply(changes, &mut totals, self.tracebacks.len(), self.version);
                debug_assert!(applied.is_some());
            }
            next = next.max(sample.saturating_add(1));
            found.push(totals.iter().map(live).collect());
        }
        found
    }

    /// What was live at the peak, as exactly as is known: [`Capture::peak`], or else
    /// what was live at [`Capture::peak_sample`].
    pub fn peak_known(&self) -> Vec<Amount> {
        if let Some(peak) = self.peak() {
            return peak.to_vec();
        }
        let sample = self.peak_sample();
        let totals = sample.map_or_else(Vec::new, |sample| self.totals(sample));
        totals.iter().map(live).collect()
    }

    /// What was live at a sample, and allocated until then; at the last one also what
    /// was live at the peak, and the threads.
    pub fn sums(&self, sample: usize) -> Sums {
        let mut builder = SumsBuilder::new(match self.meta.frames {
            0 => MAX_FRAMES,
            limit => limit,
        });
        let is_last = sample + 1 >= self.samples.len();
        let peak = match is_last {
            true => self.peak_known(),
            false => Vec::new(),
        };
        let mut frames = Vec::new();
        for (number, total) in self.totals(sample).iter().enumerate() {
            let peak = peak.get(number).copied().unwrap_or_default();
            if *total == Totals::default() && peak.blocks == 0 {
                continue;
            }
            frames.clear();
            for location in self.frames(number) {
                let Location {
                    file,
                    function,
                    line,
                } = self.locations[location as usize];
                let text = |string: u32| &*self.strings[string as usize];
                // A table that was read fits into memory once more.
                if let Ok(number) = builder.location(text(file), function.map(text), line) {
                    frames.push(number);
                }
            }
            let Traceback {
                total: depth,
                domain,
                ..
            } = self.tracebacks[number];
            if let Ok(traceback) = builder.traceback(&frames, depth) {
                if total.live_blocks > 0 {
                    let _ = builder.add(domain, traceback, total.live_bytes, total.live_blocks);
                }
                let amount = |bytes, blocks| Amount { bytes, blocks };
                let _ = builder.add_past(
                    traceback,
                    peak,
                    amount(total.allocated_bytes, total.allocated_blocks),
                    amount(total.temporary_bytes, total.temporary_blocks),
                );
            }
        }
        if is_last {
            builder.set_threads(self.threads.clone());
        }
        builder.finish()
    }

    /// The last section of that name: a JSON text, as whoever wrote it made it.
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(|at| &self.data[at.clone()])
    }

    /// The names of all sections, in alphabetical order.
    pub fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Does the file say what was freed before the next block was allocated?
    pub fn counts_temporary(&self) -> bool {
        self.version >= 2 && self.meta.counts_allocations
    }

    /// How many tracebacks there are. A number below it is one.
    pub fn traceback_count(&self) -> usize {
        self.tracebacks.len()
    }

    /// A traceback's domain; 0 is that of the host's allocators.
    pub fn domain(&self, traceback: usize) -> u32 {
        self.tracebacks[traceback].domain
    }

    /// All nodes, in an order in which callers come before what they call: the
    /// caller's number plus one, or 0; and the location. Tracebacks with the same
    /// oldest frames share those nodes.
    pub fn nodes(&self) -> &[(u32, u32)] {
        &self.nodes
    }

    /// The node of a traceback's most recent frame plus one, or 0 for no frame.
    pub fn node(&self, traceback: usize) -> u32 {
        self.tracebacks[traceback].node
    }

    /// Had the traceback older frames that were not kept?
    pub fn is_shortened(&self, traceback: usize) -> bool {
        let Traceback { node, total, .. } = self.tracebacks[traceback];
        let kept = node
            .checked_sub(1)
            .map_or(0, |node| self.depths[node as usize]);
        total > kept
    }

    /// The source lines, by the numbers in [`Capture::frames`].
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// How many strings there are. A number below it is one.
    pub fn string_count(&self) -> usize {
        self.strings.len()
    }

    /// The strings, by the numbers in a [`Location`].
    pub fn string(&self, string: u32) -> &[u8] {
        &self.strings[string as usize]
    }

    /// The locations of a traceback, the most recent first.
    pub fn frames(&self, traceback: usize) -> impl Iterator<Item = u32> {
        let mut node = self.tracebacks[traceback].node;
        std::iter::from_fn(move || {
            let (parent, location) = self.nodes[node.checked_sub(1)? as usize];
            node = parent;
            Some(location)
        })
    }
}

fn live(total: &Totals) -> Amount {
    Amount {
        bytes: total.live_bytes,
        blocks: total.live_blocks,
    }
}

/// The format's version.
fn check_head(data: &[u8]) -> Result<u16, Unreadable> {
    let Some(head) = data.first_chunk::<FILE_HEAD>() else {
        let is_begun = file_head().starts_with(data);
        return Err(if is_begun {
            Unreadable::Empty
        } else {
            Unreadable::NotACapture
        });
    };
    if head[..8] != MAGIC {
        return Err(Unreadable::NotACapture);
    }
    if head[12..] != crc32fast::hash(&head[..12]).to_le_bytes() {
        return Err(Unreadable::Damaged(0));
    }
    match u16::from_le_bytes([head[8], head[9]]) {
        0 => Err(Unreadable::Damaged(0)),
        version if version > FORMAT_VERSION => Err(Unreadable::Newer(version)),
        version => Ok(version),
    }
}

/// A section's name and the length of its content, which is what the payload
/// ends with. `Some(None)` if it is of a form that is not known here.
fn parse_section(payload: &[u8]) -> Option<Option<(String, usize)>> {
    let mut reader = Reader(payload);
    if reader.number()? != SECTION_FORM {
        return Some(None);
    }
    let name = String::from_utf8_lossy(reader.text()?).into_owned();
    let content = reader.text()?;
    reader.0.is_empty().then_some(Some((name, content.len())))
}

/// Bring `totals` up to the next sample; nothing if that makes no sense.
fn apply(
    mut changes: Reader<'_>,
    totals: &mut Vec<Totals>,
    tracebacks: usize,
    version: u16,
) -> Option<()> {
    if totals.len() < tracebacks {
        totals.resize(tracebacks, Totals::default());
    }
    let mut number = 0usize;
    for _ in 0..changes.number()? {
        number = number.checked_add(usize::try_from(changes.number()?).ok()?)?;
        let total = totals.get_mut(number)?;
        for place in [
            &mut total.live_bytes,
            &mut total.live_blocks,
            &mut total.allocated_bytes,
            &mut total.allocated_blocks,
            // 0 in files of version 1.
            &mut total.temporary_blocks,
        ] {
            *place = place.checked_add_signed(changes.signed()?)?;
        }
        if version >= 2 {
            let bytes = &mut total.temporary_bytes;
            *bytes = bytes.checked_add_signed(changes.signed()?)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
