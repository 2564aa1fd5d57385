//! Pictures, as a terminal would show them.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use wrasse_capture::{Amount, Pause, Sample, ThreadTotals};

use super::*;
use crate::look::Pauses;

const SECOND: u64 = 1_000_000_000;

fn look() -> Look {
    let sample = |time: u64, live_bytes: u64| Sample {
        time: time * SECOND,
        live_bytes,
        peak_bytes: 100 << 20,
        resident_bytes: 130 << 20,
        ..Sample::default()
    };
    let line = |file: &str, line, live: u64, change| Line {
        file: file.into(),
        line,
        live,
        blocks: 1234,
        change,
        temporary: 5 << 10,
    };
    Look {
        title: "app.py --port 8000".into(),
        process: 4711,
        elapsed: 100 * SECOND,
        behind: SECOND,
        sample: sample(99, 50 << 20),
        rate: Some(3 << 20),
        window: 5 * SECOND,
        limit: None,
        lines: vec![
            line("/home/me/app/models.py", 102, 40 << 20, 2 << 20),
            line("/home/me/app/views.py", 7, 10 << 20, -(1 << 20)),
            line("", 0, 99, 0),
        ],
        pauses: Pauses {
            count: 194,
            total: 2 * SECOND,
            median: 400_000,
            most: 12_100_000,
            longest: 435_000_000,
            collected: 1200,
            generations: [176, 16, 2],
            last: vec![Pause {
                start: 98 * SECOND,
                duration: 435_000_000,
                generation: 2,
                collected: 1200,
                uncollectable: 0,
            }],
        },
        threads: vec![ThreadTotals {
            number: 4711,
            name: Box::default(),
            live: Amount {
                bytes: 50 << 20,
                blocks: 9,
            },
            ..ThreadTotals::default()
        }],
        samples: vec![sample(0, 0), sample(50, 100 << 20), sample(99, 50 << 20)],
        ended: None,
    }
}

fn terminal(look: &Look, view: &View, paint: Paint, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, look, view, paint))
        .unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect())
        .collect()
}

fn picture(look: &Look, view: &View) -> Vec<String> {
    rows(&terminal(look, view, Paint::default(), 80, 24))
}

fn with(rows: &[String], part: &str) -> String {
    let found = rows.iter().find(|row| row.contains(part));
    found
        .unwrap_or_else(|| panic!("no {part:?} in {rows:#?}"))
        .clone()
}

#[test]
fn everything_has_room_in_80_by_24() {
    let shown = picture(&look(), &View::default());
    assert!(shown[0].starts_with(" wrasse live  app.py --port 8000 "));
    assert!(shown[0].ends_with(" process 4711  1:40 "));
    assert!(shown[1].starts_with(" live 50.0 MiB  peak 100.0 MiB  resident 130.0 MiB "));
    let line = with(&shown, "models.py");
    assert!(
        line.starts_with("   40.0 MiB    80%    +2.0 MiB      5.0 KiB  /home/me/app/models.py:102")
    );
    assert!(with(&shown, "views.py").contains("-1.0 MiB"));
    assert!(with(&shown, "no frame").contains("99 B     0%           ="));
    assert!(with(&shown, "temporary").contains("live▾ share      in 5 s    temporary  line"));
    assert!(with(&shown, "p99").contains("p50 0.4 ms  p99 12.1 ms  longest 435.0 ms"));
    assert!(with(&shown, "generation 0: 176, 1: 16, 2: 2").starts_with(' '));
    assert!(with(&shown, "at 1:38").contains("gen 2  435.0 ms  1,200 freed"));
    assert!(with(&shown, "main thread").contains("50.0 MiB"));
    assert!(with(&shown, "allocates").contains("allocates 3.0 MiB/s"));
    assert!(shown[23].starts_with(" q leave  j/k move  s sort: live  p pause"));
}

