//! Statements and expressions, each with what becomes of its parts.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{CmpOp, ExceptHandler, Expr, Pattern, Stmt, UnaryOp};
use ruff_text_size::{Ranged, TextRange};

use super::Walk;
use super::names::targets;
use crate::events::*;

impl<'a> Visitor<'a> for Walk {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        self.fate = Fate::Other;
        match statement {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [target] => self.assign(target, &assign.value),
                all => {
                    self.value(&assign.value, Fate::Other);
                    all.iter()
                        .for_each(|target| self.bind(target, Bound::Other));
                }
            },
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.assign(&assign.target, value);
                }
            }
            Stmt::AugAssign(assign) => {
                self.value(&assign.value, Fate::Other);
                match &*assign.target {
                    Expr::Name(name) => {
                        self.event(&name.id, assign.range, Vec::new(), What::Augment);
                    }
                    target => self.bind(target, Bound::Other),
                }
            }
            Stmt::For(each) => {
                let consumer = self.consumer("for", each.range, false);
                let mut names = HashSet::new();
                targets(&each.target, &mut names);
                self.facts.consumers[consumer].targets = names.iter().cloned().collect();
                let first_call = self.facts.named_calls.len();
                let fate = match each.is_async {
                    true => Fate::Other,
                    false => Fate::Iterated(consumer),
                };
                self.value(&each.iter, fate);
                let end = each.body.last().map_or(each.end(), |last| last.end());
                let range = TextRange::new(each.start(), end);
                self.inside(BlockKind::Loop, range, |walk| {
                    walk.bind(&each.target, Bound::Target);
                    walk.visit_body(&each.body);
                });
                self.note_waiting(consumer, &names, first_call);
                self.consumed(consumer);
                self.body(BlockKind::Branch, &each.orelse);
            }
            Stmt::While(each) => {
                let end = each.body.last().map_or(each.end(), |last| last.end());
                let range = TextRange::new(each.start(), end);
                self.inside(BlockKind::Loop, range, |walk| {
                    walk.value(&each.test, Fate::Measured);
                    walk.visit_body(&each.body);
                });
                self.body(BlockKind::Branch, &each.orelse);
            }
            Stmt::If(each) => {
                self.value(&each.test, Fate::Measured);
                self.body(BlockKind::Branch, &each.body);
                for clause in &each.elif_else_clauses {
                    if let Some(test) = &clause.test {
                        self.value(test, Fate::Measured);
                    }
                    self.body(BlockKind::Branch, &clause.body);
                }
            }
            Stmt::With(with) => {
                let mut is_reading = true;
                for item in &with.items {
                    let first_call = self.facts.named_calls.len();
                    self.value(&item.context_expr, Fate::Given);
                    is_reading &= self.opens_to_read(&item.context_expr);
                    if let Some(target) = &item.optional_vars {
                        self.note_files(target, &item.context_expr, first_call);
                    }
                }
                self.inside(BlockKind::With, with.range, |walk| {
                    if let Some(block) = walk.path.last() {
                        walk.facts.blocks[block.id].is_reading = is_reading;
                    }
                    for item in &with.items {
                        if let Some(target) = &item.optional_vars {
                            walk.bind(target, Bound::Other);
                        }
                    }
                    walk.visit_body(&with.body);
                });
            }
            Stmt::Try(each) => {
                self.body(BlockKind::Branch, &each.body);
                for handler in &each.handlers {
                    let ExceptHandler::ExceptHandler(handler) = handler;
                    if let Some(kind) = &handler.type_ {
                        self.value(kind, Fate::Read);
                    }
                    if let Some(name) = &handler.name {
                        let what = What::Bind(Bound::Other);
                        self.event(name, name.range(), Vec::new(), what);
                    }
                    self.body(BlockKind::Branch, &handler.body);
                }
                self.body(BlockKind::Branch, &each.orelse);
                self.body(BlockKind::Branch, &each.finalbody);
            }
            Stmt::Match(each) => {
                self.value(&each.subject, Fate::Other);
                for case in &each.cases {
                    self.visit_pattern(&case.pattern);
                    if let Some(guard) = &case.guard {
                        self.value(guard, Fate::Read);
                    }
                    self.body(BlockKind::Branch, &case.body);
                }
            }
            Stmt::FunctionDef(function) => {
                for decorator in &function.decorator_list {
                    self.value(&decorator.expression, Fate::Other);
                }
                let first_line = self.first_line(&function.decorator_list, function.start());
                let parameters = Some(&*function.parameters);
                let id = self.function(&function.name, parameters, first_line, |walk| {
                    walk.visit_body(&function.body);
                });
                let scope = &mut self.facts.scopes[id];
                scope.is_decorated = !function.decorator_list.is_empty();
                scope.is_async = function.is_async;
                self.defined(&function.name, id);
            }
            Stmt::ClassDef(class) => {
                for decorator in &class.decorator_list {
                    self.value(&decorator.expression, Fate::Other);
                }
                if let Some(arguments) = &class.arguments {
                    for base in &arguments.args {
                        self.value(base, Fate::Other);
                    }
                    self.keywords(arguments);
                }
                let first_line = self.first_line(&class.decorator_list, class.start());
                let id = self.function(&class.name, None, first_line, |walk| {
                    let id = walk.scope;
                    walk.facts.scopes[id].is_class = true;
                    walk.visit_body(&class.body);
                });
                self.facts.scopes[id].is_decorated = !class.decorator_list.is_empty();
                self.defined(&class.name, id);
            }
            Stmt::Return(each) => {
                if let Some(value) = &each.value {
                    self.facts.scopes[self.scope].returns += 1;
                    self.value(value, Fate::Returned);
                }
            }
            Stmt::Delete(each) => {
                for target in &each.targets {
                    match target {
                        Expr::Name(name) => {
                            self.event(&name.id, target.range(), Vec::new(), What::Delete);
                        }
                        Expr::Subscript(subscript) => {
                            self.value(&subscript.slice, Fate::Read);
                            self.change(&subscript.value, target.range(), What::ItemDelete);
                        }
                        Expr::Attribute(attribute) => {
                            self.change(&attribute.value, target.range(), What::AttributeStore);
                        }
                        _ => {}
                    }
                }
            }
            Stmt::Global(each) => {
                let names = each.names.iter().map(|name| name.to_string());
                self.facts.scopes[self.scope].outer.extend(names);
            }
            Stmt::Nonlocal(each) => {
                let names = each.names.iter().map(|name| name.to_string());
                self.facts.scopes[self.scope].outer.extend(names);
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let full = alias.name.as_str();
                    let (name, meaning) = match &alias.asname {
                        Some(name) => (name.as_str(), full),
                        None => {
                            let first = full.split('.').next().unwrap_or(full);
                            (first, first)
                        }
                    };
                    let entry = (name.to_string(), meaning.to_string());
                    self.facts.imports.extend([entry]);
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |name| name.as_str());
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    let full = format!("{module}.{}", alias.name);
                    self.facts.imports.insert(name.to_string(), full);
                }
            }
            Stmt::Expr(each) => self.value(&each.value, Fate::Read),
            Stmt::Assert(each) => {
                self.value(&each.test, Fate::Measured);
                if let Some(message) = &each.msg {
                    self.value(message, Fate::Read);
                }
            }
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        let fate = std::mem::replace(&mut self.fate, Fate::Other);
        match expression {
            Expr::Name(name) => {
                if name.ctx.is_load() {
                    self.event(&name.id, name.range, Vec::new(), What::Load(fate));
                }
            }
            Expr::Attribute(attribute) => {
                self.facts
                    .loose_attributes
                    .insert(attribute.attr.to_string());
                match self.chain(&attribute.value) {
                    Some((root, mut via)) => {
                        let what = match fate {
                            Fate::Given | Fate::Argument(..) => {
                                via.push(attribute.attr.to_string());
                                What::Load(fate)
                            }
                            _ => What::AttributeLoad(attribute.attr.to_string(), fate),
                        };
                        self.event(root, attribute.range, via, what);
                    }
                    None => self.value(&attribute.value, Fate::Other),
                }
            }
            Expr::Subscript(subscript) => {
                self.value(&subscript.slice, Fate::Read);
                match self.chain(&subscript.value) {
                    Some((root, via)) => {
                        let is_recent = is_recent(&subscript.slice);
                        let what = What::ItemLoad { is_recent };
                        self.event(root, subscript.range, via, what);
                    }
                    None => self.value(&subscript.value, Fate::Other),
                }
            }
            Expr::Call(call) => self.call(expression, call, fate),
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) => {
                self.comprehension(expression, &fate, true);
            }
            Expr::Generator(_) => self.comprehension(expression, &fate, false),
            Expr::Lambda(lambda) => {
                let first_line = self.line(lambda.start());
                let parameters = lambda.parameters.as_deref();
                self.function("<lambda>", parameters, first_line, |walk| {
                    walk.value(&lambda.body, Fate::Other);
                });
            }
            Expr::If(each) => {
                self.value(&each.test, Fate::Measured);
                self.inside(BlockKind::Branch, each.body.range(), |walk| {
                    walk.value(&each.body, Fate::Other);
                });
                self.inside(BlockKind::Branch, each.orelse.range(), |walk| {
                    walk.value(&each.orelse, Fate::Other);
                });
            }
            Expr::BoolOp(each) => {
                let mut values = each.values.iter();
                if let Some(first) = values.next() {
                    self.value(first, Fate::Other);
                }
                for value in values {
                    self.inside(BlockKind::Branch, value.range(), |walk| {
                        walk.value(value, Fate::Other);
                    });
                }
            }
            Expr::UnaryOp(each) => {
                let fate = match each.op {
                    UnaryOp::Not => Fate::Measured,
                    _ => Fate::Read,
                };
                self.value(&each.operand, fate);
            }
            Expr::BinOp(each) => {
                self.value(&each.left, Fate::Read);
                self.value(&each.right, Fate::Read);
            }
            Expr::Compare(each) => {
                self.value(&each.left, Fate::Read);
                for (operator, right) in each.ops.iter().zip(&each.comparators) {
                    match operator {
                        CmpOp::In | CmpOp::NotIn => {
                            let consumer = self.consumer("in", each.range, false);
                            self.value(right, Fate::Iterated(consumer));
                            self.consumed(consumer);
                        }
                        _ => self.value(right, Fate::Read),
                    }
                }
            }
            Expr::Named(named) => {
                self.value(&named.value, Fate::Other);
                self.bind(&named.target, Bound::Other);
            }
            Expr::Await(each) => {
                self.note_await(&each.value);
                visitor::walk_expr(self, expression);
            }
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                self.facts.scopes[self.scope].is_generator = true;
                match expression {
                    Expr::YieldFrom(each) => {
                        let consumer = self.consumer("yield from", each.range, false);
                        self.value(&each.value, Fate::Iterated(consumer));
                        self.consumed(consumer);
                    }
                    _ => visitor::walk_expr(self, expression),
                }
            }
            _ => visitor::walk_expr(self, expression),
        }
        self.fate = Fate::Other;
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let bound = match pattern {
            Pattern::MatchAs(each) => each.name.as_ref(),
            Pattern::MatchStar(each) => each.name.as_ref(),
            Pattern::MatchMapping(each) => each.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = bound {
            let what = What::Bind(Bound::Other);
            self.event(name, name.range(), Vec::new(), what);
        }
        visitor::walk_pattern(self, pattern);
    }
}

/// Does an index count from the end, by a number that is written there?
fn is_recent(index: &Expr) -> bool {
    let is_negative = |index: &Expr| match index {
        Expr::UnaryOp(each) => each.op == UnaryOp::USub && each.operand.is_number_literal_expr(),
        _ => false,
    };
    match index {
        Expr::Slice(slice) => slice.lower.as_deref().is_some_and(is_negative),
        index => is_negative(index),
    }
}
