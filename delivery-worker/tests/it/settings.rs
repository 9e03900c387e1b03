//! The settings table and its checks.

use std::time::Duration;

use delivery_worker::{CarrierSettings, Settings, SimulatedTime, store::DatabaseUrl};
use service_kit::settings::{Problems, Reader};

fn read(env: &[(&str, &str)]) -> Result<Settings, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut reader = Reader::load(Settings::table(), None, env);
    let settings = Settings::read(&mut reader);
    reader.finish(settings)
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.listen.port(), 8081);
    assert_eq!(settings.admin.port(), 9081);
    assert_eq!(settings.limits.connections, 256, "each may hold a page of deliveries");
    assert_eq!(settings.database, DatabaseUrl::Sqlite("deliveries.db".into()));
    assert_eq!(settings.consumer.concurrency, 64);
    assert_eq!(settings.consumer.group_concurrency, None);
    assert_eq!(settings.consumer.handler_timeout, Duration::from_secs(20));
    assert_eq!(settings.consumer.drain_timeout, Duration::from_secs(25));
    assert_eq!(settings.consumer.max_attempts, 3);
    assert_eq!(settings.consumer.retry_backoff, Duration::from_secs(1));
    assert_eq!(settings.consumer.retry_backoff_max, Duration::from_mins(1));
    assert_eq!(settings.carrier_timeout, Duration::from_secs(10));
    let immediate = SimulatedTime::Constant(Duration::ZERO);
    assert_eq!(settings.carrier, CarrierSettings::Simulated(immediate));
    assert!(settings.fail_test_products);
}

#[test]
fn a_customers_share_of_the_handlers_is_at_most_all_of_them() {
    let share = |share| read(&[("WORKER_CONCURRENCY", "4"), ("WORKER_GROUP_CONCURRENCY", share)]);
    assert_eq!(share("4").unwrap().consumer.group_concurrency, Some(4));
    let problems = share("5").unwrap_err().to_string();
    assert!(problems.contains("not more than WORKER_CONCURRENCY (4)"), "{problems}");
}

#[test]
fn every_problem_is_reported_at_once() {
    let problems = read(&[
        ("DATABASE_URL", "postgres://fleet:s3cret@localhost/deliveries?sslmod=require"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_GROUP_CONCURRENCY", "many"),
        ("HANDLER_TIMEOUT", "20s"),
        ("CARRIER_TIMEOUT", "20s"),
        ("CARRIER_SIMULATED_TIME", "lognormal(1s)"),
        ("RETRY_BACKOFF", "2m"),
        ("RETRY_BACKOFF_MAX", "1m"),
        ("CARRIER", "http"),
        ("WORKER_CONCURENCY", "4"),
    ])
    .unwrap_err();
    let mut names: Vec<_> = problems.0.iter().map(|problem| problem.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "CARRIER",
            "CARRIER_SIMULATED_TIME",
            "CARRIER_TIMEOUT",
            "DATABASE_URL",
            "RETRY_BACKOFF_MAX",
            "WORKER_CONCURENCY",
            "WORKER_CONCURRENCY",
            "WORKER_GROUP_CONCURRENCY",
        ]
    );
}

#[test]
fn an_http_carrier_needs_a_url() {
    let problems = read(&[("CARRIER", "http")]).unwrap_err();
    assert!(problems.to_string().contains("CARRIER_URL"), "{problems}");
    let wrong = read(&[("CARRIER", "http"), ("CARRIER_URL", "ftp://carrier")]).unwrap_err();
    assert_eq!(wrong.0.len(), 1, "{wrong}");
    let settings = read(&[("CARRIER", "http"), ("CARRIER_URL", "https://carrier/orders")]).unwrap();
    assert_eq!(settings.carrier, CarrierSettings::Http("https://carrier/orders".to_owned()));
}

