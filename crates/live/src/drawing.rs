//! A look as a picture of characters.
//!
//! Everything has its place by the height there is: figures and lines always, the
//! curve and the panel below from a certain height on. A word that finds no room is
//! cut off at the side that says less.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use wrasse_report::printable;
use wrasse_report::units::{count, duration, seconds, size};

use crate::curve::columns;
use crate::look::{Line, Look, Order};
use crate::view::View;

/// Heights of a column within one character, the lowest first.
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Columns left of the curve, for sizes.
const SCALE: u16 = 11;
/// Rows of the panel below the lines, its head among them.
const PANEL: u16 = 6;
/// The time that is drawn if not the whole run is, in nanoseconds.
const RECENT: u64 = 60_000_000_000;
/// A sample that is older than this is worth a word, in nanoseconds.
const BEHIND: u64 = 2_000_000_000;
/// Columns of the table before what is temporary, and those of that.
const FIGURES: u16 = 31;
const TEMPORARY: u16 = 13;
/// From which width on there is room for what is temporary.
const WIDE: u16 = 72;

/// With what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Are there colours? Without them bold and reversed characters remain.
    pub has_colours: bool,
}

impl Paint {
    fn in_colour(self, colour: Color) -> Style {
        match self.has_colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }
}

const HELP: [(&str, &str); 8] = [
    ("q, Esc", "leave the view; the program goes on"),
    (
        "Ctrl-C",
        "interrupt a program that was started here; or leave",
    ),
    (
        "j k, arrows",
        "go to another line; also Page Up and Down, g, G",
    ),
    ("s", "sort lines: live, change, temporary"),
    ("p, space", "let the picture stand still, or go on"),
    ("w", "the whole run, or its last minute"),
    ("?, h", "this help"),
    ("", ""),
];

const WORDS: [(&str, &str); 5] = [
    (
        "live",
        "bytes that a line has allocated, and that are not freed yet",
    ),
    ("change", "how much more is live than a few seconds ago"),
    (
        "temporary",
        "bytes freed before the next block was allocated, so far",
    ),
    ("resident", "the physical memory of the whole process"),
    (
        "p50, p99",
        "half of the pauses, and 99 of 100, were no longer",
    ),
];

/// Draws `look` as `view` says, on all of the frame.
pub fn draw(frame: &mut Frame<'_>, look: &Look, view: &View, paint: Paint) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let mut page = Page {
        buffer: frame.buffer_mut(),
        paint,
    };
    page.title(row(area, 0, 1), look);
    if area.height > 2 {
        let last = area.height - 1;
        page.status(row(area, last, 1), look, view);
    }
    let middle = row(area, 1, area.height.saturating_sub(2));
    if view.shows_help {
        page.help(middle);
        return;
    }
    page.figures(row(middle, 0, 1), look);
    let rest = row(middle, 1, middle.height.saturating_sub(1));
    let curve = match rest.height {
        0..10 => 0,
        height => (height / 3).clamp(4, 14),
    };
    let panel = match rest.height {
        0..16 => 0,
        _ => PANEL,
    };
    let table = rest.height - curve - panel;
    page.curve(row(rest, 0, curve), look, view);
    page.table(row(rest, curve, table), look, view);
    let below = row(rest, curve + table, panel);
    let left = below.width * 6 / 11;
    page.pauses(
        Rect {
            width: left,
            ..below
        },
        look,
    );
    page.threads(
        Rect {
            x: below.x + left,
            width: below.width - left,
            ..below
        },
        look,
    );
}

/// The part of `area` that begins `top` rows below its own top.
fn row(area: Rect, top: u16, height: u16) -> Rect {
    let top = top.min(area.height);
    Rect {
        y: area.y + top,
        height: height.min(area.height - top),
        ..area
    }
}

struct Page<'a> {
    buffer: &'a mut Buffer,
    paint: Paint,
}

