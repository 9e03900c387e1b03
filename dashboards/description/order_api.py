"""The order API: rate, errors, durations; then what it does with orders, and its calls to SQS."""

from .common import ANNOTATIONS, NAMESPACE, ORDER_API, OWN, increase, job, quantile, rate, share
from .grafana import GREEN, ORDERS, RED, YELLOW, dashboard, heatmap, query, row, stat, steps, timeseries

PLACING = OWN + ', http_route="/api/orders", http_request_method="POST"'
REQUESTS = "http_server_request_duration_seconds"
ANSWERS = REQUESTS + "_count"
CALLS = "messaging_client_operation_duration_seconds"

NOW = row(
    "Placing orders",
    stat(
        "Orders placed",
        "Requests that place an order, each second, whatever the answer.",
        "reqps",
        [query(rate(ANSWERS, PLACING))],
        steps(GREEN),
        decimals=1,
    ),
    stat(
        "Refused",
        "Those that are answered with a status of 5xx. Their clients have to try again.",
        "percentunit",
        [
            query(
                share(rate(ANSWERS, PLACING + ', http_response_status_code=~"5.."'), rate(ANSWERS, PLACING))
            )
        ],
        steps(GREEN, (0.01, YELLOW), (0.1, RED)),
        decimals=2,
        no_value="no traffic",
    ),
    stat(
        "Invalid",
        "Those that are answered with a status of 4xx: something is wrong with the requests themselves.",
        "percentunit",
        [
            query(
                share(rate(ANSWERS, PLACING + ', http_response_status_code=~"4.."'), rate(ANSWERS, PLACING))
            )
        ],
        steps(GREEN, (0.1, YELLOW)),
        decimals=2,
        no_value="no traffic",
    ),
    stat(
        "99 in 100 answered within",
        "The 99th percentile of the time from a request's header to its answer's.",
        "s",
        [query(quantile(0.99, REQUESTS, PLACING, []))],
        steps(GREEN, (0.5, YELLOW), (1, RED)),
        no_value="no traffic",
    ),
    stat(
        "In hand",
        "Orders that are being sent to SQS or wait for that, over all instances. At PUBLISH_BUFFER_ORDERS an instance refuses "
        "more with 503.",
        "short",
        [query("sum(order_publish_buffered{%s})" % OWN)],
        steps(GREEN, (2000, YELLOW), (4000, RED)),
    ),
    stat(
        "Instances",
        "Instances that Prometheus scrapes.",
        "short",
        [query('count(build_info{service="order-api", %s})' % OWN)],
        steps(RED, (1, GREEN)),
        decimals=0,
    ),
)

RED_METHOD = row(
    "Rate, errors, durations",
    timeseries(
        "Requests by status",
        "All requests to the API, by the status of the answer.",
        "reqps",
        [query(rate(ANSWERS, OWN, "http_response_status_code"), "{{http_response_status_code}}")],
        stacked=True,
    ),
    timeseries(
        "Requests by route",
        "All requests to the API, by route and method.",
        "reqps",
        [
            query(
                rate(ANSWERS, OWN, "http_route", "http_request_method"),
                "{{http_request_method}} {{http_route}}",
            )
        ],
        stacked=True,
    ),
    timeseries(
        "Share of 5xx by route",
        "Answers with a status of 5xx among all of the route. An order's status is 503 as well where the delivery worker's API "
        "does not answer.",
        "percentunit",
        [
            query(
                "%s / %s"
                % (
                    rate(ANSWERS, OWN + ', http_response_status_code=~"5.."', "http_route"),
                    rate(ANSWERS, OWN, "http_route"),
                ),
                "{{http_route}}",
            )
        ],
        thresholds=steps(GREEN, (0.01, YELLOW), (0.1, RED)),
    ),
    timeseries(
        "Time to place an order",
        "From a request's header to its answer's. An order is answered when SQS has confirmed it, so SQS's own time is in it.",
        "s",
        [query(quantile(q, REQUESTS, PLACING, []), "p%d" % (100 * q)) for q in (0.5, 0.95, 0.99)],
        thresholds=steps(GREEN, (1, RED)),
    ),
    heatmap(
        "Times to place an order",
        "The same times, as they are spread.",
        "s",
        increase(REQUESTS + "_bucket", PLACING, "le"),
    ),
    timeseries(
        "Time by route",
        "The 99th percentile of each route.",
        "s",
        [query(quantile(0.99, REQUESTS, OWN, ["http_route"]), "{{http_route}}")],
    ),
)

