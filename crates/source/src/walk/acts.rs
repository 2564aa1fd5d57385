//! What calls do besides computing, as far as their names tell.

use std::collections::HashSet;

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{Expr, ExprCall};

use super::Walk;
use super::names::{Reads, targets};
use crate::callee;
use crate::events::*;

impl Walk {
    /// Notes a call, and the functions that are handed to it: `map(pool.submit, …)`
    /// calls `submit`.
    pub(super) fn note_call(&mut self, call: &ExprCall, full_name: Option<&str>) {
        if let Some(name) = self.last_name(&call.func) {
            let root = match &*call.func {
                Expr::Attribute(attribute) => self.chain(&attribute.value),
                _ => None,
            };
            let root = root.map(|(root, _)| root.to_string());
            let mut act = callee::act(&name, full_name, &call.arguments);
            if act == Act::None && root.is_some() && callee::is_waiting(&name, &call.arguments) {
                act = Act::Waits;
            }
            self.note(name, root, act);
        }
        for argument in &call.arguments.args {
            if let Some(name) = self.last_name(argument) {
                let act = match callee::is_start(&name) {
                    true => Act::Starts,
                    false => Act::None,
                };
                self.note(name, None, act);
            }
        }
    }

    fn note(&mut self, name: String, root: Option<String>, act: Act) {
        self.facts.named_calls.push(NamedCall {
            scope: self.scope,
            time: self.time,
            name,
            root,
            act,
        });
    }

    /// `a.b.c` is called `c`, an imported name what it is called where it is from.
    fn last_name(&self, function: &Expr) -> Option<String> {
        match function {
            Expr::Attribute(attribute) => Some(attribute.attr.to_string()),
            Expr::Name(name) => {
                let full = self.full_name(function);
                let last = full.as_deref().and_then(|full| full.rsplit('.').next());
                Some(last.unwrap_or(&name.id).to_string())
            }
            _ => None,
        }
    }

    /// `await task`, `await wait_for(task, 3)`.
    pub(super) fn note_await(&mut self, awaited: &Expr) {
        let task = match awaited {
            Expr::Call(call)
                if self.last_name(&call.func).is_some_and(|name| {
                    matches!(name.as_str(), "wait_for" | "shield" | "wrap_future")
                }) =>
            {
                call.arguments.args.first()
            }
            other => Some(other),
        };
        if let Some((root, _)) = task.and_then(|task| self.chain(task)) {
            self.note("await".to_string(), Some(root.to_string()), Act::Waits);
        }
    }

    /// Does a consumer wait for its items, by the calls since `first_call`?
    pub(super) fn note_waiting(
        &mut self,
        consumer: ConsumerId,
        items: &HashSet<String>,
        first_call: usize,
    ) {
        let is_item =
            |call: &NamedCall| call.root.as_ref().is_some_and(|root| items.contains(root));
        self.facts.consumers[consumer].waits |= self.facts.named_calls[first_call..]
            .iter()
            .any(|call| is_item(call) && self.facts.is_at_work(call));
    }

    /// Is it a file that is opened for reading: `open(name)`, `path.open()`?
    pub(super) fn opens_to_read(&self, value: &Expr) -> bool {
        let Expr::Call(call) = value else {
            return false;
        };
        let full_name = self.full_name(&call.func);
        let name = self.last_name(&call.func);
        name.as_deref() == Some("open")
            && callee::act("open", full_name.as_deref(), &call.arguments) == Act::Reads
    }

    /// Notes the names of a target that is made from a file.
    pub(super) fn note_files(&mut self, target: &Expr, value: &Expr, first_call: usize) {
        let mut reads = Reads::default();
        reads.visit_expr(value);
        let is_file = self.facts.named_calls[first_call..]
            .iter()
            .any(|call| matches!(call.act, Act::Reads | Act::Writes))
            || !reads.names.is_disjoint(&self.facts.file_names);
        if is_file {
            targets(target, &mut self.facts.file_names);
        }
    }
}
