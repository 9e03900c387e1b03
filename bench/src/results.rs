//! bench/RESULTS.md: one section per measurement, replaced when it is measured again.

use std::{path::PathBuf, process::Command};

use anyhow::ensure;

/// A table with the command that made it.
pub(crate) struct Section<'a> {
    pub(crate) title: &'a str,
    pub(crate) command: &'a str,
    pub(crate) text: String,
}

impl Section<'_> {
    /// Keeps a full measurement, and holds it to its bounds: `missed` names those that it misses. A
    /// quick one is only printed: it checks the measurement itself.
    pub(crate) fn conclude(mut self, quick: bool, missed: &[String]) -> anyhow::Result<()> {
        if quick {
            println!("{}", self.text);
            return Ok(());
        }
        if !missed.is_empty() {
            self.text = format!("{}\n\n**Missed:** {}.", self.text.trim_end(), missed.join("; "));
        }
        self.write()?;
        ensure!(missed.is_empty(), "a bound is missed: {}", missed.join("; "));
        Ok(())
    }

    /// Prints the section and puts it into the file.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        // As cargo runs it: what it was compiled with may be another checkout's that shares the build.
        #[expect(clippy::disallowed_methods, reason = "cargo's, no setting")]
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let path = PathBuf::from(package).join("RESULTS.md");
        let heading = format!("## {}\n", self.title);
        let body = format!(
            "{heading}\n`{}` on {}, {}\n\n{}\n",
            self.command,
            machine(),
            versions(),
            self.text.trim_end()
        );
        println!("{body}");
        // The figures would be nobody's who looks for their code.
        ensure!(!is_dirty(), "not written to RESULTS.md: there are changes that are not committed");
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        let mut sections: Vec<String> = old
            .split("\n## ")
            .skip(1)
            .map(|section| format!("## {}\n", section.trim_end()))
            .filter(|section| !section.starts_with(&heading))
            .collect();
        sections.push(body);
        sections.sort();
        let introduction = "# Results\n\nMeasured by `cargo run --release -p bench -- <what>`, which writes this file. Absolute figures\nmove from machine to machine; compare those of one run.\n";
        std::fs::write(&path, format!("{introduction}\n{}", sections.join("\n")))?;
        Ok(())
    }
}

/// Whether the code differs from its commit, but for the results themselves.
fn is_dirty() -> bool {
    let arguments = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        ":(top)",
        ":(top,exclude)bench/RESULTS.md",
    ];
    let output = Command::new("git").args(arguments).output();
    output.is_ok_and(|output| !output.stdout.is_empty())
}

fn machine() -> String {
    let cpus = crate::process::cores().unwrap_or_default();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown processor", |line| line.trim_matches([' ', '\t', ':']));
    format!("{cpus} cores of {model}")
}

fn versions() -> String {
    let text = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let rustc = text("rustc", &["--version"]).unwrap_or_default();
    let commit = text("git", &["describe", "--always"]).unwrap_or_default();
    format!("{rustc}, commit {commit}")
}
