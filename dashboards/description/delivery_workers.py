"""The delivery workers: rate, durations, saturation, receives, leases and ends."""

from .common import (
    ANNOTATIONS,
    NAMESPACE,
    OWN,
    OWN_DESTINATION,
    OWN_QUEUE,
    WORKERS,
    increase,
    job,
    quantile,
    queue,
    rate,
    share,
)
from .grafana import ATTEMPTS, GREEN, ORANGE, ORDERS, RED, YELLOW, dashboard, heatmap, query, row, stat, steps, timeseries

PROCESS = "messaging_process_duration_seconds"
# not_yet is no failure: another worker has the same order in hand.
FAILED = OWN_DESTINATION + ', error_type!~"|not_yet"'

# Handlers that run at once, on average: the seconds that they worked in each second. Over how many may.
BUSY = """sum by (queue) (label_replace(rate(%s_sum{%s}[$__rate_interval]), "queue", "$1", "messaging_destination_name", "(.+)"))
/ sum by (queue) (delivery_concurrency_limit{%s})""" % (PROCESS, OWN_DESTINATION, OWN_QUEUE)

NOW = row(
    "Now",
    stat(
        "Delivered",
        "Orders delivered each second.",
        ORDERS,
        [query(rate("delivery_attempts_total", OWN_QUEUE + ', outcome="delivered"'))],
        steps(GREEN),
        decimals=1,
    ),
    stat(
        "Attempts that fail",
        "Of all attempts, whatever their reason.",
        "percentunit",
        [
            query(
                share(rate(PROCESS + "_count", FAILED), rate(PROCESS + "_count", OWN_DESTINATION))
            )
        ],
        steps(GREEN, (0.05, YELLOW), (0.5, RED)),
        decimals=2,
        no_value="no traffic",
    ),
    stat(
        "Handlers busy",
        "Of the handlers that may run at once, those that do, on average, of the queue that has the most.",
        "percentunit",
        [query("max(%s)" % BUSY)],
        steps(GREEN, (0.8, YELLOW), (0.95, ORANGE)),
        decimals=1,
        no_value="unknown",
    ),
    stat(
        "99 in 100 attempts within",
        "The 99th percentile of an attempt's time.",
        "s",
        [query(quantile(0.99, PROCESS, OWN_DESTINATION, []))],
        steps(GREEN, (5, YELLOW), (10, RED)),
        no_value="no traffic",
    ),
    stat(
        "Leases lost, 1 h",
        "Messages whose visibility timeout ended while a worker held them.",
        "short",
        [query("sum(increase(delivery_leases_lost_total{%s}[1h]))" % OWN_QUEUE)],
        steps(GREEN, (0.5, RED)),
        decimals=0,
    ),
    stat(
        "Stranded, 1 h",
        "Messages that a stopping worker left leased. It must stay 0.",
        "short",
        [query("sum(increase(delivery_shutdown_stranded_total{%s}[1h]))" % OWN_QUEUE)],
        steps(GREEN, (0.5, RED)),
        decimals=0,
    ),
)

RATE = row(
    "Rate and errors",
    timeseries(
        "Messages received",
        "Receives by queue; a message that is received again counts again.",
        "mps",
        [query(rate("messaging_client_consumed_messages_total", OWN_DESTINATION, "messaging_destination_name"), "{{messaging_destination_name}}")],
    ),
    timeseries(
        "Attempts by outcome",
        "delivered; failed, to be tried again until the attempts are used up; rejected for good.",
        ATTEMPTS,
        [query(rate("delivery_attempts_total", OWN_QUEUE, "queue", "outcome"), "{{queue}} {{outcome}}")],
    ),
    timeseries(
        "Attempts that fail, by reason",
        "unavailable is the store's; not_yet, another attempt at the same order that is under way, is left out.",
        ATTEMPTS,
        [query(rate(PROCESS + "_count", FAILED, "error_type"), "{{error_type}}")],
        stacked=True,
    ),
    timeseries(
        "Dead-lettered by workers",
        "Messages that a worker itself sent to the dead-letter queue. Those of a standard queue that have used up their receives "
        "are moved by SQS: the dashboard of dead letters counts them.",
        "mps",
        [query(rate("delivery_dead_lettered_total", OWN_QUEUE, "queue", "reason"), "{{queue}} {{reason}}")],
        stacked=True,
    ),
)

DURATIONS = row(
    "Durations",
    timeseries(
        "Time of an attempt",
        "Carrier and store together, failed attempts included.",
        "s",
        [query(quantile(q, PROCESS, OWN_DESTINATION, ["messaging_destination_name"]), "{{messaging_destination_name}} p%d" % (100 * q)) for q in (0.5, 0.95, 0.99)],
    ),
    heatmap(
        "Times of attempts",
        "The same times, as they are spread.",
        "s",
        increase(PROCESS + "_bucket", OWN_DESTINATION, "le"),
    ),
    timeseries(
        "Wait in the queue",
        "From sending a message to its first receive. The dashed line is the objective, for 99 of 100.",
        "s",
        [query(quantile(q, "delivery_queue_wait_seconds", OWN_QUEUE, ["queue"]), "{{queue}} p%d" % (100 * q)) for q in (0.5, 0.95, 0.99)],
        thresholds=steps(GREEN, (30, RED)),
    ),
    heatmap(
        "Waits in the queue",
        "The same waits, as they are spread.",
        "s",
        increase("delivery_queue_wait_seconds_bucket", OWN_QUEUE, "le"),
    ),
)

