"""Whether the fleet does what it is for: objective, flow, backlog, dead letters, and what fires."""

from .common import (
    ANNOTATIONS,
    AUTOSCALING,
    DLQ,
    FIFO_GROUPS,
    NAMESPACE,
    ORDER_API,
    OVERVIEW,
    OWN,
    SERVICES,
    WITHIN_OBJECTIVE,
    WORKERS,
    counts,
    dead,
    job,
    quantile,
    rate,
    share,
)
from .grafana import GREEN, ORANGE, ORDERS, RED, YELLOW, dashboard, link, query, row, stat, steps, table, timeseries

PLACING = OWN + ', http_route="/api/orders", http_request_method="POST"'
ANSWERS = "http_server_request_duration_seconds_count"


def burn(window):
    """How many times faster than allowed the budget of 1 % is used, over a window that the rules record."""
    return 'max by (queue) (queue:delivery_queue_wait_slow:ratio_rate%s{namespace=~"$namespace"}) / 0.01' % window


OBJECTIVE = row(
    "Objective",
    stat(
        "Received within 30 s",
        "Of the messages that workers first received in the shown time, those that had been sent at most 30 s before. "
        "The objective is 99 %.",
        "percentunit",
        [
            query(
                """sum(increase(delivery_queue_wait_seconds_bucket{%(own)s, %(within)s}[$__range]))
                / (sum(increase(delivery_queue_wait_seconds_count{%(own)s}[$__range])) > 0)"""
                % {"own": OWN, "within": WITHIN_OBJECTIVE},
                instant=True,
            )
        ],
        steps(RED, (0.99, YELLOW), (0.995, GREEN)),
        decimals=2,
        no_value="no traffic",
        links=[link("Delivery workers", WORKERS)],
    ),
    stat(
        "Burn rate, 1 h",
        "How many times faster than allowed the error budget is used, by the queue that is worst. At 1 it lasts just 30 days; "
        "6 is a warning, 14.4 wakes somebody.",
        "none",
        [query("max(%s)" % burn("1h"))],
        steps(GREEN, (1, YELLOW), (6, ORANGE), (14.4, RED)),
        decimals=1,
        no_value="no traffic",
        links=[link("Delivery workers", WORKERS)],
    ),
    stat(
        "Backlog",
        "Messages that wait in the order queues and are visible, as SQS approximates it.",
        "short",
        [query("sum(%s)" % counts("source", "visible"))],
        steps(GREEN, (1000, YELLOW), (10000, RED)),
        no_value="unknown",
        links=[link("Autoscaling", AUTOSCALING)],
    ),
    stat(
        "Dead letters",
        "Messages in the dead-letter queues. Each is an order that waits for a decision.",
        "short",
        [query("sum(%s) + sum(%s)" % (counts("dlq", "visible"), counts("dlq", "in_flight")))],
        steps(GREEN, (1, RED)),
        no_value="unknown",
        links=[link("Dead letters", DLQ)],
    ),
    stat(
        "Orders refused",
        "Of the orders that clients placed in the last minutes, those that were answered with a status of 5xx.",
        "percentunit",
        [
            query(
                share(rate(ANSWERS, PLACING + ', http_response_status_code=~"5.."'), rate(ANSWERS, PLACING))
            )
        ],
        steps(GREEN, (0.01, YELLOW), (0.1, RED)),
        decimals=2,
        no_value="no traffic",
        links=[link("Order API", ORDER_API)],
    ),
    stat(
        "Alerts that fire",
        "Warnings and critical alerts of the fleet's rules.",
        "short",
        [
            query(
                """count(ALERTS{alertstate="firing", severity=~"warning|critical", component=~".+",
                namespace=~"$namespace"}) or vector(0)"""
            )
        ],
        steps(GREEN, (1, RED)),
    ),
)

