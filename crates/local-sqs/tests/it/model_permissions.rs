use local_sqs::model::api::{AddPermissionRequest, RemovePermissionRequest};
use local_sqs::model::{ApiError, ErrorKind};
use serde_json::{Value, json};

use crate::rig::{QUEUE, Rig, arn, refusal, refusal_in_words, url};

const ACCOUNT: &str = "111111111111";
/// Every action that can be permitted to others, the most of them that fit into a statement first.
const ACTIONS: [&str; 9] = [
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "PurgeQueue",
    "ListDeadLetterSourceQueues",
    "*",
];

fn permission(label: &str, accounts: &[&str], actions: &[&str]) -> AddPermissionRequest {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    AddPermissionRequest {
        queue_url: url(QUEUE),
        label: label.to_owned(),
        aws_account_ids: strings(accounts),
        actions: strings(actions),
    }
}

fn add(rig: &mut Rig, label: &str, accounts: &[&str], actions: &[&str]) -> Result<(), ApiError> {
    rig.sqs.add_permission(rig.now, &permission(label, accounts, actions))
}

/// Permits one action to one account.
fn permit(rig: &mut Rig, label: &str) -> Result<(), ApiError> {
    add(rig, label, &[ACCOUNT], &["SendMessage"])
}

fn remove(rig: &mut Rig, label: &str) -> Result<(), ApiError> {
    let request = RemovePermissionRequest { queue_url: url(QUEUE), label: label.to_owned() };
    rig.sqs.remove_permission(rig.now, &request)
}

fn policy(rig: &mut Rig) -> Value {
    let policy = rig.attribute(QUEUE, "Policy");
    policy.map_or(Value::Null, |policy| serde_json::from_str(&policy).unwrap())
}

fn labels(rig: &mut Rig) -> Vec<String> {
    let policy = policy(rig);
    let statements = policy["Statement"].as_array().unwrap().iter();
    statements.map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_permission_becomes_a_statement_of_the_queue_s_policy() {
    let mut rig = Rig::standard();
    permit(&mut rig, "mine").unwrap();
    let expected = json!({
        "Version": "2008-10-17",
        "Id": format!("{}/SQSDefaultPolicy", arn(QUEUE)),
        "Statement": [{
            "Sid": "mine",
            "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::111111111111:root" },
            "Action": "SQS:SendMessage",
            "Resource": arn(QUEUE),
        }],
    });
    assert_eq!(policy(&mut rig), expected);
}

#[test]
fn several_accounts_and_actions_are_lists_in_the_statement() {
    let mut rig = Rig::standard();
    let accounts = [ACCOUNT, "668614515564"];
    add(&mut rig, "both", &accounts, &["SendMessage", "ReceiveMessage"]).unwrap();
    let statement = &policy(&mut rig)["Statement"][0];
    let roots = json!(["arn:aws:iam::111111111111:root", "arn:aws:iam::668614515564:root"]);
    assert_eq!(statement["Principal"]["AWS"], roots);
    assert_eq!(statement["Action"], json!(["SQS:SendMessage", "SQS:ReceiveMessage"]));
}

#[test]
fn each_permission_is_a_statement_of_its_own() {
    let mut rig = Rig::standard();
    permit(&mut rig, "first").unwrap();
    permit(&mut rig, "second").unwrap();
    assert_eq!(labels(&mut rig), ["first", "second"]);
}

#[test]
fn the_actions_on_a_queue_can_be_permitted_to_others() {
    let mut rig = Rig::standard();
    for (n, action) in ACTIONS.into_iter().enumerate() {
        add(&mut rig, &n.to_string(), &[ACCOUNT], &[action]).unwrap();
        let permitted = &policy(&mut rig)["Statement"][n]["Action"];
        assert_eq!(*permitted, json!(format!("SQS:{action}")));
    }
}

#[test]
fn the_actions_of_the_owner_cannot_be_permitted_to_others() {
    let mut rig = Rig::standard();
    for action in [
        "AddPermission",
        "CancelMessageMoveTask",
        "CreateQueue",
        "DeleteQueue",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
        "RemovePermission",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    ] {
        let text = format!(
            "Value SQS:{action} for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action."
        );
        let refused = add(&mut rig, "mine", &[ACCOUNT], &["SendMessage", action]);
        assert_eq!(refusal_in_words(refused), (ErrorKind::InvalidParameterValue, text));
    }
    assert_eq!(policy(&mut rig), Value::Null);
}

#[test]
fn what_is_no_action_cannot_be_permitted() {
    let mut rig = Rig::standard();
    for action in ["Nonsense", "sendmessage", "SQS:SendMessage", "SendMessageBatch"] {
        let text = format!(
            "Value SQS:{action} for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions."
        );
        let refused = add(&mut rig, "mine", &[ACCOUNT], &[action]);
        assert_eq!(refusal_in_words(refused), (ErrorKind::InvalidParameterValue, text));
    }
}

#[test]
fn a_permission_has_seven_actions_at_most() {
    let mut rig = Rig::standard();
    let text = "8 Actions were found, maximum allowed is 7.".to_owned();
    let refused = add(&mut rig, "eight", &[ACCOUNT], &ACTIONS[..8]);
    assert_eq!(refusal_in_words(refused), (ErrorKind::OverLimit, text));
    assert_eq!(policy(&mut rig), Value::Null);
    add(&mut rig, "seven", &[ACCOUNT], &ACTIONS[..7]).unwrap();
}

