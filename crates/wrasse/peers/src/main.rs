//! `Gc<T>` against its peers: CPU time for each object, in nanoseconds.
//!
//! `peers [ROUNDS] [BENCHMARK …]` runs benchmarks (all of them, if none is
//! named) of every peer, each in a process of its own and in turn, and prints a
//! table; `peers run BENCHMARK PEER` runs one and prints one number. What is
//! compared, and where a comparison is not quite fair, is said in `README.md`.

mod boa;
mod graph;
mod memory;
mod others;
mod peer;
mod rc;
mod rustcc;
mod table;
mod tracing;
mod wrasse_gc;

use peer::{List, Peer};
use table::{Goal, Row};

/// The benchmarks, in the order of the table, with the goals for wrasse.
const ROWS: [Row; 17] = [
    row("at once", Goal::Times(0.6, "Rc")),
    row("batch 1e6", Goal::Times(0.7, "Rc")),
    row("clone", Goal::Times(1.1, "Rc")),
    row("cycles", Goal::Times(0.7, "rust-cc")),
    row("live 1e5", Goal::Times(1.0, "gc-arena")),
    row("live 1e6", Goal::Times(1.0, "gc-arena")),
    row("live 5e6", Goal::Times(1.0, "gc-arena")),
    row("again 1e5", Goal::Value(5.0)),
    row("again 1e6", Goal::Value(5.0)),
    row("again 5e6", Goal::Value(5.0)),
    row("trees", Goal::Times(0.7, "boa_gc")),
    // A node is 32 bytes where an edge is in a plain cell.
    row("bytes", Goal::Value(32.0 + 16.0)),
    row("extra bytes", Goal::Value(1.0)),
    row("list 1e7 drop", Goal::Ends),
    row("list 1e7 live", Goal::Ends),
    row("list 1e7 dead", Goal::Ends),
    row("list 1e5 drop", Goal::Ends),
];

const fn row(name: &'static str, goal: Goal) -> Row {
    Row { name, goal }
}

fn measure<P: Peer>(benchmark: &str) -> Option<f64> {
    match benchmark {
        "at once" => P::at_once(10_000_000),
        "batch 1e6" => P::batch(1_000_000),
        "clone" => P::clone_one(50_000_000),
        "cycles" => P::cycles(1_000_000),
        "live 1e5" => P::live(100_000, false),
        "live 1e6" => P::live(1_000_000, false),
        "live 5e6" => P::live(5_000_000, false),
        "again 1e5" => P::live(100_000, true),
        "again 1e6" => P::live(1_000_000, true),
        "again 5e6" => P::live(5_000_000, true),
        "trees" => P::trees(),
        "bytes" => P::bytes(4_000_000),
        "extra bytes" => P::extra_bytes(4_000_000),
        "list 1e7 drop" => P::list(10_000_000, List::Drop),
        "list 1e7 live" => P::list(10_000_000, List::Live),
        "list 1e7 dead" => P::list(10_000_000, List::Dead),
        "list 1e5 drop" => P::list(100_000, List::Drop),
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

/// The stack of every run, whatever the system's limit is.
const STACK: usize = 8 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run, benchmark, peer] = arguments.as_slice()
        && run == "run"
    {
        return one(benchmark.clone(), peer);
    }
    let (rounds, named) = match arguments.split_first() {
        Some((first, rest)) if first.parse::<usize>().is_ok_and(|n| n > 0) => {
            (first.parse().expect("just parsed"), rest)
        }
        _ => (3, arguments.as_slice()),
    };
    if let Some(unknown) = named
        .iter()
        .find(|name| ROWS.iter().all(|row| row.name != **name))
    {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        eprintln!(
            "peers: no benchmark \"{unknown}\"; there are: {}",
            names.join(", ")
        );
        std::process::exit(2);
    }
    let rows: Vec<Row> = ROWS
        .into_iter()
        .filter(|row| named.is_empty() || named.iter().any(|name| name == row.name))
        .collect();
    let peers: Vec<_> = PEERS.iter().map(|(peer, _)| *peer).collect();
    table::print(&rows, &peers, rounds);
}

/// Runs one benchmark of one peer.
fn one(benchmark: String, peer: &str) {
    let Some((_, run)) = PEERS.iter().find(|(name, _)| *name == peer) else {
        eprintln!("peers: no peer \"{peer}\"");
        std::process::exit(2);
    };
    // Stacks do overflow, and nobody wants to see the cores.
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: only a limit of this process is set.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    let runner = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            if let Some(value) = run(&benchmark) {
                println!("{value}");
            }
            // What is left is not taken apart: that might overflow the stack.
            // SAFETY: nothing is to be done any more; the line is written out.
            unsafe { libc::_exit(0) }
        });
    let ended = runner.expect("a thread can be started").join();
    std::process::exit(i32::from(ended.is_err()));
}
