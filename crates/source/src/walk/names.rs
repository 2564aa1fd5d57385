//! Names: which a module binds, which an expression reads.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Comprehension, Expr, Stmt};

/// All names that are bound anywhere but by imports: what a built-in function's
/// name means is only known if nobody gives it another meaning.
#[derive(Default)]
pub struct Names(pub HashSet<String>);

impl<'a> Visitor<'a> for Names {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => {
                self.0.insert(function.name.to_string());
            }
            Stmt::ClassDef(class) => {
                self.0.insert(class.name.to_string());
                // What is bound in a class does not hide what is built in.
                let mut inside = Self::default();
                for each in &class.body {
                    match each {
                        Stmt::FunctionDef(function) => inside.visit_body(&function.body),
                        _ => inside.visit_stmt(each),
                    }
                }
                self.0.extend(inside.0);
                return;
            }
            _ => {}
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Name(name) = expression
            && name.ctx.is_store()
        {
            self.0.insert(name.id.to_string());
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_parameter(&mut self, parameter: &'a ruff_python_ast::Parameter) {
        self.0.insert(parameter.name.to_string());
    }
}

/// What an expression reads, and whether it does more than compute.
#[derive(Default)]
pub struct Reads {
    /// The names.
    pub names: HashSet<String>,
    /// It awaits, yields or binds a name.
    pub is_entangled: bool,
}

impl<'a> Visitor<'a> for Reads {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) => {
                self.names.insert(name.id.to_string());
            }
            Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Named(_) => {
                self.is_entangled = true;
            }
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                let mut inside = Self::default();
                visitor::walk_expr(&mut inside, expression);
                let mut own = HashSet::new();
                for generator in generators(expression) {
                    self.is_entangled |= generator.is_async;
                    targets(&generator.target, &mut own);
                }
                self.is_entangled |= inside.is_entangled;
                self.names.extend(inside.names.difference(&own).cloned());
                return;
            }
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }
}

/// The `for` parts of a comprehension or generator expression; none of others.
pub fn generators(expression: &Expr) -> &[Comprehension] {
    match expression {
        Expr::ListComp(each) => &each.generators,
        Expr::SetComp(each) => &each.generators,
        Expr::DictComp(each) => &each.generators,
        Expr::Generator(each) => &each.generators,
        _ => &[],
    }
}

/// The names that a target binds.
pub fn targets(target: &Expr, names: &mut HashSet<String>) {
    match target {
        Expr::Name(name) => {
            names.insert(name.id.to_string());
        }
        Expr::Tuple(tuple) => tuple.elts.iter().for_each(|each| targets(each, names)),
        Expr::List(list) => list.elts.iter().for_each(|each| targets(each, names)),
        Expr::Starred(starred) => targets(&starred.value, names),
        _ => {}
    }
}