#[test]
fn a_policy_grows_to_twenty_statements_at_most() {
    let mut rig = Rig::standard();
    for n in 1..=20 {
        permit(&mut rig, &n.to_string()).unwrap();
    }
    let text = "21 Statements were found, maximum allowed is 20.".to_owned();
    assert_eq!(refusal_in_words(permit(&mut rig, "21")), (ErrorKind::OverLimit, text));
    assert_eq!(labels(&mut rig).len(), 20);
    remove(&mut rig, "7").unwrap();
    permit(&mut rig, "21").unwrap();
}

#[test]
fn a_label_is_used_once() {
    let mut rig = Rig::standard();
    permit(&mut rig, "mine").unwrap();
    let before = policy(&mut rig);
    let text = "Value mine for parameter Label is invalid. Reason: Already exists.".to_owned();
    let refused = add(&mut rig, "mine", &["668614515564"], &["ReceiveMessage"]);
    assert_eq!(refusal_in_words(refused), (ErrorKind::InvalidParameterValue, text));
    assert_eq!(policy(&mut rig), before);
}

#[test]
fn a_label_is_up_to_80_letters_digits_hyphens_and_underscores() {
    let mut rig = Rig::standard();
    for label in ["a", "Under_score-9", &"l".repeat(80)] {
        permit(&mut rig, label).unwrap();
    }
    let long = "l".repeat(81);
    for label in ["with space", "a.b", "라벨", &long] {
        let refused = permit(&mut rig, label);
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{label}");
        let refused = remove(&mut rig, label);
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{label}");
    }
}

#[test]
fn only_accounts_can_be_permitted_something() {
    let mut rig = Rig::standard();
    for account in ["*", "11111111111", "1111111111111", "arn:aws:iam::111111111111:root", ""] {
        let text = format!(
            "Value [{account}] for parameter PrincipalId is invalid. Reason: Unable to verify."
        );
        let refused = add(&mut rig, "mine", &[ACCOUNT, account], &["SendMessage"]);
        assert_eq!(refusal_in_words(refused), (ErrorKind::InvalidParameterValue, text));
    }
}

#[test]
fn a_permission_needs_a_label_and_an_action() {
    let mut rig = Rig::standard();
    for refused in
        [permit(&mut rig, ""), add(&mut rig, "mine", &[ACCOUNT], &[]), remove(&mut rig, "")]
    {
        assert_eq!(refusal(refused), ErrorKind::MissingParameter);
    }
}

#[test]
fn a_removed_permission_leaves_the_others() {
    let mut rig = Rig::standard();
    for label in ["first", "second", "third"] {
        permit(&mut rig, label).unwrap();
    }
    remove(&mut rig, "second").unwrap();
    assert_eq!(labels(&mut rig), ["first", "third"]);
}

#[test]
fn with_its_last_permission_a_queue_loses_its_policy() {
    let mut rig = Rig::standard();
    permit(&mut rig, "mine").unwrap();
    remove(&mut rig, "mine").unwrap();
    assert_eq!(rig.attribute(QUEUE, "Policy"), None);
    permit(&mut rig, "mine").unwrap();
}

#[test]
fn a_permission_that_is_not_there_cannot_be_removed() {
    let mut rig = Rig::standard();
    let refused = |reason: &str| {
        let text = format!("Value absent for parameter Label is invalid. Reason: {reason}");
        (ErrorKind::InvalidParameterValue, text)
    };
    assert_eq!(refusal_in_words(remove(&mut rig, "absent")), refused("can't find label."));
    permit(&mut rig, "mine").unwrap();
    let reason = "can't find label on existing policy.";
    assert_eq!(refusal_in_words(remove(&mut rig, "absent")), refused(reason));
}

#[test]
fn permissions_are_added_to_a_policy_that_was_set_and_removed_from_it() {
    let mut rig = Rig::standard();
    let mut own = json!({ "Sid": "own", "Effect": "Deny", "Principal": "*", "Action": "SQS:*" });
    own["Resource"] = json!(arn(QUEUE));
    let set = json!({ "Version": "2012-10-17", "Id": "mine", "Statement": [own] });
    rig.set(QUEUE, "Policy", &set.to_string()).unwrap();
    permit(&mut rig, "added").unwrap();
    let grown = policy(&mut rig);
    assert_eq!((&grown["Version"], &grown["Id"]), (&json!("2012-10-17"), &json!("mine")));
    assert_eq!(labels(&mut rig), ["own", "added"]);
    remove(&mut rig, "own").unwrap();
    assert_eq!(labels(&mut rig), ["added"]);
}

#[test]
fn a_change_of_permissions_is_a_change_of_the_queue() {
    let mut rig = Rig::standard();
    let modified = |rig: &mut Rig| rig.attribute(QUEUE, "LastModifiedTimestamp").unwrap();
    let created = modified(&mut rig);
    rig.wait(1);
    permit(&mut rig, "mine").unwrap();
    let permitted = modified(&mut rig);
    rig.wait(1);
    remove(&mut rig, "mine").unwrap();
    assert!(created < permitted && permitted < modified(&mut rig));
}

#[test]
fn a_missing_queue_has_no_permissions() {
    let mut rig = Rig::empty();
    assert_eq!(refusal(permit(&mut rig, "mine")), ErrorKind::QueueDoesNotExist);
    assert_eq!(refusal(remove(&mut rig, "mine")), ErrorKind::QueueDoesNotExist);
}
