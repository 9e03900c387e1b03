//! The command line: `dlq-monitor dlq ...` asks a running monitor over its API.
//!
//! With `--json` the API's answers are printed as they are, for scripts; without, as lines for people.
//! Exit codes: 0; 64 for wrong arguments or settings; 1 when the monitor does not answer or refuses, or
//! when a job that is waited for does not complete, or leaves anything: refused, failed, not
//! found, not deleted, or dealt with by others.

mod arguments;
mod client;
mod print;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use order_store::JobState;
use serde_json::Value;
use service_kit::read_settings;

use self::{
    arguments::{Arguments, Asked, Wrong},
    client::{Client, Failure},
};
use crate::settings::{ClientSettings, Settings};

/// Wrong arguments or settings (`EX_USAGE` of BSD's sysexits.h).
const EXIT_USAGE: u8 = 64;
/// From one question about a job to the next.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Runs the command that these arguments are; none: they are the service's.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    if arguments.next()? != "dlq" {
        return None;
    }
    let arguments: Vec<String> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let arguments = match Arguments::parse(&arguments) {
        Ok(arguments) => arguments,
        Err(Wrong::Help) => {
            say(&mut io::stdout(), arguments::USAGE);
            return Some(ExitCode::SUCCESS);
        }
        Err(Wrong::Usage(wrong)) => {
            say(&mut io::stderr(), &format!("dlq-monitor: {wrong}\n\n{}", arguments::USAGE));
            return Some(ExitCode::from(EXIT_USAGE));
        }
    };
    let flags = arguments.settings.clone();
    let settings = match read_settings(Settings::table(), None, flags, ClientSettings::read) {
        Ok(settings) => settings,
        Err(problems) => {
            say(&mut io::stderr(), &format!("dlq-monitor: {problems}\n"));
            return Some(ExitCode::from(EXIT_USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(ask(&arguments, settings)),
        Err(error) => Err(Failure::Broken(error.to_string())),
    };
    Some(match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            if arguments.json
                && let Failure::Problem(problem) = &failure
            {
                say(&mut io::stdout(), &format!("{problem}\n"));
            }
            say(&mut io::stderr(), &format!("dlq-monitor: {failure}\n"));
            ExitCode::FAILURE
        }
    })
}

/// Asks, and prints the answer; whether all is well.
async fn ask(arguments: &Arguments, settings: ClientSettings) -> Result<bool, Failure> {
    let client = Client::new(settings)?;
    let show = |answer: &Value| {
        let text = if arguments.json {
            format!("{answer}\n")
        } else {
            print::lines(&arguments.asked, answer)
        };
        say(&mut io::stdout(), &text);
    };
    match &arguments.asked {
        Asked::Get { path, query, .. } => {
            show(&client.get(path, query).await?);
            Ok(true)
        }
        Asked::Post { path, body } => {
            let answer = client.post(path, body).await?;
            show(&answer);
            match answer["id"].as_str().filter(|_| arguments.wait) {
                Some(id) => {
                    let ended = wait(&client, id).await?;
                    show(&ended);
                    Ok(is_all_done(&ended))
                }
                None => Ok(true),
            }
        }
    }
}

/// Whether a job that has ended has dealt with everything that it was about.
fn is_all_done(job: &Value) -> bool {
    let none = |name: &str| job[name].as_u64() == Some(0);
    job["state"] == JobState::Completed.as_str()
        && ["refused", "failed", "notFound", "undeleted"].into_iter().all(none)
        && job["done"].as_u64() >= job["selected"].as_u64()
}

/// The job, when it has ended.
async fn wait(client: &Client, id: &str) -> Result<Value, Failure> {
    loop {
        let job = client.get(&format!("/api/dlq/jobs/{id}"), &[]).await?;
        if !job["finishedAt"].is_null() {
            return Ok(job);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Writes and forgets: a closed pipe is not worth a second error.
fn say(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
    let _ = to.flush();
}
