//! Dead letters are brought back: by a filter, message by message, and a whole queue at once.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{FIFO_DLQ, STANDARD_DLQ, Scene};
use crate::http::Client;

/// From one look at a job to the next.
const LOOK: Duration = Duration::from_millis(100);
/// A job takes no longer unless something is wrong.
const LONGEST: Duration = Duration::from_mins(30);

/// A job that has ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) what: &'static str,
    pub(super) method: String,
    pub(super) done: u64,
    /// From its start to its end.
    pub(super) took: Duration,
    /// How long the first page of the list took meanwhile, in milliseconds.
    pub(super) pages: Vec<f64>,
}

pub(super) async fn bring_back(scene: &mut Scene) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (what, request) in [
        (
            "standard, the reason of eight in ten",
            json!({ "queue": STANDARD_DLQ, "filter": { "reason": "carrier_unavailable" } }),
        ),
        (
            "standard, then the reason of half of what is left",
            json!({ "queue": STANDARD_DLQ, "filter": { "reason": "timeout" } }),
        ),
        ("FIFO, the whole queue", json!({ "queue": FIFO_DLQ, "all": true })),
        (
            "standard, the whole queue, by SQS's move task",
            json!({ "queue": STANDARD_DLQ, "all": true }),
        ),
    ] {
        let job = follow(scene, what, request).await?;
        println!("{what}: {} in {:?}", job.done, job.took);
        jobs.push(job);
    }
    Ok(jobs)
}

async fn follow(scene: &Scene, what: &'static str, mut body: Value) -> anyhow::Result<Job> {
    body["by"] = "bench".into();
    body["reason"] = "the carrier is back".into();
    let mut client = Client::new(scene.api);
    let request = Request::post("/api/dlq/redrive")
        .header("content-type", "application/json")
        .header("accept", "application/json");
    let (status, answer) = client.send(request, body.to_string()).await?;
    ensure!(status == StatusCode::ACCEPTED, "{body} is answered with {status}: {answer:?}");
    let job: Value = serde_json::from_slice(&answer)?;
    let path = format!("/api/dlq/jobs/{}", job["id"].as_str().context("a job has an id")?);
    let (began, mut pages) = (Instant::now(), Vec::new());
    let job = loop {
        sleep(LOOK).await;
        let job = scene.ask(&mut client, &path).await?;
        if !job["finishedAt"].is_null() {
            break job;
        }
        ensure!(began.elapsed() < LONGEST, "the job does not end: {job}");
        let asked = Instant::now();
        client.get("/api/dlq/messages?limit=50").await?;
        pages.push(asked.elapsed().as_secs_f64() * 1e3);
    };
    ensure!(job["state"] == "completed" && job["done"] == job["selected"], "{job}");
    let time = |name: &str| -> anyhow::Result<Timestamp> {
        Ok(job[name].as_str().context("a job that has ended has its times")?.parse()?)
    };
    let took = time("finishedAt")?.duration_since(time("startedAt")?);
    Ok(Job {
        what,
        method: job["method"].as_str().unwrap_or_default().to_owned(),
        done: job["done"].as_u64().unwrap_or_default(),
        took: took.try_into()?,
        pages,
    })
}
