//! What was written is read; what was cut off is read as far as it goes; what
//! was changed is refused.

use proptest::prelude::*;
use wrasse_tracer::{TracebackBuilder, TracebackId, Tracer, View};

use super::*;
use crate::sums::Measure;
use crate::writer::{Moment, Writer};

const VIEW: View = View::Profile;

fn meta() -> Meta {
    Meta {
        arguments: vec!["app.py".into(), "--port=1".into()],
        host: "CPython 3.12.1".into(),
        wrasse: "0.1.0".into(),
        process: 77,
        started: 1_700_000_000_000_000_000,
        frames: 3,
        counts_allocations: false,
    }
}

fn traceback(tracer: &mut Tracer, lines: &[u32]) -> TracebackId {
    let mut builder = TracebackBuilder::default();
    builder.reset(tracer.capture_limit());
    for &line in lines {
        let name = format!("f{}.py", line % 3);
        let file = tracer.locations_mut().file(name.as_bytes()).unwrap();
        let location = tracer.locations_mut().location(file, line).unwrap();
        if line % 2 == 0 {
            tracer.locations_mut().set_function(location, b"g").unwrap();
        }
        builder.push(location).unwrap();
    }
    tracer.intern(&builder).unwrap()
}

type Frames = Vec<(String, u32, Option<String>)>;

/// What sums say but for the peak, in a form that does not depend on numbers.
fn seen(sums: &Sums) -> Vec<(Frames, u32, u16, [Amount; 3])> {
    let text = |number| String::from_utf8(sums.string(number).to_vec()).unwrap();
    let mut all: Vec<_> = sums
        .groups()
        .iter()
        .map(|group| {
            let frames = sums.frames(group.traceback).iter().map(|&number| {
                let location = sums.location(number);
                (
                    text(location.file),
                    location.line,
                    location.function.map(text),
                )
            });
            let total = sums.total(group.traceback);
            (
                frames.collect(),
                group.domain,
                total,
                [Measure::Live, Measure::Allocated, Measure::Temporary]
                    .map(|measure| group.amount(measure)),
            )
        })
        .collect();
    all.sort();
    all
}

/// Runs a program of allocations, releases and samples; gives the file, what it
/// must say at each sample, and where each sample's frame ends.
fn write(events: &[(u8, u8, u16)]) -> (Vec<u8>, Vec<Sums>, Vec<usize>) {
    let mut tracer = Tracer::default();
    tracer.start(VIEW, 3);
    let thread = tracer.thread(7).unwrap();
    tracer.set_thread_name(thread, b"main").unwrap();
    let mut writer = Writer::new(&meta()).unwrap();
    let (mut data, mut expected, mut ends) = (vec![], vec![], vec![]);
    let mut take = |tracer: &Tracer, time| {
        let moment = Moment {
            time,
            resident_bytes: 4096,
        };
        writer.sample(tracer, VIEW, moment).unwrap();
        if time % 3 == 0 {
            let pause = Pause {
                start: time,
                duration: 5,
                generation: 2,
                collected: 9,
                uncollectable: 0,
            };
            writer.pauses(&[pause]).unwrap();
            writer.peak(tracer, VIEW).unwrap();
            writer.threads(&tracer.threads(VIEW).unwrap()).unwrap();
            writer
                .section("times", time.to_string().as_bytes())
                .unwrap();
        }
        data.extend_from_slice(writer.pending());
        writer.written();
        expected.push(Sums::take(tracer, VIEW).unwrap());
        ends.push(data.len());
    };
    for (time, &(kind, line, size)) in events.iter().enumerate() {
        let address = 16 * (1 + usize::from(line));
        match kind % 4 {
            0 => drop(tracer.release(address)),
            1 => take(&tracer, time as u64),
            _ => {
                let line = u32::from(line);
                let stack = [line, line / 7 + 50, line / 30 + 90, 5, 6];
                let depth = 1 + usize::from(size) % stack.len();
                let id = traceback(&mut tracer, &stack[..depth]);
                tracer.record(address, size.into(), id).unwrap();
            }
        }
    }
    take(&tracer, events.len() as u64);
    (data, expected, ends)
}

