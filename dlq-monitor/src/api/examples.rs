//! Examples of what is sent and answered.

use serde_json::{Value, json};

pub(super) fn queues_example() -> Value {
    json!({ "queues": [{
        "queue": "order-queue-standard-dlq", "role": "dlq", "observedAt": "2026-11-23T05:22:31Z",
        "visible": 1, "inFlight": 0, "delayed": 0, "retentionSeconds": 1_209_600, "error": null,
        "deadLetters": {
            "byReason": { "forced": 1 }, "known": 1, "undeleted": 0, "source": "order-queue-standard",
            "scan": { "at": "2026-11-23T05:22:32Z", "complete": true, "seen": 1 },
            "oldestSentAt": "2026-11-23T05:22:01Z", "nextExpiryAt": "2026-12-07T05:22:01Z",
        },
    }] })
}

fn short_letter() -> Value {
    json!({
        "messageId": "5fea7756-0ea4-451a-a703-a558b933e274", "queue": "order-queue-standard-dlq",
        "state": "dead", "groupId": "customer-001",
        "orderId": "47e715ef-7d35-5e8f-8d5c-ac406378c6c8", "customerId": "customer-001",
        "reason": "forced", "detail": "a product's name contains 실패테스트, so the order fails",
        "attempts": 3, "sentAt": "2026-11-23T05:22:01Z", "expiresAt": "2026-12-07T05:22:01Z",
        "seenAt": "2026-11-23T05:22:12.5Z", "settledAt": null, "job": null,
    })
}

pub(super) fn letter_page_example() -> Value {
    json!({ "items": [short_letter()], "nextCursor": null })
}

pub(super) fn letter_example() -> Value {
    let mut letter = short_letter();
    letter["body"] = json!("{\"orderId\":\"47e715ef-7d35-5e8f-8d5c-ac406378c6c8\"}");
    letter["bodyBytes"] = json!(50);
    letter["attributes"] = json!({ "traceparent": {
        "type": "String", "value": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    } });
    letter["deliveryStatus"] = json!("FAILED");
    letter["attemptCount"] = json!(3);
    letter["deliveryAttempts"] = json!([]);
    letter["traceId"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
    letter["traceUrl"] = json!(null);
    letter
}

pub(super) fn redrive_example() -> Value {
    json!({
        "queue": "order-queue-standard-dlq", "all": true, "reason": "the failing rule is off",
        "by": "on call",
    })
}

pub(super) fn discard_example() -> Value {
    json!({
        "queue": "order-queue-standard-dlq",
        "ids": ["5fea7756-0ea4-451a-a703-a558b933e274"], "reason": "a test order",
    })
}

pub(super) fn dry_run_example() -> Value {
    json!({
        "kind": "redrive", "method": "move_task", "queue": "order-queue-standard-dlq",
        "source": "order-queue-standard", "selected": 1, "lookedAt": 1,
        "byReason": { "forced": 1 }, "wouldRefuse": 0,
        "refusals": { "newerDelivered": 0, "newerOnTheWay": 0, "newerAhead": 0, "earlierStays": 0 },
        "unseenInSource": null, "unseen": 0, "undeleted": 0, "deliveriesKnown": true, "messages": [short_letter()], "secondsAtLeast": null,
    })
}

pub(super) fn job_example() -> Value {
    json!({
        "id": "019ac3f0-7d35-7e8f-8d5c-ac406378c6c8", "kind": "redrive", "method": "move_task",
        "queue": "order-queue-standard-dlq", "state": "completed",
        "request": { "queue": "order-queue-standard-dlq" },
        "requestedBy": "on call (bearer token)", "why": "the failing rule is off",
        "cancelledBy": null, "selected": 1, "done": 1, "refused": 0, "failed": 0, "notFound": 0,
        "undeleted": 0,
        "canaryPassed": false, "note": null, "createdAt": "2026-11-23T05:30:00Z",
        "startedAt": "2026-11-23T05:30:00Z", "updatedAt": "2026-11-23T05:30:02Z",
        "finishedAt": "2026-11-23T05:30:02Z",
    })
}

pub(super) fn job_page_example() -> Value {
    json!({ "items": [job_example()], "nextCursor": null })
}

pub(super) fn audit_page_example() -> Value {
    json!({ "items": [{
        "at": "2026-11-23T05:30:00Z", "requestedBy": "on call (bearer token)", "action": "redrive",
        "queue": "order-queue-standard-dlq", "jobId": "019ac3f0-7d35-7e8f-8d5c-ac406378c6c8",
        "why": "the failing rule is off", "request": { "queue": "order-queue-standard-dlq" },
        "selected": 1,
    }], "nextCursor": null })
}

pub(super) fn session_example() -> Value {
    json!({ "via": "login", "mayAct": true, "csrfToken": "sXf1…" })
}
