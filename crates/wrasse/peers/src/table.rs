//! The table: every benchmark of every peer, each in a process of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A run that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row.
pub struct Row {
    /// The benchmark's name.
    pub name: &'static str,
    /// What the goal for wrasse is.
    pub goal: Goal,
}

/// What wrasse's figure is to be compared with.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most so many times the peer's.
    Times(f64, &'static str),
    /// At most so much.
    Value(f64),
    /// It does not end by overflowing the stack.
    Ends,
}

/// How a run ended.
enum End {
    /// With a figure.
    Value(f64),
    /// The peer has no such thing.
    Nothing,
    /// It did not survive.
    Overflow,
    /// See [`PATIENCE`].
    Late,
    /// Otherwise.
    Failed,
}

/// Runs `rows` of `peers`, in turn, so many `rounds`, and prints them; the first
/// peer is wrasse.
pub fn print(rows: &[Row], peers: &[&'static str], rounds: usize) {
    println!("CPU nanoseconds for each object, or bytes where the row says so; median and range");
    println!("of {rounds} processes each.\n");
    println!("| | {} | goal | today |", peers.join(" | "));
    println!("|---|{}---|---:|", "---:|".repeat(peers.len()));
    for row in rows {
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut ends: BTreeMap<&str, &str> = BTreeMap::new();
        for _ in 0..rounds {
            for &peer in peers {
                // What failed once would fail again.
                if ends.contains_key(peer) {
                    continue;
                }
                match run(row.name, peer) {
                    End::Value(value) => values.entry(peer).or_default().push(value),
                    End::Nothing => drop(ends.insert(peer, "–")),
                    End::Overflow => drop(ends.insert(peer, "overflow")),
                    End::Late => drop(ends.insert(peer, "> 60 s")),
                    End::Failed => drop(ends.insert(peer, "failed")),
                }
            }
        }
        print!("| {} |", row.name);
        for peer in peers {
            match (ends.get(peer), values.get(peer)) {
                (None, Some(values)) => print!(" {} |", spread(values)),
                (end, _) => print!(" {} |", end.unwrap_or(&"failed")),
            }
        }
        let (goal, today) = judge(row.goal, &values, peers[0]);
        println!(" {goal} | {today} |");
        // Rows appear as they are done.
        let _ = std::io::stdout().flush();
    }
}

/// The goal in words, and what it is today: ratios are medians over the rounds.
fn judge(goal: Goal, values: &BTreeMap<&str, Vec<f64>>, wrasse: &str) -> (String, String) {
    let ours = values.get(wrasse).map_or(&[][..], Vec::as_slice);
    match goal {
        Goal::Times(factor, peer) => {
            let theirs = values.get(peer).map_or(&[][..], Vec::as_slice);
            let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
            let today = median(&ratios).map_or("–".into(), |ratio| format!("{ratio:.2}"));
            (format!("≤ {factor} × {peer}"), today)
        }
        Goal::Value(limit) => {
            let today = median(ours).map_or("–".into(), |value| format!("{value:.1}"));
            (format!("≤ {limit}"), today)
        }
        Goal::Ends => (
            "passes".into(),
            if ours.is_empty() { "fails" } else { "passes" }.into(),
        ),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let median = median(values).unwrap_or(f64::NAN);
    format!("{median:.1} ({least:.1}–{most:.1})")
}

/// Runs one benchmark of one peer in a process of its own.
fn run(benchmark: &str, peer: &str) -> End {
    let program = std::env::current_exe().expect("the path of this program");
    let mut child = Command::new(program)
        .args(["run", benchmark, peer])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return End::Late;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut output, mut errors) = (String::new(), String::new());
    let read = child
        .stdout
        .take()
        .map(|mut pipe| pipe.read_to_string(&mut output));
    let complaint = child
        .stderr
        .take()
        .map(|mut pipe| pipe.read_to_string(&mut errors));
    if !status.success() || read.is_none() || complaint.is_none() {
        let overflow = errors.contains("overflowed its stack");
        return if overflow { End::Overflow } else { End::Failed };
    }
    match output.trim().parse() {
        Ok(value) => End::Value(value),
        Err(_) => End::Nothing,
    }
}
