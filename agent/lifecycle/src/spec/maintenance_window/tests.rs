//! When windows are open, row by row. The changes of clocks are those of Berlin in 2026.

use super::*;

fn windows(all: &[[&str; 3]]) -> Result<Windows, String> {
    let window = |[schedule, duration, zone]: &[&str; 3]| Window {
        schedule: (*schedule).to_owned(),
        duration: (*duration).to_owned(),
        time_zone: (!zone.is_empty()).then(|| (*zone).to_owned()),
    };
    Windows::parse(&all.iter().map(window).collect::<Vec<_>>())
}

/// Returns "open", or when a window opens.
fn state_at(windows: &Windows, now: &str) -> String {
    let closed = windows.closed(now.parse().expect("a time"));
    closed.map_or("open".to_owned(), |closed| {
        closed.opens.map_or("never".to_owned(), |opens| opens.timestamp().to_string())
    })
}

fn check(rows: &[([&str; 3], &str, &str)]) {
    for (window, now, expected) in rows {
        assert_eq!(
            state_at(&windows(&[*window]).expect("a window"), now),
            *expected,
            "{window:?} {now}"
        );
    }
}

#[test]
fn a_window_is_open_from_its_start_until_its_duration_is_over() {
    check(&[
        (["0 2 * * 6", "4h", ""], "2026-03-07T01:59:59Z", "2026-03-07T02:00:00Z"),
        (["0 2 * * 6", "4h", ""], "2026-03-07T02:00:00Z", "open"),
        (["0 2 * * 6", "4h", ""], "2026-03-07T05:59:59Z", "open"),
        (["0 2 * * 6", "4h", ""], "2026-03-07T06:00:00Z", "2026-03-14T02:00:00Z"),
        (["0 2 * * SAT", "4h", "Europe/Berlin"], "2026-03-07T01:00:00Z", "open"),
        (["0 2 * * SAT#2", "4h", "UTC"], "2026-03-07T03:00:00Z", "2026-03-14T02:00:00Z"),
        // Across midnight, and across the end of a year.
        (["0 22 * * 5", "8h", ""], "2026-03-07T05:59:59Z", "open"),
        (["0 22 * * 5", "8h", ""], "2026-03-07T06:00:00Z", "2026-03-13T22:00:00Z"),
        (["0 22 31 12 *", "744h", ""], "2027-01-31T21:00:00Z", "open"),
        // As long as from one start to the next, and longer: always open.
        (["0 * * * *", "1h", ""], "2026-03-07T05:00:00Z", "open"),
        (["@daily", "48h", ""], "2026-03-07T05:00:00Z", "open"),
        // Once in four years.
        (["0 0 29 2 *", "1h", ""], "2026-03-07T05:00:00Z", "2028-02-29T00:00:00Z"),
    ]);
}