FLOW = row(
    "Flow",
    timeseries(
        "Orders",
        "Orders accepted, which SQS has confirmed, those repeated with their idempotency key included; orders delivered, which "
        "are no repetitions; and messages that arrived in the dead-letter queues.",
        ORDERS,
        [
            query(rate("orders_accepted_total", OWN), "accepted"),
            query(rate("delivery_attempts_total", OWN + ', outcome="delivered"'), "delivered"),
            query(rate("dlq_messages_arrived_total", OWN), "dead"),
        ],
        links=[link("Order API", ORDER_API), link("Delivery workers", WORKERS)],
    ),
    timeseries(
        "Backlog by queue",
        "Messages in the order queues: visible ones wait; those in flight are with a worker, or wait for their next attempt.",
        "short",
        [query(counts("source", "visible"), "{{queue}} visible"), query(counts("source", "in_flight"), "{{queue}} in flight")],
        links=[link("Autoscaling", AUTOSCALING), link("FIFO groups", FIFO_GROUPS)],
    ),
    timeseries(
        "Wait in the queue",
        "From sending a message to its first receive; retries do not count. The dashed line is the objective.",
        "s",
        [
            query(quantile(0.5, "delivery_queue_wait_seconds", OWN, ["queue"]), "{{queue}} p50"),
            query(quantile(0.99, "delivery_queue_wait_seconds", OWN, ["queue"]), "{{queue}} p99"),
        ],
        thresholds=steps(GREEN, (30, RED)),
        links=[link("Delivery workers", WORKERS)],
    ),
    timeseries(
        "From order to delivery",
        "From the acceptance of an order to the commit of its delivery.",
        "s",
        [
            query(quantile(0.5, "delivery_end_to_end_seconds", OWN, ["queue"]), "{{queue}} p50"),
            query(quantile(0.99, "delivery_end_to_end_seconds", OWN, ["queue"]), "{{queue}} p99"),
        ],
        links=[link("Delivery workers", WORKERS)],
    ),
    timeseries(
        "Burn rate of the error budget",
        "How many times faster than allowed the budget of 1 % is used, over a short and two longer windows. Alerts need two of "
        "them at once: 14.4 over 1 h and 5 min, or 6 over 6 h and 30 min.",
        "none",
        [
            query(burn("5m"), "{{queue}} 5 min"),
            query(burn("1h"), "{{queue}} 1 h"),
            query(burn("6h"), "{{queue}} 6 h"),
        ],
        thresholds=steps(GREEN, (6, ORANGE), (14.4, RED)),
    ),
    timeseries(
        "Dead letters by queue",
        "Messages in the dead-letter queues, visible or being looked at.",
        "short",
        [query(dead(OWN), "{{queue}}")],
        thresholds=steps(GREEN, (1, RED)),
        links=[link("Dead letters", DLQ)],
    ),
)

HEALTH = row(
    "Health",
    table(
        "Alerts",
        "What fires or is about to.",
        "none",
        [
            query(
                """max by (alertname, severity, alertstate, namespace, queue, queue_type, service, scaledObject, instance)
                (ALERTS{component=~".+", severity!="none", namespace=~"$namespace"})"""
            )
        ],
        {
            "alertname": "Alert",
            "alertstate": "State",
            "severity": "Severity",
            "namespace": "Namespace",
            "queue": "Queue",
            "queue_type": "Type of queue",
            "service": "Service",
            "scaledObject": "ScaledObject",
            "instance": "Instance",
        },
        hidden=["Value"],
    ),
    timeseries(
        "Running instances",
        "Processes that Prometheus scrapes, by service and version.",
        "short",
        [query('count by (service, version) (build_info{service=~"%s", %s})' % (SERVICES, OWN), "{{service}} {{version}}")],
        width=6,
        decimals=0,
        stacked=True,
    ),
    timeseries(
        "Requests to SQS",
        "Every request that was sent, retries included, by operation: AWS bills them.",
        "reqps",
        [query(rate("sqs_api_requests_total", OWN, "operation"), "{{operation}}")],
        width=6,
        stacked=True,
    ),
)

DASHBOARD = dashboard(
    OVERVIEW,
    "Fleet: overview",
    "The order fleet at a glance. The links at the top lead to a dashboard for each part.",
    [NAMESPACE, job(SERVICES)],
    ANNOTATIONS,
    [OBJECTIVE, FLOW, HEALTH],
)
