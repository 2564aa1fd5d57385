//! The policy under simulated programs: how much it looks at, how much garbage
//! it leaves lying about.

use proptest::prelude::*;
use wrasse_collector::{
    Generations, LARGEST_NURSERY, LONGEST_WAIT, OLDEST, Outcome, Policy, Reading, Step,
    WORKING_NURSERY,
};

const BASE: usize = 700;
const PAUSE: u64 = 10_000_000;

/// A program that makes objects, of which some are cyclic garbage at once, and
/// keeps the others; and a collector that finds exactly that garbage.
struct Program {
    policy: Policy,
    generations: Generations,
    /// Objects and garbage among them, by generation.
    objects: [usize; 3],
    garbage: [usize; 3],
    bytes_each: usize,
    /// Bytes in use now, and the most that the process had.
    bytes: usize,
    resident: usize,
    sees_bytes: bool,
    nanoseconds_each: u64,
    now: u64,
    finalizers: bool,
    /// What a look says of the part of the old objects that is garbage.
    look_says: fn(f64) -> Option<f64>,
    looks: usize,
    looked_at: usize,
    collections: [usize; 3],
    longest: u64,
    most_garbage: usize,
}

impl Program {
    fn new() -> Self {
        Self {
            policy: Policy::new(BASE, PAUSE),
            generations: Generations::default(),
            objects: [0; 3],
            garbage: [0; 3],
            bytes_each: 150,
            bytes: 10 << 20,
            resident: 10 << 20,
            sees_bytes: true,
            nanoseconds_each: 30,
            now: 0,
            finalizers: false,
            look_says: |_| None,
            looks: 0,
            looked_at: 0,
            collections: [0; 3],
            longest: 0,
            most_garbage: 0,
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            count: self.objects[0],
            bytes: self.sees_bytes.then_some(self.resident),
            now: self.now,
        }
    }

    fn garbage(&self) -> usize {
        self.garbage.iter().sum()
    }

    /// Makes `count` objects, `garbage` of each hundred garbage.
    fn run(&mut self, count: usize, garbage: usize) {
        for number in 0..count {
            self.objects[0] += 1;
            self.garbage[0] += usize::from(number % 100 < garbage);
            self.bytes += self.bytes_each;
            self.resident = self.resident.max(self.bytes);
            self.now += 100;
            self.most_garbage = self.most_garbage.max(self.garbage());
            if self.objects[0] > self.policy.next_look() {
                self.look();
            }
        }
    }

    fn look(&mut self) {
        let mut step = self.policy.look(self.reading(), &self.generations);
        if step == Step::Examine {
            self.looks += 1;
            let lost = self.garbage[OLDEST] as f64 / self.objects[OLDEST].max(1) as f64;
            let (reading, said) = (self.reading(), (self.look_says)(lost));
            step = self.policy.examined(said, reading, &self.generations);
        }
        match step {
            Step::Examine => panic!("a look leads to another one"),
            Step::Wait => assert!(self.policy.next_look() >= self.objects[0]),
            Step::Promote(generation) => {
                let count = self.objects[0];
                for younger in 0..=generation {
                    self.objects[generation + 1] += std::mem::take(&mut self.objects[younger]);
                    self.garbage[generation + 1] += std::mem::take(&mut self.garbage[younger]);
                }
                let reading = self.reading();
                let old = self.policy.promoted(generation, count, reading);
                self.generations.promoted(old);
                if generation == 1 {
                    assert!(old > 0);
                }
            }
            Step::Collect(generation) => self.collect(generation),
        }
    }

    fn collect(&mut self, generation: usize) {
        self.generations.begin(generation);
        let objects: usize = (0..=generation)
            .map(|g| std::mem::take(&mut self.objects[g]))
            .sum();
        let garbage: usize = (0..=generation)
            .map(|g| std::mem::take(&mut self.garbage[g]))
            .sum();
        self.objects[(generation + 1).min(OLDEST)] += objects - garbage;
        self.bytes -= garbage * self.bytes_each;
        let outcome = Outcome {
            candidates: objects,
            survivors: objects - garbage,
            collected: garbage,
            finalized: if self.finalizers { garbage } else { 0 },
            ..Outcome::default()
        };
        let nanoseconds = objects as u64 * self.nanoseconds_each;
        self.generations.survived(generation, outcome.survivors);
        let reading = self.reading();
        self.policy
            .collected(generation, &outcome, nanoseconds, reading);
        self.looked_at += objects;
        self.collections[generation] += 1;
        if generation == 0 {
            self.longest = self.longest.max(nanoseconds);
        }
    }
}

