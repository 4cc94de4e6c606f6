//! The size of an object that a rule is evaluated over. CEL has no cost limit: a loop over the longest list may copy the
//! whole object each time.

use serde_json::Value;

/// Bytes of an object times the length of its longest list: a hundred conditions of 400 bytes, or a list of 20 items in
/// 200 KB.
const MAX_COST: usize = 4 * 1024 * 1024;

/// Bytes that a number, boolean or null counts for.
const SCALAR_BYTES: usize = 8;

/// Returns an error if a rule over this object could cost too much.
pub(super) fn check(object: &Value) -> Result<(), String> {
    let Size { bytes, longest } = Size::of(object);
    if bytes.saturating_mul(longest) <= MAX_COST {
        return Ok(());
    }
    Err(format!("is too large for a health rule: {bytes} bytes with a list of {longest} items"))
}

/// The bytes of a value, and the length of its longest list or map.
struct Size {
    bytes: usize,
    longest: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Self { bytes: SCALAR_BYTES, longest: 1 }
            }
            Value::String(text) => Self { bytes: text.len(), longest: 1 },
            Value::Array(items) => Self::sum(0, items.len(), items.iter()),
            Value::Object(fields) => {
                Self::sum(fields.keys().map(String::len).sum(), fields.len(), fields.values())
            }
        }
    }

    fn sum<'a>(bytes: usize, length: usize, values: impl Iterator<Item = &'a Value>) -> Self {
        let start = Self { bytes, longest: length };
        values.map(Self::of).fold(start, |sum, size| Self {
            bytes: sum.bytes + size.bytes,
            longest: sum.longest.max(size.longest),
        })
    }
}
