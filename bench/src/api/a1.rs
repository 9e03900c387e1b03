//! A1: what the API adds to a bare SendMessage, at half of the load that it can take.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::ensure;
use serde_json::json;
use tokio::time::Instant;

use super::{
    Api, Generator, ORDER, Options,
    generator::{Requests, Times},
    orders, quantile,
};
use crate::{
    process::{build, leave_the_measured_core},
    results::Section,
    server::Server,
    sqs::median,
};

/// Milliseconds that may be added to the median and to the slowest hundredth.
const ADDED: [f64; 2] = [1.0, 3.0];
/// Milliseconds by which the generator may be late with a hundredth of a slice: beyond that it is the
/// generator that is measured, and the slice is measured again. What waits for a connection is not
/// late by that: a stall of the API must not take its own slice out.
const LATE: f64 = 1.0;
/// Slices that may be measured again, for each that counts.
const AGAIN: usize = 20;
/// Orders in a slice: short enough to lie between two moments at which a machine that others use
/// as well stands still.
const SLICE: usize = 2_000;
/// More are never busy unless what is measured is held up; then orders wait for one, either way.
const CONNECTIONS: usize = 256;

pub(crate) async fn run(options: Options<'_>) -> anyhow::Result<()> {
    let quick = options.quick;
    let binaries = build()?;
    leave_the_measured_core()?;
    let (slices, rounds) = if quick { (2, 1) } else { (5, 9) };
    let mut text = String::from(
        "| queue | round trip | orders/s | bare p50 | API p50 | added | bare p99 | API p99 | added | sent late, p99 | slices again |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for queue_type in ["standard", "fifo"] {
        for round_trip in [0, 10] {
            let server = Server::start(&binaries)?;
            let api = Api::start(&binaries, &server, 10, &options)?;
            server.connect().await?.hold_up_sends(Duration::from_millis(round_trip)).await?;
            let mut ways =
                [(server.addr, bare(server.addr, queue_type)), (api.addr, orders(&[queue_type]))];
            // What so many clients can send either way.
            let mut most = f64::INFINITY;
            for (addr, requests) in &mut ways {
                let mut generator = Generator::open(*addr, CONNECTIONS)?;
                generator.closed_loop(requests, SLICE)?;
                let began = Instant::now();
                generator.closed_loop(requests, 5 * SLICE)?;
                most = most.min(5.0 * SLICE as f64 / began.elapsed().as_secs_f64());
            }
            let rate = most / 2.0;
            let mut figures: [[Vec<f64>; 3]; 2] = Default::default();
            let most_again = AGAIN * rounds * slices;
            let (mut turn, mut again) = (0, 0);
            for _ in 0..rounds {
                let mut counted: [Times; 2] = Default::default();
                for _ in 0..slices {
                    let slice = loop {
                        turn += 1;
                        let slice = both(&mut ways, rate, turn)?;
                        if quick || slice.iter().all(|times| quantile(&times.late, 0.99) <= LATE) {
                            break slice;
                        }
                        again += 1;
                        ensure!(again <= most_again, "no measurement: {again} slices sent late");
                    };
                    for (counted, slice) in counted.iter_mut().zip(slice) {
                        counted.add(slice);
                    }
                }
                for ([p50, p99, late], times) in figures.iter_mut().zip(&counted) {
                    p50.push(quantile(&times.took, 0.5));
                    p99.push(quantile(&times.took, 0.99));
                    late.push(quantile(&times.late, 0.99));
                }
            }
            let [[bare_p50, bare_p99, bare_late], [p50, p99, late]] = figures;
            write!(text, "| {queue_type} | {round_trip} ms | {rate:.0} |")?;
            let percentiles = [("p50", bare_p50, p50), ("p99", bare_p99, p99)];
            for ((what, bare, through), most) in percentiles.into_iter().zip(ADDED) {
                let added = through.iter().zip(&bare).map(|(through, bare)| through - bare);
                let added = median(added.collect())?;
                let (bare, through) = (median(bare)?, median(through)?);
                write!(text, " {bare:.2} ms | {through:.2} ms | {added:.2} ms |")?;
                println!(
                    "{queue_type}, {round_trip} ms: {added:.2} ms added to {what} {bare:.2} ms"
                );
                if added > most {
                    missed.push(format!(
                        "{added:.2} ms added to {what} on the {queue_type} queue, round trip {round_trip} ms"
                    ));
                }
            }
            let late = median(bare_late)?.max(median(late)?);
            writeln!(text, " {late:.2} ms | {again} |")?;
            println!("{queue_type}, {round_trip} ms: p99 sent {late:.2} ms late");
        }
    }
    writeln!(
        text,
        "\nOrders of 10,000 customers, drawn at random, at half the rate that {CONNECTIONS} clients reach either \
         way, with exponential times between them, over as many connections; a time counts from when an order \
         was due. Bare: the messages that the API makes of such orders, each in a SendMessage of the same \
         generator, without the SDK. The API is alone on a core, the rest on the other. Sent late: for how long \
         orders that were due waited for the generator, on the way on which it was more; what waited for a \
         connection did so for what is measured. A round is of {slices} slices of {SLICE} orders each way, the \
         ways in turn; a slice that was sent more than {LATE} ms late on either way, the machine having held up \
         the generator, is measured again. Medians of \
         {rounds} rounds; what is added is that of each round. Wanted: at most {} ms and {} ms.",
        ADDED[0], ADDED[1]
    )?;
    let command = "cargo run --release -p bench -- a1";
    Section { title: "A1: what the order API adds at half load", command, text }
        .conclude(options.is_trial(), &missed)
}

/// A slice of each way, first the one that was last before.
fn both(
    ways: &mut [(SocketAddr, Requests); 2],
    rate: f64,
    turn: usize,
) -> anyhow::Result<[Times; 2]> {
    let mut slice: [Times; 2] = Default::default();
    for which in [turn % 2, (turn + 1) % 2] {
        let (addr, requests) = &mut ways[which];
        let mut generator = Generator::open(*addr, CONNECTIONS)?;
        // Each connection is set up at the other end before it counts.
        generator.closed_loop(requests, CONNECTIONS)?;
        slice[which] = generator.at_rate(requests, SLICE, rate)?;
    }
    Ok(slice)
}

/// The messages that the API makes of orders, each in a call of its own.
fn bare(sqs: SocketAddr, queue_type: &str) -> Requests {
    let id = "00000000-0000-4000-8000-0000########";
    let added = format!(
        r#"{{"orderId":"{id}","totalAmount":25.00,"timestamp":"2026-01-01T00:00:00.000000Z","#
    );
    let queue = if queue_type == "fifo" { "order-queue.fifo" } else { "order-queue-standard" };
    let mut message = json!({
        "QueueUrl": format!("http://{sqs}/000000000000/{queue}"),
        "MessageBody": ORDER.replacen('{', &added, 1),
        "MessageGroupId": "customer-~~~~",
    });
    if queue_type == "fifo" {
        message["MessageDeduplicationId"] = id.into();
    }
    let head = "/ HTTP/1.1\r\n\
                content-type: application/x-amz-json-1.0\r\n\
                x-amz-target: AmazonSQS.SendMessage";
    Requests::new([(head.to_owned(), message.to_string())])
}