#[test]
fn a_program_that_only_keeps_is_looked_at_about_once_or_twice() {
    let mut program = Program::new();
    program.run(3_000_000, 0);
    assert!(program.looked_at < 6_000_000, "{}", program.looked_at);
    assert!(program.collections.iter().sum::<usize>() < 120);
    assert!(
        program.collections[OLDEST] >= 2,
        "old objects are looked at too"
    );
}

#[test]
fn what_grew_old_while_it_was_being_built_is_found_when_it_has_died() {
    let mut program = Program::new();
    program.run(20_000, 0);
    program.collect(OLDEST);
    let kept: usize = program.objects.iter().sum();
    program.most_garbage = 0;
    // Of what is old, all but what was kept at first is garbage by the next collection.
    for _ in 0..3000 {
        program.run(1000, 90);
        program.garbage[OLDEST] = program.objects[OLDEST].saturating_sub(kept);
    }
    assert!(program.collections[OLDEST] > 10);
    assert!(
        program.most_garbage < 3 * WORKING_NURSERY,
        "{}",
        program.most_garbage
    );
}

#[test]
fn the_collection_after_one_in_parts_is_due_by_what_was_made_since_that_began() {
    let least = BASE * 11 * 11;
    let mut policy = Policy::new(BASE, PAUSE);
    let mut generations = Generations::default();
    let reading = |count| Reading {
        count,
        ..Reading::default()
    };
    generations.promoted(100);
    let step = policy.look(reading(least + 1), &generations);
    assert_eq!(step, Step::Collect(OLDEST));
    policy.began(reading(0));
    generations.begin_in_parts(0);
    // More has grown old than the share allows, but little was made.
    generations.promoted(least);
    assert_eq!(
        policy.look(reading(BASE + 1), &generations),
        Step::Collect(0)
    );
    policy.ended(&Outcome::default());
    let step = policy.look(reading(least), &generations);
    assert_eq!(step, Step::Collect(OLDEST));
}

/// The most garbage at a time in a program that has kept `count` objects for some time and
/// then lets go of old ones, as many as it makes.
fn most_old_garbage(count: usize, look_says: fn(f64) -> Option<f64>) -> usize {
    let mut program = Program::new();
    program.run(count, 0);
    program.collect(OLDEST);
    program.collect(OLDEST);
    program.look_says = look_says;
    for _ in 0..4 * count / 1000 {
        program.run(1000, 0);
        let free = program.objects[OLDEST] - program.garbage[OLDEST];
        program.garbage[OLDEST] += free.min(1000);
    }
    program.most_garbage
}

#[test]
fn old_garbage_that_a_look_shows_is_found_when_stock_finds_it() {
    for count in [400_000, 1_000_000] {
        let unseen = most_old_garbage(count, |_| None);
        assert!(unseen > count * 3 / 4, "{count}: {unseen}");
        let seen = most_old_garbage(count, Some);
        assert!(seen < count * 2 / 5, "{count}: {seen}");
    }
}

#[test]
fn looks_that_are_wrong_are_believed_less_and_less() {
    let kept = |look_says: fn(f64) -> Option<f64>| {
        let mut program = Program::new();
        program.look_says = look_says;
        program.run(10_000_000, 0);
        (program.collections[OLDEST], program.looks)
    };
    let (without, looks) = kept(|_| None);
    assert!(looks > 0);
    assert_eq!(kept(Some), (without, looks), "there is nothing to be seen");
    let (with, _) = kept(|_| Some(1.0));
    assert!(with > without, "looks have no effect: {with} {without}");
    // Three doublings of 25 to 100 percent instead of one.
    assert!(with <= 2 * without + 1, "{with} {without}");
}

#[test]
fn a_look_that_proves_right_is_believed_the_next_time() {
    let mut program = Program::new();
    program.run(1_000_000, 0);
    program.look_says = |_| Some(1.0);
    for _ in 0..6 {
        program.run(300_000, 0);
    }
    let looks = program.looks;
    program.look_says = Some;
    for _ in 0..4 {
        program.garbage[OLDEST] = program.objects[OLDEST] / 8;
        program.run(program.objects[OLDEST] / 2, 0);
        let left = program.garbage[OLDEST] * 100 / program.objects[OLDEST];
        assert!(left < 12, "{left} percent, {} looks", program.looks - looks);
    }
    assert!(program.looks > looks);
}

