//! Makes frames of what a tracer knows.
//!
//! A sample holds only what has changed since the one before, so its size grows
//! with the tracebacks that were at work, not with the memory in use. Nothing
//! that has been written is ever needed again: the file can be cut off anywhere.

use wrasse_tracer::{
    Amount, Exhausted, LocationId, SideTable, ThreadTotals, Totals, TracebackId, Tracer, View,
};

use crate::frame::{Ending, Kind, end_frame, file_head, frame_head};
use crate::intern::Interner;
use crate::meta::Meta;
use crate::sums::{Measure, Sums};
use crate::varint::Bytes;

/// When a sample is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Nanoseconds since the capture began.
    pub time: u64,
    /// Physical memory of the process in bytes; 0 if not known.
    pub resident_bytes: u64,
}

/// The program stood still for a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// When it began, in nanoseconds since the capture began.
    pub start: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// The oldest generation that was collected.
    pub generation: u8,
    /// Objects freed.
    pub collected: u64,
    /// Unreachable objects that could not be freed.
    pub uncollectable: u64,
}

/// New entries of one table, and how many.
#[derive(Debug, Default)]
struct Additions {
    bytes: Bytes,
    count: u64,
}

impl Additions {
    fn clear(&mut self) {
        self.bytes.0.clear();
        self.count = 0;
    }
}

const UNSEEN: u32 = u32::MAX;
/// How a section is laid out. Readers leave out sections of other forms.
pub const SECTION_FORM: u64 = 1;

/// Turns a tracer's state into frames. After an error it must not be used again:
/// what was pending is still good, but the next sample would not be.
#[derive(Debug, Default)]
pub struct Writer {
    pending: Vec<u8>,
    limit: usize,
    strings: Interner<Box<[u8]>>,
    locations: Interner<(u32, u32)>,
    nodes: Interner<(u32, u32)>,
    tracebacks: Interner<(u32, u16, u32)>,
    /// What is new since the last sample: strings, locations, nodes, tracebacks.
    new: [Additions; 4],
    /// The tracer's epoch in which these are valid.
    epoch: u32,
    /// By the tracer's numbers, ours.
    known_locations: Vec<u32>,
    known_tracebacks: Vec<u32>,
    totals: Vec<Totals>,
    now: Vec<Totals>,
    written: Vec<Totals>,
    payload: Bytes,
}

impl Writer {
    /// A new file: its head and the frame about the process are pending.
    pub fn new(meta: &Meta) -> Result<Self, Exhausted> {
        let mut writer = Writer {
            limit: meta.frames.into(),
            ..Writer::default()
        };
        writer.pending.try_reserve(file_head().len())?;
        writer.pending.extend_from_slice(&file_head());
        meta.write(&mut writer.payload)?;
        writer.frame(Kind::Meta)?;
        Ok(writer)
    }

    /// Bytes to be appended to the file.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// They have been written.
    pub fn written(&mut self) {
        self.pending.clear();
    }

    /// What `view` sees now.
    pub fn sample(
        &mut self,
        tracer: &Tracer<impl SideTable>,
        view: View,
        moment: Moment,
    ) -> Result<(), Exhausted> {
        self.follow(tracer);
        let mut totals = std::mem::take(&mut self.totals);
        tracer.totals(view, &mut totals)?;
        self.now.clear();
        self.now.try_reserve(self.tracebacks.len())?;
        self.now.resize(self.tracebacks.len(), Totals::default());
        for (id, total) in totals.iter().enumerate() {
            if *total != Totals::default() {
                let number = self.traceback(tracer, id)?;
                self.count(number, total)?;
            }
        }
        self.totals = totals;
        self.write_tables()?;
        let counters = tracer.counters(view);
        self.write_sample(counters.current() as u64, counters.peak() as u64, moment)
    }

    /// The tracer may have started anew, with new numbers for what it meets.
    fn follow(&mut self, tracer: &Tracer<impl SideTable>) {
        if self.epoch != tracer.epoch() {
            self.epoch = tracer.epoch();
            self.known_tracebacks.clear();
            self.known_locations.clear();
        }
    }

    /// What was live at the peak of what `view` sees. The last such frame counts.
    pub fn peak(&mut self, tracer: &Tracer<impl SideTable>, view: View) -> Result<(), Exhausted> {
        self.follow(tracer);
        let mut all = Vec::new();
        tracer.peak(view, &mut all)?;
        let mut live = Vec::new();
        for (id, amount) in all.iter().enumerate().filter(|(_, each)| each.blocks > 0) {
            let number = self.traceback(tracer, id)?;
            live.try_reserve(1)?;
            live.push((number, *amount));
        }
        self.write_tables()?;
        self.write_peak(live)
    }

    /// The number that one of the tracer's tracebacks has in the file; nothing if it
    /// is not in it yet.
    pub fn number_of(&self, tracer: &Tracer<impl SideTable>, id: TracebackId) -> Option<u32> {
        let known = self.known_tracebacks.get(id.0 as usize);
        let is_of_this_epoch = self.epoch == tracer.epoch();
        known
            .copied()
            .filter(|number| is_of_this_epoch && *number != UNSEEN)
    }

