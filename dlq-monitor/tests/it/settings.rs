//! The settings table and its checks.

use std::time::Duration;

use dlq_monitor::Settings;
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
    assert_eq!((settings.listen.port(), settings.admin.port()), (8082, 9082));
    assert_eq!(settings.interval, Duration::from_secs(30));
    assert_eq!(settings.database, "sqlite://deliveries.db".parse().unwrap());
    assert_eq!(settings.retention, Duration::from_hours(30 * 24));
    assert!(settings.token.is_none() && settings.trace_url.is_none());
}

#[test]
fn a_database_that_is_none_is_refused_without_being_shown() {
    let problems = read(&[("DATABASE_URL", "mysql://user:s3cret@db/deliveries")]).unwrap_err();
    assert_eq!(problems.0[0].name, "DATABASE_URL");
    assert!(!problems.to_string().contains("s3cret"));
}

#[test]
fn an_interval_of_nothing_is_refused() {
    for wrong in ["0s", "2h", "often"] {
        let problems = read(&[("MONITOR_INTERVAL", wrong)]).unwrap_err();
        assert_eq!(problems.0[0].name, "MONITOR_INTERVAL");
    }
}
