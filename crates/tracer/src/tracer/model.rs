//! The tracer against a model of it: whatever happens, its two views are two
//! tracers.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::Tracer;
use super::tests::traceback;
use crate::location::LocationId;
use crate::side_table::{FINE, NoSideTable, SideTable};
use crate::snapshot::Snapshot;
use crate::thread::ThreadId;
use crate::traceback::TracebackId;
use crate::view::View;

const PROGRAM: View = View::Program;
const PROFILE: View = View::Profile;

#[derive(Clone, Debug)]
enum Step {
    Record(usize, usize, u32),
    Release(usize),
    Move(usize, usize, usize),
    Track(View, u32, usize, usize, u32),
    Untrack(View, u32, usize),
    Watch(usize),
    Retag(usize, u32),
    Start(View, u16),
    Stop(View),
    Clear(View),
    ResetPeak(View),
}

/// Words for two of three addresses: some blocks are exactly as large as was
/// asked for, some slightly larger, some much.
#[derive(Default)]
struct Words {
    words: HashMap<usize, (u32, u32)>,
    /// Pools that were asked for; no others have places.
    pools: HashSet<usize>,
}

/// The pool of a place: there are a few of them.
fn pool(place: usize) -> usize {
    place / 4
}

impl SideTable for Words {
    type Place = usize;

    fn place(&self, address: usize) -> Option<usize> {
        let place = address / 16;
        let is_there = !place.is_multiple_of(3) && self.pools.contains(&pool(place));
        is_there.then_some(place)
    }
    fn place_for(&mut self, address: usize) -> Option<usize> {
        self.pools.insert(pool(address / 16));
        self.place(address)
    }
    fn room(&self, place: usize) -> usize {
        if place.is_multiple_of(2) { 992 } else { 1280 }
    }
    fn word(&self, place: usize) -> u32 {
        self.words.get(&place).map_or(0, |words| words.0)
    }
    fn set_word(&mut self, place: usize, word: u32) {
        self.words.entry(place).or_default().0 = word;
    }
    fn second(&self, place: usize) -> u32 {
        self.words.get(&place).map_or(0, |words| words.1)
    }
    fn set_second(&mut self, place: usize, word: u32) {
        self.words.entry(place).or_default().1 = word;
    }
    fn for_each(&self, visit: &mut dyn FnMut(usize)) {
        let used = self.words.iter().filter(|(_, words)| words.0 != 0);
        used.for_each(|(&place, _)| visit(place));
    }
    fn wipe(&mut self) {
        self.words.clear();
        self.pools.clear();
    }
    fn memory(&self) -> usize {
        0
    }
}

/// Sizes, of which many fit into the rooms above.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..1000, 977usize..=992, 1025usize..=1280]
}

/// A new block, the quick way where it can be.
fn record<S: SideTable>(
    tracer: &mut Tracer<S>,
    address: usize,
    size: usize,
    traceback: TracebackId,
) {
    if let Some(place) = tracer.side.place(address) {
        let room = tracer.side.room(place);
        let slack = match size > FINE {
            true => 0,
            false => room.wrapping_sub(size),
        };
        let owner = tracer.owner(traceback, ThreadId::FIRST).unwrap();
        let fits = (size > FINE) == (room > FINE) && size <= room && slack < 16;
        let is_quick = fits && tracer.can_be_quick();
        if is_quick && tracer.record_quickly(place, address, size, slack, owner) {
            return;
        }
    }
    tracer.record(address, size, traceback).unwrap();
}

