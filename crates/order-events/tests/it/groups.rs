use order_events::message_group_id;
use proptest::prelude::*;
use std::collections::HashMap;

fn assert_allowed(group: &str) {
    assert!((1..=128).contains(&group.len()), "{group}");
    assert!(group.bytes().all(|byte| byte.is_ascii_graphic()), "{group}");
}

#[test]
fn plain_customer_ids_are_their_own_groups() {
    for id in ["customer-001", "a", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}", &"x".repeat(128)] {
        assert_eq!(message_group_id(id), id);
    }
}

#[test]
fn other_customer_ids_are_mapped_to_pinned_groups() {
    for (id, group) in [
        ("", "~u~"),
        ("two words", "~u~two%20words"),
        ("two%20words\u{7f}", "~u~two%2520words%7F"),
        ("고객", "~u~%EA%B3%A0%EA%B0%9D"),
        ("~u~two%20words", "~u~~u~two%2520words"),
        ("~", "~u~~"),
    ] {
        assert_eq!(message_group_id(id), group);
    }
    assert_eq!(
        message_group_id(&"x".repeat(129)),
        "~h~0ec9eb33e74510bcdd1f2ea55206e82f21649c5c2becbf2b433eb475b34c01bd"
    );
}

#[test]
fn ids_of_every_length_stay_apart() {
    let mut groups = HashMap::new();
    for unit in ["x", " ", "~", "%", "고", "~u~", "~h~", "%20"] {
        for times in 0..200 {
            let id = unit.repeat(times);
            let group = message_group_id(&id);
            assert_allowed(&group);
            if let Some(other) = groups.insert(group, id.clone()) {
                assert_eq!(other, id, "two customers share a group");
            }
        }
    }
}

/// Ids from a small alphabet, made to collide if anything can.
fn tricky() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("~"),
            Just("u"),
            Just("h"),
            Just("%"),
            Just("2"),
            Just("0"),
            Just(" "),
            Just("고")
        ],
        0..6,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_group_is_allowed_and_stable(id in any::<String>()) {
        let group = message_group_id(&id);
        assert_allowed(&group);
        prop_assert_eq!(message_group_id(&id), group);
    }

    #[test]
    fn different_customers_have_different_groups(a in tricky(), b in tricky()) {
        prop_assert_eq!(a == b, message_group_id(&a) == message_group_id(&b));
        // Nor does a group's own name, taken as a customer's id, fall onto it.
        let group = message_group_id(&a);
        prop_assert_eq!(message_group_id(&group) == group, group == a);
    }
}
