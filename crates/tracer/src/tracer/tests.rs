//! What the tracer answers, event by event.

use super::*;

const PROGRAM: View = View::Program;
const PROFILE: View = View::Profile;

pub(crate) fn traceback<S: SideTable>(tracer: &mut Tracer<S>, lines: &[u32]) -> TracebackId {
    let file = tracer.locations_mut().file(b"f.py").unwrap();
    let mut builder = TracebackBuilder::default();
    builder.reset(tracer.capture_limit());
    for &line in lines {
        let location = tracer.locations_mut().location(file, line).unwrap();
        builder.push(location).unwrap();
    }
    tracer.intern(&builder).unwrap()
}

#[test]
fn a_view_sees_only_what_came_after_its_start() {
    let mut tracer = Tracer::default();
    assert!(tracer.start(PROFILE, 10));
    let id = traceback(&mut tracer, &[1, 2, 3]);
    tracer.record(0x10, 100, id).unwrap();
    assert!(tracer.start(PROGRAM, 2));
    assert!(!tracer.start(PROGRAM, 9));
    assert_eq!(tracer.limit(PROGRAM), 2);
    tracer.record(0x20, 7, id).unwrap();
    assert_eq!(tracer.counters(PROGRAM).current(), 7);
    assert_eq!(tracer.counters(PROFILE).current(), 107);
    assert!(!tracer.sees(PROGRAM, 0x10));

    tracer.clear(PROGRAM);
    assert_eq!(tracer.counters(PROGRAM).peak(), 0);
    assert_eq!(tracer.counters(PROFILE).current(), 107);
    assert!(!tracer.stop(PROGRAM));
    assert_eq!(tracer.snapshot(PROFILE).unwrap().blocks().len(), 2);
    assert!(tracer.stop(PROFILE));
    assert_eq!(tracer.limit(PROFILE), 10);
    assert!(tracer.block(0x10).is_none());
    assert!(!tracer.stop(PROFILE));
}

#[test]
fn each_view_gets_its_own_number_of_frames() {
    let mut tracer = Tracer::default();
    tracer.start(PROGRAM, 1);
    tracer.start(PROFILE, 3);
    assert_eq!(tracer.capture_limit(), 3);
    let one = traceback(&mut tracer, &[1, 2, 3, 4]);
    let other = traceback(&mut tracer, &[1, 9, 9, 9]);
    tracer.record(0x10, 1, one).unwrap();
    tracer.record(0x20, 2, other).unwrap();
    let short = tracer.snapshot(PROGRAM).unwrap();
    assert_eq!(short.tracebacks().len(), 1, "alike after the cut");
    assert_eq!(short.tracebacks().total(TracebackId(0)), 4);
    let long = tracer.snapshot(PROFILE).unwrap();
    assert_eq!(long.tracebacks().len(), 2);
    assert_eq!(long.tracebacks().frames(TracebackId(0)).len(), 3);
    let block = tracer.snapshot_of(PROGRAM, 0, 0x20).unwrap();
    assert_eq!(
        block.tracebacks().frames(block.blocks()[0].traceback).len(),
        1
    );
    assert_eq!(block.tracebacks().total(block.blocks()[0].traceback), 4);
    assert!(
        tracer
            .snapshot_of(PROGRAM, 0, 0x30)
            .unwrap()
            .blocks()
            .is_empty()
    );
    tracer.stop(PROFILE);
    assert_eq!(tracer.capture_limit(), 1);
}

#[test]
fn a_failed_move_puts_the_block_back() {
    let mut tracer = Tracer::default();
    tracer.start(PROGRAM, 1);
    let id = traceback(&mut tracer, &[1]);
    tracer.record(0x10, 50, id).unwrap();
    let block = tracer.release(0x10).unwrap();
    tracer.restore(0x10, block).unwrap();
    assert_eq!(tracer.counters(PROGRAM).current(), 50);
    assert_eq!(tracer.counters(PROGRAM).peak(), 50);
    let block = tracer.release(0x10).unwrap();
    tracer.stop(PROGRAM);
    tracer.restore(0x10, block).unwrap();
    assert!(tracer.block(0x10).is_none());
}

#[test]
fn watched_blocks_report_their_release_until_nobody_records() {
    let mut tracer = Tracer::default();
    tracer.start(PROGRAM, 1);
    tracer.start(PROFILE, 1);
    tracer.watch(0x40).unwrap();
    tracer.clear(PROGRAM);
    assert_eq!(tracer.snapshot(PROGRAM).unwrap().blocks().len(), 0);
    assert!(tracer.release(0x40).unwrap().is_watched);
    assert_eq!(tracer.counters(PROGRAM).current(), 0);
    tracer.watch(0x40).unwrap();
    tracer.stop(PROFILE);
    assert!(tracer.block(0x40).unwrap().is_watched);
    let epoch = tracer.epoch();
    tracer.clear(PROGRAM);
    assert_ne!(tracer.epoch(), epoch);
    assert!(tracer.block(0x40).is_none());
}

