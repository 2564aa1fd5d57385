//! How long names are used, and what only grows.

use std::collections::HashMap;

use crate::callee;
use crate::events::*;

/// A container that functions add to and nobody takes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The line where it is made.
    pub made_at: u32,
    /// The first line in a function that adds to it.
    pub added_at: u32,
    /// The function that does, by its name.
    pub function: String,
    /// It is looked into where it is added to: a cache.
    pub is_cache: bool,
    /// It is read anywhere else.
    pub is_read: bool,
}

/// The scope whose code begins at a line; 0 is the module.
pub fn scope_at(facts: &Facts, first_line: u32) -> Option<ScopeId> {
    if first_line == 0 {
        return Some(0);
    }
    let mut found = (1..facts.scopes.len()).filter(|id| {
        let scope = &facts.scopes[*id];
        scope.first_line == first_line && !scope.is_class && scope.name != "<lambda>"
    });
    found.next()
}

fn is_use(event: &Event) -> bool {
    !matches!(event.what, What::Bind(_) | What::Delete) || !event.via.is_empty()
}

/// See [`crate::Module::is_unused_from`].
pub fn is_unused_from(facts: &Facts, first_line: u32, name: &str, line: u32) -> bool {
    let Some(scope) = scope_at(facts, first_line) else {
        return false;
    };
    if scope != 0 && !facts.is_own(scope, name) {
        return false;
    }
    // A module's variables can be seen from all functions.
    let peeks = |call: &NamedCall| call.act == Act::Peeks && (scope == 0 || call.scope == scope);
    if facts.named_calls.iter().any(peeks) {
        return false;
    }
    let events = facts.events_of(scope, name);
    // The loops that the line is in: what they do comes again.
    let mut from = line;
    for id in loops_around(facts, scope, line) {
        from = from.min(facts.blocks[id].first_line);
    }
    let mut is_bound = false;
    for event in events {
        if event.scope != scope {
            return false;
        }
        if is_use(event) && event.line >= from {
            return false;
        }
        if matches!(event.what, What::Bind(_)) && event.via.is_empty() {
            if event.line >= from {
                return false;
            }
            is_bound = true;
        }
    }
    is_bound
}

/// See [`crate::Module::is_shared_unused_from`].
pub fn is_shared_unused_from(facts: &Facts, first_line: u32, name: &str, line: u32) -> bool {
    let Some(scope) = scope_at(facts, first_line).filter(|scope| facts.is_own(*scope, name)) else {
        return false;
    };
    if facts.named_calls.iter().any(|call| call.act == Act::Peeks) {
        return false;
    }
    let mut from = line;
    for id in loops_around(facts, scope, line) {
        from = from.min(facts.blocks[id].first_line);
    }
    facts.events_of(scope, name).iter().all(|event| {
        let mut at = event.line;
        let mut inner = event.scope;
        // An inner function can be made anew only where it is written.
        while inner != scope {
            at = facts.scopes[inner].first_line;
            match facts.scopes[inner].parent {
                Some(parent) => inner = parent,
                None => return false,
            }
        }
        at < from
    })
}

/// See [`crate::Module::only_measures`].
pub fn only_measures(facts: &Facts, first_line: u32, name: &str) -> bool {
    let is_here = |id: &ScopeId| {
        let scope = &facts.scopes[*id];
        *id != 0 && scope.first_line == first_line && !scope.is_class
    };
    let mut is_used = false;
    for id in (0..facts.scopes.len()).filter(is_here) {
        let owner = facts.owner(id, name);
        if owner == id || owner == 0 {
            continue;
        }
        for event in facts.events_of(owner, name) {
            let mut inner = Some(event.scope);
            while inner.is_some_and(|inner| inner != id) {
                inner = inner.and_then(|inner| facts.scopes[inner].parent);
            }
            if inner.is_none() {
                continue;
            }
            if !event.via.is_empty() || event.what != What::Load(Fate::Measured) {
                return false;
            }
            is_used = true;
        }
    }
    is_used && !facts.named_calls.iter().any(|call| call.act == Act::Peeks)
}

/// The loops of a scope that a line is in. A loop is the scope's if anything
/// that the scope does is in it.
fn loops_around(facts: &Facts, scope: ScopeId, line: u32) -> Vec<usize> {
    let mut found = Vec::new();
    for event in facts.scopes[scope].events.values().flatten() {
        for block in event.path.iter() {
            let extent = &facts.blocks[block.id];
            let is_around = (extent.first_line..=extent.last_line).contains(&line);
            if block.kind == BlockKind::Loop && is_around && !found.contains(&block.id) {
                found.push(block.id);
            }
        }
    }
    found
}

/// See [`crate::Module::last_use`].
pub fn last_use(facts: &Facts, first_line: u32, name: &str, line: u32) -> Option<u32> {
    let scope = scope_at(facts, first_line)?;
    let events = facts.events_of(scope, name);
    let used = events.iter().filter(|event| event.line < line);
    used.map(|event| event.line).max()
}

