//! A standard and a FIFO queue, consumed together as one process does: each is served as if it were alone.

use std::time::Duration;

use sqs_consumer::Settings;
use tokio::time::sleep;

use crate::{
    fixture::SECOND,
    modelled::{FIFO, Fault, Modelled, STANDARD, Shape, What, steady},
    rig::Doing,
};

const CONCURRENCY: usize = 8;
const WINDOW: Duration = Duration::from_secs(20);

/// Enough for the window, in more groups than there are handlers.
fn backlog(shape: Shape) -> Modelled {
    let queue = Modelled::new(shape);
    queue.faults(|_| Fault::slow_answer(SECOND / 200));
    queue.send((0..4_000).map(|n| format!("g{}/{}", n % 20, n / 20 + 1)));
    queue
}

/// How much is done in the window on these queues by one process, whose handlers take so long.
async fn done<const N: usize>(queues: [(Shape, Duration); N]) -> [usize; N] {
    // A clone of the settings shares what consumers of one process share.
    let settings = Settings { concurrency: CONCURRENCY, ..steady() };
    let queues = queues.map(|(shape, takes)| {
        let queue = backlog(shape);
        let worker = queue.work(settings.clone(), move |_, _| Doing::Succeed(takes));
        (queue, worker)
    });
    sleep(WINDOW).await;
    let mut done = [0; N];
    for (done, (queue, worker)) in done.iter_mut().zip(queues) {
        *done = queue.effects().len();
        queue.assert_in_order_if_fifo();
        worker.kill();
    }
    done
}

#[tokio::test(start_paused = true)]
async fn neither_of_a_standard_and_a_fifo_backlog_gets_less_than_it_would_alone() {
    let (slow, quick) = (SECOND, SECOND / 20);
    for (of_standard, of_fifo) in [(slow, slow), (quick, slow), (slow, quick), (quick, quick)] {
        let [alone_standard] = done([(STANDARD, of_standard)]).await;
        let [alone_fifo] = done([(FIFO, of_fifo)]).await;
        for (alone, takes) in [(alone_standard, of_standard), (alone_fifo, of_fifo)] {
            let most = (WINDOW.as_secs_f64() / takes.as_secs_f64()) as usize * CONCURRENCY;
            assert!(alone * 10 >= most * 8, "{alone} of {most} with nothing beside it");
        }
        let [standard, fifo] = done([(STANDARD, of_standard), (FIFO, of_fifo)]).await;
        assert!(standard * 100 >= alone_standard * 97, "{standard} of {alone_standard} standard");
        assert!(fifo * 100 >= alone_fifo * 97, "{fifo} of {alone_fifo} FIFO");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_quiet_queue_starts_at_once_beside_the_backlog_of_the_other() {
    for (busy, quiet) in [(STANDARD, FIFO), (FIFO, STANDARD)] {
        let settings = Settings { concurrency: CONCURRENCY, ..steady() };
        let busy = backlog(busy);
        busy.work(settings.clone(), |_, _| Doing::Succeed(SECOND / 5));
        let quiet = Modelled::new(quiet);
        quiet.work(settings, |_, _| Doing::Succeed(SECOND));
        for number in 1..=20 {
            sleep(SECOND * 7 / 3).await;
            let (body, sent) = (format!("quiet/{number}"), quiet.now());
            quiet.send([&body]);
            quiet.until("it is done", |queue| queue.effects().contains(&body)).await;
            let start = What::Started(body, 1);
            let started = quiet.timeline().into_iter().find(|told| told.what == start);
            let at = started.expect("it was done").at;
            assert!(at <= sent + SECOND / 10, "sent at {sent:?}, started at {at:?}");
        }
        assert!(busy.counts().0 > 0, "the other one was busy all the time");
    }
}
