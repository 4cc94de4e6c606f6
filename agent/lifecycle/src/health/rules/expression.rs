//! One CEL expression over `object`. Errors of `cel` carry values of the object; none of them leaves this file.

use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Program};
use serde_json::Value;

use super::limits::{self, OBJECT};

/// A compiled expression that is within the limits.
#[derive(Debug)]
pub(super) struct Expression {
    text: String,
    program: Program,
}

/// The result of an evaluation.
pub(super) enum Answer {
    Yes,
    No,
    /// The kind of error, without any value of the object.
    Error(String),
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A message that follows the name of the expression.
    pub fn compile(text: &str) -> Result<Self, String> {
        limits::check_length(text)?;
        let program = Program::compile(text).map_err(|errors| {
            let first = errors.errors.first().map_or(String::new(), |error| error.msg.clone());
            format!("is not CEL: {first}")
        })?;
        limits::check_tree(program.expression())?;
        Ok(Self { text: text.to_owned(), program })
    }

    pub fn evaluate(&self, object: &cel::Value) -> Answer {
        let mut context = Context::default();
        context.add_variable_from_value(OBJECT, object.clone());
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(true)) => Answer::Yes,
            Ok(cel::Value::Bool(false)) => Answer::No,
            Ok(_) => Answer::Error("is not a boolean".to_owned()),
            Err(error) => Answer::Error(self.describe(&error)),
        }
    }

    fn describe(&self, error: &ExecutionError) -> String {
        if let ExecutionError::NoSuchKey(name) = error {
            // A key that is not in the text was computed from a value of the object.
            return match self.text.contains(name.as_str()) {
                true => format!("no such key: {name}; guard it with has()"),
                false => "no such key".to_owned(),
            };
        }
        if let ExecutionError::NoSuchOverload(types) = error {
            return types.to_string();
        }
        error_kind(error).to_owned()
    }
}

/// The kind of an error, without the values that caused it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of another crate, and some of its variants are deprecated"
)]
fn error_kind(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds",
        ExecutionError::ValuesNotComparable(..) => "compares values of different types",
        ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnsupportedBinaryOperator(..) => "a value has the wrong type",
        ExecutionError::UnsupportedKeyType(_) | ExecutionError::UnsupportedIndex(..) => {
            "a value cannot be an index"
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero"
        }
        ExecutionError::Overflow(..) => "a number is too large",
        ExecutionError::InvalidArgumentCount { .. } | ExecutionError::MissingArgumentOrTarget => {
            "a function has too many or too few arguments"
        }
        ExecutionError::FunctionError { .. } => "a function does not accept its argument",
        _ => "cannot be evaluated",
    }
}

/// Converts JSON to CEL. Whole numbers are ints, so that they compare and add up with those in an expression.
pub(super) fn to_cel(json: &Value) -> cel::Value {
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(is) => cel::Value::Bool(*is),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let pair = |(name, field): (&String, &Value)| {
                (Key::String(Arc::new(name.clone())), to_cel(field))
            };
            cel::Value::Map(Map { map: Arc::new(fields.iter().map(pair).collect()) })
        }
    }
}
