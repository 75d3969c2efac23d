use super::*;

fn windows(zone: &str, list: &[(Option<Weekday>, &str, i64)]) -> Windows {
    let window = |(day, start, minutes): &(Option<Weekday>, &str, i64)| Window {
        day: *day,
        start: start.parse().unwrap(),
        length: SignedDuration::from_mins(*minutes),
    };
    Windows { list: list.iter().map(window).collect(), zone: TimeZone::get(zone).unwrap() }
}

fn check(windows: &Windows, table: &[(&str, &str)]) {
    for (now, expected) in table {
        let seen = match windows.at(now.parse().unwrap()) {
            Opening::Open { until } => format!("open until {until}"),
            Opening::Closed { opens } => format!("opens {opens}"),
            Opening::Never => "never".to_owned(),
        };
        assert_eq!(&seen, expected, "at {now}");
    }
}

#[test]
fn a_window_opens_and_closes_to_the_second() {
    check(
        &windows("UTC", &[(Some(Weekday::Saturday), "02:00", 120)]),
        &[
            ("2026-11-21T01:59:59Z", "opens 2026-11-21T02:00:00Z"),
            ("2026-11-21T02:00:00Z", "open until 2026-11-21T04:00:00Z"),
            ("2026-11-21T03:59:59Z", "open until 2026-11-21T04:00:00Z"),
            ("2026-11-21T04:00:00Z", "opens 2026-11-28T02:00:00Z"),
        ],
    );
}

#[test]
fn a_window_may_span_midnight_and_the_end_of_the_week() {
    check(
        &windows("UTC", &[(Some(Weekday::Sunday), "23:00", 180)]),
        &[
            ("2026-11-22T22:59:59Z", "opens 2026-11-22T23:00:00Z"),
            ("2026-11-23T00:30:00Z", "open until 2026-11-23T02:00:00Z"),
            ("2026-11-23T02:00:00Z", "opens 2026-11-29T23:00:00Z"),
        ],
    );
}

#[test]
fn the_window_that_closes_last_counts() {
    check(
        &windows("UTC", &[(None, "02:00", 60), (Some(Weekday::Saturday), "02:30", 60), (Some(Weekday::Sunday), "10:00", 30)]),
        &[
            ("2026-11-21T02:45:00Z", "open until 2026-11-21T03:30:00Z"),
            ("2026-11-22T02:45:00Z", "open until 2026-11-22T03:00:00Z"),
            ("2026-11-22T03:00:00Z", "opens 2026-11-22T10:00:00Z"),
        ],
    );
}

#[test]
fn clock_changes_neither_skip_nor_double_a_window() {
    // Berlin: on 29 March 2026 02:00 is followed by 03:00, on 25 October 2026 03:00 is followed by 02:00.
    let berlin = windows("Europe/Berlin", &[(Some(Weekday::Sunday), "02:30", 60)]);
    check(
        &berlin,
        &[
            // The day before, in winter time.
            ("2026-03-22T01:00:00Z", "opens 2026-03-22T01:30:00Z"),
            // 02:30 does not exist: 03:30 summer time it is.
            ("2026-03-29T01:15:00Z", "opens 2026-03-29T01:30:00Z"),
            ("2026-03-29T01:30:00Z", "open until 2026-03-29T02:30:00Z"),
            // 02:30 exists twice: the first one, once.
            ("2026-10-25T00:29:00Z", "opens 2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "open until 2026-10-25T01:30:00Z"),
            ("2026-10-25T01:30:00Z", "opens 2026-11-01T01:30:00Z"),
        ],
    );
}

#[test]
fn a_window_over_a_clock_change_lasts_as_long_as_it_says() {
    let berlin = windows("Europe/Berlin", &[(Some(Weekday::Sunday), "01:00", 180)]);
    check(
        &berlin,
        &[("2026-03-29T00:30:00Z", "open until 2026-03-29T03:00:00Z"), ("2026-10-24T23:30:00Z", "open until 2026-10-25T02:00:00Z")],
    );
}

#[test]
fn time_zones_move_the_day() {
    check(
        &windows("Pacific/Auckland", &[(Some(Weekday::Monday), "01:00", 60)]),
        &[("2026-11-22T11:30:00Z", "opens 2026-11-22T12:00:00Z"), ("2026-11-22T12:30:00Z", "open until 2026-11-22T13:00:00Z")],
    );
}

#[test]
fn no_windows_never_open() {
    check(&Windows::default(), &[("2026-11-22T11:30:00Z", "never")]);
}

#[test]
fn a_clock_at_its_ends_is_no_crash() {
    let daily = windows("UTC", &[(None, "02:00", 60)]);
    let _ = (daily.at(Timestamp::MIN), daily.at(Timestamp::MAX));
}
