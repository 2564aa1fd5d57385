//! `Gc<T>` against its peers: CPU time for each object, in nanoseconds.
//!
//! `peers` runs every benchmark of every peer, each in a process of its own and
//! in turn, and prints medians; `peers BENCHMARK PEER` runs one and prints one
//! number. What is compared, and where a comparison is not quite fair, is said
//! in `README.md`.

use std::collections::BTreeMap;
use std::process::Command;

mod boa;
mod graph;
mod others;
mod peer;
mod rc;
mod rustcc;
mod tracing;
mod wrasse_gc;

use peer::Peer;

/// The benchmarks, in the order of the table.
const BENCHMARKS: [&str; 12] = [
    "at once",
    "batch",
    "clone",
    "cycles",
    "live 1e5",
    "live 1e6",
    "again 1e5",
    "again 1e6",
    "trees",
    "list drop",
    "list live",
    "list dead",
];

fn measure<P: Peer>(benchmark: &str) -> Option<f64> {
    match benchmark {
        "at once" => P::at_once(10_000_000),
        "batch" => P::batch(1_000_000),
        "clone" => P::clone_one(50_000_000),
        "cycles" => P::cycles(1_000_000),
        "live 1e5" => P::live(100_000, false),
        "live 1e6" => P::live(1_000_000, false),
        "again 1e5" => P::live(100_000, true),
        "again 1e6" => P::live(1_000_000, true),
        "trees" => P::trees(),
        "list drop" => P::list(1_000_000, peer::List::Drop),
        "list live" => P::list(1_000_000, peer::List::Live),
        "list dead" => P::list(1_000_000, peer::List::Dead),
        _ => panic!("no such benchmark: {benchmark}"),
    }
}

/// A peer's name and what runs one of its benchmarks.
type Entry = (&'static str, fn(&str) -> Option<f64>);

const PEERS: [Entry; 9] = [
    ("wrasse", measure::<wrasse_gc::Wrasse>),
    ("Rc", measure::<rc::StdRc>),
    ("gc-arena", measure::<tracing::GcArena>),
    ("rust-cc", measure::<rustcc::RustCc>),
    ("boa_gc", measure::<boa::BoaGc>),
    ("gc", measure::<others::Manishearth>),
    ("dumpster", measure::<others::Dumpster>),
    ("bacon", measure::<others::Bacon>),
    ("gcmodule", measure::<others::GcModule>),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [benchmark, peer] = arguments.as_slice() {
        let (_, run) = PEERS
            .iter()
            .find(|(name, _)| name == peer)
            .expect("no such peer");
        if let Some(value) = run(benchmark) {
            println!("{value}");
        }
        return;
    }
    let rounds: usize = arguments
        .first()
        .map_or(5, |n| n.parse().expect("a number of rounds"));
    let program = std::env::current_exe().expect("the path of this program");
    let mut values: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for (row, benchmark) in BENCHMARKS.iter().enumerate() {
            for (column, (peer, _)) in PEERS.iter().enumerate() {
                let output = Command::new(&program).args([benchmark, peer]).output();
                let text = String::from_utf8(output.expect("it runs").stdout).expect("a number");
                if let Ok(value) = text.trim().parse() {
                    values.entry((row, column)).or_default().push(value);
                }
            }
        }
    }
    print!("{:12}", "ns/object");
    PEERS.iter().for_each(|(peer, _)| print!("{peer:>10}"));
    println!();
    for (row, benchmark) in BENCHMARKS.iter().enumerate() {
        print!("{benchmark:12}");
        for column in 0..PEERS.len() {
            match values.get_mut(&(row, column)) {
                Some(values) => {
                    values.sort_by(f64::total_cmp);
                    print!("{:10.1}", values[values.len() / 2]);
                }
                None => print!("{:>10}", "-"),
            }
        }
        println!();
    }
}
