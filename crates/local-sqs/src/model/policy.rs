//! Access policies: checked as AWS checks them when they are set, kept, and without effect here.

use serde_json::{Map, Value, json};

use super::error::{ApiError, ErrorKind};

/// AWS's [quotas](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html).
const POLICY_BYTES: usize = 8_192;
const STATEMENTS: usize = 20;
pub(super) const ACTIONS: usize = 7;

/// A queue's access policy, as the JSON that it was given as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy(Map<String, Value>);

impl Policy {
    /// Reads a policy. `None` when the text takes it away.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, ApiError> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > POLICY_BYTES {
            return Err(over_limit("Submitted policy is over max allowed size.".to_owned()));
        }
        let invalid = || {
            ApiError::new(
                ErrorKind::InvalidAttributeValue,
                "Invalid value for the parameter Policy.",
            )
        };
        let Ok(Value::Object(policy)) = serde_json::from_str(text) else {
            return Err(invalid());
        };
        let policy = Self(policy);
        let version = policy.0.get("Version").and_then(Value::as_str);
        if version.is_some_and(|version| !matches!(version, "2008-10-17" | "2012-10-17")) {
            return Err(invalid());
        }
        let statements = policy.statements();
        if statements.is_empty() || !statements.iter().all(|statement| is_statement(statement)) {
            return Err(invalid());
        }
        if statements.len() > STATEMENTS {
            return Err(over_limit(format!(
                "{} statements were found in the submitted policy, max allowed is {STATEMENTS}",
                statements.len()
            )));
        }
        let actions = |statement: &&Value| statement["Action"].as_array().map_or(1, Vec::len);
        if let Some(found) = statements.iter().map(actions).find(|found| *found > ACTIONS) {
            return Err(over_limit(format!(
                "{found} actions were found in a statement from the submitted policy, max allowed is {ACTIONS}"
            )));
        }
        Ok(Some(policy))
    }

    /// The policy that AddPermission begins with.
    pub(super) fn default_of(queue_arn: &str) -> Self {
        let policy = json!({
            "Version": "2008-10-17", "Id": format!("{queue_arn}/SQSDefaultPolicy"), "Statement": [],
        });
        Self(policy.as_object().cloned().unwrap_or_default())
    }

    pub(super) fn has_label(&self, label: &str) -> bool {
        self.statements().iter().any(|statement| statement["Sid"] == label)
    }

    /// Adds a statement, unless there are as many as AWS allows.
    pub(super) fn add(&mut self, statement: Value) -> Result<(), ApiError> {
        let mut statements: Vec<Value> = self.statements().into_iter().cloned().collect();
        statements.push(statement);
        if statements.len() > STATEMENTS {
            return Err(over_limit(format!(
                "{} Statements were found, maximum allowed is {STATEMENTS}.",
                statements.len()
            )));
        }
        self.0.insert("Statement".to_owned(), Value::Array(statements));
        Ok(())
    }

    /// The policy without the statement of a label; `None` when no statement is left.
    pub(super) fn without(mut self, label: &str) -> Option<Self> {
        let mut statements: Vec<Value> = self.statements().into_iter().cloned().collect();
        statements.retain(|statement| statement["Sid"] != label);
        let left = !statements.is_empty();
        self.0.insert("Statement".to_owned(), Value::Array(statements));
        left.then_some(self)
    }

    pub(super) fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// A single statement may stand for a list of one.
    fn statements(&self) -> Vec<&Value> {
        match self.0.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => Vec::new(),
        }
    }
}

fn is_statement(statement: &Value) -> bool {
    let has = |name: &str| statement.get(name).is_some();
    let effect = statement.get("Effect").and_then(Value::as_str);
    matches!(effect, Some("Allow" | "Deny")) && (has("Action") || has("NotAction"))
}

pub(super) fn over_limit(text: String) -> ApiError {
    ApiError::new(ErrorKind::OverLimit, text)
}
