use std::collections::BTreeMap;

use local_sqs::model::api::{GetQueueAttributesRequest, SetQueueAttributesRequest};
use local_sqs::model::{ApiError, ErrorKind};
use serde_json::{Value, json};

use crate::rig::{FIFO, QUEUE, Rig, arn, redrive_to, refusal, refusal_in_words, url};

const DLQ: &str = "dlq";

fn with_dlq() -> Rig {
    let mut rig = Rig::standard();
    rig.create(DLQ, &[]).unwrap();
    rig
}

fn statement() -> Value {
    json!({
        "Sid": "", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage",
        "Resource": arn(QUEUE),
    })
}

fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn told(rig: &mut Rig, name: &str, attribute: &str) -> Value {
    rig.attribute(name, attribute).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

#[test]
fn an_access_policy_is_told_as_it_was_set_until_it_is_taken_away() {
    let mut rig = Rig::standard();
    for set in [policy(&json!([statement(), statement()])), policy(&statement())] {
        rig.set(QUEUE, "Policy", &set).unwrap();
        let set: Value = serde_json::from_str(&set).unwrap();
        assert_eq!(told(&mut rig, QUEUE, "Policy"), set);
    }
    rig.set(QUEUE, "Policy", "").unwrap();
    assert_eq!(rig.attribute(QUEUE, "Policy"), None);
}

#[test]
fn what_is_no_access_policy_is_refused() {
    let mut rig = Rig::standard();
    let without = |name: &str| {
        let mut statement = statement();
        statement.as_object_mut().unwrap().remove(name);
        policy(&statement)
    };
    for bad in [
        "not json",
        "[]",
        "{}",
        r#"{"Version":"2012-10-17"}"#,
        &policy(&json!([])),
        &policy(&statement()).replace("2012", "2013"),
        &policy(&statement()).replace("Allow", "Perhaps"),
        &without("Effect"),
        &without("Action"),
    ] {
        let text = "Invalid value for the parameter Policy.".to_owned();
        let refused = refusal_in_words(rig.set(QUEUE, "Policy", bad));
        assert_eq!(refused, (ErrorKind::InvalidAttributeValue, text), "{bad}");
    }
    assert_eq!(rig.attribute(QUEUE, "Policy"), None);
}

#[test]
fn an_access_policy_has_8192_bytes_twenty_statements_and_seven_actions_in_each_at_most() {
    let mut rig = Rig::standard();
    let long = |bytes: usize| {
        let shell = policy(&statement());
        let sid = "s".repeat(bytes - shell.len());
        shell.replace(r#""Sid":"""#, &format!(r#""Sid":"{sid}""#))
    };
    let statements = |number: usize| policy(&json!(vec![statement(); number]));
    let actions = |number: usize| {
        let mut statement = statement();
        statement["Action"] = json!(vec!["sqs:SendMessage"; number]);
        policy(&statement)
    };
    for (most, beyond, text) in [
        (long(8192), long(8193), "Submitted policy is over max allowed size."),
        (
            statements(20),
            statements(21),
            "21 statements were found in the submitted policy, max allowed is 20",
        ),
        (
            actions(7),
            actions(8),
            "8 actions were found in a statement from the submitted policy, max allowed is 7",
        ),
    ] {
        rig.set(QUEUE, "Policy", &most).unwrap();
        let refused = refusal_in_words(rig.set(QUEUE, "Policy", &beyond));
        assert_eq!(refused, (ErrorKind::OverLimit, text.to_owned()));
    }
}

#[test]
fn redrive_policies_are_refused_with_the_reason() {
    let mut rig = with_dlq();
    rig.create(FIFO, &[("FifoQueue", "true")]).unwrap();
    let with = |arn: &str| json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 3 }).to_string();
    let extra = json!({ "deadLetterTargetArn": arn(DLQ), "maxReceiveCount": 3, "x": 1 });
    for (bad, reason) in [
        (
            r#"{"maxReceiveCount":3}"#,
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        ),
        (
            &json!({ "deadLetterTargetArn": arn(DLQ) }).to_string(),
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ),
        (
            &extra.to_string(),
            "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].",
        ),
        (&with("dummy"), "Dead-letter target ARN should be fully qualified ARN."),
        (
            &with("arn:aws:sns:us-east-1:000000000000:dlq"),
            "Only SQS queues are valid resources for deadLetterTargetArn.",
        ),
        (&with(&arn("nowhere")), "Dead letter target does not exist."),
        (&with(&arn(DLQ).replace("us-east-1", "eu-west-1")), "Dead letter target does not exist."),
        (&with(&arn(FIFO)), "Dead-letter queue must be same type of queue as the source.."),
    ] {
        let text = format!("Value {bad} for parameter RedrivePolicy is invalid. Reason: {reason}");
        let refused = refusal_in_words(rig.set(QUEUE, "RedrivePolicy", bad));
        assert_eq!(refused, (ErrorKind::InvalidParameterValue, text));
    }
    let text = "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map.";
    let refused = refusal_in_words(rig.set(QUEUE, "RedrivePolicy", "not json"));
    assert_eq!(refused, (ErrorKind::InvalidParameterValue, text.to_owned()));
}

