//! What a job has done at a message, for whoever looks for its order in the log.

use order_events::OrderEvent;
use order_store::Job;
use service_kit::telemetry;
use sqs_consumer::Message;
use tracing::{field, info, warn};

use super::plan::{MarkedAs, PlannedMark};
use crate::{letter::shown, spans::traceparent};

pub(super) fn tell(job: &Job, message: &Message, mark: &PlannedMark) {
    let order = OrderEvent::from_json(&message.body).ok();
    let order_id = order.map(|order| field::display(order.order_id));
    let trace_id = traceparent(message).and_then(telemetry::trace_id_of);
    let (message_id, queue, job) = (shown(&message.message_id), &job.queue, job.id);
    match &mark.what {
        MarkedAs::Sent => {
            info!(%job, queue, message_id, order_id, trace_id, "the message is redriven");
        }
        MarkedAs::Archived => {
            info!(%job, queue, message_id, order_id, trace_id, "the message is discarded");
        }
        MarkedAs::Refused(why) | MarkedAs::Failed(why) => {
            let why = shown(why);
            warn!(%job, queue, message_id, order_id, trace_id, why, "the message stays dead");
        }
    }
}
