use insta::assert_snapshot;
use jiff::Timestamp;
use order_events::{
    AmountOverflow, Decimal, DeliveryEvent, DeliveryStatus, EventError, OrderEvent, OrderItem,
    parse_decimal,
};
use proptest::prelude::*;
use std::str::FromStr;

const ORDER_ID: &str = "6f1a3c52-6a53-4f0c-9c8e-1c0f2d9b7a11";

fn item(name: &str, quantity: u32, price: &str) -> OrderItem {
    OrderItem {
        product_id: "p1".to_owned(),
        product_name: name.to_owned(),
        quantity,
        price: Decimal::from_str(price).expect("a decimal"),
    }
}

fn order(items: Vec<OrderItem>) -> Result<OrderEvent, AmountOverflow> {
    OrderEvent::new(
        ORDER_ID.parse().expect("a UUID"),
        "customer-001".to_owned(),
        items,
        "2025-09-30T14:10:38.830774Z".parse().expect("a timestamp"),
    )
}

fn body(price: &str, timestamp: &str) -> String {
    format!(
        r#"{{"orderId":"{ORDER_ID}","customerId":"c","items":[{{"productId":"p","productName":"n","quantity":1,"price":{price}}}],"totalAmount":{price},"timestamp":"{timestamp}"}}"#
    )
}

