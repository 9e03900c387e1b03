//! What people read: one line per check.

use std::io::Write;

use anyhow::ensure;
use tokio::time::Instant;

/// Tells each check as soon as it has ended, and counts.
#[derive(Debug)]
pub(crate) struct Report<W> {
    out: W,
    checks: usize,
    failed: usize,
}

impl<W: Write> Report<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, checks: 0, failed: 0 }
    }

    /// Runs a check and tells how it ended: with what it found, or with why it failed.
    pub(crate) async fn check(
        &mut self,
        name: &str,
        work: impl Future<Output = anyhow::Result<String>>,
    ) -> Option<String> {
        let began = Instant::now();
        let ended = work.await;
        let seconds = began.elapsed().as_secs_f64();
        self.checks += 1;
        match ended {
            Ok(found) => {
                self.say(&format!("passed     {seconds:>6.1} s  {name}: {found}"));
                Some(found)
            }
            Err(error) => {
                self.failed += 1;
                self.say(&format!("FAILED     {seconds:>6.1} s  {name}: {error:#}"));
                None
            }
        }
    }

    /// Checks for which an earlier one did not bring what they need. They count as failed.
    pub(crate) fn not_run(&mut self, names: &[&str], why: &str) {
        self.checks += names.len();
        self.failed += names.len();
        for name in names {
            self.say(&format!("NOT RUN              {name}: {why}"));
        }
    }

    /// Checks of what this fleet does not have.
    pub(crate) fn left_out(&mut self, names: &[&str], why: &str) {
        for name in names {
            self.say(&format!("left out             {name}: {why}"));
        }
    }

    /// An error if a check failed, or if there was none.
    pub(crate) fn verdict(self) -> anyhow::Result<()> {
        let Self { checks, failed, .. } = self;
        ensure!(failed == 0, "{failed} of {checks} checks failed");
        ensure!(checks > 0, "nothing was checked");
        Ok(())
    }

    /// A closed pipe changes nothing of the verdict.
    fn say(&mut self, line: &str) {
        _ = writeln!(self.out, "{line}");
        _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn lines(report: &Report<Vec<u8>>) -> Vec<String> {
        let text = String::from_utf8(report.out.clone()).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_failure_is_told_with_its_causes_and_makes_the_verdict() {
        let mut report = Report::new(Vec::new());
        let found = report.check("the API answers", async { Ok("at once".to_owned()) }).await;
        assert_eq!(found.as_deref(), Some("at once"));
        let failure = async { Err(anyhow!("connection refused")).context("GET http://api/") };
        assert_eq!(report.check("an order is delivered", failure).await, None);
        let lines = lines(&report);
        assert!(lines[0].starts_with("passed") && lines[0].ends_with("the API answers: at once"));
        assert!(lines[1].starts_with("FAILED"), "{lines:?}");
        assert!(lines[1].ends_with("GET http://api/: connection refused"), "{lines:?}");
        let verdict = report.verdict().expect_err("one failed").to_string();
        assert_eq!(verdict, "1 of 2 checks failed");
    }

    #[tokio::test]
    async fn what_could_not_be_run_has_failed_and_what_is_not_there_has_not() {
        let mut report = Report::new(Vec::new());
        report.check("first", async { Ok(String::new()) }).await;
        report.left_out(&["second"], "there is no such queue");
        assert!(lines(&report)[1].ends_with("second: there is no such queue"));
        report.not_run(&["third", "fourth"], "nothing was dead-lettered");
        let verdict = report.verdict().expect_err("two were not run").to_string();
        assert_eq!(verdict, "2 of 3 checks failed");
    }

    #[test]
    fn a_run_without_a_check_is_no_success() {
        assert!(Report::new(Vec::new()).verdict().is_err());
    }
}
