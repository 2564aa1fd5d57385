//! What lines have done so far: bookkeeping without a host, fed with events.
//!
//! An *invocation* is one call of a watched function from outside of it, with
//! all that happens below: recursive calls and the functions inside it belong to
//! the same invocation. A frame that is running is on its thread's stack; one
//! that has yielded waits in a table, since it may go on in another thread.
//!
//! A line that calls is charged for what it calls. Where the same line of the
//! same invocation is open further out (recursion, a comprehension that is a
//! function of its own), only the outermost is charged: no byte counts twice for a
//! line.

use std::collections::{BTreeMap, HashMap};

use wrasse_report::LineCost;

/// What a frame does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its first instruction comes.
    Start,
    /// It goes on after a yield.
    Resume,
    /// A line begins.
    Line(u32),
    /// It yields.
    Suspend,
    /// It returns, or an exception leaves it.
    Finish,
}

/// Where an event happens.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The thread's state.
    pub thread: usize,
    /// The frame.
    pub frame: usize,
    /// The code object.
    pub code: usize,
}

/// The lines of a function: what they did, and its calls.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Its lines that ran.
    pub lines: BTreeMap<u32, LineCost>,
    /// What was live when it was first called.
    pub first: u64,
    /// The most that was live when it was called.
    pub highest: u64,
    /// How often it was called, recursive calls included.
    pub calls: u64,
}

impl Lines {
    /// The sum of both.
    fn add(&mut self, later: &Lines) {
        if self.calls == 0 {
            self.first = later.first;
        }
        self.highest = self.highest.max(later.highest);
        self.calls += later.calls;
        for (line, cost) in &later.lines {
            let sum = self.lines.entry(*line).or_default();
            sum.memory = sum.memory.max(cost.memory);
            sum.increment += cost.increment;
            sum.occurrences += cost.occurrences;
        }
    }
}

/// A frame, and the line it is at.
struct Open {
    frame: usize,
    code: usize,
    function: usize,
    invocation: u64,
    /// 0 until the first line.
    line: u32,
    /// What was live when the line began, or went on.
    before: u64,
}

struct Invocation {
    function: usize,
    frame: usize,
    lines: Lines,
}

/// An invocation that has come to its end.
#[derive(Debug)]
pub struct Finished {
    /// The number of its function.
    pub function: usize,
    /// What its lines did.
    pub lines: Lines,
}

/// Everything about all watched functions.
#[derive(Default)]
pub struct Record {
    /// From a code object to the number of its function; whether it is the
    /// function's own code, and not that of one inside it.
    codes: HashMap<usize, (usize, bool)>,
    totals: Vec<Lines>,
    threads: HashMap<usize, Vec<Open>>,
    suspended: HashMap<usize, Open>,
    running: HashMap<u64, Invocation>,
    invocations: u64,
}

impl Record {
    /// Watch a function; `codes` are its own code object and those inside it.
    /// Returns its number.
    pub fn watch(&mut self, codes: &[usize]) -> usize {
        let function = self.totals.len();
        self.totals.push(Lines::default());
        for (index, code) in codes.iter().enumerate() {
            // One that is watched by itself already stays so.
            if index == 0 || !self.codes.contains_key(code) {
                self.codes.insert(*code, (function, index == 0));
            }
        }
        function
    }

    /// Watch a function no more. Returns its code objects, and how many of its
    /// invocations that brings to their end.
    pub fn forget(&mut self, function: usize) -> (Vec<usize>, usize) {
        let of_it = self.codes.iter().filter(|(_, of)| of.0 == function);
        let codes: Vec<usize> = of_it.map(|(code, _)| *code).collect();
        for code in &codes {
            self.codes.remove(code);
        }
        let running = self.running.iter();
        let open: Vec<u64> = running
            .filter(|(_, invocation)| invocation.function == function)
            .map(|(number, _)| *number)
            .collect();
        for number in &open {
            if let Some(invocation) = self.running.remove(number) {
                self.totals[function].add(&invocation.lines);
            }
        }
        for stack in self.threads.values_mut() {
            stack.retain(|open| open.function != function);
        }
        self.threads.retain(|_, stack| !stack.is_empty());
        self.suspended.retain(|_, open| open.function != function);
        (codes, open.len())
    }

    /// The function whose own code this is.
    pub fn function(&self, code: usize) -> Option<usize> {
        let (function, is_own) = *self.codes.get(&code)?;
        is_own.then_some(function)
    }

