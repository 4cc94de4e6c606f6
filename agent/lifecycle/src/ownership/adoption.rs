//! Adoption: objects that existed before the add-on are taken over if the assignment allows it. They worked for somebody
//! before, so they are never removed with a release that was not available.

use crate::bundle::release::ReleaseId;

/// Returns the value of the annotation `taken-over-by` for an object that `release` is about to write: the release that
/// adopted it, until a release that has it was available. Releases are given by the first 12 digits of their ids.
///
/// `marked` is the annotation of the living object, `is_ours` whether the add-on owns it, and `available` the release that was
/// available last.
pub fn adopter<'a>(
    marked: Option<&str>,
    is_ours: bool,
    release: &'a str,
    available: Option<&ReleaseId>,
) -> Option<&'a str> {
    match marked {
        _ if !is_ours => Some(release),
        None => None,
        Some(marked) if marked == release => Some(release),
        Some(marked) if is_available(marked, available) => None,
        Some(_) => Some(release),
    }
}

/// Returns why an object is not removed with its release: a release that was never available adopted it. `marked` is its
/// annotation `taken-over-by`.
pub fn keep_reason(marked: Option<&str>, available: Option<&ReleaseId>) -> Option<String> {
    let marked = marked.filter(|marked| !is_available(marked, available))?;
    Some(format!("existed before and was adopted by {marked}, which was never available"))
}

fn is_available(marked: &str, available: Option<&ReleaseId>) -> bool {
    available.is_some_and(|available| available.short() == marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "aaaaaaaaaaaa";
    const NEW: &str = "bbbbbbbbbbbb";
    const FAILED: &str = "cccccccccccc";

    fn id(short: &str) -> ReleaseId {
        ReleaseId(format!("{short}{}", "0".repeat(52)))
    }

    #[test]
    fn the_mark_stays_until_a_release_that_has_it_is_available() {
        let table = [
            ("adopted", None, false, NEW, None, Some(NEW)),
            ("never foreign", None, true, NEW, None, None),
            ("written again by the same release", Some(NEW), true, NEW, None, Some(NEW)),
            ("repaired at rest", Some(NEW), true, NEW, Some(NEW), Some(NEW)),
            (
                "adopted by a failed release before an install",
                Some(FAILED),
                true,
                NEW,
                None,
                Some(NEW),
            ),
            (
                "adopted by a failed release during an upgrade",
                Some(FAILED),
                true,
                NEW,
                Some(OLD),
                Some(NEW),
            ),
            (
                "adopted by the release before, which was available",
                Some(OLD),
                true,
                NEW,
                Some(OLD),
                None,
            ),
            ("the add-on's label was removed", Some(OLD), false, OLD, Some(OLD), Some(OLD)),
        ];
        for (case, marked, ours, this, available, expected) in table {
            let available = available.map(id);
            let mark = adopter(marked, ours, this, available.as_ref());
            assert_eq!(mark, expected, "{case}");
        }
    }

    #[test]
    fn only_objects_that_no_available_release_had_stay() {
        let table = [
            (None, None, false),
            (None, Some(OLD), false),
            (Some(OLD), Some(OLD), false),
            (Some(FAILED), Some(OLD), true),
            (Some(FAILED), None, true),
        ];
        for (marked, available, expected) in table {
            let available = available.map(id);
            assert_eq!(keep_reason(marked, available.as_ref()).is_some(), expected, "{marked:?}");
        }
    }
}