/// A block goes, the quick way where it can.
fn release<S: SideTable>(tracer: &mut Tracer<S>, address: usize) {
    let place = tracer.side.place(address).filter(|_| tracer.can_be_quick());
    if !place.is_some_and(|place| tracer.release_quickly(place, address)) {
        tracer.release(address);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let address = (1usize..40).prop_map(|a| a * 16);
    let view = prop_oneof![Just(PROGRAM), Just(PROFILE)];
    prop_oneof![
        8 => (address.clone(), size(), 0u32..5).prop_map(|(a, s, l)| Step::Record(a, s, l)),
        6 => address.clone().prop_map(Step::Release),
        3 => (address.clone(), address.clone(), 0usize..1000)
            .prop_map(|(a, b, s)| Step::Move(a, b, s)),
        3 => (view.clone(), 0u32..3, address.clone(), 0usize..1000, 0u32..5)
            .prop_map(|(v, d, a, s, l)| Step::Track(v, d, a, s, l)),
        3 => (view.clone(), 0u32..3, address.clone()).prop_map(|(v, d, a)| Step::Untrack(v, d, a)),
        1 => address.clone().prop_map(Step::Watch),
        2 => (address, 0u32..5).prop_map(|(a, l)| Step::Retag(a, l)),
        2 => (view.clone(), 1u16..4).prop_map(|(v, n)| Step::Start(v, n)),
        1 => view.clone().prop_map(Step::Stop),
        1 => view.clone().prop_map(Step::Clear),
        1 => view.prop_map(Step::ResetPeak),
    ]
}

/// What a single tracer for one view would know, written without thought of speed.
#[derive(Default)]
struct Model {
    on: bool,
    limit: usize,
    live: HashMap<(u32, usize), (usize, Vec<u32>, usize)>,
    peak: usize,
    /// What was live then, by the most recent line: bytes and blocks.
    at_peak: HashMap<u32, (usize, usize)>,
}

impl Model {
    fn current(&self) -> usize {
        self.live.values().map(|(size, ..)| size).sum()
    }

    fn put(&mut self, domain: u32, address: usize, size: usize, stack: &[u32]) {
        let kept = stack.iter().copied().take(self.limit).collect();
        let block = (size, kept, stack.len());
        self.live.insert((domain, address), block);
        if self.current() > self.peak {
            self.keep_peak();
        }
    }

    fn keep_peak(&mut self) {
        self.peak = self.current();
        self.at_peak.clear();
        for (size, stack, _) in self.live.values() {
            let sum = self.at_peak.entry(stack[0]).or_default();
            *sum = (sum.0 + size, sum.1 + 1);
        }
    }

    fn record(&mut self, address: usize, size: usize, stack: &[u32]) {
        if self.on {
            self.put(0, address, size, stack);
        } else {
            self.live.remove(&(0, address));
        }
    }
}

proptest! {
    #[test]
    fn two_views_are_two_tracers(steps in proptest::collection::vec(step(), 0..400)) {
        check(Tracer::new(NoSideTable), &steps)?;
        check(Tracer::new(Words::default()), &steps)?;
    }
}

fn check<S: SideTable>(mut tracer: Tracer<S>, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut models = [Model::default(), Model::default()];
    for step in steps.iter().cloned() {
        match step {
            Step::Record(address, size, line) => {
                if tracer.active().is_empty() {
                    continue;
                }
                let stack = [line, 100, 101, 102];
                let id = traceback(&mut tracer, &stack);
                record(&mut tracer, address, size, id);
                models
                    .iter_mut()
                    .for_each(|m| m.record(address, size, &stack));
            }
            Step::Release(address) => {
                release(&mut tracer, address);
                models.iter_mut().for_each(|m| {
                    m.live.remove(&(0, address));
                });
            }
            Step::Move(from, to, size) => {
                if tracer.active().is_empty() {
                    continue;
                }
                tracer.release(from);
                models.iter_mut().for_each(|m| {
                    m.live.remove(&(0, from));
                });
                let id = traceback(&mut tracer, &[77]);
                tracer.record(to, size, id).unwrap();
                models.iter_mut().for_each(|m| m.record(to, size, &[77]));
            }
            Step::Track(view, domain, address, size, line) => {
                if tracer.active().is_empty() {
                    continue;
                }
                let stack = [line, 200];
                let id = traceback(&mut tracer, &stack);
                let done = tracer.track(view, domain, address, size, id).unwrap();
                prop_assert_eq!(done, models[view.index()].on);
                for other in View::ALL {
                    let model = &mut models[other.index()];
                    let knows = model.live.contains_key(&(domain, address));
                    if done && (other == view || knows) {
                        model.put(domain, address, size, &stack);
                    }
                }
            }
            Step::Untrack(view, domain, address) => {
                let block = tracer.untrack(view, domain, address);
                let known = models[view.index()].live.remove(&(domain, address));
                prop_assert_eq!(block.map(|b| b.size), known.map(|(size, ..)| size));
            }
            Step::Watch(address) => {
                if !tracer.active().is_empty() {
                    tracer.watch(address).unwrap();
                }
            }
            Step::Retag(address, line) => {
                if tracer.active().is_empty() {
                    continue;
                }
                let stack = [line, 300, 301];
                let id = traceback(&mut tracer, &stack);
                let owner = tracer.owner(id, ThreadId::FIRST).unwrap();
                tracer.retag(address, owner).unwrap();
                for model in &mut models {
                    if let Some(block) = model.live.get_mut(&(0, address)) {
                        block.1 = stack.iter().copied().take(model.limit).collect();
                        block.2 = stack.len();
                    }
                }
            }
            Step::Start(view, limit) => {
                let model = &mut models[view.index()];
                prop_assert_eq!(tracer.start(view, limit), !model.on);
                if !model.on {
                    *model = Model {
                        on: true,
                        limit: limit.into(),
                        ..Model::default()
                    };
                }
            }
            Step::Stop(view) => {
                tracer.stop(view);
                models[view.index()] = Model::default();
            }
            Step::Clear(view) => {
                tracer.clear(view);
                models[view.index()].live.clear();
                models[view.index()].keep_peak();
            }
            Step::ResetPeak(view) => {
                tracer.reset_peak(view);
                models[view.index()].keep_peak();
            }
        }
        for view in View::ALL {
            let model = &models[view.index()];
            let counters = tracer.counters(view);
            prop_assert_eq!(counters.current(), model.current());
            prop_assert_eq!(counters.peak(), model.peak);
        }
    }
    // The profile leads wherever it records.
    let model = &models[PROFILE.index()];
    let mut peak = Vec::new();
    tracer.peak(PROFILE, &mut peak).unwrap();
    let mut at_peak = HashMap::new();
    for (id, amount) in peak.iter().enumerate().filter(|(_, a)| a.blocks > 0) {
        let frames = tracer.tracebacks().frames(TracebackId(id as u32));
        let line = tracer.locations().resolve(frames[0]).1;
        let sum: &mut (usize, usize) = at_peak.entry(line).or_default();
        *sum = (
            sum.0 + amount.bytes as usize,
            sum.1 + amount.blocks as usize,
        );
    }
    if model.on {
        prop_assert_eq!(&at_peak, &model.at_peak);
    }
    for view in View::ALL {
        let model = &models[view.index()];
        let snapshot = tracer.snapshot(view).unwrap();
        let mut seen: Vec<(u32, usize, Vec<u32>, usize)> = snapshot
            .blocks()
            .iter()
            .map(|b| {
                let frames = snapshot.tracebacks().frames(b.traceback).iter();
                let lines = frames
                    .map(|&l: &LocationId| snapshot.location(l).1)
                    .collect();
                (
                    b.domain,
                    b.size,
                    lines,
                    snapshot.tracebacks().total(b.traceback).into(),
                )
            })
            .collect();
        let mut expected: Vec<_> = model
            .live
            .iter()
            .map(|(&(domain, _), block)| {
                let (size, lines, total) = block.clone();
                (domain, size, lines, total)
            })
            .collect();
        seen.sort();
        expected.sort();
        prop_assert_eq!(seen, expected);
        let sums = |snapshot: &Snapshot| -> Vec<(u32, usize, usize)> {
            let totals = snapshot.by_line().unwrap();
            let line = |l: Option<LocationId>| l.map_or(0, |l| snapshot.location(l).1);
            let mut sums: Vec<_> = totals
                .iter()
                .map(|t| (line(t.location), t.size, t.count))
                .collect();
            sums.sort_unstable();
            sums
        };
        prop_assert_eq!(sums(&tracer.summary(view).unwrap()), sums(&snapshot));
    }
    Ok(())
}
