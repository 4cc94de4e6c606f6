//! Maintenance windows: recurring times in which a rollout may start. The time zones are compiled in, so that nothing is
//! read from disk.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use crate::api::Window;
use crate::spec::duration;

/// Minimum duration: a schedule counts minutes, and a rollout needs some time from its start to its first write.
const MIN_DURATION: Duration = Duration::from_secs(60);

/// Maximum duration: longer than any month. A window that is longer is no window.
const MAX_DURATION: Duration = Duration::from_secs(31 * 24 * 3600);

/// The windows of a policy. Without windows a rollout may always start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Vec<RecurringWindow>);

#[derive(Clone, Debug, PartialEq)]
struct RecurringWindow {
    schedule: Cron,
    /// Elapsed time, also where clocks are changed.
    duration: Duration,
    zone: TimeZone,
}

/// The state in which no window is open.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedWindows {
    /// When the next window opens, in its time zone. None if no window ever opens again.
    pub opens: Option<Zoned>,
}

impl Windows {
    /// Parses `policy.windows`.
    ///
    /// # Errors
    /// A message for a schedule that is not five cron fields or never occurs, a duration that is not from one minute to 31
    /// days, and an unknown time zone.
    pub fn parse(windows: &[Window]) -> Result<Self, String> {
        windows.iter().map(RecurringWindow::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns when the next window opens. None while a rollout may start.
    pub fn closed(&self, now: Timestamp) -> Option<ClosedWindows> {
        if self.0.is_empty() || self.0.iter().any(|window| window.is_open(now)) {
            return None;
        }
        Some(ClosedWindows { opens: self.0.iter().filter_map(|window| window.opens(now)).min() })
    }
}

impl RecurringWindow {
    fn parse(window: &Window) -> Result<Self, String> {
        let Window { schedule: text, duration, time_zone } = window;
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let schedule = parser
            .parse(text)
            .map_err(|e| format!("schedule {text:?} is not five cron fields: {e}"))?;
        let duration = duration::parse(duration).map_err(|e| format!("duration: {e}"))?;
        if !(MIN_DURATION..=MAX_DURATION).contains(&duration) {
            return Err(format!("duration {duration:?} is not from one minute to 31 days"));
        }
        let zone = find_zone(time_zone.as_deref().unwrap_or("UTC"))?;
        let window = Self { schedule, duration, zone };
        match window.opens(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(window),
            None => Err(format!("schedule {text:?} never occurs")),
        }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        let now = now.to_zoned(self.zone.clone());
        let Ok(opened) = self.schedule.find_previous_occurrence(&now, true) else { return false };
        opened.checked_add(self.duration).is_ok_and(|closes| now < closes)
    }

    /// Returns when the window opens next.
    fn opens(&self, now: Timestamp) -> Option<Zoned> {
        self.schedule.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()
    }
}

impl ClosedWindows {
    /// The message of the reason `OutsideWindow`.
    pub fn message(&self) -> String {
        match &self.opens {
            None => "outside every maintenance window".to_owned(),
            Some(opens) => {
                let opens = in_both_zones(opens);
                format!("outside every maintenance window; the next opens at {opens}")
            }
        }
    }

    /// Returns the time until a window opens. None if no window ever opens again.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.opens.as_ref().map(|opens| opens.timestamp().duration_since(now).unsigned_abs())
    }
}

/// Formats a time in UTC and in its own time zone.
fn in_both_zones(time: &Zoned) -> String {
    match time.time_zone().iana_name() {
        None | Some("UTC") => time.timestamp().to_string(),
        Some(zone) => {
            let local = time.datetime().strftime("%A, %Y-%m-%d %H:%M");
            format!("{} ({local} in {zone})", time.timestamp())
        }
    }
}

fn find_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("timeZone {name:?} is not known; it is a name such as Europe/Berlin"))
}

#[cfg(test)]
mod tests;
