//! Which functions of a module do more than compute, by their names.

use std::collections::HashSet;

use crate::events::*;

/// The functions and classes whose calls have effects, directly or by way of
/// others. Two of the same name count as one.
pub struct Effects {
    /// They start work that goes on by itself.
    pub starting: HashSet<String>,
    /// They bind variables of others.
    pub binding: HashSet<String>,
    /// They read files.
    pub reading: HashSet<String>,
    /// They may change files.
    pub writing: HashSet<String>,
}

impl Effects {
    /// Takes time in proportion to the calls, and to how deep they are nested.
    pub fn of(facts: &Facts) -> Self {
        let by = |act: Act| {
            let calls = facts.named_calls.iter();
            calls
                .filter(move |call| {
                    call.act == act && (act != Act::Starts || facts.is_at_work(call))
                })
                .map(|call| call.scope)
        };
        let binding = (0..facts.scopes.len()).filter(|id| {
            let scope = &facts.scopes[*id];
            scope.outer.iter().any(|name| {
                scope.events.get(name).is_some_and(|events| {
                    events.iter().any(|event| {
                        matches!(event.what, What::Bind(_) | What::Augment | What::Delete)
                    })
                })
            })
        });
        Self {
            starting: callers(facts, by(Act::Starts)),
            binding: callers(facts, binding),
            reading: callers(facts, by(Act::Reads)),
            writing: callers(facts, by(Act::Writes)),
        }
    }

    /// Must a call be done when and where it is written?
    pub fn acts(&self, facts: &Facts, call: &NamedCall) -> bool {
        call.act == Act::Starts && facts.is_at_work(call)
            || self.starting.contains(&call.name)
            || self.binding.contains(&call.name)
    }
}

/// The names of functions, and of all that call them.
fn callers(facts: &Facts, scopes: impl Iterator<Item = ScopeId>) -> HashSet<String> {
    let mut names = HashSet::new();
    let add = |names: &mut HashSet<String>, id: ScopeId| {
        let scope = &facts.scopes[id];
        let class = scope.parent.filter(|_| scope.name == "__init__");
        let name = class.map_or(&scope.name, |class| &facts.scopes[class].name);
        !name.is_empty() && name != "<lambda>" && names.insert(name.clone())
    };
    for id in scopes {
        add(&mut names, id);
    }
    loop {
        let mut is_more = false;
        for call in &facts.named_calls {
            if names.contains(&call.name) {
                is_more |= add(&mut names, call.scope);
            }
        }
        if !is_more {
            return names;
        }
    }
}
