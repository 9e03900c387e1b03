//! Requests made of any bytes, for the fuzzer and for a property test.

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};

use super::{Incoming, Wire, json};
use crate::model::api::Request;
use crate::model::{Millis, ModelSettings, Sqs};

/// Answers a request as the server would: the first byte chooses the protocol and the operation, the
/// second the place of the parameters, the rest is the body. Returns the answer's status.
pub(crate) fn answer(bytes: &[u8]) -> u16 {
    let [choice, place, body @ ..] = bytes else {
        return 0;
    };
    let operations = Request::OPERATIONS;
    let operation = operations[usize::from(*choice / 2) % operations.len()];
    let mut headers = HeaderMap::new();
    let mut uri = Uri::from_static("/000000000000/order-queue.fifo");
    let mut form = Vec::new();
    if choice % 2 == 0 {
        if let Ok(target) = HeaderValue::from_str(&format!("AmazonSQS.{operation}")) {
            headers.insert(json::TARGET, target);
        }
        form.extend_from_slice(body);
    } else {
        form.extend_from_slice(format!("Action={operation}&").as_bytes());
        form.extend_from_slice(body);
        if place % 2 == 0 {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
        let query = std::str::from_utf8(body).ok().filter(|_| place % 4 > 1);
        if let Some(found) = query.and_then(|query| format!("/?{query}").parse().ok()) {
            uri = found;
        }
    }
    let wire = Wire::of(&Method::POST, &headers);
    let mut model = Sqs::new(ModelSettings::default());
    for queue in crate::default_queues() {
        queue.create(&mut model, Millis(1)).expect("the default queues are good");
    }
    let request =
        wire.read(&Incoming { method: &Method::POST, uri: &uri, headers: &headers, body: &form });
    let answer = request.and_then(|request| model.apply(Millis(2), request));
    wire.write(operation, &answer, "id").status().as_u16()
}
