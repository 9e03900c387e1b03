//! What is written holds: the README's settings tables, the list of known names.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

use service_kit::settings::{FLEET_NAMES, Setting, common, settings_markdown};

const BEGIN: &str = "<!-- settings: made from the code, see CONTRIBUTING.md -->\n";
const END: &str = "<!-- end of settings -->\n";

fn tables() -> Vec<(&'static str, Vec<Setting>)> {
    vec![
        ("order-api", order_api::Settings::table()),
        ("delivery-worker", delivery_worker::Settings::table()),
        ("dlq-monitor", dlq_monitor::Settings::table()),
        ("local-sqs", local_sqs::cli::Settings::table()),
        ("fleet-check", fleet_check::Settings::table()),
        ("local-fleet", local_fleet::Settings::table()),
    ]
}

/// Common rows once, then each binary's own. A row is left out only where the very same stands before:
/// two services may mean two things by one name, or have two defaults.
fn markdown() -> String {
    let shown = |row: &Setting| settings_markdown(std::slice::from_ref(row));
    let mut known: BTreeSet<String> = common().iter().map(shown).collect();
    let mut text = format!("### Every binary\n\n{}\n", settings_markdown(&common()));
    for (binary, table) in tables() {
        let own: Vec<Setting> =
            table.into_iter().filter(|row| !known.contains(&shown(row))).collect();
        known.extend(own.iter().map(shown));
        writeln!(text, "### {binary}\n\n{}", settings_markdown(&own)).unwrap();
    }
    text
}

#[test]
fn the_readmes_settings_are_those_of_the_code() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"));
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).expect("the README has the settings") + BEGIN.len();
    let end = readme.find(END).expect("the settings end");
    let expected = format!("\n{}", markdown());
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting")]
    if std::env::var("UPDATE_README").is_ok() {
        let updated = format!("{}{expected}{}", &readme[..begin], &readme[end..]);
        std::fs::write(path, updated).unwrap();
        return;
    }
    assert_eq!(
        &readme[begin..end],
        expected,
        "run the test with UPDATE_README=1 to write the tables anew"
    );
}

#[test]
fn every_setting_of_every_binary_is_a_known_name_and_no_other() {
    let rows = tables().into_iter().flat_map(|(_, table)| table);
    let in_tables: BTreeSet<&str> =
        rows.flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied())).collect();
    let known: BTreeSet<&str> = FLEET_NAMES.iter().copied().collect();
    assert_eq!(in_tables, known);
}

#[test]
fn the_monitor_knows_every_reason_that_a_worker_gives() {
    let given: BTreeSet<&str> =
        delivery_worker::Reason::ALL.into_iter().map(delivery_worker::Reason::as_str).collect();
    let known: BTreeSet<&str> = dlq_monitor::REASONS.into_iter().collect();
    let unknown = BTreeSet::from(["unknown"]);
    assert_eq!(known, given.union(&unknown).copied().collect());
}