#[test]
fn what_was_written_is_read() {
    let events = [
        (2, 1, 100),
        (2, 2, 50),
        (1, 0, 0),
        (2, 3, 500),
        (1, 0, 0),
        (0, 3, 0),
    ];
    let (mut data, _, _) = write(&events);
    data.extend_from_slice(&crate::frame::end_frame(99, Ending::Signal(15)));
    let capture = Capture::read(data).unwrap();
    assert_eq!(capture.meta, meta());
    let live: Vec<u64> = capture.samples.iter().map(|s| s.live_bytes).collect();
    assert_eq!(live, [150, 650, 150]);
    assert_eq!(capture.samples[2].peak_bytes, 650);
    assert_eq!(
        (capture.samples[1].live_blocks, capture.samples[1].time),
        (3, 4)
    );
    assert_eq!(capture.peak_sample(), Some(1));
    assert_eq!(capture.sums(1).whole(), (650, 3));
    assert_eq!(capture.pauses.len(), 1);
    let thread = &capture.threads[0];
    assert_eq!((thread.number, &*thread.name), (7, &b"main"[..]));
    assert_eq!((thread.live.bytes, thread.allocated.bytes), (150, 650));
    assert_eq!((thread.peak.bytes, thread.temporary.bytes), (650, 500));
    assert_eq!(capture.peak().map(<[_]>::len), Some(3));
    let whole = |measure| capture.sums(2).whole_of(measure);
    assert_eq!(whole(Measure::Peak), (650, 3));
    assert_eq!(whole(Measure::Allocated), (650, 3));
    assert_eq!(whole(Measure::Temporary), (500, 1));
    assert_eq!(
        (
            capture.samples[2].temporary_bytes,
            capture.samples[2].temporary_blocks
        ),
        (500, 1)
    );
    let end = End {
        time: 99,
        ending: Ending::Signal(15),
    };
    assert_eq!(capture.end, Some(end));
    assert!(!capture.is_cut_off);
    assert!(capture.totals(9).len() == capture.totals(2).len());
}

#[test]
fn other_files_are_told_apart() {
    let of = |data: &[u8]| Capture::read(data.to_vec()).unwrap_err();
    assert_eq!(of(b""), Unreadable::Empty);
    assert_eq!(of(b"\x89WRAS"), Unreadable::Empty);
    assert_eq!(of(b"hello"), Unreadable::NotACapture);
    assert_eq!(of(&[0; 100]), Unreadable::NotACapture);
    let mut head = file_head();
    assert_eq!(of(&head), Unreadable::Empty);
    head[8] = 9;
    assert_eq!(of(&head), Unreadable::Damaged(0));
    let sum = crc32fast::hash(&head[..12]).to_le_bytes();
    head[12..].copy_from_slice(&sum);
    assert_eq!(of(&head), Unreadable::Newer(9));
    assert!(of(&head).to_string().contains("upgrade"));
}

#[test]
fn whoever_follows_is_told_of_damage_and_of_other_files() {
    let of = |data: &[u8]| Follower::default().feed(data).unwrap_err();
    assert_eq!(of(b"hello"), Unreadable::NotACapture);
    let (mut data, _, ends) = write(&[(2, 1, 100), (1, 0, 0), (2, 2, 100)]);
    let place = ends[0] + 20;
    data[place] ^= 1;
    assert_eq!(of(&data), Unreadable::Damaged(ends[0]));
    let mut follower = Follower::default();
    follower.feed(&data[..ends[0]]).unwrap();
    assert_eq!(
        follower.feed(&data[ends[0]..]).unwrap_err(),
        Unreadable::Damaged(ends[0])
    );
    assert_eq!(follower.samples().len(), 1);
}

#[test]
fn frames_of_unknown_kinds_are_left_out() {
    let (mut data, _, _) = write(&[(2, 1, 100)]);
    let mut unknown = crate::frame::end_frame(1, Ending::Finished);
    unknown[4] = 200;
    let sum = crc32fast::hash(&unknown[..12]).to_le_bytes();
    unknown[12..16].copy_from_slice(&sum);
    data.extend_from_slice(&unknown);
    let capture = Capture::read(data).unwrap();
    assert_eq!((capture.end, capture.samples.len()), (None, 1));
}