#[test]
fn a_program_that_makes_garbage_gets_a_nursery_of_working_size() {
    let mut program = Program::new();
    program.run(200_000, 0);
    program.run(1_000_000, 95);
    assert_eq!(program.policy.nursery(), WORKING_NURSERY);
    program.most_garbage = 0;
    program.run(1_000_000, 95);
    assert!(
        program.most_garbage <= WORKING_NURSERY + BASE,
        "{}",
        program.most_garbage
    );
}

#[test]
fn garbage_after_a_clean_time_is_bounded() {
    let mut program = Program::new();
    program.run(3_000_000, 0);
    let kept: usize = program.objects.iter().sum();
    program.run(1_000_000, 100);
    assert!(program.most_garbage < kept / 8, "{}", program.most_garbage);
    program.most_garbage = 0;
    program.run(1_000_000, 100);
    assert!(program.most_garbage < kept / 16, "{}", program.most_garbage);
}

#[test]
fn garbage_that_holds_much_memory_is_collected_sooner() {
    let mut program = Program::new();
    program.run(1_000_000, 0);
    let before = program.resident;
    program.bytes_each = 64 << 10;
    program.run(100_000, 100);
    // 6 GiB of garbage are made; a nursery by count alone would hold 3 GiB.
    let most = 4 * before;
    assert!(program.resident < most, "{} {most}", program.resident);
}

#[test]
fn garbage_with_finalizers_brings_the_hosts_threshold_back() {
    let mut program = Program::new();
    program.run(1_000_000, 0);
    assert!(program.policy.nursery() > WORKING_NURSERY / 2);
    program.finalizers = true;
    program.run(1_000_000, 100);
    assert_eq!(program.policy.nursery(), BASE);
}

#[test]
fn slow_collections_get_small_nurseries() {
    let mut program = Program::new();
    program.nanoseconds_each = 5_000;
    program.run(1_000_000, 0);
    assert!(program.policy.nursery() <= (PAUSE / 5_000) as usize);
    assert!(program.longest <= 2 * PAUSE, "{}", program.longest);
}

#[test]
fn an_old_nursery_is_collected_although_it_is_not_full() {
    let mut program = Program::new();
    program.run(1_000_000, 0);
    program.collect(0);
    let before = program.collections;
    program.now += LONGEST_WAIT;
    program.objects[0] = BASE;
    program.look();
    assert!(
        program.collections != before,
        "a look after a long time only waited"
    );
}

#[test]
fn without_a_measure_of_memory_nurseries_stay_small() {
    let mut program = Program::new();
    program.sees_bytes = false;
    program.run(3_000_000, 0);
    program.run(500_000, 100);
    assert!(program.most_garbage < 3_000_000 / 8);
}

#[test]
fn garbage_in_a_nursery_has_the_promoted_ones_looked_at_next() {
    let mut program = Program::new();
    program.run(3_000_000, 0);
    // Whole nurseries of garbage are promoted at first, then one is sampled.
    program.run(1_500_000, 100);
    program.collect(0);
    assert!(program.collections[1] + program.collections[2] > 0);
    assert!(
        program.garbage[1] < WORKING_NURSERY,
        "{:?}",
        program.garbage
    );
}

proptest! {
    #[test]
    fn any_program_is_collected_within_bounds(
        phases in prop::collection::vec((1_000usize..300_000, 0usize..=100, 16usize..2_000, any::<bool>()), 1..8)
    ) {
        let mut program = Program::new();
        for (count, garbage, bytes, finalizers) in phases {
            program.bytes_each = bytes.min(program.bytes_each);
            program.finalizers = finalizers;
            program.run(count, garbage);
            prop_assert!(program.policy.nursery() >= BASE.min(program.policy.nursery()));
            prop_assert!(program.policy.nursery() <= LARGEST_NURSERY);
            prop_assert!(program.policy.next_look() <= LARGEST_NURSERY);
            prop_assert!(program.objects[0] <= LARGEST_NURSERY + 1);
        }
        // Whatever happened before, two full collections find all there is.
        program.collect(OLDEST);
        prop_assert_eq!(program.garbage(), 0);
    }
}
