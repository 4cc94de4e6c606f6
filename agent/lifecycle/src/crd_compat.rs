//! Compatibility of a changed CustomResourceDefinition with objects that were written under the one before it.
//!
//! The API server accepts a narrower definition without a warning. It then drops fields that the definition does not have
//! when an object is next read, and refuses writes of objects that break a stricter rule. So two definitions are compared
//! ([`changes`]), and a living object is compared with the new one ([`Definition::data_loss`]).

mod changes;
mod data_loss;
mod definition;
mod narrowing;
mod schema;

pub use changes::{Change, changes};
pub use definition::{Definition, DefinitionVersion};
pub use narrowing::Narrowing;

#[cfg(test)]
mod tests;