#[test]
fn the_receive_count_of_a_redrive_policy_is_from_1_to_1000_as_number_or_text() {
    let mut rig = with_dlq();
    let policy = |count: &Value| {
        json!({ "deadLetterTargetArn": arn(DLQ), "maxReceiveCount": count }).to_string()
    };
    for (good, count) in [(json!(1), 1), (json!(1000), 1000), (json!("1"), 1), (json!("42"), 42)] {
        rig.set(QUEUE, "RedrivePolicy", &policy(&good)).unwrap();
        assert_eq!(told(&mut rig, QUEUE, "RedrivePolicy")["maxReceiveCount"], json!(count));
    }
    for (bad, shown) in [
        (json!(0), "0"),
        (json!(1001), "1001"),
        (json!(-1), "-1"),
        (json!("0"), "0"),
        (json!("invalid"), "invalid"),
    ] {
        let text = format!(
            "Value {} for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive.",
            policy(&bad)
        );
        let refused = refusal_in_words(rig.set(QUEUE, "RedrivePolicy", &policy(&bad)));
        assert_eq!(refused, (ErrorKind::InvalidParameterValue, text));
    }
}

#[test]
fn a_redrive_allow_policy_says_which_queues_may_name_this_one() {
    let mut rig = with_dlq();
    let by_queue = |names: &[&str]| {
        let arns: Vec<String> = names.iter().map(|name| arn(name)).collect();
        json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns }).to_string()
    };
    for (allow, allowed) in [
        (json!({ "redrivePermission": "allowAll" }).to_string(), true),
        (json!({ "redrivePermission": "denyAll" }).to_string(), false),
        (by_queue(&["other"]), false),
        (by_queue(&["other", QUEUE]), true),
    ] {
        rig.set(DLQ, "RedriveAllowPolicy", &allow).unwrap();
        let set: Value = serde_json::from_str(&allow).unwrap();
        assert_eq!(told(&mut rig, DLQ, "RedriveAllowPolicy"), set);
        let named = rig.set(QUEUE, "RedrivePolicy", &redrive_to(DLQ, 3));
        assert_eq!(named.is_ok(), allowed, "{allow}");
    }
    rig.set(DLQ, "RedriveAllowPolicy", "").unwrap();
    assert_eq!(rig.attribute(DLQ, "RedriveAllowPolicy"), None);
    rig.set(QUEUE, "RedrivePolicy", &redrive_to(DLQ, 3)).unwrap();
}

#[test]
fn redrive_allow_policies_are_refused_with_the_reason() {
    let mut rig = Rig::standard();
    let arns = |number: usize| {
        let arns: Vec<String> = (0..number).map(|n| arn(&n.to_string())).collect();
        json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns }).to_string()
    };
    rig.set(QUEUE, "RedriveAllowPolicy", &arns(10)).unwrap();
    let needs_by_queue =
        "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.";
    let needs_sources = "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.";
    for (bad, reason) in [
        (arns(11).as_str(), "The maximum number of source queue ARNs you can specify is 10."),
        (&arns(1).replace("byQueue", "allowAll"), needs_by_queue),
        (&arns(1).replace("byQueue", "denyAll"), needs_by_queue),
        (&arns(0), needs_sources),
        (r#"{"redrivePermission":"byQueue"}"#, needs_sources),
    ] {
        let text = format!(
            "Value {bad} for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS can't create the redrive allow policy. {reason}"
        );
        let refused = refusal_in_words(rig.set(QUEUE, "RedriveAllowPolicy", bad));
        assert_eq!(refused, (ErrorKind::InvalidParameterValue, text));
    }
    for bad in ["not json", "[]", r#"{"redrivePermission":"some"}"#, r#"{"other":"denyAll"}"#] {
        let refused = refusal(rig.set(QUEUE, "RedriveAllowPolicy", bad));
        assert_eq!(refused, ErrorKind::InvalidParameterValue, "{bad}");
    }
}

