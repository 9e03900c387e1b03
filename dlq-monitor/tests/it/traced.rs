//! What follows a message across a redrive, beside its own attributes.

use aws_sdk_sqs::types::{
    MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use serde_json::json;

use crate::support::{STANDARD, STANDARD_DLQ, queue_url, started};

#[tokio::test]
async fn the_trace_header_of_x_ray_goes_back_too() {
    let (sqs, _database, monitor) = started().await;
    let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(header);
    let call = sqs.connection.sending().send_message().message_body("traced");
    let call = call.queue_url(queue_url(sqs.addr, STANDARD_DLQ));
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let call = call.message_system_attributes(name, value.build().expect("it has a type"));
    call.send().await.expect("it is sent");
    let letters = monitor.letters(STANDARD_DLQ, 1).await;
    let body = json!({ "queue": STANDARD_DLQ, "ids": [letters[0]["messageId"]] });
    monitor.ended(&monitor.begin("redrive", body).await).await;
    let call = sqs.connection.receiving().receive_message();
    let call = call.queue_url(queue_url(sqs.addr, STANDARD));
    let name = MessageSystemAttributeName::AwsTraceHeader;
    let call = call.message_system_attribute_names(name.clone());
    let found = call.send().await.expect("an answer").messages.unwrap_or_default().remove(0);
    let attributes = found.attributes.expect("there is one");
    assert_eq!(attributes.get(&name).map(String::as_str), Some(header));
    monitor.stop().await;
}
