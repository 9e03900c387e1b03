//! How the API stops: unready first, and for a while with its door open.

use crate::harness::{Api, FakeSqs, call, until};
use crate::hostile::{Raw, request};
use order_api::Settings;
use service_kit::settings::Reader;
use std::time::Duration;

#[tokio::test]
async fn a_delayed_shutdown_is_unready_at_once_and_still_takes_orders() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("SHUTDOWN_DELAY", "60s")]).await;
    api.until_ready().await;
    let mut kept = Raw::open(api.addr).await;
    kept.send(request("before")).await;
    let before = kept.reply().await.expect("an answer");
    assert_eq!((before.status, before.header("connection")), (202, None));
    api.trigger.request();
    until("it is unready", async || !api.readiness.is_ready()).await;
    let readyz = call(api.admin, "GET /readyz", &[], b"").await;
    assert_eq!(readyz.status, 503);
    assert!(readyz.body.contains("shutting down"), "{readyz:?}");
    for mut client in [kept, Raw::open(api.addr).await] {
        client.send(request("after")).await;
        let reply = client.reply().await.expect("an answer");
        assert_eq!((reply.status, reply.header("connection")), (202, Some("close")));
        client.until_closed().await;
    }
    assert_eq!(sqs.sent(), 3);
    assert!(!api.ended.is_finished());
}

#[tokio::test]
async fn when_the_delay_is_over_the_api_ends_as_it_does_without() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("SHUTDOWN_DELAY", "50ms")]).await;
    let mut idle = Raw::open(api.addr).await;
    idle.send(request("idle")).await;
    assert_eq!(idle.reply().await.expect("an answer").status, 202);
    api.stop().await;
    idle.until_closed().await;
}

#[test]
fn the_delay_is_none_unless_it_is_set_and_a_minute_at_most() {
    let delay = |value: Option<&str>| {
        let env = value.map(|value| ("SHUTDOWN_DELAY".to_owned(), value.to_owned()));
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).ok().map(|settings| settings.limits.delay)
    };
    assert_eq!(delay(None), Some(Duration::ZERO));
    assert_eq!(delay(Some("60s")), Some(Duration::from_mins(1)));
    for wrong in ["61s", "5", "-1s", ""] {
        assert_eq!(delay(Some(wrong)), None, "{wrong}");
    }
}
