//! Objects that were here before: taken over when an assignment says so, and never removed by a release that was not
//! available yet. What a failed version took over was somebody's that worked.

use crate::bundle::release::ReleaseId;

/// The mark on an object that is about to be written by `this` release: who took it over, until a release that has it is
/// available. Releases are told by the beginnings of their ids. `marked` is the mark on the living object, and `ours`
/// whether that is this add-on's already.
pub fn taken_over_by<'a>(
    marked: Option<&str>,
    ours: bool,
    this: &'a str,
    available: Option<&ReleaseId>,
) -> Option<&'a str> {
    match marked {
        _ if !ours => Some(this),
        None => None,
        Some(marked) if marked == this => Some(this),
        Some(marked) if is_available(marked, available) => None,
        Some(_) => Some(this),
    }
}

/// Why an object stays that a release would take with it, in words.
pub fn stays(marked: Option<&str>, available: Option<&ReleaseId>) -> Option<String> {
    let marked = marked.filter(|marked| !is_available(marked, available))?;
    Some(format!("was here before and was taken over by {marked}, which was never available"))
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
            ("taken over", None, false, NEW, None, Some(NEW)),
            ("never another's", None, true, NEW, None, None),
            ("written again by the same", Some(NEW), true, NEW, None, Some(NEW)),
            ("mended at rest", Some(NEW), true, NEW, Some(NEW), Some(NEW)),
            ("taken over by a version that failed", Some(FAILED), true, NEW, None, Some(NEW)),
            ("by one that failed beside the old", Some(FAILED), true, NEW, Some(OLD), Some(NEW)),
            ("by the one before, which was available", Some(OLD), true, NEW, Some(OLD), None),
            ("a label that was taken off", Some(OLD), false, OLD, Some(OLD), Some(OLD)),
        ];
        for (what, marked, ours, this, available, expected) in table {
            let available = available.map(id);
            let mark = taken_over_by(marked, ours, this, available.as_ref());
            assert_eq!(mark, expected, "{what}");
        }
    }

    #[test]
    fn only_what_was_never_ours_in_an_available_release_stays() {
        let table = [
            (None, None, false),
            (None, Some(OLD), false),
            (Some(OLD), Some(OLD), false),
            (Some(FAILED), Some(OLD), true),
            (Some(FAILED), None, true),
        ];
        for (marked, available, expected) in table {
            let available = available.map(id);
            assert_eq!(stays(marked, available.as_ref()).is_some(), expected, "{marked:?}");
        }
    }
}
