//! AddPermission and RemovePermission, which write the queue's access policy.

use serde_json::{Value, json};

use super::Sqs;
use super::api::{AddPermissionRequest, RemovePermissionRequest};
use super::error::ApiError;
use super::policy::{self, Policy};
use super::time::Millis;

/// The actions that can be permitted to others.
const ACTIONS: [&str; 9] = [
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];
/// The actions that only the queue's owner may invoke.
const OWNERS_ACTIONS: [&str; 11] = [
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
];

impl Sqs {
    /// AddPermission. The policy is kept and told, but nobody is refused: any credentials do.
    pub fn add_permission(
        &mut self,
        now: Millis,
        request: &AddPermissionRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        check_label(&request.label)?;
        if request.aws_account_ids.is_empty() {
            return Err(ApiError::invalid_value("[]", "PrincipalId", "Unable to verify."));
        }
        if request.actions.is_empty() {
            return Err(ApiError::missing("Actions"));
        }
        for action in &request.actions {
            check_action(action)?;
        }
        if request.actions.len() > policy::ACTIONS {
            return Err(policy::over_limit(format!(
                "{} Actions were found, maximum allowed is {}.",
                request.actions.len(),
                policy::ACTIONS
            )));
        }
        let principals = request.aws_account_ids.iter().map(|account| principal(account));
        let principals = principals.collect::<Result<Vec<String>, ApiError>>()?;
        let arn = self.arn(&name);
        let now = self.now;
        let queue = self.queues.get_mut(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        let policy = queue.attributes.policy.clone();
        let mut policy = policy.unwrap_or_else(|| Policy::default_of(&arn));
        if policy.has_label(&request.label) {
            return Err(ApiError::invalid_value(&request.label, "Label", "Already exists."));
        }
        policy.add(json!({
            "Sid": request.label,
            "Effect": "Allow",
            "Principal": { "AWS": one_or_all(principals) },
            "Action": one_or_all(request.actions.iter().map(|action| format!("SQS:{action}")).collect()),
            "Resource": arn,
        }))?;
        queue.attributes.policy = Some(policy);
        queue.modified = now;
        Ok(())
    }

    /// RemovePermission. With its last statement the policy goes.
    pub fn remove_permission(
        &mut self,
        now: Millis,
        request: &RemovePermissionRequest,
    ) -> Result<(), ApiError> {
        let name = self.open(now, &request.queue_url)?;
        check_label(&request.label)?;
        let now = self.now;
        let queue = self.queues.get_mut(&name).ok_or_else(ApiError::queue_does_not_exist)?;
        let missing = |reason: &str| Err(ApiError::invalid_value(&request.label, "Label", reason));
        let Some(policy) = queue.attributes.policy.clone() else {
            return missing("can't find label.");
        };
        if !policy.has_label(&request.label) {
            return missing("can't find label on existing policy.");
        }
        queue.attributes.policy = policy.without(&request.label);
        queue.modified = now;
        Ok(())
    }
}

fn check_label(label: &str) -> Result<(), ApiError> {
    if label.is_empty() {
        return Err(ApiError::missing("Label"));
    }
    let good = label.len() <= 80
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if good {
        return Ok(());
    }
    Err(ApiError::invalid_value(
        label,
        "Label",
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
    ))
}

fn check_action(action: &str) -> Result<(), ApiError> {
    let refused =
        |reason: &str| Err(ApiError::invalid_value(format!("SQS:{action}"), "ActionName", reason));
    if ACTIONS.contains(&action) {
        Ok(())
    } else if OWNERS_ACTIONS.contains(&action) || action == "UntagQueue" {
        refused("Only the queue owner is allowed to invoke this action.")
    } else {
        refused("Please refer to the appropriate WSDL for a list of valid actions.")
    }
}

/// The root user of an account, which is given by its twelve digits.
fn principal(account: &str) -> Result<String, ApiError> {
    if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(format!("arn:aws:iam::{account}:root"));
    }
    Err(ApiError::invalid_value(format!("[{account}]"), "PrincipalId", "Unable to verify."))
}

fn one_or_all(mut values: Vec<String>) -> Value {
    if values.len() == 1 { Value::from(values.remove(0)) } else { Value::from(values) }
}