#[test]
fn sections_are_found_by_name_and_the_last_counts() {
    let (mut data, _, _) = write(&[(2, 1, 100)]);
    assert_eq!(Capture::read(data.clone()).unwrap().section("types"), None);
    let mut writer = Writer::new(&meta()).unwrap();
    writer.written();
    writer.section("types", b"[1]").unwrap();
    writer.section("empty", b"").unwrap();
    let before_last = data.len() + writer.pending().len();
    writer.section("types", b"[1,2]").unwrap();
    data.extend_from_slice(writer.pending());
    let cut = Capture::read(data[..data.len() - 1].to_vec()).unwrap();
    assert!(cut.is_cut_off);
    assert_eq!(cut.section("types"), Some(&b"[1]"[..]));
    let capture = Capture::read(data.clone()).unwrap();
    assert_eq!(capture.section("types"), Some(&b"[1,2]"[..]));
    assert_eq!(capture.section("empty"), Some(&b""[..]));
    assert_eq!(
        capture.section_names().collect::<Vec<_>>(),
        ["empty", "types"]
    );
    // Of a form that is not known: left out, as are unknown kinds.
    data.truncate(before_last);
    let payload = b"\x02anything";
    data.extend_from_slice(&crate::frame::frame_head(Kind::Section, payload).unwrap());
    data.extend_from_slice(payload);
    assert_eq!(
        Capture::read(data).unwrap().section("types"),
        Some(&b"[1]"[..])
    );
}

#[test]
fn sums_are_written_with_their_domains() {
    let mut tracer = Tracer::default();
    tracer.start(View::Program, 2);
    let id = traceback(&mut tracer, &[1, 2, 3]);
    tracer.record(0x10, 5, id).unwrap();
    tracer.track(View::Program, 7, 0x10, 6, id).unwrap();
    let sums = Sums::take(&tracer, View::Program).unwrap();
    let mut writer = Writer::new(&Meta {
        frames: 2,
        ..meta()
    })
    .unwrap();
    writer.sums(&sums, Moment::default()).unwrap();
    let capture = Capture::read(writer.pending().to_vec()).unwrap();
    assert_eq!(seen(&capture.sums(0)), seen(&sums));
    assert_eq!(
        (
            capture.samples[0].live_bytes,
            capture.samples[0].live_blocks
        ),
        (11, 2)
    );
}

#[test]
fn a_tracer_that_starts_anew_goes_on_in_the_same_file() {
    let mut tracer = Tracer::default();
    tracer.start(VIEW, 3);
    let mut writer = Writer::new(&meta()).unwrap();
    for lines in [[1, 2], [1, 3]] {
        let id = traceback(&mut tracer, &lines);
        tracer.record(16 * lines[1] as usize, 10, id).unwrap();
    }
    writer.sample(&tracer, VIEW, Moment::default()).unwrap();
    tracer.stop(VIEW);
    tracer.start(VIEW, 3);
    let id = traceback(&mut tracer, &[1, 3]);
    tracer.record(16, 30, id).unwrap();
    writer.sample(&tracer, VIEW, Moment::default()).unwrap();
    let capture = Capture::read(writer.pending().to_vec()).unwrap();
    assert_eq!(capture.sums(0).whole(), (20, 2));
    assert_eq!(
        seen(&capture.sums(1)),
        seen(&Sums::take(&tracer, VIEW).unwrap())
    );
}