/// See [`crate::Module::bound_in`].
pub fn bound_in(facts: &Facts, first_line: u32, name: &str, line: u32) -> Option<u32> {
    let scope = scope_at(facts, first_line)?;
    let events = facts.scopes[scope].events.get(name)?;
    let bound = events
        .iter()
        .filter(|event| matches!(event.what, What::Bind(_)) && event.line <= line);
    bound.map(|event| event.line).max()
}

/// See [`crate::Module::defined_at`].
pub fn defined_at(facts: &Facts, name: &str) -> Option<u32> {
    let (scope, name) = namespace(facts, name)?;
    let mut found = facts
        .scopes
        .iter()
        .filter(|each| each.parent == Some(scope) && each.name == name);
    found.next().map(|each| each.first_line)
}

/// The scope of `name` or of the class in `Class.name`.
fn namespace<'a>(facts: &Facts, name: &'a str) -> Option<(ScopeId, &'a str)> {
    let Some((class, name)) = name.rsplit_once('.') else {
        return Some((0, name));
    };
    let mut found = (0..facts.scopes.len()).filter(|id| {
        let scope = &facts.scopes[*id];
        scope.is_class && scope.name == class
    });
    found.next().map(|scope| (scope, name))
}

/// See [`crate::Module::growing`].
pub fn growing(facts: &Facts) -> HashMap<String, Growth> {
    let mut found = HashMap::new();
    for (id, scope) in facts.scopes.iter().enumerate() {
        if id != 0 && !scope.is_class {
            continue;
        }
        for (name, events) in &scope.events {
            let made = events.iter().find(|event| {
                event.via.is_empty() && matches!(event.what, What::Bind(Bound::Display { .. }))
            });
            let Some(made) = made else { continue };
            let touches = match scope.is_class {
                true => of_attribute(facts, name),
                false => of_global(facts, name),
            };
            if let Some(growth) = judge(facts, made, &touches) {
                let shown = match scope.is_class {
                    true => format!("{}.{name}", scope.name),
                    false => name.clone(),
                };
                found.insert(shown, growth);
            }
        }
    }
    found
}

/// What is done to a module's variable, directly.
fn of_global<'a>(facts: &'a Facts, name: &str) -> Vec<&'a Event> {
    facts.events_of(0, name)
}

/// What is done to an attribute of this name of whatever object.
fn of_attribute<'a>(facts: &'a Facts, name: &str) -> Vec<&'a Event> {
    let mut found = Vec::new();
    for scope in &facts.scopes {
        for (owner, events) in &scope.events {
            if owner == name && scope.is_class {
                found.extend(events.iter());
            }
            let by_attribute = |event: &&Event| event.via.last().is_some_and(|each| each == name);
            found.extend(events.iter().filter(by_attribute));
        }
    }
    found
}

fn judge(facts: &Facts, made: &Event, touches: &[&Event]) -> Option<Growth> {
    let mut growth: Option<Growth> = None;
    let mut adding = Vec::new();
    for event in touches {
        let is_in_function = event.scope != 0 && !facts.scopes[event.scope].is_class;
        let is_added = match &event.what {
            What::Method(name) if callee::is_removal(name) => return None,
            What::ItemDelete | What::Delete => return None,
            What::Bind(_) | What::Augment if event.time != made.time => return None,
            What::AttributeStore if !event.via.is_empty() => false,
            What::Load(Fate::Given | Fate::Argument(..) | Fate::Other | Fate::Returned) => {
                // Somebody else may do anything with it.
                return None;
            }
            What::Method(name) => callee::is_addition(name),
            What::ItemStore => true,
            _ => false,
        };
        if is_added && is_in_function {
            adding.push(event.scope);
            let function = facts.scopes[event.scope].name.clone();
            growth.get_or_insert(Growth {
                made_at: made.line,
                added_at: event.line,
                function,
                is_cache: false,
                is_read: false,
            });
        }
    }
    let mut growth = growth?;
    for event in touches {
        let is_read = match &event.what {
            What::ItemLoad { .. } => true,
            What::Method(name) => callee::is_pure_method(name) || name == "setdefault",
            What::Load(Fate::Iterated(_)) => true,
            _ => false,
        };
        // `len()` and tests alone are no use of what is in it.
        if is_read && adding.contains(&event.scope) {
            growth.is_cache = true;
        } else if is_read {
            growth.is_read = true;
        }
    }
    Some(growth)
}

/// See [`crate::Module::changed_default`].
pub fn changed_default(facts: &Facts, first_line: u32, parameter: &str) -> Option<u32> {
    let scope = scope_at(facts, first_line)?;
    if !facts.scopes[scope]
        .parameters
        .iter()
        .any(|each| each == parameter)
    {
        return None;
    }
    let events = facts.scopes[scope].events.get(parameter)?;
    let is_replaced = |event: &Event| match &event.what {
        What::Bind(bound) => *bound != Bound::Parameter,
        _ => false,
    };
    if events.iter().any(is_replaced) {
        return None;
    }
    let changed = events.iter().find(|event| match &event.what {
        What::Method(name) => event.via.is_empty() && callee::is_addition(name),
        What::ItemStore => event.via.is_empty(),
        What::Augment => true,
        _ => false,
    });
    changed.map(|event| event.line)
}