impl Page<'_> {
    /// Writes what there is room for, in the first row of `area`.
    fn write(&mut self, area: Rect, text: &str, style: Style) {
        if area.height > 0 && area.width > 0 {
            self.buffer
                .set_stringn(area.x, area.y, text, area.width.into(), style);
        }
    }

    /// The same at the right.
    fn write_right(&mut self, area: Rect, text: &str, style: Style) {
        let width = (text.width() as u16).min(area.width);
        let area = Rect {
            x: area.x + area.width - width,
            width,
            ..area
        };
        self.write(area, text, style);
    }

    fn title(&mut self, area: Rect, look: &Look) {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        self.buffer.set_style(area, style);
        let time = match look.process {
            0 => " waiting for the program ".to_string(),
            process => format!(" process {process}  {} ", clock(look.elapsed)),
        };
        let room = area.width.saturating_sub(time.width() as u16);
        let left = Rect {
            width: room,
            ..area
        };
        self.write(left, &format!(" wrasse live  {}", look.title), style);
        self.write_right(area, &time, style);
    }

    fn status(&mut self, area: Rect, look: &Look, view: &View) {
        let mut words = Vec::new();
        words.extend(look.ended.clone());
        if view.is_paused {
            words.push("stands still".into());
        } else if look.ended.is_none() && look.process != 0 && look.behind > BEHIND {
            words.push(format!("no news for {}", clock(look.behind)));
        }
        let notice = words.join(", ");
        let keys = format!(
            " q leave  j/k move  s sort: {}  p pause  w {}  ? help",
            view.order.name(),
            if view.is_recent {
                "whole run"
            } else {
                "last minute"
            },
        );
        self.write(area, &keys, Style::new());
        if !notice.is_empty() {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            self.write_right(area, &format!(" {notice} "), style);
        }
    }

    fn help(&mut self, area: Rect) {
        let known = HELP.iter().chain(&WORDS);
        for (at, (name, text)) in known.enumerate() {
            let place = row(area, at as u16 + 1, 1);
            self.write(place, &format!("  {name:<13}{text}"), Style::new());
        }
    }

    fn figures(&mut self, area: Rect, look: &Look) {
        let sample = &look.sample;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut parts = vec![
            ("live", size(sample.live_bytes)),
            ("peak", size(sample.peak_bytes)),
        ];
        parts.extend(look.limit.map(|bytes| ("limit", size(bytes))));
        parts.push(("resident", size(sample.resident_bytes)));
        let mut rest = area;
        for (name, value) in parts {
            for (text, style) in [
                (format!(" {name} "), Style::new()),
                (format!("{value} "), bold),
            ] {
                self.write(rest, &text, style);
                let width = (text.width() as u16).min(rest.width);
                rest.x += width;
                rest.width -= width;
            }
        }
    }

    fn curve(&mut self, area: Rect, look: &Look, view: &View) {
        if area.height < 2 || area.width <= SCALE {
            return;
        }
        let to = look.elapsed.max(look.sample.time);
        let from = if view.is_recent {
            to.saturating_sub(RECENT)
        } else {
            0
        };
        let shown = columns(&look.samples, from, to, (area.width - SCALE).into());
        let most = shown.iter().copied().max().unwrap_or(0);
        // The limit belongs into the picture once it is near.
        let limit = look.limit.filter(|limit| *limit / 2 <= most);
        let top = most.max(limit.unwrap_or(0)).max(1);
        let rows = area.height - 1;
        // Counted from above: the row in which a column of that height ends.
        let row_of = |bytes: u64| {
            let height = (u128::from(bytes) * u128::from(rows)).div_ceil(u128::from(top));
            rows - (height as u16).clamp(1, rows)
        };
        let limit_row = limit.map(row_of);
        let style = self.paint.in_colour(Color::Cyan);
        for line in 0..rows {
            let y = area.y + line;
            let below = u128::from(rows - 1 - line) * 8;
            let eighths = |bytes: u64| {
                let all = u128::from(bytes) * u128::from(rows) * 8;
                all.div_ceil(u128::from(top)).saturating_sub(below).min(8)
            };
            for (column, &bytes) in shown.iter().enumerate() {
                let x = area.x + SCALE + column as u16;
                match eighths(bytes) {
                    0 if limit_row == Some(line) => {
                        let style = self.paint.in_colour(Color::Red);
                        self.buffer.set_string(x, y, "┄", style);
                    }
                    0 => {}
                    height => {
                        let symbol = HEIGHTS[height as usize - 1];
                        self.buffer.set_string(x, y, symbol, style);
                    }
                }
            }
        }
        let scale = Rect {
            width: SCALE - 1,
            ..area
        };
        self.write_right(row(scale, 0, 1), &size(top), Style::new());
        if rows >= 4 {
            self.write_right(row(scale, rows / 2, 1), &size(top / 2), Style::new());
        }
        let axis = row(area, rows, 1);
        let axis = Rect {
            x: axis.x + SCALE,
            width: axis.width - SCALE,
            ..axis
        };
        self.write(axis, &clock(from), Style::new());
        self.write_right(axis, &clock(to), Style::new());
        if let Some(bytes) = look.rate {
            let text = format!("allocates {}/s", size(bytes));
            let room = axis.width.saturating_sub(text.width() as u16) / 2;
            let middle = Rect {
                x: axis.x + room,
                width: axis.width - room,
                ..axis
            };
            self.write(middle, &text, Style::new());
        }
    }

    fn table(&mut self, area: Rect, look: &Look, view: &View) {
        if area.height == 0 {
            return;
        }
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mark = |order: Order| if view.order == order { "▾" } else { " " };
        let change = format!("in {} s", seconds(look.window).round());
        let mut head = format!(
            " {:>10}{}{:>6} {:>11}{}",
            "live",
            mark(Order::Live),
            "share",
            change,
            mark(Order::Change),
        );
        let has_temporary = area.width >= WIDE || view.order == Order::Temporary;
        if has_temporary {
            let name = format!(" {:>11}{}", "temporary", mark(Order::Temporary));
            head.push_str(&name);
        }
        head.push_str(" line");
        self.write(area, &head, bold);
        // The place of the selected line in full needs a row of its own.
        let has_detail = area.height >= 6;
        let rows = usize::from(area.height - 1) - usize::from(has_detail);
        let selected = view.selected.min(look.lines.len().saturating_sub(1));
        let first = (selected + 1).saturating_sub(rows);
        for (at, line) in look.lines.iter().enumerate().skip(first).take(rows) {
            let place = row(area, (at - first) as u16 + 1, 1);
            self.line(place, line, look, at == selected, has_temporary);
        }
        if has_detail && let Some(line) = look.lines.get(selected) {
            let text = format!(" ({} blocks)", count(line.blocks));
            let place = row(area, area.height - 1, 1);
            let room = usize::from(place.width).saturating_sub(text.width() + 1);
            let text = format!(" {}{text}", end_of(&line.place(), room));
            self.write(place, &text, Style::new().add_modifier(Modifier::DIM));
        }
    }

    fn line(
        &mut self,
        area: Rect,
        line: &Line,
        look: &Look,
        is_selected: bool,
        has_temporary: bool,
    ) {
        let style = match is_selected {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        if is_selected {
            self.buffer.set_style(area, style);
        }
        let share = line.live as f64 * 100.0 / look.sample.live_bytes.max(1) as f64;
        let figures = format!(" {:>10} {share:>5.0}%", size(line.live));
        self.write(area, &figures, style);
        let change = match line.change {
            0 => "=".to_string(),
            more @ 1.. => format!("+{}", size(more as u64)),
            less => format!("-{}", size(less.unsigned_abs())),
        };
        let coloured = match line.change {
            0 => style,
            1.. => style.patch(self.paint.in_colour(Color::Red)),
            _ => style.patch(self.paint.in_colour(Color::Green)),
        };
        let at = |x: u16| Rect {
            x: area.x + x.min(area.width),
            width: area.width.saturating_sub(x),
            ..area
        };
        self.write(at(19), &format!("{change:>11}"), coloured);
        let mut left = FIGURES;
        if has_temporary {
            if line.temporary > 0 {
                let temporary = format!("{:>12}", size(line.temporary));
                self.write(at(left), &temporary, style);
            }
            left += TEMPORARY;
        }
        let place = at(left + 1);
        let text = end_of(&line.place(), place.width.into());
        self.write(place, &text, style);
    }

    /// A panel's head: its name in a rule.
    fn head(&mut self, area: Rect, name: &str) {
        let rule = format!("─ {name} {}", "─".repeat(area.width.into()));
        self.write(area, &rule, Style::new().add_modifier(Modifier::DIM));
    }

    fn pauses(&mut self, area: Rect, look: &Look) {
        self.head(area, "collections");
        let pauses = &look.pauses;
        if pauses.count == 0 {
            self.write(row(area, 1, 1), " none so far", Style::new());
            return;
        }
        let share = pauses.total as f64 * 100.0 / look.elapsed.max(1) as f64;
        let time = |nanoseconds| duration(seconds(nanoseconds));
        let mut lines = vec![
            format!(
                " {}, {} in all, {share:.1} % of time",
                count(pauses.count),
                time(pauses.total)
            ),
            format!(
                " p50 {}  p99 {}  longest {}",
                time(pauses.median),
                time(pauses.most),
                time(pauses.longest)
            ),
            format!(
                " generation 0: {}, 1: {}, 2: {}",
                count(pauses.generations[0]),
                count(pauses.generations[1]),
                count(pauses.generations[2])
            ),
        ];
        lines.extend(pauses.last.iter().map(|pause| {
            format!(
                " at {}  gen {}  {:>8}  {} freed",
                clock(pause.start),
                pause.generation,
                time(pause.duration),
                count(pause.collected)
            )
        }));
        for (at, line) in lines.iter().enumerate() {
            self.write(row(area, at as u16 + 1, 1), line, Style::new());
        }
    }

    fn threads(&mut self, area: Rect, look: &Look) {
        self.head(area, "threads: live, allocated");
        for (at, thread) in look.threads.iter().enumerate() {
            let name = match (thread.number, &*thread.name) {
                (0, _) => "others".into(),
                (number, b"") if number == u64::from(look.process) => "main thread".into(),
                (number, b"") => number.to_string(),
                (_, name) => printable(&String::from_utf8_lossy(name)),
            };
            let text = format!(
                "{:>10} {:>10}  {name}",
                size(thread.live.bytes),
                size(thread.allocated.bytes)
            );
            self.write(row(area, at as u16 + 1, 1), &text, Style::new());
        }
    }
}

/// `text`, or its end with a mark before it, in at most `width` columns: of a path
/// the end says more.
fn end_of(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let mut left = width.saturating_sub(1);
    let mut start = text.len();
    for (at, letter) in text.char_indices().rev() {
        let wide = letter.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        start = at;
    }
    format!("…{}", &text[start..])
}

/// A time since the start: `12.3 s`, `4:05`, `1:02:03`.
fn clock(nanoseconds: u64) -> String {
    let whole = nanoseconds / 1_000_000_000;
    match whole {
        0..60 => format!("{}.{} s", whole, nanoseconds / 100_000_000 % 10),
        60..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

#[cfg(test)]
mod tests;
