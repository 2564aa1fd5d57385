//! Calls and comprehensions: what builds a list, and what iterates over one.

use std::collections::HashSet;
use std::rc::Rc;

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{Arguments, Expr, ExprCall};
use ruff_text_size::Ranged;

use super::Walk;
use super::names::{Reads, generators, targets};
use crate::callee::{self, Role};
use crate::events::*;

impl Walk {
    pub(super) fn comprehension(&mut self, expression: &Expr, fate: &Fate, is_list: bool) {
        let all = generators(expression);
        let Some(first) = all.first() else { return };
        let first_call = self.facts.named_calls.len();
        let is_identity = match expression {
            Expr::ListComp(list) => {
                matches!((&*list.elt, &first.target), (Expr::Name(item), Expr::Name(target)) if item.id == target.id)
            }
            _ => false,
        };
        // A generator expression iterates when it is iterated itself.
        let first_fate = match fate {
            _ if first.is_async => Fate::Other,
            Fate::Iterated(_) if !is_list => fate.clone(),
            _ if is_list => {
                let consumer = self.consumer("comprehension", first.iter.range(), is_identity);
                Fate::Iterated(consumer)
            }
            _ => Fate::Other,
        };
        let iterating = match &first_fate {
            Fate::Iterated(consumer) => Some(*consumer),
            _ => None,
        };
        let own = match first_fate {
            Fate::Iterated(consumer) if is_list => Some(consumer),
            _ => None,
        };
        self.value(&first.iter, first_fate);
        let mut names = HashSet::new();
        all.iter()
            .for_each(|each| targets(&each.target, &mut names));
        self.hidden.push(names.clone());
        self.inside(BlockKind::Loop, expression.range(), |walk| {
            for (at, generator) in all.iter().enumerate() {
                if at > 0 {
                    let consumer = walk.consumer("comprehension", generator.iter.range(), false);
                    walk.value(&generator.iter, Fate::Iterated(consumer));
                    walk.consumed(consumer);
                }
                generator
                    .ifs
                    .iter()
                    .for_each(|test| walk.value(test, Fate::Read));
            }
            match expression {
                Expr::ListComp(each) => walk.value(&each.elt, Fate::Other),
                Expr::SetComp(each) => walk.value(&each.elt, Fate::Other),
                Expr::Generator(each) => walk.value(&each.elt, Fate::Other),
                Expr::DictComp(each) => {
                    walk.value(&each.key, Fate::Other);
                    walk.value(&each.value, Fate::Other);
                }
                _ => {}
            }
        });
        self.hidden.pop();
        if let Some(consumer) = iterating {
            self.note_waiting(consumer, &names, first_call);
        }
        if let Some(consumer) = own {
            self.consumed(consumer);
        }
        if matches!(expression, Expr::ListComp(_)) {
            let is_copy = is_identity && !self.is_lazy(&first.iter);
            let fate = fate.clone();
            self.build(
                Builder::Comprehension,
                expression,
                fate,
                is_copy,
                first_call,
            );
        }
    }

