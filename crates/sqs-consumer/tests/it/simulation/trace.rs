//! The story of a run, kept only when it is asked for.

use std::fmt::Write as _;

use super::violation::Seconds;

/// Lines shown of a violation's story.
const SHOWN: usize = 80;

#[derive(Default)]
pub(super) struct Trace {
    lines: Option<Vec<Line>>,
}

struct Line {
    at: u64,
    /// The messages that it is about; none if about all.
    about: Vec<usize>,
    text: String,
}

impl Trace {
    pub(super) fn on() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// Notes what happens; costs nothing when nobody wants to know.
    pub(super) fn say(&mut self, at: u64, line: impl FnOnce() -> (Vec<usize>, String)) {
        if let Some(lines) = &mut self.lines {
            let (about, text) = line();
            lines.push(Line { at, about, text });
        }
    }

    /// The latest lines about these messages and about everything.
    pub(super) fn about(&self, related: impl Fn(usize) -> bool) -> String {
        let lines = self.lines.iter().flatten();
        let shown: Vec<&Line> = lines
            .filter(|line| line.about.is_empty() || line.about.iter().any(|&m| related(m)))
            .collect();
        let mut text = String::new();
        for line in &shown[shown.len().saturating_sub(SHOWN)..] {
            _ = writeln!(text, "  {:>9} {}", Seconds(line.at).to_string(), line.text);
        }
        text
    }
}