proptest! {
    #[test]
    fn each_sample_says_what_was_live(
        events in proptest::collection::vec((0u8..8, 0u8..100, 0u16..2000), 0..200),
    ) {
        let (data, expected, _) = write(&events);
        let capture = Capture::read(data).unwrap();
        prop_assert_eq!(capture.samples.len(), expected.len());
        for (at, (sample, expected)) in capture.samples.iter().zip(&expected).enumerate() {
            prop_assert_eq!((sample.live_bytes, sample.live_blocks), expected.whole());
            prop_assert_eq!(seen(&capture.sums(at)), seen(expected));
        }
        // What was written about the peak is exact unless it came later.
        if let Some(last) = expected.last()
            && capture.peak().is_some()
        {
            let at_peak = |sums: &Sums| sums.statistics_of(Measure::Peak, crate::Key::Traceback, false)
                .map(|all| all.iter().map(|s| (s.size, s.count)).collect::<Vec<_>>());
            prop_assert_eq!(at_peak(&capture.sums(expected.len() - 1)), at_peak(last));
        }
        let most = capture.samples.iter().map(|s| s.live_bytes).max();
        prop_assert_eq!(capture.peak_sample().map(|at| capture.samples[at].live_bytes), most);
    }

    #[test]
    fn cut_off_anywhere_everything_before_is_there(
        events in proptest::collection::vec((0u8..4, 0u8..20, 0u16..200), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let (data, expected, ends) = write(&events);
        let length = cut.index(data.len() + 1);
        let whole = ends.iter().filter(|end| **end <= length).count();
        match Capture::read(data[..length].to_vec()) {
            Ok(capture) => {
                // A sample's own frame may be whole where its pauses are not.
                prop_assert!((whole..=whole + 1).contains(&capture.samples.len()));
                for (at, expected) in expected.iter().enumerate().take(capture.samples.len()) {
                    prop_assert_eq!(seen(&capture.sums(at)), seen(expected));
                }
            }
            Err(error) => {
                prop_assert_eq!(error, Unreadable::Empty);
                prop_assert_eq!(whole, 0);
            }
        }
    }

    #[test]
    fn a_file_read_in_pieces_says_what_it_says_as_a_whole(
        events in proptest::collection::vec((0u8..4, 0u8..20, 0u16..200), 0..40),
        pieces in proptest::collection::vec(1usize..400, 1..20),
        cut in 0usize..100_000,
    ) {
        let (mut data, _, _) = write(&events);
        data.truncate(cut % (data.len() + 1));
        let mut follower = Follower::default();
        let mut rest = &data[..];
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            follower.feed(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let whole = Capture::read(data);
        prop_assert_eq!(follower.is_begun(), whole.is_ok());
        if let Ok(capture) = whole {
            prop_assert_eq!(follower.meta(), &capture.meta);
            prop_assert_eq!(follower.samples(), &capture.samples[..]);
            prop_assert_eq!(follower.pauses(), &capture.pauses[..]);
            prop_assert_eq!(follower.threads(), &capture.threads[..]);
            prop_assert_eq!(follower.end(), capture.end);
            prop_assert_eq!(follower.section("times"), capture.section("times"));
            let last = capture.samples.len().saturating_sub(1);
            // The whole counts those tracebacks too that came after the last sample.
            let mut totals = follower.totals().to_vec();
            let all = capture.totals(last);
            totals.resize(all.len(), Totals::default());
            prop_assert_eq!(totals, all);
            for traceback in 0..follower.totals().len() {
                prop_assert_eq!(follower.line(traceback), capture.frames(traceback).next());
            }
        }
    }

    #[test]
    fn one_changed_byte_is_noticed(
        events in proptest::collection::vec((0u8..4, 0u8..20, 0u16..200), 0..20),
        place in any::<prop::sample::Index>(),
        change in 1u8..=255,
    ) {
        let (mut data, _, _) = write(&events);
        let place = place.index(data.len());
        data[place] ^= change;
        let error = Capture::read(data).unwrap_err();
        let expected = match place {
            0..8 => error == Unreadable::NotACapture,
            _ => matches!(error, Unreadable::Damaged(at) if at <= place),
        };
        prop_assert!(expected, "{error:?} for byte {place}");
    }

    #[test]
    fn frames_that_lie_are_refused_or_read_but_never_trusted(
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        kind in 0u8..10,
    ) {
        let (mut data, _, _) = write(&[(2, 1, 100)]);
        let mut head = [0u8; 16];
        head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        head[4] = kind;
        head[8..12].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        let sum = crc32fast::hash(&head[..12]);
        head[12..].copy_from_slice(&sum.to_le_bytes());
        data.extend_from_slice(&head);
        data.extend_from_slice(&payload);
        if let Ok(capture) = Capture::read(data) {
            for at in 0..capture.samples.len() {
                let _ = seen_size(&capture.sums(at));
            }
        }
    }
}

fn seen_size(sums: &Sums) -> u64 {
    sums.statistics(crate::Key::Line, true)
        .unwrap_or_default()
        .iter()
        .fold(0, |all, each| all.wrapping_add(each.size))
}
