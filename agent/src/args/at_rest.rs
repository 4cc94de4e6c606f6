//! Flags for the health of versions at rest.

use std::time::Duration;

use lifecycle::spec::duration;

use crate::driver::WatchSettings;

/// A shorter interval would be a load; a longer one would miss too much.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Health at rest")]
pub struct AtRestFlags {
    /// Interval of health evaluations, from 1s to 1h. While nothing changes, one costs a list of metadata
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_interval)]
    watch_interval: Duration,
    /// Time for which each evaluation must be unhealthy before a version is reported as degraded, or healthy before it is reported as recovered
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    degraded_after: Duration,
}

impl From<AtRestFlags> for WatchSettings {
    fn from(flags: AtRestFlags) -> Self {
        let AtRestFlags { watch_interval, degraded_after } = flags;
        Self { interval: watch_interval, degraded_after }
    }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text).map_err(|error| error.to_string())?;
    let is_valid = INTERVALS.contains(&interval);
    is_valid.then_some(interval).ok_or("not from 1s to 1h".to_owned())
}
