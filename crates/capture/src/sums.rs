//! Blocks at one moment, summed by domain and traceback.

use std::collections::HashMap;

use wrasse_tracer::{Amount, Exhausted, SideTable, ThreadTotals, TracebackId, Tracer, View};

use crate::intern::Interner;

/// A source line. Two are equal when file and line are: the function is an
/// attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file: a string of the sums.
    pub file: u32,
    /// The function whose code stands there, if known: a string of the sums.
    pub function: Option<u32>,
    /// The line.
    pub line: u32,
}

/// Which blocks are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Those live at the moment of the sums.
    Live,
    /// Those live when the most was, up to that moment.
    Peak,
    /// All that were ever allocated.
    Allocated,
    /// Those that were freed before the next one was allocated.
    Temporary,
}

/// The blocks of one domain that one traceback allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The domain; 0 is that of the host's allocators. What is not live is all
    /// counted there.
    pub domain: u32,
    /// The traceback, one of the sums'.
    pub traceback: u32,
    /// Bytes live.
    pub size: u64,
    /// Blocks live.
    pub count: u64,
    /// Live at the peak.
    pub peak: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Freed before the next was allocated.
    pub temporary: Amount,
}

impl Group {
    /// The figures of one measure.
    #[must_use]
    pub fn amount(&self, measure: Measure) -> Amount {
        match measure {
            Measure::Live => Amount {
                bytes: self.size,
                blocks: self.count,
            },
            Measure::Peak => self.peak,
            Measure::Allocated => self.allocated,
            Measure::Temporary => self.temporary,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    start: usize,
    length: usize,
    total: u16,
}

/// What was live at one moment. It refers to nothing else.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    strings: Vec<Box<[u8]>>,
    locations: Vec<Location>,
    frames: Vec<u32>,
    tracebacks: Vec<Record>,
    groups: Vec<Group>,
    threads: Vec<ThreadTotals>,
    limit: u16,
}

impl Sums {
    /// What `view` sees now. The cost is that of [`Tracer::totals`] and grows
    /// with the tracebacks, not the blocks.
    pub fn take(tracer: &Tracer<impl SideTable>, view: View) -> Result<Self, Exhausted> {
        let mut builder = SumsBuilder::new(tracer.limit(view));
        let mut totals = Vec::new();
        tracer.totals(view, &mut totals)?;
        let mut peak = Vec::new();
        tracer.peak(view, &mut peak)?;
        let mut places = Places::default();
        for (id, (total, peak)) in totals.iter().zip(peak).enumerate() {
            if total.allocated_blocks > 0 {
                let traceback = builder.adopt(tracer, TracebackId(id as u32), &mut places)?;
                builder.add(0, traceback, total.live_bytes, total.live_blocks)?;
                let amount = |bytes, blocks| Amount { bytes, blocks };
                builder.add_past(
                    traceback,
                    peak,
                    amount(total.allocated_bytes, total.allocated_blocks),
                    amount(total.temporary_bytes, total.temporary_blocks),
                )?;
            }
        }
        builder.sums.threads = tracer.threads(view)?;
        for (domain, id, size) in tracer.reported(view) {
            let traceback = builder.adopt(tracer, id, &mut places)?;
            builder.add(domain, traceback, size as u64, 1)?;
        }
        Ok(builder.finish())
    }

    /// The groups, in no particular order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The locations of a traceback, the most recent frame first.
    pub fn frames(&self, traceback: u32) -> &[u32] {
        let record = self.tracebacks[traceback as usize];
        &self.frames[record.start..record.start + record.length]
    }

    /// How many frames a traceback had, kept or not.
    pub fn total(&self, traceback: u32) -> u16 {
        self.tracebacks[traceback as usize].total
    }

    /// A location by its number.
    pub fn location(&self, location: u32) -> Location {
        self.locations[location as usize]
    }

    /// How many locations there are.
    pub fn location_count(&self) -> usize {
        self.locations.len()
    }

    /// How many tracebacks there are.
    pub fn traceback_count(&self) -> usize {
        self.tracebacks.len()
    }

    /// A string by its number.
    pub fn string(&self, string: u32) -> &[u8] {
        &self.strings[string as usize]
    }

    /// How many strings there are.
    pub fn string_count(&self) -> usize {
        self.strings.len()
    }

    /// The most frames that a traceback keeps.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// The bytes and the number of all live blocks.
    pub fn whole(&self) -> (u64, u64) {
        self.whole_of(Measure::Live)
    }

    /// The bytes and the number of all blocks of a measure.
    pub fn whole_of(&self, measure: Measure) -> (u64, u64) {
        let add = |(size, count): (u64, u64), group: &Group| {
            let amount = group.amount(measure);
            (
                size.saturating_add(amount.bytes),
                count.saturating_add(amount.blocks),
            )
        };
        self.groups.iter().fold((0, 0), add)
    }

    /// What each thread has allocated, in the order in which they came. It is of all
    /// groups, whatever was left out since.
    pub fn threads(&self) -> &[ThreadTotals] {
        &self.threads
    }

