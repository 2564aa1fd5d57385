//! Files that grow, begin anew, or are none.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use wrasse_capture::{Meta, Moment, Pause, Writer};
use wrasse_tracer::{TracebackBuilder, Tracer, View};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A file that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("wrasse-live-{name}-{}.wrasse", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        Scratch(path)
    }

    fn append(&self, bytes: &[u8]) {
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        file.unwrap().write_all(bytes).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A program that is captured into a file.
struct Program {
    tracer: Tracer,
    writer: Writer,
    file: Scratch,
    next: usize,
}

impl Program {
    fn new(name: &str) -> Self {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 1);
        let meta = Meta {
            arguments: vec!["python".into(), "app.py".into(), "\u{1b}[2J".into()],
            process: u32::MAX,
            frames: 1,
            counts_allocations: true,
            ..Meta::default()
        };
        Program {
            tracer,
            writer: Writer::new(&meta).unwrap(),
            file: Scratch::new(name),
            next: 0,
        }
    }

    /// A line allocates so many bytes. Returns the block.
    fn allocate(&mut self, line: u32, size: usize) -> usize {
        let mut builder = TracebackBuilder::default();
        builder.reset(self.tracer.capture_limit());
        let file = self.tracer.locations_mut().file(b"app.py").unwrap();
        let location = self.tracer.locations_mut().location(file, line).unwrap();
        builder.push(location).unwrap();
        let id = self.tracer.intern(&builder).unwrap();
        self.next += 1;
        let block = 16 * self.next;
        self.tracer.record(block, size, id).unwrap();
        block
    }

    fn sample(&mut self, time: u64) {
        let moment = Moment {
            time,
            resident_bytes: 1,
        };
        self.writer
            .sample(&self.tracer, View::Profile, moment)
            .unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        self.file.append(self.writer.pending());
        self.writer.written();
    }
}

fn lines(look: &Look) -> Vec<(u32, u64, i64)> {
    let line = |line: &Line| (line.line, line.live, line.change);
    look.lines.iter().map(line).collect()
}

#[test]
fn lines_have_what_they_hold_and_how_it_changes() {
    let mut program = Program::new("lines");
    let mut watch = Watch::new(&program.file.0, true);
    watch.read().unwrap();
    assert_eq!(watch.look_at(SECOND / 10, Order::Live, None).process, 0);
    let gone = program.allocate(1, 1000);
    program.allocate(2, 300);
    program.sample(5);
    watch.read().unwrap();
    let look = watch.look_at(SECOND, Order::Live, None);
    assert_eq!(look.title, "app.py ?[2J");
    assert_eq!((look.sample.live_bytes, look.sample.time), (1300, 5));
    assert_eq!(look.rate, Some(1300));
    assert_eq!(lines(&look), [(1, 1000, 1000), (2, 300, 300)]);
    program.tracer.release(gone);
    program.allocate(3, 200);
    program.sample(6);
    watch.read().unwrap();
    let look = watch.look_at(6 * SECOND, Order::Live, None);
    assert_eq!(lines(&look), [(2, 300, 0), (3, 200, 200), (1, 0, -1000)]);
    let look = watch.look_at(6 * SECOND, Order::Change, None);
    assert_eq!(lines(&look), [(3, 200, 200), (2, 300, 0), (1, 0, -1000)]);
    // A while later all that is no change any more.
    let look = watch.look_at(12 * SECOND, Order::Change, None);
    assert_eq!(lines(&look), [(2, 300, 0), (3, 200, 0)]);
    assert_eq!(look.rate, Some(0));
}