#[test]
fn the_bytes_of_an_order_are_pinned() {
    let event = order(vec![item("상품1", 3, "12.50"), item("\"<script>\"", 1, "0.005")]);
    assert_snapshot!(event.expect("small").to_json(), @r#"{"orderId":"6f1a3c52-6a53-4f0c-9c8e-1c0f2d9b7a11","customerId":"customer-001","items":[{"productId":"p1","productName":"상품1","quantity":3,"price":12.50},{"productId":"p1","productName":"\"<script>\"","quantity":1,"price":0.005}],"totalAmount":37.505,"timestamp":"2025-09-30T14:10:38.830774Z"}"#);
}

#[test]
fn the_bytes_of_a_delivery_are_pinned() {
    let event = DeliveryEvent {
        delivery_id: ORDER_ID.parse().expect("a UUID"),
        order_id: ORDER_ID.parse().expect("a UUID"),
        address: "서울".to_owned(),
        status: DeliveryStatus::InTransit,
        timestamp: "2025-09-30T14:10:38Z".parse().expect("a timestamp"),
    };
    let json = serde_json::to_string(&event).expect("JSON");
    assert_snapshot!(json, @r#"{"deliveryId":"6f1a3c52-6a53-4f0c-9c8e-1c0f2d9b7a11","orderId":"6f1a3c52-6a53-4f0c-9c8e-1c0f2d9b7a11","address":"서울","status":"IN_TRANSIT","timestamp":"2025-09-30T14:10:38Z"}"#);
    assert_eq!(serde_json::from_str::<DeliveryEvent>(&json).expect("an event"), event);
    assert_eq!(event.status.as_str(), "IN_TRANSIT");
}

#[test]
fn characters_that_sqs_refuses_are_carried_as_escapes() {
    let event = order(vec![item("a\u{fffe}b\u{ffff}\0", 1, "1")]).expect("small");
    let json = event.to_json();
    assert!(json.contains(r#""productName":"a\ufffeb\uffff\u0000""#), "{json}");
    assert_eq!(OrderEvent::from_json(&json), Ok(event));
}

#[test]
fn an_older_producers_event_is_read() {
    let json = r#"{"orderId":"6f1a3c52-6a53-4f0c-9c8e-1c0f2d9b7a11","customerId":"customer-001","region":"kr","items":[{"productId":"p1","productName":"상품1","quantity":2,"price":10000,"currency":"KRW"}],"totalAmount":20000,"timestamp":"2025-09-30T14:10:38.830774"}"#;
    let event = OrderEvent::from_json(json).expect("an order");
    assert_eq!(event.timestamp.to_string(), "2025-09-30T14:10:38.830774Z");
    assert_eq!(event.total_amount, Decimal::from(20_000));
    assert_eq!(event.items[0].quantity, 2);
}

#[test]
fn times_with_another_zone_are_read_as_the_same_instant() {
    let event = OrderEvent::from_json(&body("1", "2025-09-30T23:10:38+09:00")).expect("an order");
    assert_eq!(event.timestamp.to_string(), "2025-09-30T14:10:38Z");
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_not_an_order() {
    for unparseable in ["", "garbage", "{", r#"{"orderId":1,"#, "{\"customerId\":5}}"] {
        let error = OrderEvent::from_json(unparseable).expect_err(unparseable);
        assert!(matches!(error, EventError::NotJson(_)), "{unparseable}: {error}");
    }
    let good = body("1", "2025-09-30T14:10:38Z");
    for invalid in [
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "42".to_owned(),
        good.replace(ORDER_ID, "not-a-uuid"),
        good.replace(r#""quantity":1"#, r#""quantity":-1"#),
        good.replace(r#""quantity":1"#, r#""quantity":1.5"#),
        good.replace(r#""price":1"#, r#""price":"1""#),
        good.replace(r#""price":1"#, r#""price":null"#),
        good.replace("2025-09-30T14:10:38Z", "yesterday"),
        good.replace("2025-09-30T14:10:38Z", "2025-09-30"),
    ] {
        let error = OrderEvent::from_json(&invalid).expect_err(&invalid);
        assert!(matches!(error, EventError::NotAnOrder(_)), "{invalid}: {error}");
    }
}

#[test]
fn more_digits_than_can_be_kept_are_refused_and_never_rounded() {
    for price in [
        "1234567890123456789012345678901234567890",
        "0.1234567890123456789012345678901234567890",
        "79228162514264337593543950336",
        "1e29",
        "1e-29",
        "1e999999999999",
        "0.00000000000000000000000000001",
    ] {
        let error = OrderEvent::from_json(&body(price, "2025-09-30T14:10:38Z")).expect_err(price);
        assert!(error.to_string().contains("too many digits"), "{price}: {error}");
    }
}

#[test]
fn digits_and_exponents_are_taken_exactly() {
    for (json, exact) in [
        ("12.50", "12.50"),
        ("0.1", "0.1"),
        ("79228162514264337593543950335", "79228162514264337593543950335"),
        ("0.0000000000000000000000000001", "0.0000000000000000000000000001"),
        ("1.5e3", "1500"),
        ("1.5E+3", "1500"),
        ("150e-2", "1.50"),
        ("-7", "-7"),
        ("0e9", "0"),
    ] {
        assert_eq!(parse_decimal(json).map(|value| value.to_string()), Ok(exact.to_owned()));
    }
}

#[test]
fn a_total_that_cannot_be_exact_is_an_error() {
    let most = "79228162514264337593543950335";
    assert_eq!(
        order(vec![item("a", 1, most)]).map(|event| event.total_amount.to_string()),
        Ok(most.into())
    );
    assert_eq!(order(vec![item("a", 2, most)]), Err(AmountOverflow));
    assert_eq!(order(vec![item("a", 1, most), item("b", 1, "0.1")]), Err(AmountOverflow));
}

proptest! {
    #[test]
    fn every_order_is_read_back_as_it_was_written(
        customer in any::<String>(),
        name in any::<String>(),
        quantity in 1_u32..,
        mantissa in 0_i64..1_000_000_000_000,
        scale in 0_u32..10,
        since_1970 in 0_i64..4_000_000_000,
        // None, some with zeros behind, and all digits of the second's fraction.
        microsecond in prop_oneof![Just(0), (0_i64..1_000).prop_map(|ms| 1_000 * ms), 0_i64..1_000_000],
    ) {
        let price = Decimal::new(mantissa, scale);
        let mut event = order(vec![OrderItem { price, ..item(&name, quantity, "0") }]).expect("fits");
        event.customer_id = customer;
        event.timestamp = Timestamp::from_microsecond(1_000_000 * since_1970 + microsecond).expect("a time");
        let time = format!(r#""timestamp":"{}""#, event.timestamp);
        prop_assert!(event.to_json().contains(&time), "{time} is not in {}", event.to_json());
        prop_assert_eq!(event.total_amount, price * Decimal::from(quantity));
        let read = OrderEvent::from_json(&event.to_json()).expect("an order");
        prop_assert_eq!(read.to_json(), event.to_json());
        prop_assert_eq!(read, event);
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in any::<String>()) {
        let _ = OrderEvent::from_json(&body);
    }
}

#[test]
fn an_array_of_an_orders_fields_is_no_order() {
    let positional = r#"["14cc09e5-8ebe-49a0-9784-b1a903fdc4a7","c",[["p","n",1,10]],10,"2026-01-01T00:00:00Z"]"#;
    assert!(matches!(OrderEvent::from_json(positional), Err(EventError::NotAnOrder(_))));
    let item = r#"{"orderId":"14cc09e5-8ebe-49a0-9784-b1a903fdc4a7","customerId":"c","items":[["p","n",1,10]],"totalAmount":10,"timestamp":"2026-01-01T00:00:00Z"}"#;
    assert!(matches!(OrderEvent::from_json(item), Err(EventError::NotAnOrder(_))));
}

#[test]
fn what_no_order_can_say_is_named() {
    let order = |customer: &str, items: &str, total: &str| {
        let id = "14cc09e5-8ebe-49a0-9784-b1a903fdc4a7";
        let text = format!(
            r#"{{"orderId":"{id}","customerId":"{customer}","items":{items},"totalAmount":{total},"timestamp":"2026-01-01T00:00:00Z"}}"#
        );
        OrderEvent::from_json(&text).unwrap().contradiction()
    };
    let item = |quantity: &str, price: &str| {
        format!(r#"[{{"productId":"p","productName":"n","quantity":{quantity},"price":{price}}}]"#)
    };
    assert_eq!(order("c", &item("1", "10"), "10"), None);
    assert_eq!(order("c", &item("1", "0"), "0"), None);
    assert!(order("", &item("1", "10"), "10").is_some());
    assert!(order("c", "[]", "0").is_some());
    assert!(order("c", &item("0", "10"), "0").is_some());
    assert!(order("c", &item("1", "-1"), "0").is_some());
    assert!(order("c", &item("1", "1"), "-5").is_some());
}
