//! One CEL expression over `object`, bounded before it is ever evaluated. `cel` has no limit on cost, so what could
//! multiply it is refused: length, depth, and loops within loops. Its errors carry values; none leaves this file.

use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, IdedExpr, Program};
use serde_json::Value;

/// As long as the API takes.
const LONGEST: usize = 1024;

/// Depth of the expression's tree: evaluation recurses, and what people write comes to about twenty.
const DEEPEST: usize = 64;

/// The only variable there is.
const OBJECT: &str = "object";

/// What can be called beside operators. An unknown one would only be found out in mid-rollout.
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

#[derive(Debug)]
pub(super) struct Expression {
    text: String,
    program: Program,
}

pub(super) enum Answer {
    Yes,
    No,
    /// Why it could not be told, without anything that is in the object.
    Unclear(String),
}

impl Expression {
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let program = Program::compile(text).map_err(|errors| {
            let first = errors.errors.first().map_or(String::new(), |error| error.msg.clone());
            format!("is not CEL: {first}")
        })?;
        walk(program.expression(), &mut Vec::new(), DEEPEST)?;
        Ok(Self { text: text.to_owned(), program })
    }

    pub fn ask(&self, object: &cel::Value) -> Answer {
        let mut context = Context::default();
        context.add_variable_from_value(OBJECT, object.clone());
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(true)) => Answer::Yes,
            Ok(cel::Value::Bool(false)) => Answer::No,
            Ok(_) => Answer::Unclear("is neither true nor false".to_owned()),
            Err(error) => Answer::Unclear(self.told(&error)),
        }
    }

    fn told(&self, error: &ExecutionError) -> String {
        if let ExecutionError::NoSuchKey(name) = error {
            // Unless the rule takes it from the object.
            return match self.text.contains(name.as_str()) {
                true => format!("no such key: {name}; guard it with has()"),
                false => "no such key".to_owned(),
            };
        }
        if let ExecutionError::NoSuchOverload(types) = error {
            return types.to_string();
        }
        plainly(error).to_owned()
    }
}

/// What kind of mistake it is; the values that made it are not told.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of another crate, and some of its variants are deprecated"
)]
fn plainly(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::IndexOutOfBounds(_) => "the list is shorter",
        ExecutionError::ValuesNotComparable(..) => "compares values of different types",
        ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnsupportedBinaryOperator(..) => {
            "a value is of another type than it takes"
        }
        ExecutionError::UnsupportedKeyType(_) | ExecutionError::UnsupportedIndex(..) => {
            "a value is no index"
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "divides by zero",
        ExecutionError::Overflow(..) => "a number is too large",
        ExecutionError::InvalidArgumentCount { .. } | ExecutionError::MissingArgumentOrTarget => {
            "a function has too many or too few arguments"
        }
        ExecutionError::FunctionError { .. } => "a function cannot take the value it is given",
        _ => "cannot be evaluated",
    }
}

/// Refuses what is too deep, loops in loops, and names that nothing has. `loops` are the variables of the loop around.
fn walk<'a>(expression: &'a IdedExpr, loops: &mut Vec<&'a str>, deep: usize) -> Result<(), String> {
    let Some(deep) = deep.checked_sub(1) else {
        return Err(format!("is nested more than {DEEPEST} deep"));
    };
    let mut inner: Vec<&IdedExpr> = Vec::new();
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) if name == OBJECT || loops.contains(&name.as_str()) => {}
        Expr::Ident(name) => return Err(format!("{name} is unknown; there is only {OBJECT}")),
        Expr::Call(call) => {
            is_known(&call.func_name)?;
            is_readable(call)?;
            inner.extend(call.target.as_deref());
            inner.extend(&call.args);
        }
        Expr::List(list) => inner.extend(&list.elements),
        Expr::Map(map) => map.entries.iter().for_each(|entry| inner.extend(parts(&entry.expr))),
        Expr::Select(select) => inner.push(&select.operand),
        Expr::Struct(made) => return Err(format!("{} is unknown", made.type_name)),
        Expr::Comprehension(each) => {
            if !loops.is_empty() {
                return Err("has a loop (all, exists, map, filter) in a loop".to_owned());
            }
            // What is gone through may itself come of a loop: one after the other, not one in the other.
            walk(&each.iter_range, loops, deep)?;
            let variables = [Some(&each.iter_var), each.iter_var2.as_ref(), Some(&each.accu_var)];
            loops.extend(variables.into_iter().flatten().map(String::as_str));
            for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                walk(part, loops, deep)?;
            }
            loops.clear();
        }
    }
    inner.into_iter().try_for_each(|part| walk(part, loops, deep))
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn is_known(function: &str) -> Result<(), String> {
    let is_operator = function.contains(|c: char| !c.is_ascii_alphanumeric());
    if is_operator || FUNCTIONS.contains(&function) {
        return Ok(());
    }
    Err(format!("the function {function} is unknown"))
}

/// A pattern that is written down can be tried before it is needed: by the engine that would meet it.
fn is_readable(call: &CallExpr) -> Result<(), String> {
    let pattern = call.args.last().filter(|_| call.func_name == "matches");
    let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern.map(|it| &it.expr) else {
        return Ok(());
    };
    let tried = Expression { text: String::new(), program: tried_pattern()? };
    match tried.ask(&cel::Value::String(Arc::new(pattern.inner().to_owned()))) {
        Answer::Yes | Answer::No => Ok(()),
        Answer::Unclear(_) => Err(format!("{:?} is no regular expression", pattern.inner())),
    }
}

fn tried_pattern() -> Result<Program, String> {
    Program::compile(&format!("''.matches({OBJECT})")).map_err(|error| error.to_string())
}

/// JSON as CEL has it: whole numbers are ints, so that they compare and add up with those in an expression.
pub(super) fn value(json: &Value) -> cel::Value {
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(is) => cel::Value::Bool(*is),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(value).collect())),
        Value::Object(fields) => {
            let pair = |(name, field): (&String, &Value)| {
                (Key::String(Arc::new(name.clone())), value(field))
            };
            cel::Value::Map(Map { map: Arc::new(fields.iter().map(pair).collect()) })
        }
    }
}
