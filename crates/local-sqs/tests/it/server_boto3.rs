//! Every operation by boto3: the current one, which speaks AWS JSON, and the last that spoke AWS Query.

use std::process::Stdio;

use tokio::process::Command;

use crate::server_support::Running;

/// Runs the script with the interpreter that the variable names, which has boto3 installed.
async fn operations(variable: &str, protocol: &str) {
    #[expect(clippy::disallowed_methods, reason = "where CI has put a tool, not a setting")]
    let python = std::env::var(variable).unwrap_or_else(|_| "python3".to_owned());
    let server = Running::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3/operations.py");
    let run = Command::new(python)
        .args([script, &server.endpoint, "--protocol", protocol])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    assert!(out.contains("passed, 0 failed"), "{out}\n{err}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs boto3"]
async fn boto3_gets_aws_s_answers_from_every_operation() {
    operations("PYTHON_WITH_BOTO3", "json").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs boto3 1.28.80"]
async fn an_older_boto3_gets_aws_s_answers_from_every_operation_in_aws_query() {
    operations("PYTHON_WITH_BOTO3_QUERY", "query").await;
}