    /// Does an expression give an iterator that nobody else can change?
    fn is_lazy(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Generator(_) | Expr::ListComp(_) => true,
            Expr::Call(call) => self
                .full_name(&call.func)
                .is_some_and(|name| callee::is_lazy(&name)),
            _ => false,
        }
    }

    pub(super) fn call(&mut self, expression: &Expr, call: &ExprCall, fate: Fate) {
        let full_name = self.full_name(&call.func);
        let arguments = &call.arguments;
        let first_call = self.facts.named_calls.len();
        if matches!(full_name.as_deref(), Some("setattr" | "delattr" | "vars")) {
            self.facts.is_dynamic = true;
        }
        if let Some(name) = full_name.as_deref()
            && matches!(name, "list" | "tuple" | "sorted")
            && arguments.args.len() == 1
            && !arguments.args[0].is_starred_expr()
        {
            let source = &arguments.args[0];
            let consumer = self.consumer(&format!("{name}()"), expression.range(), true);
            self.value(source, Fate::Iterated(consumer));
            self.keywords(arguments);
            self.consumed(consumer);
            let is_copy = !self.is_lazy(source);
            let builder = Builder::Copy(name.to_string());
            self.build(builder, expression, fate, is_copy, first_call);
            return;
        }
        let site = self.facts.calls.len();
        self.reserve_call_site(call);
        let mut method = None;
        match &*call.func {
            Expr::Name(_) if full_name.is_some() => {}
            Expr::Attribute(_) if full_name.is_some() => {
                self.value(&call.func, Fate::Read);
            }
            Expr::Attribute(attribute) => {
                method = Some(attribute.attr.as_str());
                let name = attribute.attr.to_string();
                match self.chain(&attribute.value) {
                    Some((root, via)) => {
                        self.event(root, call.func.range(), via, What::Method(name));
                    }
                    None => self.receiver(&attribute.value),
                }
            }
            Expr::Name(name) => {
                self.event(&name.id, call.func.range(), Vec::new(), What::Call(site));
            }
            function => self.value(function, Fate::Other),
        }
        let mut consumers = Vec::new();
        for (number, argument) in arguments.args.iter().enumerate() {
            let position = Position::Number(number);
            let role = match (&full_name, method) {
                (Some(name), _) => callee::function(name, &position, arguments.args.len()),
                (None, Some(method)) => callee::method(method, &position),
                (None, None) => None,
            };
            let what = match (&full_name, method) {
                (Some(name), _) => format!("{name}()"),
                (None, Some(method)) => format!(".{method}()"),
                (None, None) => String::new(),
            };
            let argument_fate = match role {
                _ if argument.is_starred_expr() => Fate::Given,
                Some(Role::Looks) if matches!(full_name.as_deref(), Some("len" | "bool")) => {
                    Fate::Measured
                }
                Some(Role::Looks) => Fate::Read,
                Some(Role::Passes) => match &fate {
                    Fate::Iterated(consumer) => Fate::Iterated(*consumer),
                    _ => Fate::Given,
                },
                Some(role) => {
                    let keeps = role == Role::Keeps;
                    let consumer = self.consumer(&what, expression.range(), keeps);
                    self.facts.consumers[consumer].is_unordered =
                        role == Role::Folds { is_unordered: true };
                    consumers.push(consumer);
                    Fate::Iterated(consumer)
                }
                None => self.given(call, &full_name, position),
            };
            self.value(argument, argument_fate);
        }
        for keyword in &arguments.keywords {
            let fate = match &keyword.arg {
                Some(name) if full_name.is_none() => {
                    self.given(call, &full_name, Position::Keyword(name.to_string()))
                }
                _ => Fate::Given,
            };
            self.value(&keyword.value, fate);
        }
        for consumer in consumers {
            self.consumed(consumer);
        }
        self.note_call(call, full_name.as_deref());
        let is_lines = match (&*call.func, arguments.args.len()) {
            (Expr::Attribute(attribute), 0) if attribute.attr.as_str() == "readlines" => true,
            (Expr::Attribute(attribute), _) => {
                matches!(attribute.attr.as_str(), "splitlines" | "split")
                    && is_read(&attribute.value)
                    && splits_lines(&attribute.attr, arguments)
            }
            _ => false,
        };
        if is_lines {
            self.build(Builder::Lines, expression, fate, false, first_call);
            return;
        }
        let known = |name: &str| {
            callee::function(name, &Position::Number(0), 1).is_some() || callee::is_lazy(name)
        };
        let is_known = match (&full_name, method) {
            (Some(name), _) => known(name),
            (None, Some(method)) => callee::is_pure_method(method),
            (None, None) => false,
        };
        if !is_known {
            let moment = (self.scope, self.time);
            self.facts.unknown_calls.push(moment);
        }
        let mut reads = Reads::default();
        reads.visit_expr(expression);
        let end = self.tick();
        if let Some(site) = self.facts.calls.get_mut(site) {
            site.end = end;
            site.fate = fate;
            site.reads = reads.names;
        }
    }

    fn given(&self, call: &ExprCall, full_name: &Option<String>, position: Position) -> Fate {
        match (&*call.func, full_name) {
            (_, Some(_)) => Fate::Given,
            (Expr::Name(name), None) => Fate::Argument(name.id.to_string(), position),
            (Expr::Attribute(attribute), None) => {
                Fate::Argument(format!(".{}", attribute.attr), position)
            }
            _ => Fate::Given,
        }
    }

    /// What a method is called on, if that is no name.
    fn receiver(&mut self, object: &Expr) {
        // `open(…).readlines()`: nothing else has the file.
        self.value(object, Fate::Given);
    }

    /// A place for what is known of a call, before its arguments' calls have theirs.
    fn reserve_call_site(&mut self, call: &ExprCall) {
        let number = self.facts.calls.len();
        if let Expr::Attribute(attribute) = &*call.func {
            let calls = self.facts.method_calls.entry(attribute.attr.to_string());
            calls.or_default().push(number);
        }
        self.facts.calls.push(CallSite {
            scope: self.scope,
            path: Rc::from(self.path.as_slice()),
            end: u32::MAX,
            fate: Fate::Other,
            reads: HashSet::new(),
        });
    }

    pub(super) fn keywords(&mut self, arguments: &Arguments) {
        for keyword in &arguments.keywords {
            self.value(&keyword.value, Fate::Given);
        }
    }
}

/// The `maxlen` of a deque: a keyword, or the second argument.
pub(super) fn is_bounded(function: &str, call: &ExprCall) -> bool {
    let arguments = &call.arguments;
    function == "collections.deque" && arguments.find_argument("maxlen", 1).is_some()
}

fn is_read(expression: &Expr) -> bool {
    match expression {
        Expr::Call(call) => {
            call.arguments.is_empty()
                && matches!(&*call.func, Expr::Attribute(attribute)
                    if matches!(attribute.attr.as_str(), "read" | "read_text"))
        }
        _ => false,
    }
}

fn splits_lines(method: &str, arguments: &Arguments) -> bool {
    match (method, arguments.args.first()) {
        ("splitlines", _) => true,
        (_, Some(Expr::StringLiteral(text))) => text.value.to_str() == "\n",
        _ => false,
    }
}