    fn write_peak(&mut self, mut live: Vec<(u32, Amount)>) -> Result<(), Exhausted> {
        live.sort_unstable_by_key(|(number, _)| *number);
        self.payload.number(live.len() as u64)?;
        let mut last = 0;
        for (number, amount) in live {
            self.payload.number((number - last).into())?;
            self.payload.number(amount.bytes)?;
            self.payload.number(amount.blocks)?;
            last = number;
        }
        self.frame(Kind::Peak)
    }

    /// What sums say of one moment.
    pub fn sums(&mut self, sums: &Sums, moment: Moment) -> Result<(), Exhausted> {
        self.now.clear();
        self.now.try_reserve(self.tracebacks.len())?;
        self.now.resize(self.tracebacks.len(), Totals::default());
        let mut at_peak = Vec::new();
        for group in sums.groups() {
            let mut node = 0;
            for &number in sums.frames(group.traceback).iter().rev() {
                let location = sums.location(number);
                let function = location.function.map(|name| sums.string(name));
                let number =
                    self.add_location(sums.string(location.file), function, location.line)?;
                node = self.node(node, number)?;
            }
            let number = self.add_traceback(node, sums.total(group.traceback), group.domain)?;
            let live = Totals {
                live_bytes: group.size,
                live_blocks: group.count,
                allocated_bytes: group.allocated.bytes,
                allocated_blocks: group.allocated.blocks,
                temporary_bytes: group.temporary.bytes,
                temporary_blocks: group.temporary.blocks,
            };
            self.count(number, &live)?;
            if group.peak.blocks > 0 {
                at_peak.try_reserve(1)?;
                at_peak.push((number, group.peak));
            }
        }
        self.write_tables()?;
        let (size, _) = sums.whole();
        let (peak, _) = sums.whole_of(Measure::Peak);
        self.write_sample(size, peak.max(size), moment)?;
        self.write_peak(at_peak)?;
        self.threads(sums.threads())
    }

    fn count(&mut self, traceback: u32, totals: &Totals) -> Result<(), Exhausted> {
        let place = traceback as usize;
        if place == self.now.len() {
            self.now.try_reserve(1)?;
            self.now.push(Totals::default());
        }
        add(&mut self.now[place], totals);
        Ok(())
    }

    fn write_tables(&mut self) -> Result<(), Exhausted> {
        if self.new.iter().all(|table| table.count == 0) {
            return Ok(());
        }
        for table in &mut self.new {
            self.payload.number(table.count)?;
            self.payload.0.try_reserve(table.bytes.0.len())?;
            self.payload.0.extend_from_slice(&table.bytes.0);
            table.clear();
        }
        self.frame(Kind::Tables)
    }

    fn write_sample(&mut self, live: u64, peak: u64, moment: Moment) -> Result<(), Exhausted> {
        self.written
            .try_reserve(self.now.len() - self.written.len())?;
        self.written.resize(self.now.len(), Totals::default());
        let whole = self.now.iter().fold(Totals::default(), |mut all, each| {
            add(&mut all, each);
            all
        });
        for number in [
            moment.time,
            live,
            peak,
            moment.resident_bytes,
            whole.live_blocks,
            whole.allocated_bytes,
            whole.allocated_blocks,
            whole.temporary_bytes,
            whole.temporary_blocks,
        ] {
            self.payload.number(number)?;
        }
        let pairs = || self.now.iter().zip(&self.written).enumerate();
        let changed = pairs().filter(|(_, (now, before))| now != before);
        self.payload.number(changed.clone().count() as u64)?;
        let mut last = 0;
        for (number, (now, before)) in changed {
            let bytes = &mut self.payload;
            bytes.number((number - last) as u64)?;
            last = number;
            let difference = |now: u64, before: u64| now.wrapping_sub(before) as i64;
            bytes.signed(difference(now.live_bytes, before.live_bytes))?;
            bytes.signed(difference(now.live_blocks, before.live_blocks))?;
            bytes.signed(difference(now.allocated_bytes, before.allocated_bytes))?;
            bytes.signed(difference(now.allocated_blocks, before.allocated_blocks))?;
            bytes.signed(difference(now.temporary_blocks, before.temporary_blocks))?;
            bytes.signed(difference(now.temporary_bytes, before.temporary_bytes))?;
        }
        std::mem::swap(&mut self.now, &mut self.written);
        self.frame(Kind::Sample)
    }

    /// Pauses since the last call.
    pub fn pauses(&mut self, pauses: &[Pause]) -> Result<(), Exhausted> {
        if pauses.is_empty() {
            return Ok(());
        }
        self.payload.number(pauses.len() as u64)?;
        for pause in pauses {
            for number in [
                pause.start,
                pause.duration,
                pause.generation.into(),
                pause.collected,
                pause.uncollectable,
            ] {
                self.payload.number(number)?;
            }
        }
        self.frame(Kind::Pauses)
    }

