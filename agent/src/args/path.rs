//! Paths in variables that may be empty: OCM's templates set a variable to nothing if they have no value for it.

use std::convert::Infallible;
use std::path::PathBuf;

/// Parses a path; unlike clap's parser it accepts an empty one.
pub fn parse(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

/// Returns the path unless it is empty.
pub fn non_empty(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}
