//! What is added to, and never looked at again.

use crate::callee;
use crate::events::*;
use crate::lifetimes;
use crate::results;

/// How far a container is followed from one function to another.
const DEPTH: usize = 8;

/// See [`crate::is_pile`].
pub fn is_pile(all: &[&Facts], container: &str) -> bool {
    let mut adds = false;
    for facts in all {
        for event in results::touches(facts, container) {
            if !is_harmless(facts, event, &mut adds, DEPTH) {
                return false;
            }
        }
    }
    adds
}

/// See [`crate::Module::is_local_pile`].
pub fn is_local_pile(facts: &Facts, first_line: u32, name: &str) -> bool {
    let scope = lifetimes::scope_at(facts, first_line).filter(|scope| facts.is_own(*scope, name));
    let peeks = |call: &NamedCall| call.act == Act::Peeks;
    let mut adds = false;
    match scope {
        Some(scope) if !facts.named_calls.iter().any(peeks) => {
            is_harmless_in(facts, scope, name, &mut adds, DEPTH) && adds
        }
        _ => false,
    }
}

/// Is all that is done to a variable of `scope` harmless?
fn is_harmless_in(
    facts: &Facts,
    scope: ScopeId,
    name: &str,
    adds: &mut bool,
    depth: usize,
) -> bool {
    let events = facts.events_of(scope, name);
    let mut events = events.iter();
    events.all(|event| event.via.is_empty() && is_harmless(facts, event, adds, depth))
}

/// Does an event read nothing of what is in a container, but how much there is and
/// what came last? Whoever else may get hold of it may read all of it.
fn is_harmless(facts: &Facts, event: &Event, adds: &mut bool, depth: usize) -> bool {
    match &event.what {
        What::Bind(bound) => !matches!(bound, Bound::Target | Bound::Definition(_)),
        What::AttributeStore => true,
        What::Delete | What::ItemDelete => true,
        What::ItemStore | What::Augment => {
            *adds = true;
            true
        }
        What::Method(name) => {
            *adds |= callee::is_addition(name);
            // What `setdefault` finds may be anything.
            callee::is_addition(name) && name != "setdefault"
        }
        What::ItemLoad { is_recent } => *is_recent,
        What::Load(fate) | What::AttributeLoad(_, fate) => match fate {
            Fate::Measured => true,
            Fate::Argument(function, position) => {
                depth > 0 && is_harmless_argument(facts, function, position, adds, depth - 1)
            }
            _ => false,
        },
        What::Call(_) => false,
    }
}

/// The same of the parameter that it becomes.
fn is_harmless_argument(
    facts: &Facts,
    function: &str,
    position: &Position,
    adds: &mut bool,
    depth: usize,
) -> bool {
    let name = function.strip_prefix('.').unwrap_or(function);
    let is_method = name.len() < function.len();
    let is_it = |id: &ScopeId| {
        let scope = &facts.scopes[*id];
        let parent = scope.parent.map(|parent| &facts.scopes[parent]);
        scope.name == name
            && !scope.is_class
            && !scope.is_decorated
            && parent.is_some_and(|parent| parent.is_class == is_method)
    };
    let found: Vec<ScopeId> = (1..facts.scopes.len()).filter(is_it).collect();
    let is_harmless = |id: &ScopeId| {
        let parameters = &facts.scopes[*id].parameters;
        let parameter = match position {
            Position::Number(number) => parameters.get(number + usize::from(is_method)),
            Position::Keyword(name) => parameters.iter().find(|each| *each == name),
        };
        let name = parameter.cloned();
        name.is_some_and(|name| is_harmless_in(facts, *id, &name, adds, depth))
    };
    !found.is_empty() && found.iter().all(is_harmless)
}

/// See [`crate::is_asked`].
pub fn is_asked(all: &[&Facts], container: &str) -> bool {
    all.iter().any(|facts| {
        let mut touches = results::touches(facts, container);
        touches.any(|event| is_asked_by(facts, event))
    })
}

fn is_asked_by(facts: &Facts, event: &Event) -> bool {
    match &event.what {
        What::Load(Fate::Iterated(consumer)) | What::AttributeLoad(_, Fate::Iterated(consumer)) => {
            facts.consumers[*consumer].what == "in"
        }
        _ => false,
    }
}
