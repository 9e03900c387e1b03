//! An order's JSON, written piece by piece. serde would write the same; but it asks each value for its
//! form, and has a decimal's text made, read and copied, for every order that is accepted.

use crate::{OrderEvent, OrderItem};
use jiff::fmt::temporal::DateTimePrinter;
use rust_decimal::Decimal;
use std::io::Write;
use uuid::Uuid;

/// Bytes for an order of a few items, so that its text grows into no second place.
const USUAL: usize = 512;

pub(crate) fn order(order: &OrderEvent) -> Vec<u8> {
    let mut json = Vec::with_capacity(USUAL);
    json.extend_from_slice(br#"{"orderId":""#);
    let id = order.order_id.hyphenated();
    json.extend_from_slice(id.encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    json.extend_from_slice(br#"","customerId":"#);
    text(&mut json, &order.customer_id);
    json.extend_from_slice(br#","items":["#);
    for (index, item) in order.items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        self::item(&mut json, item);
    }
    json.extend_from_slice(br#"],"totalAmount":"#);
    number(&mut json, &order.total_amount);
    json.extend_from_slice(br#","timestamp":""#);
    let written = DateTimePrinter::new().print_timestamp(&order.timestamp, &mut json);
    written.expect(IN_MEMORY);
    json.extend_from_slice(br#""}"#);
    json
}

const IN_MEMORY: &str = "memory takes every text";

fn item(json: &mut Vec<u8>, item: &OrderItem) {
    json.extend_from_slice(br#"{"productId":"#);
    text(json, &item.product_id);
    json.extend_from_slice(br#","productName":"#);
    text(json, &item.product_name);
    write!(json, r#","quantity":{}"#, item.quantity).expect(IN_MEMORY);
    json.extend_from_slice(br#","price":"#);
    number(json, &item.price);
    json.push(b'}');
}

fn text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect(IN_MEMORY);
}

/// The digits as they are.
fn number(json: &mut Vec<u8>, number: &Decimal) {
    write!(json, "{number}").expect(IN_MEMORY);
}
