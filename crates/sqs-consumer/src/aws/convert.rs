//! Between the SDK's types and the consumer's.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::{
    primitives::Blob,
    types::{
        Message as SdkMessage, MessageAttributeValue, MessageSystemAttributeName as System,
        MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};

use crate::queue::{AttributeValue, Message, ReceiptHandle};

/// A received message; none if the server left out the id or the handle, without which nothing can
/// be done with it.
pub(super) fn message(sdk: SdkMessage) -> Option<Message> {
    let system = sdk.attributes.unwrap_or_default();
    let number = |name: &System| system.get(name).and_then(|text| text.parse::<u64>().ok());
    Some(Message {
        message_id: sdk.message_id?,
        receipt_handle: ReceiptHandle(sdk.receipt_handle?),
        body: sdk.body.unwrap_or_default(),
        attributes: sdk
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, attribute(value)?)))
            .collect(),
        group_id: system.get(&System::MessageGroupId).cloned(),
        receive_count: number(&System::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1)
            .max(1),
        sent_at_ms: number(&System::SentTimestamp),
        trace_header: system.get(&System::AwsTraceHeader).cloned(),
    })
}

/// The system attributes that a message is sent with.
pub(super) fn system_attributes(
    trace_header: Option<&str>,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let value = MessageSystemAttributeValue::builder().data_type("String");
    let value = value.string_value(trace_header?).build().expect("the data type is set");
    Some([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)].into())
}

fn attribute(sdk: MessageAttributeValue) -> Option<AttributeValue> {
    let data_type = sdk.data_type;
    match (sdk.string_value, sdk.binary_value) {
        (Some(value), _) => Some(AttributeValue::Text { data_type, value }),
        (None, Some(value)) => {
            Some(AttributeValue::Binary { data_type, value: value.into_inner() })
        }
        (None, None) => None,
    }
}

pub(super) fn sdk_attributes(
    attributes: &BTreeMap<String, AttributeValue>,
) -> impl Iterator<Item = (String, MessageAttributeValue)> {
    attributes.iter().map(|(name, value)| {
        let builder = MessageAttributeValue::builder();
        let builder = match value {
            AttributeValue::Text { data_type, value } => {
                builder.data_type(data_type).string_value(value)
            }
            AttributeValue::Binary { data_type, value } => {
                builder.data_type(data_type).binary_value(Blob::new(value.clone()))
            }
        };
        (name.clone(), builder.build().expect("the data type is set"))
    })
}