    /// All threads so far. The last such frame counts.
    pub fn threads(&mut self, threads: &[ThreadTotals]) -> Result<(), Exhausted> {
        self.payload.number(threads.len() as u64)?;
        for thread in threads {
            self.payload.number(thread.number)?;
            self.payload.text(&thread.name)?;
            for amount in [thread.allocated, thread.live, thread.peak, thread.temporary] {
                self.payload.number(amount.bytes)?;
                self.payload.number(amount.blocks)?;
            }
        }
        self.frame(Kind::Threads)
    }

    /// What else is known of the process: a JSON text under a name, such as
    /// `types`. A later one of the same name takes its place.
    pub fn section(&mut self, name: &str, json: &[u8]) -> Result<(), Exhausted> {
        self.payload.number(SECTION_FORM)?;
        self.payload.text(name.as_bytes())?;
        self.payload.text(json)?;
        self.frame(Kind::Section)
    }

    /// The end, `time` nanoseconds after the beginning.
    pub fn end(&mut self, time: u64, ending: Ending) -> Result<(), Exhausted> {
        let frame = end_frame(time, ending);
        self.pending.try_reserve(frame.len())?;
        self.pending.extend_from_slice(&frame);
        Ok(())
    }

    /// Close the payload that was gathered.
    fn frame(&mut self, kind: Kind) -> Result<(), Exhausted> {
        let head = frame_head(kind, &self.payload.0)?;
        self.pending
            .try_reserve(head.len() + self.payload.0.len())?;
        self.pending.extend_from_slice(&head);
        self.pending.extend_from_slice(&self.payload.0);
        self.payload.0.clear();
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<u32, Exhausted> {
        let (number, is_new) = self.strings.text(text)?;
        if is_new {
            self.new[0].bytes.text(text)?;
            self.new[0].count += 1;
        }
        Ok(number)
    }

    fn add_location(
        &mut self,
        file: &[u8],
        function: Option<&[u8]>,
        line: u32,
    ) -> Result<u32, Exhausted> {
        let file = self.string(file)?;
        let (number, is_new) = self.locations.number((file, line))?;
        if is_new {
            let function = match function {
                Some(name) => self.string(name)? + 1,
                None => 0,
            };
            self.new[1].count += 1;
            let bytes = &mut self.new[1].bytes;
            bytes.number(file.into())?;
            bytes.number(function.into())?;
            bytes.number(line.into())?;
        }
        Ok(number)
    }

    /// The node of a location below its caller's. 0 is no node; others are their
    /// number plus one.
    fn node(&mut self, caller: u32, location: u32) -> Result<u32, Exhausted> {
        let (number, is_new) = self.nodes.number((caller, location))?;
        if is_new {
            self.new[2].count += 1;
            let bytes = &mut self.new[2].bytes;
            bytes.number(caller.into())?;
            bytes.number(location.into())?;
        }
        Ok(number + 1)
    }

    fn add_traceback(&mut self, node: u32, total: u16, domain: u32) -> Result<u32, Exhausted> {
        let (number, is_new) = self.tracebacks.number((node, total, domain))?;
        if is_new {
            self.new[3].count += 1;
            let bytes = &mut self.new[3].bytes;
            bytes.number(node.into())?;
            bytes.number(total.into())?;
            bytes.number(domain.into())?;
        }
        Ok(number)
    }

    fn location(&mut self, tracer: &Tracer<impl SideTable>, id: usize) -> Result<u32, Exhausted> {
        if let Some(&known) = self.known_locations.get(id)
            && known != UNSEEN
        {
            return Ok(known);
        }
        let table = tracer.locations();
        let id_of = LocationId(id as u32);
        let (file, line) = table.resolve(id_of);
        let number = self.add_location(table.name(file), table.function(id_of), line)?;
        remember(&mut self.known_locations, id, number)?;
        Ok(number)
    }

    fn traceback(&mut self, tracer: &Tracer<impl SideTable>, id: usize) -> Result<u32, Exhausted> {
        if let Some(&known) = self.known_tracebacks.get(id)
            && known != UNSEEN
        {
            return Ok(known);
        }
        let tracebacks = tracer.tracebacks();
        let id_of = TracebackId(id as u32);
        // From the oldest frame on, so that tracebacks share what they have in common.
        let mut node = 0;
        let frames = tracebacks.frames(id_of);
        for &location in frames[..frames.len().min(self.limit)].iter().rev() {
            let location = self.location(tracer, location.0 as usize)?;
            node = self.node(node, location)?;
        }
        let number = self.add_traceback(node, tracebacks.total(id_of), 0)?;
        remember(&mut self.known_tracebacks, id, number)?;
        Ok(number)
    }
}

fn add(into: &mut Totals, more: &Totals) {
    into.live_bytes += more.live_bytes;
    into.live_blocks += more.live_blocks;
    into.allocated_bytes += more.allocated_bytes;
    into.allocated_blocks += more.allocated_blocks;
    into.temporary_bytes += more.temporary_bytes;
    into.temporary_blocks += more.temporary_blocks;
}

fn remember(known: &mut Vec<u32>, id: usize, number: u32) -> Result<(), Exhausted> {
    if id >= known.len() {
        known.try_reserve(id + 1 - known.len())?;
        known.resize(id + 1, UNSEEN);
    }
    known[id] = number;
    Ok(())
}
