//! Durations in the notation of Go (`90s`, `1h30m`, `1.5h`, `300ms`), and times as precise as Kubernetes writes them.

use std::time::Duration;

use jiff::Timestamp;

/// Maximum duration, a year: longer than any rollout, short enough that sums never overflow.
const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The error for a text that is not a duration, with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration such as 90s, 15m or 1h30m, of at most a year")]
pub struct InvalidDuration(pub String);

/// Parses a duration: numbers with the units `h`, `m`, `s` and `ms`, each number with a fraction if it has one.
///
/// # Errors
/// For any other text, and for more than a year.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let mut rest = text;
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let part = Duration::try_from_secs_f64(number * seconds(unit).ok_or_else(invalid)?)
            .map_err(|_| invalid())?;
        sum = sum.checked_add(part).filter(|sum| *sum <= MAX).ok_or_else(invalid)?;
        rest = after;
    }
    Ok(sum)
}

/// Returns the time without fractions of a second. Kubernetes writes times so, and what is read must equal what was saved.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Splits off the longest prefix of such characters.
fn split(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// Returns how many seconds a unit has.
fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

/// Serialises durations as whole milliseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Serialises a duration.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Deserialises a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }

    /// The same for durations that may be absent.
    pub mod option {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        /// Serialises a duration or its absence.
        pub fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Deserialises a duration or its absence.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_parsed() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("1h30m", 5400.0),
            ("15m", 900.0),
            ("1.5h", 5400.0),
            ("300ms", 0.3),
            ("0s", 0.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn every_other_text_is_rejected() {
        for text in ["", "90", "s", "1d", "-1s", "1..5s", "1h 30m", "99999999999h", "1e3s", "NaNs"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
