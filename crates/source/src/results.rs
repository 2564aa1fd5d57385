//! What is collected to be used when it is complete.
//!
//! A container that grows as long as the program runs may be the program's very
//! result: an index that is built in one loop and asked after it. What makes a
//! leak different is that nobody ever reads what was added, or that adding and
//! reading go on side by side. So moments are compared: those at which something
//! is added, directly or by calls, those at which it is read, and the loops that
//! both are in.

use std::collections::HashSet;

use crate::callee;
use crate::events::*;

/// See [`crate::is_result`]. Takes time in proportion to all calls, and to how deep
/// they are nested.
pub fn is_result(all: &[&Facts], container: &str, adder: &str) -> bool {
    let mut adders = HashSet::from([adder.to_string()]);
    let mut readers: HashSet<String> = HashSet::new();
    for facts in all {
        for event in touches(facts, container).filter(|event| is_read(event)) {
            let name = called(facts, event.scope);
            readers.extend((!name.is_empty()).then(|| name.to_string()));
        }
    }
    with_callers(all, &mut adders);
    with_callers(all, &mut readers);
    let mut is_after = false;
    for facts in all {
        // By scope, when something is added and when it is read.
        let mut moments = vec![(Vec::new(), Vec::new()); facts.scopes.len()];
        for call in &facts.named_calls {
            let (added, read) = &mut moments[call.scope];
            if adders.contains(&call.name) {
                added.push(call.time);
            } else if readers.contains(&call.name) {
                read.push(call.time);
            }
        }
        for event in touches(facts, container) {
            let (added, read) = &mut moments[event.scope];
            let is_adder = || called(facts, event.scope) == adder;
            if is_addition(event) || matches!(event.what, What::ItemLoad { .. }) && is_adder() {
                added.push(event.time);
            } else if is_read(event) {
                read.push(event.time);
            }
        }
        for (scope, (added, read)) in moments.into_iter().enumerate() {
            let is_adder = called(facts, scope) == adder;
            if added.is_empty() || read.is_empty() {
                continue;
            }
            if is_repeated(all, facts, scope, &mut Callers::default()) {
                // A cache looks into itself before it adds; that is no reading.
                if is_adder {
                    continue;
                }
                return false;
            }
            let complete = added.iter().map(|time| end_of_loops(facts, *time)).max();
            let complete = complete.unwrap_or(u32::MAX);
            let begun = added.iter().map(|time| begin_of_loops(facts, *time)).min();
            let begun = begun.unwrap_or(0);
            if read.iter().any(|time| (begun..=complete).contains(time)) && !is_adder {
                return false;
            }
            is_after |= read.iter().any(|time| *time > complete);
        }
    }
    is_after
}

/// What is done to a module's variable or any object's attribute of this name.
pub fn touches<'a>(facts: &'a Facts, name: &'a str) -> impl Iterator<Item = &'a Event> {
    facts
        .scopes
        .iter()
        .enumerate()
        .flat_map(move |(id, scope)| {
            scope.events.iter().flat_map(move |(owner, events)| {
                let is_it = owner == name && {
                    let owner = facts.owner(id, name);
                    owner == 0 || facts.scopes[owner].is_class
                };
                events
                    .iter()
                    .filter(move |event| match (&event.what, event.via.last()) {
                        (What::AttributeLoad(attribute, _), _) => attribute == name,
                        (_, Some(last)) => last == name,
                        (_, None) => is_it,
                    })
            })
        })
}

fn is_addition(event: &Event) -> bool {
    match &event.what {
        What::Method(name) => callee::is_addition(name),
        What::ItemStore | What::Augment => true,
        _ => false,
    }
}

/// Its length and its truth are no use of what is in it.
fn is_read(event: &Event) -> bool {
    match &event.what {
        What::ItemLoad { is_recent } => !is_recent,
        What::Method(name) => callee::is_pure_method(name) || name == "sort",
        What::Load(fate) | What::AttributeLoad(_, fate) => {
            !matches!(fate, Fate::Read | Fate::Measured)
        }
        _ => false,
    }
}

/// The name by which a scope's code is called; empty where there is none.
fn called(facts: &Facts, scope: ScopeId) -> &str {
    let each = &facts.scopes[scope];
    let class = each.parent.filter(|_| each.name == "__init__");
    class.map_or(&each.name, |class| &facts.scopes[class].name)
}

/// Adds the names of all that call one of `names`.
fn with_callers(all: &[&Facts], names: &mut HashSet<String>) {
    let mut before = usize::MAX;
    while names.len() != before {
        before = names.len();
        for facts in all {
            for call in &facts.named_calls {
                let caller = called(facts, call.scope);
                if names.contains(&call.name) && !caller.is_empty() && !names.contains(caller) {
                    names.insert(caller.to_string());
                }
            }
        }
    }
}

fn loops(facts: &Facts, time: u32) -> impl Iterator<Item = &Extent> {
    let around = move |extent: &&Extent| (extent.start..=extent.end).contains(&time);
    facts
        .blocks
        .iter()
        .filter(|extent| extent.is_loop)
        .filter(around)
}

/// When the outermost loop around a moment is over; the moment itself outside.
fn end_of_loops(facts: &Facts, time: u32) -> u32 {
    loops(facts, time)
        .map(|each| each.end)
        .max()
        .unwrap_or(time)
}

fn begin_of_loops(facts: &Facts, time: u32) -> u32 {
    let begin = loops(facts, time).map(|each| each.start);
    begin.min().unwrap_or(time)
}

/// Names of functions, while their callers are looked through.
#[derive(Default)]
struct Callers {
    /// From the one that is asked for to the one that is looked at.
    above: HashSet<String>,
    /// Those that run once. Each is looked through once, in however many ways it is
    /// called: ways double at each branch.
    once: HashSet<String>,
}

/// May a function's code run any number of times? Yes where nobody is seen to call
/// it: it may be a callback, or a thread's.
fn is_repeated(all: &[&Facts], facts: &Facts, scope: ScopeId, callers: &mut Callers) -> bool {
    let name = called(facts, scope);
    if scope == 0 || facts.scopes[scope].is_class && name.is_empty() {
        return false;
    }
    if callers.once.contains(name) {
        return false;
    }
    if !callers.above.insert(name.to_string()) {
        return true;
    }
    let mut is_called = false;
    for facts in all {
        for call in facts.named_calls.iter().filter(|call| call.name == name) {
            is_called = true;
            if loops(facts, call.time).next().is_some()
                || is_repeated(all, facts, call.scope, callers)
            {
                return true;
            }
        }
    }
    callers.above.remove(name);
    if is_called {
        // Was one of these above it, it would have been found below that one, too.
        callers.once.insert(name.to_string());
    }
    !is_called
}
