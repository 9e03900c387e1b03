//! Arrows between the crates point down only.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may depend on, outside of tests.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    const BELOW_SERVICES: &[&str] = &["order-events", "order-store", "service-kit", "sqs-consumer"];
    BTreeMap::from([
        ("order-events", &[][..]),
        ("order-store", &["order-events"]),
        ("sqs-consumer", &[]),
        ("service-kit", &[]),
        ("local-postgres", &[]),
        // Its binary only; see the next test.
        ("local-sqs", &["service-kit"]),
        ("order-api", BELOW_SERVICES),
        ("delivery-worker", BELOW_SERVICES),
        ("dlq-monitor", BELOW_SERVICES),
        // From the outside: it knows no order but as its clients do.
        ("fleet-check", &["service-kit", "sqs-consumer"]),
        (
            "local-fleet",
            &["delivery-worker", "dlq-monitor", "local-sqs", "order-api", "service-kit"],
        ),
        ("bench", &["local-postgres", "order-events", "order-store", "sqs-consumer"]),
    ])
}

#[test]
fn dependencies_between_our_crates_point_down_only() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let ours: BTreeSet<String> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let allowed = allowed();
    assert_eq!(ours, allowed.keys().map(|&name| name.to_owned()).collect());
    for package in metadata.workspace_packages() {
        let may = allowed[package.name.as_str()];
        for dependency in &package.dependencies {
            let tests_only = dependency.kind == DependencyKind::Development;
            if tests_only || !ours.contains(&dependency.name) {
                // Even tests never depend on the runner.
                assert_ne!(dependency.name, "local-fleet", "{} depends on it", package.name);
                continue;
            }
            let name = dependency.name.as_str();
            assert!(may.contains(&name), "{} must not depend on {name}", package.name);
        }
    }
}

#[test]
fn only_the_binary_of_local_sqs_needs_something_of_ours() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let packages = metadata.workspace_packages();
    let local_sqs = packages.iter().find(|package| package.name == "local-sqs").unwrap();
    let kit = local_sqs.dependencies.iter().find(|d| d.name == "service-kit").unwrap();
    assert!(kit.optional);
}