#[test]
fn where_clocks_are_changed_a_window_opens_once_and_lasts_as_long_as_ever() {
    check(&[
        // 02:30 does not exist on 29 March: it opens when the clocks show 03:00.
        (["30 2 * * *", "1h", "Europe/Berlin"], "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
        (["30 2 * * *", "1h", "Europe/Berlin"], "2026-03-29T01:59:59Z", "open"),
        (["30 2 * * *", "1h", "Europe/Berlin"], "2026-03-29T02:00:00Z", "2026-03-30T00:30:00Z"),
        // 02:30 comes twice on 25 October: the first time counts.
        (["30 2 * * *", "1h", "Europe/Berlin"], "2026-10-25T00:30:00Z", "open"),
        (["30 2 * * *", "1h", "Europe/Berlin"], "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"),
        // Four hours are four hours: until 06:00 and until 04:00 by the clocks there.
        (["0 1 * * *", "4h", "Europe/Berlin"], "2026-03-29T03:59:59Z", "open"),
        (["0 1 * * *", "4h", "Europe/Berlin"], "2026-03-29T04:00:00Z", "2026-03-29T23:00:00Z"),
        (["0 1 * * *", "4h", "Europe/Berlin"], "2026-10-25T02:59:59Z", "open"),
        (["0 1 * * *", "4h", "Europe/Berlin"], "2026-10-25T03:00:00Z", "2026-10-26T00:00:00Z"),
    ]);
}

#[test]
fn one_of_several_windows_has_to_be_open_and_the_next_is_reported() {
    let two = windows(&[["0 2 * * 6", "4h", ""], ["0 12 * * 3", "1h", "America/New_York"]]);
    let two = two.expect("windows");
    for (now, expected) in [
        ("2026-03-07T03:00:00Z", "open"),
        ("2026-03-07T07:00:00Z", "2026-03-11T16:00:00Z"),
        ("2026-03-11T16:30:00Z", "open"),
        ("2026-03-11T17:00:00Z", "2026-03-14T02:00:00Z"),
    ] {
        assert_eq!(state_at(&two, now), expected, "{now}");
    }
    assert_eq!(state_at(&windows(&[]).expect("none"), "2026-03-07T03:00:00Z"), "open");
}

#[test]
fn the_message_has_the_time_in_both_zones() {
    let message = |window| {
        let closed = windows(&[window]).expect("a window").closed(Timestamp::UNIX_EPOCH);
        closed.map(|closed| closed.message()).unwrap_or_default()
    };
    let next = "outside every maintenance window; the next opens at";
    assert_eq!(message(["0 2 * * 6", "4h", ""]), format!("{next} 1970-01-03T02:00:00Z"));
    assert_eq!(
        message(["0 2 * * 6", "4h", "Asia/Tokyo"]),
        format!("{next} 1970-01-02T17:00:00Z (Saturday, 1970-01-03 02:00 in Asia/Tokyo)")
    );
}

#[test]
fn windows_without_meaning_are_rejected() {
    for (window, why) in [
        (["", "4h", ""], "schedule \"\" is not five cron fields"),
        (["0 2 * *", "4h", ""], "is not five cron fields"),
        (["0 0 2 * * 6", "4h", ""], "is not five cron fields"),
        (["0 25 * * *", "4h", ""], "is not five cron fields"),
        (["soon", "4h", ""], "is not five cron fields"),
        (["0 0 30 2 *", "4h", ""], "schedule \"0 0 30 2 *\" never occurs"),
        (["0 2 * * 6", "0s", ""], "not from one minute to 31 days"),
        (["0 2 * * 6", "-1h", ""], "is not a duration"),
        (["0 2 * * 6", "59s", ""], "not from one minute to 31 days"),
        (["0 2 * * 6", "745h", ""], "not from one minute to 31 days"),
        (["0 2 * * 6", "4h", "Mars/Base"], "timeZone \"Mars/Base\" is not known"),
        (["0 2 * * 6", "4h", "/etc/passwd"], "is not known"),
    ] {
        let error = windows(&[window]).expect_err(why);
        assert!(error.contains(why), "{window:?}: {error}");
    }
}

#[test]
fn windows_are_found_at_the_limits_of_time() {
    let all = windows(&[["0 2 * * 6", "4h", "Europe/Berlin"], ["0 0 29 2 *", "31m", ""]]);
    let all = all.expect("windows");
    for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        assert!(all.closed(now).is_some_and(|closed| !closed.message().is_empty()));
    }
    assert_eq!(all.closed(Timestamp::MAX), Some(ClosedWindows { opens: None }));
}

/// Tries every minute of the nights in which clocks are changed.
#[test]
fn a_window_opens_exactly_when_it_was_predicted() {
    for schedule in ["30 2 * * *", "*/20 2 * * *", "0 * * * *", "59 1 * * *", "0 3 * * *"] {
        let window = windows(&[[schedule, "1m", "Europe/Berlin"]]).expect("a window");
        for night in ["2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z"] {
            let mut now: Timestamp = night.parse().expect("a time");
            let mut predicted = None;
            for _ in 0..300 {
                let closed = window.closed(now);
                let is_start = predicted.is_none_or(|opens| opens == now);
                assert!(closed.is_some() != is_start || predicted.is_none(), "{schedule} {now}");
                predicted = closed.and_then(|closed| closed.opens).map(|opens| opens.timestamp());
                now = now.saturating_add(Duration::from_secs(60)).expect("a time");
            }
        }
    }
}