#[test]
fn what_is_there_when_somebody_comes_is_no_change() {
    let mut program = Program::new("late");
    program.allocate(1, 1000);
    program.sample(5);
    let mut watch = Watch::open(&program.file.0).unwrap();
    assert_eq!(
        lines(&watch.look_at(SECOND, Order::Live, None)),
        [(1, 1000, 0)]
    );
    program.allocate(1, 500);
    program.sample(6);
    watch.read().unwrap();
    assert_eq!(
        lines(&watch.look_at(2 * SECOND, Order::Live, None)),
        [(1, 1500, 500)]
    );
    // Its process does not exist: over, once nothing has been written for a while.
    assert_eq!(watch.ending(), None);
    let file = OpenOptions::new()
        .append(true)
        .open(&program.file.0)
        .unwrap();
    file.set_modified(SystemTime::now() - 10 * SECOND).unwrap();
    assert!(watch.ending().unwrap().starts_with("cut off"));
    program.writer.end(9, Ending::Signal(15)).unwrap();
    program.flush();
    watch.read().unwrap();
    assert_eq!(watch.ending().unwrap(), "ended by signal 15");
}

#[test]
fn pauses_are_counted_once() {
    let mut program = Program::new("pauses");
    let mut watch = Watch::new(&program.file.0, true);
    for round in 0..2u64 {
        let pauses: Vec<Pause> = (1..=100)
            .map(|duration| Pause {
                start: round,
                duration,
                generation: (duration % 3) as u8,
                collected: 2,
                uncollectable: 0,
            })
            .collect();
        program.writer.pauses(&pauses).unwrap();
        program.flush();
        watch.read().unwrap();
        watch.look_at(SECOND, Order::Live, None);
    }
    let pauses = watch.look_at(SECOND, Order::Live, None).pauses;
    assert_eq!(
        (pauses.count, pauses.total, pauses.collected),
        (200, 10_100, 400)
    );
    assert_eq!((pauses.median, pauses.most, pauses.longest), (50, 99, 100));
    assert_eq!(pauses.generations, [66, 68, 66]);
    assert_eq!((pauses.last[0].start, pauses.last[0].duration), (1, 100));
}

#[test]
fn a_file_that_begins_anew_is_another_run() {
    let mut first = Program::new("anew");
    for line in 1..50 {
        first.allocate(line, 100);
    }
    first.sample(5);
    let mut watch = Watch::open(&first.file.0).unwrap();
    watch.look_at(SECOND, Order::Live, None);
    let mut second = Program::new("anew");
    second.allocate(7, 30);
    second.sample(1);
    watch.read().unwrap();
    let look = watch.look_at(2 * SECOND, Order::Live, None);
    assert_eq!(lines(&look), [(7, 30, 0)]);
    // The same file, emptied, and further than before when it is looked at again.
    File::create(&second.file.0).unwrap();
    let mut third = Program::new("elsewhere");
    for line in 100..200 {
        third.allocate(line, 1);
    }
    third.sample(1);
    second.file.append(&fs::read(&third.file.0).unwrap());
    watch.read().unwrap();
    assert_eq!(
        watch.look_at(3 * SECOND, Order::Live, None).lines.len(),
        100
    );
}

#[test]
fn other_files_are_refused_in_a_line() {
    let refusal = |path: &Path| match Watch::open(path) {
        Err(line) => line,
        Ok(_) => panic!("{} is watched", path.display()),
    };
    let file = Scratch::new("other");
    assert!(refusal(&file.0).ends_with("No such file or directory"));
    assert!(refusal(&std::env::temp_dir()).ends_with("not a plain file"));
    file.append(b"");
    let open = OpenOptions::new().append(true).open(&file.0).unwrap();
    open.set_modified(SystemTime::now() - 10 * SECOND).unwrap();
    assert!(refusal(&file.0).contains("nothing in it"));
    file.append(b"print('hello')\n");
    assert!(refusal(&file.0).contains("not a capture"));
    let mut damaged = Program::new("damaged");
    damaged.allocate(1, 1);
    damaged.sample(1);
    let mut content = fs::read(&damaged.file.0).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(&damaged.file.0, content).unwrap();
    assert!(refusal(&damaged.file.0).contains("damaged at byte"));
}
