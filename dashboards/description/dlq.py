"""Dead letters: how many, why, how old, what was done about them, and whether the monitor sees them."""

from .common import (
    ANNOTATIONS,
    DLQ,
    FLEET,
    NAMESPACE,
    OWN,
    OWN_QUEUE,
    counts,
    dead,
    increase,
    job,
    quantile,
    queue,
    rate,
)
from .grafana import ATTEMPTS, GREEN, ORANGE, RED, YELLOW, dashboard, query, row, stat, steps, table, timeseries

DEAD = dead(OWN_QUEUE)
AGE = "time() - min by (queue) (sqs_queue_oldest_message_timestamp_seconds{%s})" % OWN_QUEUE
TO_EXPIRY = "min by (queue) (sqs_queue_next_expiry_timestamp_seconds{%s}) - time()" % OWN_QUEUE

NOW = row(
    "Now",
    stat("Dead letters", "Messages in the dead-letter queues.", "short", [query("sum(%s)" % DEAD)], steps(GREEN, (1, RED)), no_value="unknown"),
    stat(
        "Arrived, 24 h",
        "Messages that the monitor saw for the first time.",
        "short",
        [query("sum(increase(dlq_messages_arrived_total{%s}[24h]))" % OWN_QUEUE)],
        steps(GREEN, (0.5, YELLOW)),
        decimals=0,
    ),
    stat(
        "Age of the oldest",
        "Since it was sent: SQS counts a standard queue's retention from there.",
        "s",
        [query("max(%s)" % AGE)],
        steps(GREEN, (86400, YELLOW), (604800, RED)),
        no_value="none seen",
    ),
    stat(
        "Until the next expires",
        "SQS deletes it then, and the order with it.",
        "s",
        [query("min(%s)" % TO_EXPIRY)],
        steps(RED, (21600, ORANGE), (86400, YELLOW), (259200, GREEN)),
        no_value="none seen",
    ),
    stat(
        "Last look",
        "Since the monitor last read every queue without an error.",
        "s",
        [query("time() - max(dlq_monitor_last_success_timestamp_seconds{%s})" % OWN)],
        steps(GREEN, (120, YELLOW), (300, RED)),
        no_value="no monitor",
    ),
    stat(
        "Seen whole",
        "Whether the last scans saw every message that SQS counts.",
        "none",
        [query("min(dlq_scan_complete{%s})" % OWN_QUEUE)],
        steps(YELLOW, (1, GREEN)),
        mappings=[{"type": "value", "options": {"0": {"text": "in part", "index": 0}, "1": {"text": "yes", "index": 1}}}],
        no_value="unknown",
    ),
)

LETTERS = row(
    "Dead letters",
    timeseries("By queue", "Messages in the dead-letter queues, visible or being looked at.", "short", [query(DEAD, "{{queue}}")], thresholds=steps(GREEN, (1, RED))),
    timeseries(
        "Arrivals by reason",
        "In each interval. unknown are those that SQS's redrive policy moved: the deliveries store knows their attempts.",
        "short",
        [query(increase("dlq_messages_arrived_total", OWN_QUEUE, "reason"), "{{reason}}")],
        bars=True,
        stacked=True,
    ),
    timeseries(
        "Arrived, redriven, discarded",
        "In each interval: whether dead letters are dealt with as fast as they come.",
        "short",
        [
            query(increase("dlq_messages_arrived_total", OWN), "arrived"),
            query(increase("dlq_redriven_messages_total", OWN, "outcome"), "redriven: {{outcome}}"),
            query(increase("dlq_discarded_messages_total", OWN), "discarded"),
            query(increase("dlq_redelivered_failed_again_total", OWN), "failed again"),
        ],
        bars=True,
    ),
    timeseries(
        "Arrived, redriven, discarded, in all",
        "Since each instance of the monitor started.",
        "short",
        [
            query("sum(dlq_messages_arrived_total{%s})" % OWN, "arrived"),
            query("sum by (outcome) (dlq_redriven_messages_total{%s})" % OWN, "redriven: {{outcome}}"),
            query("sum(dlq_discarded_messages_total{%s})" % OWN, "discarded"),
            query("sum(dlq_redelivered_failed_again_total{%s})" % OWN, "failed again"),
        ],
    ),
    timeseries("Age of the oldest", "Since it was sent, of the messages that the monitor sees.", "s", [query(AGE, "{{queue}}")]),
    timeseries(
        "Until the next expires",
        "The dashed lines are where a warning and a critical alert begin.",
        "s",
        [query(TO_EXPIRY, "{{queue}}")],
        thresholds=steps(RED, (21600, ORANGE), (86400, GREEN)),
    ),
)