    /// The same with only those groups for which `keep`, in the order of
    /// [`Sums::groups`], says yes; what it says nothing about stays out.
    #[must_use]
    pub fn filtered(&self, keep: &[bool]) -> Self {
        let kept = self.groups.iter().zip(keep).filter(|(_, keep)| **keep);
        Sums {
            groups: kept.map(|(group, _)| *group).collect(),
            ..self.clone()
        }
    }
}

/// A tracer's locations and files in the numbers of a [`SumsBuilder`].
#[derive(Default)]
struct Places {
    locations: HashMap<u32, u32>,
    tracebacks: HashMap<u32, u32>,
}

/// Puts [`Sums`] together.
#[derive(Debug, Default)]
pub struct SumsBuilder {
    sums: Sums,
    strings: Interner<Box<[u8]>>,
    locations: Interner<(u32, u32)>,
    tracebacks: Interner<(Vec<u32>, u16)>,
    groups: HashMap<(u32, u32), usize>,
}

impl SumsBuilder {
    /// Nothing yet; each traceback keeps at most `limit` frames.
    pub fn new(limit: u16) -> Self {
        SumsBuilder {
            sums: Sums {
                limit,
                ..Sums::default()
            },
            ..SumsBuilder::default()
        }
    }

    /// Begin with these sums.
    pub fn with(sums: Sums) -> Result<Self, Exhausted> {
        let mut builder = SumsBuilder::new(sums.limit);
        for group in &sums.groups {
            let mut frames = Vec::new();
            frames.try_reserve_exact(sums.frames(group.traceback).len())?;
            for &number in sums.frames(group.traceback) {
                let location = sums.location(number);
                let function = location.function.map(|name| sums.string(name));
                let number =
                    builder.location(sums.string(location.file), function, location.line)?;
                frames.push(number);
            }
            let traceback = builder.traceback(&frames, sums.total(group.traceback))?;
            builder.add(group.domain, traceback, group.size, group.count)?;
            builder.add_past(traceback, group.peak, group.allocated, group.temporary)?;
        }
        builder.sums.threads = sums.threads;
        Ok(builder)
    }

    fn string(&mut self, text: &[u8]) -> Result<u32, Exhausted> {
        let (number, is_new) = self.strings.text(text)?;
        if is_new {
            let mut copy = Vec::new();
            copy.try_reserve_exact(text.len())?;
            copy.extend_from_slice(text);
            self.sums.strings.try_reserve(1)?;
            self.sums.strings.push(copy.into_boxed_slice());
        }
        Ok(number)
    }

    /// The number of a source line, new or known.
    pub fn location(
        &mut self,
        file: &[u8],
        function: Option<&[u8]>,
        line: u32,
    ) -> Result<u32, Exhausted> {
        let file = self.string(file)?;
        let (number, is_new) = self.locations.number((file, line))?;
        if is_new {
            let function = match function {
                Some(name) => Some(self.string(name)?),
                None => None,
            };
            self.sums.locations.try_reserve(1)?;
            self.sums.locations.push(Location {
                file,
                function,
                line,
            });
        }
        Ok(number)
    }

    /// The number of a traceback of these locations, the most recent first, of
    /// which there were `total`. Those beyond the limit are left out.
    pub fn traceback(&mut self, frames: &[u32], total: u16) -> Result<u32, Exhausted> {
        let kept = &frames[..frames.len().min(self.sums.limit.into())];
        let mut copy = Vec::new();
        copy.try_reserve_exact(kept.len())?;
        copy.extend_from_slice(kept);
        let (number, is_new) = self.tracebacks.number((copy, total))?;
        if is_new {
            self.sums.tracebacks.try_reserve(1)?;
            self.sums.frames.try_reserve(kept.len())?;
            self.sums.tracebacks.push(Record {
                start: self.sums.frames.len(),
                length: kept.len(),
                total,
            });
            self.sums.frames.extend_from_slice(kept);
        }
        Ok(number)
    }

    /// The group of a domain and a traceback.
    fn group(&mut self, domain: u32, traceback: u32) -> Result<&mut Group, Exhausted> {
        self.groups.try_reserve(1)?;
        self.sums.groups.try_reserve(1)?;
        let place = *self
            .groups
            .entry((domain, traceback))
            .or_insert(self.sums.groups.len());
        if place == self.sums.groups.len() {
            self.sums.groups.push(Group {
                domain,
                traceback,
                size: 0,
                count: 0,
                peak: Amount::default(),
                allocated: Amount::default(),
                temporary: Amount::default(),
            });
        }
        Ok(&mut self.sums.groups[place])
    }

    /// More live blocks of a traceback.
    pub fn add(
        &mut self,
        domain: u32,
        traceback: u32,
        size: u64,
        count: u64,
    ) -> Result<(), Exhausted> {
        let group = self.group(domain, traceback)?;
        group.size = group.size.saturating_add(size);
        group.count = group.count.saturating_add(count);
        Ok(())
    }

