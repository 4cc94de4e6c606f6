//! Maintenance windows: recurring times in which a rollout may start. The time zones come with the program, so that
//! nothing is read.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use crate::api::Window;
use crate::spec::duration;

/// A schedule counts minutes, and a rollout needs some to get from its beginning to its first write.
const SHORTEST: Duration = Duration::from_secs(60);

/// Longer than any month: whoever wants more wants no window.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// When rollouts may start; none means always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Vec<Recurring>);

#[derive(Clone, Debug, PartialEq)]
struct Recurring {
    schedule: Cron,
    /// Of time as it passes, also where clocks are changed.
    duration: Duration,
    zone: TimeZone,
}

/// No window is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// When the next one opens, by its own clock.
    pub opens: Option<Zoned>,
}

impl Windows {
    pub fn read(windows: &[Window]) -> Result<Self, String> {
        windows.iter().map(Recurring::read).collect::<Result<_, _>>().map(Self)
    }

    /// `None` while a rollout may start.
    pub fn closed(&self, now: Timestamp) -> Option<Closed> {
        if self.0.is_empty() || self.0.iter().any(|window| window.is_open(now)) {
            return None;
        }
        Some(Closed { opens: self.0.iter().filter_map(|window| window.opens(now)).min() })
    }
}

impl Recurring {
    fn read(window: &Window) -> Result<Self, String> {
        let Window { schedule: text, duration, time_zone } = window;
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let schedule = parser
            .parse(text)
            .map_err(|e| format!("schedule {text:?} is not five cron fields: {e}"))?;
        let duration = duration::parse(duration).map_err(|e| format!("duration: {e}"))?;
        if !(SHORTEST..=LONGEST).contains(&duration) {
            return Err(format!("duration {duration:?} is not from one minute to 31 days"));
        }
        let read = Self { schedule, duration, zone: zone(time_zone.as_deref().unwrap_or("UTC"))? };
        match read.opens(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(read),
            None => Err(format!("schedule {text:?} never comes")),
        }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        let now = now.to_zoned(self.zone.clone());
        let Ok(opened) = self.schedule.find_previous_occurrence(&now, true) else { return false };
        opened.checked_add(self.duration).is_ok_and(|closes| now < closes)
    }

    fn opens(&self, now: Timestamp) -> Option<Zoned> {
        self.schedule.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()
    }
}

impl Closed {
    /// For a person.
    pub fn told(&self) -> String {
        match &self.opens {
            None => "outside every maintenance window".to_owned(),
            Some(opens) => {
                format!("outside every maintenance window; the next opens at {}", both(opens))
            }
        }
    }

    /// How long until one opens.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.opens.as_ref().map(|opens| opens.timestamp().duration_since(now).unsigned_abs())
    }
}

/// In UTC and by the clocks of its zone.
fn both(time: &Zoned) -> String {
    match time.time_zone().iana_name() {
        None | Some("UTC") => time.timestamp().to_string(),
        Some(zone) => {
            let there = time.datetime().strftime("%A, %Y-%m-%d %H:%M");
            format!("{} ({there} in {zone})", time.timestamp())
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    let known = TimeZoneDatabase::bundled().get(name);
    known.map_err(|_| format!("timeZone {name:?} is not known; it is a name such as Europe/Berlin"))
}

#[cfg(test)]
mod tests;