SOURCES = row(
    "Where they come from",
    timeseries(
        "Dead-lettered by workers",
        "Messages that workers themselves sent to the dead-letter queues, by reason.",
        "mps",
        [query(rate("delivery_dead_lettered_total", FLEET, "queue", "reason"), "{{queue}} {{reason}}")],
        stacked=True,
    ),
    timeseries(
        "Attempts that fail",
        "Attempts that will be repeated, and those that will not, by queue.",
        ATTEMPTS,
        [query(rate("delivery_attempts_total", FLEET + ', outcome!="delivered"', "queue", "outcome"), "{{queue}} {{outcome}}")],
        stacked=True,
    ),
)

MONITOR = row(
    "The monitor",
    timeseries(
        "Since the last look",
        "Since every queue was last read without an error; nothing before the first time. The dashed line is where an alert begins.",
        "s",
        [query("time() - (max by (instance) (dlq_monitor_last_success_timestamp_seconds{%s}) > 0)" % OWN, "{{instance}}")],
        width=8,
        thresholds=steps(GREEN, (300, RED)),
    ),
    timeseries(
        "Scans that saw everything",
        "1 when the last scan saw every message that SQS counts. Of a FIFO group it sees ten at most.",
        "none",
        [query("min by (queue) (dlq_scan_complete{%s})" % OWN_QUEUE, "{{queue}}")],
        width=8,
        maximum=1,
        decimals=0,
    ),
    timeseries(
        "Messages not released at once",
        "Messages that a scan could not make visible again, in each interval. They become so by themselves.",
        "short",
        [query(increase("dlq_scan_release_failures_total", OWN_QUEUE, "queue"), "{{queue}}")],
        width=8,
        bars=True,
    ),
    table(
        "Retention",
        "How long SQS keeps messages. A dead-letter queue must keep them longer than its source.",
        "s",
        [query("max by (queue, role) (sqs_queue_retention_seconds{%s})" % OWN)],
        {"role": "Role", "queue": "Queue", "Value": "Kept for"},
        width=8,
    ),
    timeseries(
        "Requests to SQS",
        "By operation, and by error where there was one.",
        "reqps",
        [query(rate("sqs_api_requests_total", OWN, "operation", "error_type"), "{{operation}} {{error_type}}")],
        width=8,
        stacked=True,
    ),
    timeseries(
        "Requests to the console",
        "The 99th percentile of the time to answer, by route.",
        "s",
        [query(quantile(0.99, "http_server_request_duration_seconds", OWN, ["http_route"]), "{{http_route}}")],
        width=8,
    ),
    timeseries(
        "All queues",
        "Messages by queue and state, as SQS approximates them.",
        "short",
        [
            query(counts("source", "visible", OWN), "{{queue}} visible"),
            query(counts("source", "in_flight", OWN), "{{queue}} in flight"),
            query(counts("source", "delayed", OWN), "{{queue}} delayed"),
            query(counts("dlq", "visible", OWN), "{{queue}} visible"),
        ],
        width=24,
    ),
)

DASHBOARD = dashboard(
    DLQ,
    "Fleet: dead letters",
    "Dead letters by queue and reason, how long they are kept, what was done about them, and whether the monitor sees them.",
    [
        NAMESPACE,
        job("dlq-monitor"),
        queue('label_values(sqs_queue_messages{role="dlq", namespace=~"$namespace", job=~"$job"}, queue)'),
    ],
    ANNOTATIONS,
    [NOW, LETTERS, SOURCES, MONITOR],
)
