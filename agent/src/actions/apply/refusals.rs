//! The objects of a wave that a rollback could not write. They stop no other object.

use lifecycle::{Fault, KeptObject, ObjectKey};

use crate::cluster::access::Access;

/// How a wave was written.
#[derive(Debug, Default, PartialEq)]
pub struct Written {
    /// Objects that a rollback left as they are, because restoring them would lose data.
    pub kept: Vec<KeptObject>,
    /// Objects that a rollback could not write.
    pub refused: Vec<KeptObject>,
}

impl Written {
    /// Everything was written but for these.
    pub fn keeping(kept: Vec<Option<KeptObject>>) -> Self {
        Self { kept: kept.into_iter().flatten().collect(), refused: Vec::new() }
    }
}

/// Sorts the results of a rollback.
///
/// # Errors
/// A transient fault, if the API server does not answer: then nothing was refused.
pub async fn sort(
    access: &Access,
    results: Vec<(ObjectKey, Result<Option<KeptObject>, Fault>)>,
) -> Result<Written, Fault> {
    let mut written = Written::default();
    for (object, result) in results {
        match result {
            Ok(kept) => written.kept.extend(kept),
            Err(cause) => written.refused.push(KeptObject { object, cause }),
        }
    }
    if let Some(first) = written.refused.iter().find(|refused| refused.cause.transient)
        && !access.is_answered().await
    {
        return Err(first.cause.clone());
    }
    for KeptObject { object, cause } in &written.refused {
        tracing::warn!(%object, cause = cause.message, "could not restore an object");
    }
    Ok(written)
}