    /// What a function has done so far, in calls that go on as well.
    pub fn lines(&self, function: usize) -> Lines {
        let mut sum = self.totals[function].clone();
        let mut numbers: Vec<_> = self.running.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let running = &self.running[&number];
            if running.function == function {
                sum.add(&running.lines);
            }
        }
        sum
    }

    /// Is this code watched?
    pub fn is_watched(&self, code: usize) -> bool {
        self.codes.contains_key(&code)
    }

    /// Does a frame that starts here begin an invocation?
    pub fn begins(&self, at: &Place) -> bool {
        matches!(self.codes.get(&at.code), Some(&(function, true))
            if self.outer(at.thread, function).is_none())
    }

    /// The invocation of a function that runs in a thread.
    fn outer(&self, thread: usize, function: usize) -> Option<u64> {
        let stack = self.threads.get(&thread)?;
        let open = stack.iter().rev().find(|open| open.function == function)?;
        Some(open.invocation)
    }

    /// Something happens when `live` bytes are live. Returns the invocations that
    /// end: one at most, but for frames that have gone without a word.
    pub fn event(&mut self, event: Event, at: &Place, live: u64) -> Vec<Finished> {
        let mut finished = Vec::new();
        let Some(&(function, is_own)) = self.codes.get(&at.code) else {
            return finished;
        };
        match event {
            Event::Start => {
                // Another frame that was at this address has gone.
                if let Some(gone) = self.suspended.remove(&at.frame) {
                    self.end_if_outermost(&gone, &mut finished);
                }
                if self.unwind_to(at, live, &mut finished) {
                    self.pop(at.thread, live, &mut finished);
                }
                self.push(at, function, is_own, live);
            }
            Event::Resume => self.resume(at, live),
            Event::Line(line) => {
                if !self.unwind_to(at, live, &mut finished) {
                    self.resume(at, live);
                }
                self.begin_line(at, line, live);
            }
            Event::Suspend => {
                if self.unwind_to(at, live, &mut finished) {
                    self.close(at.thread, live);
                    if let Some(open) = self.take(at.thread) {
                        self.suspended.insert(at.frame, open);
                    }
                }
            }
            Event::Finish => {
                if self.unwind_to(at, live, &mut finished) {
                    self.pop(at.thread, live, &mut finished);
                } else if let Some(open) = self.suspended.remove(&at.frame) {
                    self.end_if_outermost(&open, &mut finished);
                }
            }
        }
        finished
    }

    fn push(&mut self, at: &Place, function: usize, is_own: bool, live: u64) {
        let invocation = match self.outer(at.thread, function) {
            Some(outer) => outer,
            // Functions inside the function count in its calls only.
            None if !is_own => return,
            None => {
                self.invocations += 1;
                let lines = Lines {
                    first: live,
                    ..Lines::default()
                };
                self.running.insert(
                    self.invocations,
                    Invocation {
                        function,
                        frame: at.frame,
                        lines,
                    },
                );
                self.invocations
            }
        };
        if is_own && let Some(running) = self.running.get_mut(&invocation) {
            running.lines.calls += 1;
            running.lines.highest = running.lines.highest.max(live);
        }
        self.threads.entry(at.thread).or_default().push(Open {
            frame: at.frame,
            code: at.code,
            function,
            invocation,
            line: 0,
            before: live,
        });
    }

    fn resume(&mut self, at: &Place, live: u64) {
        let Some(mut open) = self.suspended.remove(&at.frame) else {
            return;
        };
        if open.code == at.code && self.running.contains_key(&open.invocation) {
            open.before = live;
            self.threads.entry(at.thread).or_default().push(open);
        }
    }

    fn begin_line(&mut self, at: &Place, line: u32, live: u64) {
        self.close(at.thread, live);
        let Some(stack) = self.threads.get_mut(&at.thread) else {
            return;
        };
        let Some((open, below)) = stack.split_last_mut() else {
            return;
        };
        if open.frame != at.frame {
            return;
        }
        (open.line, open.before) = (line, live);
        // A comprehension that is a function of its own is part of its line.
        let is_part = below.iter().any(|outer| {
            outer.invocation == open.invocation && outer.line == line && outer.code != open.code
        });
        if !is_part && let Some(running) = self.running.get_mut(&open.invocation) {
            running.lines.lines.entry(line).or_default().occurrences += 1;
        }
    }

    /// Charges the innermost frame's line for what has become live since it began.
    fn close(&mut self, thread: usize, live: u64) {
        let Some(stack) = self.threads.get_mut(&thread) else {
            return;
        };
        let Some((open, below)) = stack.split_last_mut() else {
            return;
        };
        let Some(running) = self.running.get_mut(&open.invocation) else {
            return;
        };
        if open.line == 0 {
            return;
        }
        let is_charged = below
            .iter()
            .any(|outer| outer.invocation == open.invocation && outer.line == open.line);
        let cost = running.lines.lines.entry(open.line).or_default();
        cost.memory = cost.memory.max(live);
        if !is_charged {
            cost.increment += live as i64 - open.before as i64;
        }
        open.before = live;
    }

    /// Takes off what is above a frame on its thread's stack: it has gone without
    /// a word. False, and nothing is done, if the frame is not there.
    fn unwind_to(&mut self, at: &Place, live: u64, finished: &mut Vec<Finished>) -> bool {
        let Some(stack) = self.threads.get(&at.thread) else {
            return false;
        };
        let Some(index) = stack.iter().rposition(|open| open.frame == at.frame) else {
            return false;
        };
        for _ in index + 1..stack.len() {
            self.pop(at.thread, live, finished);
        }
        true
    }

    fn take(&mut self, thread: usize) -> Option<Open> {
        let stack = self.threads.get_mut(&thread)?;
        let open = stack.pop();
        if stack.is_empty() {
            self.threads.remove(&thread);
        }
        open
    }

    /// The innermost frame is gone.
    fn pop(&mut self, thread: usize, live: u64, finished: &mut Vec<Finished>) {
        self.close(thread, live);
        if let Some(open) = self.take(thread) {
            self.end_if_outermost(&open, finished);
        }
    }

    fn end_if_outermost(&mut self, open: &Open, finished: &mut Vec<Finished>) {
        let is_outermost = self
            .running
            .get(&open.invocation)
            .is_some_and(|running| running.frame == open.frame);
        if is_outermost && let Some(done) = self.running.remove(&open.invocation) {
            self.totals[done.function].add(&done.lines);
            finished.push(Finished {
                function: done.function,
                lines: done.lines,
            });
        }
    }
}
