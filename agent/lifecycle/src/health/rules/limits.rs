//! Limits of an expression, checked before it is ever evaluated. `cel` has no cost limit, so everything that could multiply
//! the cost is refused: length, depth, and loops inside loops.

use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::{Context, IdedExpr, Program};

/// Bytes of an expression: as many as the API accepts.
const MAX_LENGTH: usize = 1024;

/// Depth of the expression's tree. Evaluation recurses; expressions that people write are about twenty deep.
const MAX_DEPTH: usize = 64;

/// The only variable.
pub(super) const OBJECT: &str = "object";

/// The functions that may be called besides operators. An unknown one would only fail in the middle of a rollout.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "bytes",
    "int",
    "uint",
    "double",
    "min",
    "max",
];

/// Returns an error if the expression is longer than the API accepts.
pub(super) fn check_length(text: &str) -> Result<(), String> {
    match text.len() > MAX_LENGTH {
        true => Err(format!("is longer than {MAX_LENGTH} bytes")),
        false => Ok(()),
    }
}

/// Returns an error if the expression is too deep, has a loop inside a loop, or names an unknown variable, function or type.
pub(super) fn check_tree(expression: &IdedExpr) -> Result<(), String> {
    walk(expression, &mut Vec::new(), MAX_DEPTH)
}

/// `variables` are those of the surrounding loop.
fn walk<'a>(
    expression: &'a IdedExpr,
    variables: &mut Vec<&'a str>,
    depth: usize,
) -> Result<(), String> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("is nested more than {MAX_DEPTH} levels deep"));
    };
    let mut parts: Vec<&IdedExpr> = Vec::new();
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) if name == OBJECT || variables.contains(&name.as_str()) => {}
        Expr::Ident(name) => return Err(format!("{name} is unknown; there is only {OBJECT}")),
        Expr::Call(call) => {
            check_function(&call.func_name)?;
            check_pattern(call)?;
            parts.extend(call.target.as_deref());
            parts.extend(&call.args);
        }
        Expr::List(list) => parts.extend(&list.elements),
        Expr::Map(map) => map.entries.iter().for_each(|entry| parts.extend(fields(&entry.expr))),
        Expr::Select(select) => parts.push(&select.operand),
        Expr::Struct(made) => return Err(format!("{} is unknown", made.type_name)),
        Expr::Comprehension(each) => {
            if !variables.is_empty() {
                return Err("has a loop (all, exists, map, filter) in a loop".to_owned());
            }
            // The range may be the result of a loop: one runs after the other, not inside it.
            walk(&each.iter_range, variables, depth)?;
            let own = [Some(&each.iter_var), each.iter_var2.as_ref(), Some(&each.accu_var)];
            variables.extend(own.into_iter().flatten().map(String::as_str));
            for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                walk(part, variables, depth)?;
            }
            variables.clear();
        }
    }
    parts.into_iter().try_for_each(|part| walk(part, variables, depth))
}

fn fields(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn check_function(name: &str) -> Result<(), String> {
    let is_operator = name.contains(|c: char| !c.is_ascii_alphanumeric());
    if is_operator || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    Err(format!("the function {name} is unknown"))
}

/// Tries a pattern that is written in the expression, by the engine that will meet it.
fn check_pattern(call: &CallExpr) -> Result<(), String> {
    let pattern = call.args.last().filter(|_| call.func_name == "matches");
    let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern.map(|it| &it.expr) else {
        return Ok(());
    };
    let program = Program::compile(&format!("''.matches({OBJECT})"));
    let program = program.map_err(|error| error.to_string())?;
    let mut context = Context::default();
    let value = cel::Value::String(Arc::new(pattern.inner().to_owned()));
    context.add_variable_from_value(OBJECT, value);
    match program.execute(&context) {
        Ok(cel::Value::Bool(_)) => Ok(()),
        Ok(_) | Err(_) => Err(format!("{:?} is not a regular expression", pattern.inner())),
    }
}