#[test]
fn a_carriers_url_hands_orders_to_it_and_contradicts_a_simulated_carrier() {
    let url = ("CARRIER_URL", "https://carrier/orders");
    let settings = read(&[url]).unwrap();
    assert_eq!(settings.carrier, CarrierSettings::Http(url.1.to_owned()));
    let simulated = read(&[("CARRIER", "Simulated"), url]).unwrap_err();
    assert!(simulated.to_string().contains("together with CARRIER_URL"), "{simulated}");
    for wrong in [read(&[("CARRIER", "pigeon"), url]), read(&[("CARRIER_URL", "ftp://carrier")])] {
        let problems = wrong.unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
    }
    // An empty variable is none.
    assert!(read(&[("CARRIER", ""), url]).is_ok());
}

#[test]
fn a_default_gives_way_to_a_setting_that_would_contradict_it() {
    let short = read(&[("HANDLER_TIMEOUT", "2s")]).unwrap();
    assert!(short.carrier_timeout < short.consumer.handler_timeout);
    let long = read(&[("CARRIER_TIMEOUT", "60s")]).unwrap();
    assert!(long.carrier_timeout < long.consumer.handler_timeout);
    let quick = read(&[("RETRY_BACKOFF_MAX", "500ms")]).unwrap();
    assert!(quick.consumer.retry_backoff <= quick.consumer.retry_backoff_max);
    let slow = read(&[("RETRY_BACKOFF", "90s")]).unwrap();
    assert!(slow.consumer.retry_backoff <= slow.consumer.retry_backoff_max);
    assert!(read(&[("HANDLER_TIMEOUT", "2s"), ("CARRIER_TIMEOUT", "1500ms")]).is_ok());
    let problems = read(&[("HANDLER_TIMEOUT", "2s"), ("CARRIER_TIMEOUT", "1501ms")]).unwrap_err();
    let allowed = "at most three quarters of HANDLER_TIMEOUT (2s)";
    assert!(problems.to_string().contains(allowed), "{problems}");
}

#[test]
fn a_simulated_carrier_that_no_attempt_could_wait_for_is_refused() {
    let read =
        |time, timeout| read(&[("CARRIER_SIMULATED_TIME", time), ("CARRIER_TIMEOUT", timeout)]);
    for time in ["10s", "11s", "lognormal(10s, 0.5)"] {
        let problems = read(time, "10s").unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        let said = problems.to_string();
        assert!(said.contains("CARRIER_SIMULATED_TIME"), "{said}");
        assert!(said.contains("shorter than CARRIER_TIMEOUT (10s)"), "{said}");
        assert!(read(time, "12s").is_ok());
    }
    // A carrier at a URL is not simulated.
    let url = ("CARRIER_URL", "https://carrier/orders");
    assert!(self::read(&[("CARRIER_SIMULATED_TIME", "1h"), url]).is_ok());
}

#[test]
fn a_database_is_sqlite_or_postgresql_and_a_wrong_one_is_not_repeated() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.database, DatabaseUrl::Sqlite("deliveries.db".into()));
    let url = "postgres://fleet:s3cret@db/deliveries?sslmode=verify-full";
    let shown = format!("{:?}", read(&[("DATABASE_URL", url)]).unwrap());
    assert!(shown.contains("postgres://fleet@db:5432/deliveries"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let problems = read(&[("DATABASE_URL", "postgres://fleet:s3cret@db:port/deliveries")]);
    let problems = problems.unwrap_err().to_string();
    assert!(problems.contains("DATABASE_URL") && !problems.contains("s3cret"), "{problems}");
}

#[test]
fn attempts_are_kept_for_a_month_unless_told_otherwise_or_for_ever() {
    let kept = |value| read(&[("ATTEMPTS_RETENTION", value)]).map(|s| s.attempts_retention);
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!(read(&[]).unwrap().attempts_retention, Some(days(30)));
    assert_eq!(kept("90d").unwrap(), Some(days(90)));
    assert_eq!(kept("0s").unwrap(), None);
    assert!(kept("4000d").is_err());
}