    /// More of what a traceback has had besides: live at the peak, ever allocated,
    /// and temporary.
    pub fn add_past(
        &mut self,
        traceback: u32,
        peak: Amount,
        allocated: Amount,
        temporary: Amount,
    ) -> Result<(), Exhausted> {
        if allocated.blocks > 0 || peak.blocks > 0 {
            let group = self.group(0, traceback)?;
            group.peak += peak;
            group.allocated += allocated;
            group.temporary += temporary;
        }
        Ok(())
    }

    /// What each thread has allocated.
    pub fn set_threads(&mut self, threads: Vec<ThreadTotals>) {
        self.sums.threads = threads;
    }

    /// A traceback of `tracer` in the builder's numbers.
    fn adopt(
        &mut self,
        tracer: &Tracer<impl SideTable>,
        id: TracebackId,
        places: &mut Places,
    ) -> Result<u32, Exhausted> {
        if let Some(&known) = places.tracebacks.get(&id.0) {
            return Ok(known);
        }
        let all = tracer.tracebacks().frames(id);
        let mut frames = Vec::new();
        frames.try_reserve_exact(all.len().min(self.sums.limit.into()))?;
        for &location in all.iter().take(self.sums.limit.into()) {
            let number = match places.locations.get(&location.0) {
                Some(&known) => known,
                None => {
                    let table = tracer.locations();
                    let (file, line) = table.resolve(location);
                    let number = self.location(table.name(file), table.function(location), line)?;
                    places.locations.try_reserve(1)?;
                    places.locations.insert(location.0, number);
                    number
                }
            };
            frames.push(number);
        }
        let total = tracer.tracebacks().total(id);
        let traceback = self.traceback(&frames, total)?;
        places.tracebacks.try_reserve(1)?;
        places.tracebacks.insert(id.0, traceback);
        Ok(traceback)
    }

    /// The sums.
    pub fn finish(self) -> Sums {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wrasse_tracer::TracebackBuilder;

    fn allocate(tracer: &mut Tracer, address: usize, lines: &[u32], size: usize) {
        let mut builder = TracebackBuilder::default();
        builder.reset(tracer.capture_limit());
        let file = tracer.locations_mut().file(b"f.py").unwrap();
        for &line in lines {
            let location = tracer.locations_mut().location(file, line).unwrap();
            let name = format!("f{line}");
            tracer
                .locations_mut()
                .set_function(location, name.as_bytes())
                .unwrap();
            builder.push(location).unwrap();
        }
        let id = tracer.intern(&builder).unwrap();
        tracer.record(address, size, id).unwrap();
    }

    #[test]
    fn each_view_gets_its_own_sums_cut_to_its_limit() {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 2);
        allocate(&mut tracer, 0x10, &[1, 2], 10);
        tracer.start(View::Program, 1);
        allocate(&mut tracer, 0x20, &[1, 3], 20);
        allocate(&mut tracer, 0x30, &[1, 2], 30);
        let id = tracer.block(0x30).unwrap().traceback;
        tracer.track(View::Program, 7, 0x10, 5, id).unwrap();
        let profile = Sums::take(&tracer, View::Profile).unwrap();
        assert_eq!(profile.whole(), (60, 3));
        assert_eq!(profile.groups().len(), 2);
        assert_eq!(profile.limit(), 2);
        let program = Sums::take(&tracer, View::Program).unwrap();
        assert_eq!(program.groups().len(), 2, "alike after the cut");
        assert_eq!(program.whole(), (55, 3));
        let other = program.groups().iter().find(|g| g.domain == 7).unwrap();
        assert_eq!((other.size, other.count), (5, 1));
        let frames = program.frames(other.traceback);
        assert_eq!((frames.len(), program.total(other.traceback)), (1, 2));
        let location = program.location(frames[0]);
        assert_eq!(program.string(location.file), b"f.py");
        assert_eq!(program.string(location.function.unwrap()), b"f1");
        let only = program.filtered(&[true, false]);
        assert_eq!((only.whole(), only.groups().len()), ((50, 2), 1));
        let mut more = SumsBuilder::with(only).unwrap();
        let location = more.location(b"f.py", None, 1).unwrap();
        let traceback = more.traceback(&[location, location], 2).unwrap();
        more.add(0, traceback, 1, 1).unwrap();
        let more = more.finish();
        assert_eq!((more.whole(), more.groups().len()), ((51, 3), 1));
    }

    #[test]
    fn amounts_as_large_as_a_file_can_claim_are_kept() {
        let mut builder = SumsBuilder::new(1);
        let location = builder.location(b"f.py", None, 1).unwrap();
        let traceback = builder.traceback(&[location], 1).unwrap();
        let amount = |blocks| Amount { bytes: 1, blocks };
        let (most, one) = (amount(u64::MAX), amount(1));
        builder.add_past(traceback, one, most, one).unwrap();
        let sums = builder.finish();
        assert_eq!(sums.whole_of(Measure::Allocated), (1, u64::MAX));
        assert_eq!(sums.whole_of(Measure::Peak), (1, 1));
    }
}