ORDERS = row(
    "Orders",
    timeseries(
        "Accepted by queue",
        "Orders that SQS has confirmed; one that is repeated with its idempotency key counts again.",
        ORDERS,
        [query(rate("orders_accepted_total", OWN, "queue_type"), "{{queue_type}}")],
        width=8,
        stacked=True,
    ),
    timeseries(
        "Rejected by reason",
        "Orders that were answered with a problem. overloaded, queue-unavailable and idempotency-keys-unavailable are 503; the "
        "other ones are the client's.",
        ORDERS,
        [query(rate("orders_rejected_total", OWN, "reason") + " > 0", "{{reason}}")],
        width=8,
        stacked=True,
    ),
    timeseries(
        "Idempotency keys",
        "Orders with a key: first seen, the same again, another order under the same key (refused), or unknown since the store "
        "of keys does not answer. And orders whose client went away before the answer.",
        ORDERS,
        [
            query(rate("orders_keyed_total", OWN, "outcome"), "{{outcome}}"),
            query(rate("orders_abandoned_total", OWN), "client gone"),
        ],
        width=8,
    ),
)

SENDING = row(
    "Sending to SQS",
    timeseries(
        "Messages sent",
        "Messages handed to SQS, by queue; with the error where SQS did not confirm them.",
        "mps",
        [
            query(
                rate("messaging_client_sent_messages_total", OWN, "messaging_destination_name", "error_type"),
                "{{messaging_destination_name}} {{error_type}}",
            )
        ],
        width=8,
        stacked=True,
    ),
    timeseries(
        "Time of a call",
        "A send to SQS, the SDK's own retries included.",
        "s",
        [
            query(quantile(q, CALLS, OWN, ["messaging_destination_name"]), "{{messaging_destination_name}} p%d" % (100 * q))
            for q in (0.5, 0.99)
        ],
        width=8,
    ),
    timeseries(
        "Orders in a call",
        "The mean over the calls: 10 is a full batch.",
        "short",
        [
            query(
                "%s / %s"
                % (
                    rate("order_publish_batch_size_sum", OWN, "messaging_destination_name"),
                    rate("order_publish_batch_size_count", OWN, "messaging_destination_name"),
                ),
                "{{messaging_destination_name}}",
            )
        ],
        width=8,
        maximum=10,
    ),
    timeseries(
        "In hand by instance",
        "Orders that are being sent to SQS, or wait for that or for the store of keys.",
        "short",
        [query("sum by (instance) (order_publish_buffered{%s})" % OWN, "{{instance}}")],
        width=12,
    ),
    timeseries(
        "Requests to SQS that fail",
        "Every request counts, retries included, by operation and error.",
        "reqps",
        [
            query(
                rate("sqs_api_requests_total", OWN + ', error_type!=""', "operation", "error_type"),
                "{{operation}} {{error_type}}",
            )
        ],
        width=12,
        stacked=True,
    ),
)

DASHBOARD = dashboard(
    ORDER_API,
    "Fleet: order API",
    "Rate, errors and durations of the order API, what becomes of orders in it, and its calls to SQS.",
    [NAMESPACE, job("order-api")],
    ANNOTATIONS,
    [NOW, RED_METHOD, ORDERS, SENDING],
)