#[test]
fn the_curve_is_as_high_as_memory_was() {
    let look = look();
    let shown = picture(&look, &View::default());
    let full = |row: &String| row.chars().filter(|each| *each == '█').count();
    // The peak comes after half the time, and half of it stays to the end.
    assert!(shown[2].starts_with(" 100.0 MiB "));
    let width = usize::from(80 - SCALE);
    assert!(
        (width / 2 - 2..width / 2 + 2).contains(&full(&shown[2])),
        "{shown:#?}"
    );
    assert!(shown[2].ends_with(' '), "at the end it is half as high");
    assert!(full(&shown[7]) > full(&shown[2]));
    // The limit is in the picture once memory is near it.
    let limited = |limit| {
        let look = Look {
            limit: Some(limit),
            ..look.clone()
        };
        picture(&look, &View::default())
    };
    assert!(limited(150 << 20)[2].contains("┄┄┄"));
    assert!(limited(150 << 20)[2].starts_with(" 150.0 MiB "));
    assert!(!limited(900 << 20)[2].contains('┄'));
    let recent = View {
        is_recent: true,
        ..View::default()
    };
    assert!(with(&picture(&look, &recent), "allocates").contains("40.0 s"));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let looks = [
        look(),
        Look::default(),
        Look {
            limit: Some(u64::MAX),
            ended: Some("ended".into()),
            ..look()
        },
    ];
    for look in &looks {
        for shows_help in [false, true] {
            let view = View {
                shows_help,
                selected: 7,
                ..View::default()
            };
            for height in (0..30).chain([100]) {
                for width in (0..90).step_by(7).chain([300]) {
                    terminal(look, &view, Paint { has_colours: true }, width, height);
                }
            }
        }
    }
}

#[test]
fn figures_as_large_as_a_file_can_claim_are_drawn() {
    let mut look = look();
    look.sample.live_bytes = u64::MAX;
    look.samples[1].live_bytes = u64::MAX;
    look.lines[0].live = u64::MAX;
    look.lines[0].change = i64::MIN;
    look.elapsed = u64::MAX;
    picture(&look, &View::default());
}

#[test]
fn without_colours_there_are_none() {
    let view = View::default();
    let colours = |has_colours| {
        let shown = terminal(&look(), &view, Paint { has_colours }, 80, 24);
        shown
            .content
            .iter()
            .filter(|cell| cell.fg != Color::Reset)
            .count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 0);
}

#[test]
fn the_selected_line_is_in_sight_and_named_in_full() {
    let mut look = look();
    let folder = "/a/very/long/path/of/folders/that/nobody/could/read/in/one/column";
    look.lines = (0..100)
        .map(|line| Line {
            file: format!("{folder}/ü漢{line}.py"),
            line,
            live: 1,
            ..look.lines[0].clone()
        })
        .collect();
    let view = View {
        selected: 90,
        ..View::default()
    };
    let shown = picture(&look, &view);
    // A wide character takes two cells, of which the second is empty.
    assert!(with(&shown, "漢 90.py:90").contains("  …"));
    assert!(with(&shown, "1,234 blocks").contains("90.py:90 (1,234 blocks)"));
    assert_eq!(end_of("漢字.py", 5), "….py");
    assert_eq!(end_of("漢字.py", 6), "…字.py");
    assert_eq!(end_of("漢字.py", 7), "漢字.py");
    assert_eq!(end_of("x", 0), "…");
}

#[test]
fn what_has_happened_is_said_at_the_end() {
    let ended = Look {
        ended: Some("ended with exit code 3".into()),
        ..look()
    };
    let shown = picture(&ended, &View::default());
    assert!(shown[23].trim_end().ends_with("ended with exit code 3"));
    let quiet = Look {
        behind: 75 * SECOND,
        ..look()
    };
    assert!(picture(&quiet, &View::default())[23].contains("no news for 1:15"));
    let paused = View {
        is_paused: true,
        ..View::default()
    };
    assert!(picture(&look(), &paused)[23].contains("stands still"));
    let help = View {
        shows_help: true,
        ..View::default()
    };
    assert!(with(&picture(&look(), &help), "Ctrl-C").contains("interrupt"));
    assert!(picture(&Look::default(), &View::default())[0].contains("waiting for the program"));
}
