"""FIFO groups: how many run, wait and are blocked, and what bounds the throughput of the FIFO queue."""

from .common import ANNOTATIONS, FIFO_GROUPS, FLEET, NAMESPACE, OWN, increase, job, quantile, rate
from .grafana import ATTEMPTS, BLUE, GREEN, ORANGE, ORDERS, RED, YELLOW, dashboard, heatmap, query, row, stat, steps, timeseries

FIFO = OWN + ', queue=~".+[.]fifo"'
FIFO_DESTINATION = OWN + ', messaging_destination_name=~".+[.]fifo"'
FIFO_SOURCE = 'role="source", queue=~".+[.]fifo", ' + FLEET

NOW = row(
    "Now",
    stat("Busy lanes", "Groups whose handler is running, over all workers.", "short", [query("sum(delivery_fifo_lanes_busy{%s})" % OWN)], steps(BLUE), no_value="no FIFO worker"),
    stat("Groups held", "Groups of which a worker holds a message.", "short", [query("sum(delivery_fifo_groups_active{%s})" % OWN)], steps(BLUE), no_value="no FIFO worker"),
    stat(
        "Groups blocked",
        "Groups whose head waits for its retry or its dead-lettering. The messages behind it wait with it.",
        "short",
        [query("sum(delivery_fifo_groups_blocked{%s})" % OWN)],
        steps(GREEN, (1, YELLOW), (100, RED)),
        no_value="no FIFO worker",
    ),
    stat(
        "Lanes in use",
        "Busy lanes over the handlers that may run at once. At 100 % more workers help; far below it there are fewer groups than "
        "handlers, and more workers do not.",
        "percentunit",
        [query("sum(delivery_fifo_lanes_busy{%s}) / sum(delivery_concurrency_limit{%s})" % (OWN, FIFO))],
        steps(GREEN, (0.8, YELLOW), (0.95, ORANGE)),
        decimals=1,
        no_value="no FIFO worker",
    ),
    stat(
        "Delivered",
        "Orders of the FIFO queue delivered each second.",
        ORDERS,
        [query(rate("delivery_attempts_total", FIFO + ', outcome="delivered"'))],
        steps(GREEN),
        decimals=1,
    ),
    stat(
        "Backlog",
        "Visible messages of the FIFO queue. Those behind a message of their group that is in flight count as well.",
        "short",
        [query('sum(max by (queue) (sqs_queue_messages{state="visible", %s}))' % FIFO_SOURCE)],
        steps(GREEN, (1000, YELLOW), (10000, RED)),
        no_value="unknown",
    ),
)

GROUPS = row(
    "Groups",
    timeseries(
        "Groups and lanes",
        "Groups of which workers hold messages, those of them whose handler runs, those whose head waits, and the handlers that "
        "may run at once.",
        "short",
        [
            query("sum(delivery_fifo_groups_active{%s})" % OWN, "held"),
            query("sum(delivery_fifo_lanes_busy{%s})" % OWN, "busy"),
            query("sum(delivery_fifo_groups_blocked{%s})" % OWN, "blocked"),
            query("sum(delivery_concurrency_limit{%s})" % FIFO, "handlers"),
        ],
    ),
    timeseries(
        "Blocked groups",
        "Of the groups that are held, those whose head waits for its retry or its dead-lettering.",
        "percentunit",
        [query("sum(delivery_fifo_groups_blocked{%(own)s}) / (sum(delivery_fifo_groups_active{%(own)s}) > 0)" % {"own": OWN}, "blocked")],
        thresholds=steps(GREEN, (0.5, YELLOW)),
        maximum=1,
    ),
    timeseries("Busy lanes by instance", "Groups whose handler is running.", "short", [query("sum by (instance) (delivery_fifo_lanes_busy{%s})" % OWN, "{{instance}}")]),
    timeseries("Groups held by instance", "A group is with one worker at a time.", "short", [query("sum by (instance) (delivery_fifo_groups_active{%s})" % OWN, "{{instance}}")]),
    timeseries(
        "Messages held for each group",
        "Messages held over groups held: long lanes mean that few groups have many messages.",
        "short",
        [query("sum(delivery_in_flight{%s}) / (sum(delivery_fifo_groups_active{%s}) > 0)" % (FIFO, OWN), "messages")],
    ),
    timeseries(
        "Messages in the queue",
        "As SQS approximates them. In flight are those that workers hold.",
        "short",
        [
            query('max by (queue) (sqs_queue_messages{state="visible", %s})' % FIFO_SOURCE, "{{queue}} visible"),
            query('max by (queue) (sqs_queue_messages{state="in_flight", %s})' % FIFO_SOURCE, "{{queue}} in flight"),
        ],
    ),
)

PACE = row(
    "Pace",
    timeseries(
        "Orders",
        "Attempts at orders of the FIFO queue, by outcome.",
        ATTEMPTS,
        [query(rate("delivery_attempts_total", FIFO, "outcome"), "{{outcome}}")],
    ),
    timeseries(
        "Time of an attempt",
        "A group does one after another: its pace is one over this time.",
        "s",
        [query(quantile(q, "messaging_process_duration_seconds", FIFO_DESTINATION, []), "p%d" % (100 * q)) for q in (0.5, 0.95, 0.99)],
    ),
    timeseries(
        "Wait in the queue",
        "From sending a message to its first receive. The dashed line is the objective, for 99 of 100.",
        "s",
        [query(quantile(q, "delivery_queue_wait_seconds", FIFO, []), "p%d" % (100 * q)) for q in (0.5, 0.95, 0.99)],
        thresholds=steps(GREEN, (30, RED)),
    ),
    heatmap(
        "From order to delivery",
        "Times from the acceptance of an order to the commit of its delivery: the wait behind others of its group is in it.",
        "s",
        increase("delivery_end_to_end_seconds_bucket", FIFO, "le"),
    ),
)

TROUBLE = row(
    "Trouble",
    timeseries(
        "Dead-lettered by reason",
        "Heads of groups that were given up: those behind them then go on.",
        "mps",
        [query(rate("delivery_dead_lettered_total", FIFO, "reason"), "{{reason}}")],
        width=8,
        stacked=True,
    ),
    timeseries(
        "Extensions of leases",
        "A blocked group's messages stay leased: ok; lost: SQS said that the lease was over; failed: no answer, tried again.",
        "ops",
        [query(rate("delivery_visibility_extensions_total", FIFO, "outcome"), "{{outcome}}")],
        width=8,
    ),
    timeseries(
        "Leases lost",
        "Messages whose visibility timeout ended while they were held, in each interval. Their lane closes, and others go on.",
        "short",
        [query(increase("delivery_leases_lost_total", FIFO), "lost")],
        width=8,
        bars=True,
        thresholds=steps(GREEN, (0.5, RED)),
    ),
)

DASHBOARD = dashboard(
    FIFO_GROUPS,
    "Fleet: FIFO groups",
    "Groups of the FIFO queue: one customer's orders go one after another, so groups bound what workers can do at once.",
    [NAMESPACE, job("delivery-worker")],
    ANNOTATIONS,
    [NOW, GROUPS, PACE, TROUBLE],
)