#[test]
fn a_stack_is_built_from_its_callers() {
    for (counts_all, total) in [(false, 2), (true, 4)] {
        let mut tracer = Tracer::default();
        tracer.start(PROFILE, 2);
        if counts_all {
            tracer.start(PROGRAM, 1);
        }
        let file = tracer.locations_mut().file(b"f.py").unwrap();
        let mut owner = OwnerId::NOBODY;
        for line in [4, 3, 2, 1] {
            let location = tracer.locations_mut().location(file, line).unwrap();
            let called = tracer.called(owner, location).unwrap();
            assert_eq!(tracer.called(owner, location).unwrap(), called);
            owner = called;
        }
        tracer.record_for(0x10, 9, owner).unwrap();
        for snapshot in [tracer.snapshot(PROFILE), tracer.summary(PROFILE)] {
            let snapshot = snapshot.unwrap();
            let totals = snapshot.by_traceback().unwrap();
            assert_eq!((totals[0].size, totals[0].count), (9, 1));
            let frames = snapshot.tracebacks().frames(totals[0].traceback);
            let lines: Vec<u32> = frames.iter().map(|&l| snapshot.location(l).1).collect();
            assert_eq!(lines, [1, 2]);
            assert_eq!(snapshot.tracebacks().total(totals[0].traceback), total);
        }
    }
}

#[test]
fn a_block_that_is_handed_on_keeps_its_views() {
    let mut tracer = Tracer::default();
    tracer.start(PROFILE, 1);
    let id = traceback(&mut tracer, &[1]);
    tracer.record(0x10, 7, id).unwrap();
    tracer.start(PROGRAM, 1);
    let id = traceback(&mut tracer, &[2]);
    let owner = tracer.owner(id, ThreadId::FIRST).unwrap();
    assert_eq!(tracer.retag(0x20, owner), Ok(false));
    assert_eq!(tracer.retag(0x10, owner), Ok(true));
    assert!(tracer.sees(PROFILE, 0x10) && !tracer.sees(PROGRAM, 0x10));
    assert_eq!(tracer.block(0x10).unwrap().traceback, id);
    assert_eq!(tracer.counters(PROFILE).current(), 7);
    tracer.release(0x10).unwrap();
    assert_eq!(tracer.counters(PROFILE).current(), 0);
}

#[test]
fn other_domains_count_and_show() {
    let mut tracer = Tracer::default();
    tracer.start(PROGRAM, 1);
    let id = traceback(&mut tracer, &[1]);
    assert_eq!(tracer.track(PROFILE, 7, 0x10, 4, id), Ok(false));
    tracer.track(PROGRAM, 0, 0x10, 3, id).unwrap();
    tracer.track(PROGRAM, 7, 0x10, 4, id).unwrap();
    assert_eq!(tracer.track(PROGRAM, 7, 0x10, 5, id), Ok(true));
    assert_eq!(tracer.counters(PROGRAM).current(), 8);
    let snapshot = tracer.snapshot(PROGRAM).unwrap();
    let domains: Vec<u32> = snapshot.blocks().iter().map(|b| b.domain).collect();
    assert_eq!(domains, [0, 7]);
    let one = tracer.snapshot_of(PROGRAM, 7, 0x10).unwrap();
    assert_eq!((one.blocks()[0].domain, one.blocks()[0].size), (7, 5));
    assert!(
        tracer
            .snapshot_of(PROGRAM, 8, 0x10)
            .unwrap()
            .blocks()
            .is_empty()
    );
    let mut addresses = vec![0x20, 0x10, 0x30];
    let among = tracer.snapshot_among(PROGRAM, 7, &mut addresses).unwrap();
    assert_eq!(
        (addresses.as_slice(), among.blocks().len()),
        (&[0x10][..], 1)
    );
    assert_eq!(among.blocks()[0].size, 5);
    assert_eq!(tracer.untrack(PROGRAM, 7, 0x10).unwrap().size, 5);
    assert_eq!(tracer.untrack(PROGRAM, 7, 0x10), None);
    assert_eq!(tracer.untrack(PROGRAM, 8, 0x10), None);
    assert_eq!(tracer.untrack(PROGRAM, 0, 0x10).unwrap().size, 3);
    assert_eq!(tracer.counters(PROGRAM).current(), 0);
    assert!(tracer.memory() > 0);
}

#[test]
fn a_block_can_be_taken_from_one_view() {
    let mut tracer = Tracer::default();
    tracer.start(PROGRAM, 1);
    tracer.start(PROFILE, 1);
    let id = traceback(&mut tracer, &[1]);
    tracer.record(0x10, 50, id).unwrap();
    tracer.watch(0x10).unwrap();
    assert_eq!(tracer.untrack(PROGRAM, 0, 0x10).unwrap().size, 50);
    assert_eq!(tracer.untrack(PROGRAM, 0, 0x10), None);
    assert!(!tracer.sees(PROGRAM, 0x10) && tracer.sees(PROFILE, 0x10));
    assert_eq!(tracer.counters(PROGRAM).current(), 0);
    assert_eq!(tracer.counters(PROFILE).current(), 50);
    // Reported anew: seen by both, with the size that it has now.
    tracer.track(PROGRAM, 0, 0x10, 60, id).unwrap();
    assert_eq!(tracer.counters(PROGRAM).current(), 60);
    assert_eq!(tracer.counters(PROFILE).current(), 60);
    tracer.untrack(PROFILE, 0, 0x10).unwrap();
    tracer.untrack(PROGRAM, 0, 0x10).unwrap();
    assert!(tracer.release(0x10).unwrap().is_watched);
    assert_eq!(tracer.track(PROGRAM, 0, 0x20, 6, id), Ok(true));
    assert!(!tracer.sees(PROFILE, 0x20));
}
