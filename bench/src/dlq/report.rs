//! The figures as tables.

use std::{fmt::Write as _, time::Duration};

use super::{
    Measured,
    watch::{PAGES, PARTS},
};

pub(super) fn text(measured: &[Measured], memory: f64) -> anyhow::Result<String> {
    let mut text =
        format!("| | {} |\n|---|", row(measured, |of| format!("{} dead letters", of.letters)));
    text.push_str(&"---|".repeat(measured.len()));
    text.push('\n');
    let mut line = |what: &str, value: &dyn Fn(&Measured) -> String| {
        writeln!(text, "| {what} | {} |", row(measured, value))
    };
    line("start to the first answer", &|of| seconds(of.watched.answers))?;
    line("start to the first page with dead letters", &|of| seconds(of.watched.first_page))?;
    for (place, part) in PARTS.into_iter().enumerate() {
        line(&format!("start to {part} % known; the scan as it is told then"), &|of| {
            format!("{}; {}", seconds(of.watched.known[place]), of.watched.said[place])
        })?;
    }
    line("start to everything seen, and said so", &|of| seconds(of.watched.complete))?;
    line("seen per second", &|of| {
        let all = of.letters + of.letters / 10;
        format!("{:.0}", all as f64 / of.watched.complete.as_secs_f64())
    })?;
    for (place, page) in PAGES.into_iter().enumerate() {
        line(&format!("`{page}` meanwhile, p50 / p99"), &|of| times(&of.watched.busy[place]))?;
        line(&format!("`{page}` afterwards, p50 / p99"), &|of| times(&of.watched.quiet[place]))?;
    }
    line("the whole list in pages of 200; each, p50 / p99", &|of| {
        format!("{}; {}", seconds(of.watched.walk), times(&of.watched.walk_pages))
    })?;
    for place in 0..measured.first().map_or(0, |of| of.jobs.len()) {
        let what = measured[0].jobs[place].what;
        line(&format!("redriven: {what}"), &|of| {
            let job = &of.jobs[place];
            let rate = job.done as f64 / job.took.as_secs_f64();
            format!("{} in {}, {rate:.0}/s ({})", job.done, seconds(job.took), job.method)
        })?;
        line("the list's first page meanwhile, p50 / p99", &|of| times(&of.jobs[place].pages))?;
    }
    line("memory at most, until everything is seen", &|of| mib(of.peaks[0]))?;
    line("memory at most, in all", &|of| mib(of.peaks[1]))?;
    line("lost", &|_| "**0**".to_owned())?;
    line("copies too many", &|of| of.copies.to_string())?;
    writeln!(
        text,
        "\nDead letters of the standard queue, and a tenth as many of the FIFO queue, all there when the monitor \
         starts, with SQLite and its default settings, alone on a core; SQS and who asks are on the other. Meanwhile: \
         one page after the other, until the monitor says that it has seen everything; afterwards: each a hundred \
         times. The whole list must have each dead letter once. SQS's move task is bounded by SQS, to 500 messages \
         per second. Memory is VmHWM; what grows in it is a receipt handle of each message in sight, 110,000 at most. In the end every message is in its source queue, those of a FIFO group in \
         their order. Wanted: at most {memory} MiB, and none lost."
    )?;
    Ok(text)
}

fn row(measured: &[Measured], value: impl Fn(&Measured) -> String) -> String {
    measured.iter().map(value).collect::<Vec<_>>().join(" | ")
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// The median and the 99th percentile, in milliseconds.
fn times(times: &[f64]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted.get((sorted.len() as f64 * part) as usize).or(sorted.last());
    match (at(0.5), at(0.99)) {
        (Some(half), Some(most)) => format!("{half:.1} / {most:.1} ms"),
        _ => "-".to_owned(),
    }
}
