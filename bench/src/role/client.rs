//! The other end of a role: who starts it, and reads its report.

use std::{
    io::{BufRead, BufReader, Write},
    process::ChildStdout,
    time::Duration,
};

use anyhow::Context;

use super::{Report, Spec};
use crate::process::Process;

/// A measured process.
pub(crate) struct Client {
    pub(crate) process: Process,
    answers: Option<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts it; it waits for [`Client::go`].
    pub(crate) fn start(spec: &Spec) -> anyhow::Result<Self> {
        let mut process = Process::start_measured(&["role", &serde_json::to_string(spec)?])?;
        let answers = process.child.stdout.take().context("the role's output is piped")?;
        let mut client = Self { process, answers: Some(BufReader::new(answers)) };
        let _: String = client.line()?;
        Ok(client)
    }

    pub(crate) fn go(&mut self) -> anyhow::Result<()> {
        let input = self.process.child.stdin.as_mut().context("the role's input is piped")?;
        Ok(writeln!(input)?)
    }

    /// Waits for the report.
    pub(crate) fn report(&mut self) -> anyhow::Result<Report> {
        self.line()
    }

    /// Lets it work to its report, and says how much processor time that took.
    pub(crate) fn measure(mut self) -> anyhow::Result<(Report, Duration)> {
        let before = self.process.exact_cpu_time()?;
        self.go()?;
        let report = self.report()?;
        Ok((report, self.process.exact_cpu_time()?.saturating_sub(before)))
    }

    /// The same without holding up the sender beside it.
    pub(crate) async fn reported(&mut self) -> anyhow::Result<Report> {
        let mut answers = self.answers.take().context("one reads at a time")?;
        let (line, answers) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let read = answers.read_line(&mut line);
            (read.map(|_| line), answers)
        })
        .await?;
        self.answers = Some(answers);
        let line = line?;
        serde_json::from_str(&line).with_context(|| format!("the measured process said {line:?}"))
    }

    fn line<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.answers.as_mut().context("one reads at a time")?.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the measured process said {line:?}"))
    }
}
