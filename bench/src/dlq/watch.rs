//! The monitor's first look at its queues, and what pages take meanwhile and afterwards.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, ensure};
use hyper::Request;
use serde_json::Value;
use tokio::time::Instant;

use super::{STANDARD_DLQ, Scene};
use crate::http::Client;

/// What is asked for, again and again.
pub(super) const PAGES: [&str; 5] = [
    "/api/dlq/queues",
    "/api/dlq/messages?limit=50",
    "/api/dlq/messages?limit=50&reason=timeout",
    "/",
    "/messages",
];
/// Times that each is asked for when nothing else is going on.
const QUIET: usize = 100;
/// Between two rounds of questions while the monitor looks at its queues.
const PAUSE: Duration = Duration::from_millis(100);
/// Seeing everything takes no longer unless something is wrong.
const LONGEST: Duration = Duration::from_mins(20);
/// Parts of all the messages, in percent, for which it is told when they were known.
pub(super) const PARTS: [usize; 4] = [1, 25, 50, 75];

/// How long each of the pages took, in milliseconds.
pub(super) type Times = [Vec<f64>; PAGES.len()];

pub(super) struct Watched {
    /// From the start of the process until it answers.
    pub(super) answers: Duration,
    /// Until its list shows dead letters.
    pub(super) first_page: Duration,
    /// Until such a part was known, in the order of [`PARTS`].
    pub(super) known: Vec<Duration>,
    /// What was said of the standard queue's scan at each of these moments.
    pub(super) said: Vec<String>,
    /// Until it said that it had seen everything.
    pub(super) complete: Duration,
    pub(super) busy: Times,
    pub(super) quiet: Times,
    /// The whole list, read page by page.
    pub(super) walk: Duration,
    pub(super) walk_pages: Vec<f64>,
}

pub(super) async fn watch(scene: &mut Scene) -> anyhow::Result<Watched> {
    let api = scene.api;
    scene.monitor.wait_until_ready(api, "/api/dlq/health")?;
    let answers = scene.started.elapsed();
    let mut client = Client::new(api);
    let (mut first_page, mut known, mut said) = (None, Vec::new(), Vec::new());
    let mut busy = Times::default();
    let complete = loop {
        let queues = scene.ask(&mut client, "/api/dlq/queues").await?;
        let at = scene.started.elapsed();
        let known_of = |dead: &Value| dead["known"].as_u64().unwrap_or(0) as usize;
        let seen: usize = dead_letters(&queues).map(known_of).sum();
        if seen > 0 && first_page.is_none() {
            let page = scene.ask(&mut client, PAGES[1]).await?;
            ensure!(page["items"].as_array().is_some_and(|items| !items.is_empty()), "{page}");
            first_page = Some(scene.started.elapsed());
        }
        while known.len() < PARTS.len() && seen * 100 >= PARTS[known.len()] * scene.total() {
            known.push(at);
            said.push(scan_of(&queues, STANDARD_DLQ));
        }
        if dead_letters(&queues).all(|dead| dead["scan"]["complete"] == true) {
            ensure!(seen == scene.total(), "it knows {seen} of {}", scene.total());
            break at;
        }
        ensure!(at < LONGEST, "not everything is seen after {LONGEST:?}: {queues}");
        ask_all(&mut client, &mut busy).await?;
        tokio::time::sleep(PAUSE).await;
    };
    println!("all seen after {complete:?}");
    let mut quiet = Times::default();
    for _ in 0..QUIET {
        ask_all(&mut client, &mut quiet).await?;
    }
    let began = Instant::now();
    let walk_pages = walk(scene, &mut client).await?;
    let walk = began.elapsed();
    let first_page = first_page.context("dead letters were never listed")?;
    Ok(Watched { answers, first_page, known, said, complete, busy, quiet, walk, walk_pages })
}

fn dead_letters(queues: &Value) -> impl Iterator<Item = &Value> {
    let queues = queues["queues"].as_array().map_or(&[][..], Vec::as_slice);
    queues.iter().map(|queue| &queue["deadLetters"]).filter(|dead| !dead.is_null())
}

/// How far the monitor says that its last scan of this queue came.
fn scan_of(queues: &Value, name: &str) -> String {
    let queues = queues["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let queue = queues.iter().find(|queue| queue["queue"] == name);
    let scan = queue.map_or(&Value::Null, |queue| &queue["deadLetters"]["scan"]);
    match (scan["complete"].as_bool(), scan["seen"].as_u64()) {
        (Some(true), Some(seen)) => format!("complete, {seen} seen"),
        (Some(false), Some(seen)) => format!("incomplete, {seen} seen"),
        _ => "no scan has ended yet".to_owned(),
    }
}

async fn ask_all(client: &mut Client, times: &mut Times) -> anyhow::Result<()> {
    for (path, times) in PAGES.iter().zip(times) {
        let began = Instant::now();
        let accept = if path.starts_with("/api") { "application/json" } else { "text/html" };
        let request = Request::get(*path).header("accept", accept);
        let (status, body) = client.send(request, "").await?;
        ensure!(status.is_success(), "GET {path} answered {status}: {body:?}");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Reads the whole list, page by page: it must have every dead letter once.
async fn walk(scene: &Scene, client: &mut Client) -> anyhow::Result<Vec<f64>> {
    let (mut ids, mut times) = (HashSet::new(), Vec::new());
    let mut path = "/api/dlq/messages?limit=200".to_owned();
    loop {
        let began = Instant::now();
        let page = scene.ask(client, &path).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        for item in page["items"].as_array().context("a page has items")? {
            let id = (item["queue"].to_string(), item["messageId"].to_string());
            ensure!(ids.insert(id), "the list has a dead letter twice: {item}");
        }
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/dlq/messages?limit=200&cursor={cursor}");
    }
    ensure!(ids.len() == scene.total(), "the list has {} of {}", ids.len(), scene.total());
    Ok(times)
}