SATURATION = row(
    "Saturation",
    timeseries(
        "Handlers busy",
        "Of the handlers that may run at once, those that do, on average.",
        "percentunit",
        [query(BUSY, "{{queue}}")],
        thresholds=steps(GREEN, (0.8, YELLOW)),
        maximum=1,
    ),
    timeseries(
        "Messages held, and handlers",
        "Messages that workers hold, in any state, against the handlers that may run at once.",
        "short",
        [
            query("sum by (queue) (delivery_in_flight{%s})" % OWN_QUEUE, "{{queue}} held"),
            query("sum by (queue) (delivery_concurrency_limit{%s})" % OWN_QUEUE, "{{queue}} handlers"),
        ],
    ),
    timeseries(
        "Messages held by instance",
        "One instance that holds much more than the others is stuck, or new.",
        "short",
        [query("sum by (instance) (delivery_in_flight{%s})" % OWN_QUEUE, "{{instance}}")],
    ),
    timeseries(
        "Requests to SQS",
        "By operation, retries included: AWS bills them. An idle queue costs three receives a minute.",
        "reqps",
        [query(rate("sqs_api_requests_total", OWN, "operation"), "{{operation}}")],
        stacked=True,
    ),
)

RECEIVES = row(
    "Receives and leases",
    timeseries(
        "Received for the first time",
        "Of all receives. What is missing to 100 % are retries, and messages whose worker was killed or lost its lease.",
        "percentunit",
        [
            query(
                "%s / %s"
                % (
                    rate("delivery_receive_count_bucket", OWN_QUEUE + ', le=~"1|1[.]0"', "queue"),
                    rate("delivery_receive_count_count", OWN_QUEUE, "queue"),
                ),
                "{{queue}}",
            )
        ],
        maximum=1,
    ),
    heatmap(
        "Receive counts",
        "How often messages had been received when they were received, this time included. After three receives a message is "
        "dead-lettered.",
        "short",
        increase("delivery_receive_count_bucket", OWN_QUEUE, "le"),
    ),
    timeseries(
        "Extensions of leases",
        "ok; lost: SQS said that the lease was over; failed: no answer, tried again.",
        "ops",
        [query(rate("delivery_visibility_extensions_total", OWN_QUEUE, "queue", "outcome"), "{{queue}} {{outcome}}")],
        width=8,
    ),
    timeseries(
        "Leases lost",
        "Messages whose visibility timeout ended while they were held, in each interval.",
        "short",
        [query(increase("delivery_leases_lost_total", OWN_QUEUE, "queue"), "{{queue}}")],
        width=8,
        bars=True,
        thresholds=steps(GREEN, (0.5, RED)),
    ),
    timeseries(
        "Repetitions without effect",
        "Messages whose order had been delivered before: deleted, and nothing else.",
        "mps",
        [query(rate("delivery_duplicates_suppressed_total", OWN_QUEUE, "queue"), "{{queue}}")],
        width=8,
    ),
)

ENDS = row(
    "Ends of workers",
    timeseries(
        "Given back by stopping workers",
        "Messages given back unfinished, in each interval. A worker counts them in its last moments, so a scrape may miss some.",
        "short",
        [query(increase("delivery_shutdown_released_total", OWN_QUEUE, "queue"), "{{queue}}")],
        bars=True,
    ),
    timeseries(
        "Stranded by stopping workers",
        "Messages left leased, in each interval. It must stay 0. A scrape may miss it: the worker's log says it as well.",
        "short",
        [query(increase("delivery_shutdown_stranded_total", OWN_QUEUE, "queue"), "{{queue}}")],
        bars=True,
        thresholds=steps(GREEN, (0.5, RED)),
    ),
)

API = row(
    "The worker's API",
    timeseries(
        "Requests by route",
        "Questions about deliveries, most of them from the order API.",
        "reqps",
        [query(rate("http_server_request_duration_seconds_count", OWN, "http_route", "http_response_status_code"), "{{http_route}} {{http_response_status_code}}")],
        stacked=True,
    ),
    timeseries(
        "Time by route",
        "The 99th percentile. Reads of the store are given up after three seconds.",
        "s",
        [query(quantile(0.99, "http_server_request_duration_seconds", OWN, ["http_route"]), "{{http_route}}")],
    ),
)

DASHBOARD = dashboard(
    WORKERS,
    "Fleet: delivery workers",
    "What the delivery workers do, how long it takes, how full they are, and whether they keep their leases.",
    [
        NAMESPACE,
        job("delivery-worker"),
        queue('label_values(delivery_concurrency_limit{namespace=~"$namespace", job=~"$job"}, queue)'),
    ],
    ANNOTATIONS,
    [NOW, RATE, DURATIONS, SATURATION, RECEIVES, ENDS, API],
)