#[test]
fn a_dead_letter_queue_that_is_gone_leaves_other_attributes_free_to_change() {
    let mut rig = with_dlq();
    rig.set(QUEUE, "RedrivePolicy", &redrive_to(DLQ, 3)).unwrap();
    rig.sqs.delete_queue(rig.now, &url(DLQ)).unwrap();
    rig.set(QUEUE, "VisibilityTimeout", "60").unwrap();
    assert_eq!(rig.attribute(QUEUE, "RedrivePolicy"), Some(redrive_to(DLQ, 3)));
}

/// The key, its reuse period and the managed encryption that the queue tells.
fn encryption(rig: &mut Rig) -> [Option<String>; 3] {
    ["KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"]
        .map(|name| rig.attribute(QUEUE, name))
}

fn set_all(rig: &mut Rig, attributes: &[(&str, &str)]) -> Result<(), ApiError> {
    let attributes: BTreeMap<String, String> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = SetQueueAttributesRequest { queue_url: url(QUEUE), attributes };
    rig.sqs.set_queue_attributes(rig.now, &request)
}

#[test]
fn a_kms_key_and_managed_encryption_end_each_other() {
    let mut rig = Rig::standard();
    let some = |text: &str| Some(text.to_owned());
    let managed = [None, None, some("true")];
    assert_eq!(encryption(&mut rig), managed);
    let kms = [("KmsMasterKeyId", "testKeyId"), ("KmsDataKeyReusePeriodSeconds", "6000")];
    set_all(&mut rig, &kms).unwrap();
    assert_eq!(encryption(&mut rig), [some("testKeyId"), some("6000"), some("false")]);
    set_all(&mut rig, &[("SqsManagedSseEnabled", "true")]).unwrap();
    assert_eq!(encryption(&mut rig), managed);
    set_all(&mut rig, &[kms[0], kms[1], ("SqsManagedSseEnabled", "false")]).unwrap();
    assert_eq!(encryption(&mut rig)[2], some("false"));
    set_all(&mut rig, &[("KmsMasterKeyId", ""), ("KmsDataKeyReusePeriodSeconds", "300")]).unwrap();
    assert_eq!(encryption(&mut rig), [None, None, some("false")], "a key taken away brings none");
    set_all(&mut rig, &[("KmsMasterKeyId", "testKeyId")]).unwrap();
    assert_eq!(encryption(&mut rig), [some("testKeyId"), some("300"), some("false")]);
}

#[test]
fn both_kinds_of_encryption_at_once_are_refused() {
    let both = [("KmsMasterKeyId", "testKeyId"), ("SqsManagedSseEnabled", "true")];
    let text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.";
    let refused = (ErrorKind::InvalidAttributeName, text.to_owned());
    let mut rig = Rig::standard();
    assert_eq!(refusal_in_words(set_all(&mut rig, &both)), refused);
    assert_eq!(refusal_in_words(rig.create("other", &both)), refused);
}

#[test]
fn booleans_are_read_in_any_case_and_told_in_lower_case() {
    let mut rig = Rig::fifo();
    for name in ["ContentBasedDeduplication", "SqsManagedSseEnabled"] {
        for good in ["true", "True", "TRUE", "false", "False", "FALSE"] {
            rig.set(FIFO, name, good).unwrap();
            assert_eq!(rig.attribute(FIFO, name), Some(good.to_lowercase()), "{name}={good}");
        }
        for bad in ["yes", "1", "0", "t", " true", ""] {
            let refused = refusal(rig.set(FIFO, name, bad));
            assert_eq!(refused, ErrorKind::InvalidAttributeValue, "{name}={bad}");
        }
    }
    rig.create("other.fifo", &[("FifoQueue", "TRUE")]).unwrap();
    assert_eq!(rig.attribute("other.fifo", "FifoQueue").as_deref(), Some("true"));
}

#[test]
fn attributes_are_told_only_when_they_are_asked_for() {
    let mut rig = Rig::standard();
    let mut get = |names: &[&str]| {
        let attribute_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = GetQueueAttributesRequest { queue_url: url(QUEUE), attribute_names };
        let told = rig.sqs.get_queue_attributes(rig.now, &request).unwrap().attributes;
        told.into_keys().collect::<Vec<String>>()
    };
    assert_eq!(get(&[]), [""; 0]);
    assert_eq!(get(&["QueueArn", "Policy", "DelaySeconds"]), ["DelaySeconds", "QueueArn"]);
}
