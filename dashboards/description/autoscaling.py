"""Autoscaling: what there is to do, how many workers that needs, and how many there are."""

from .common import ANNOTATIONS, AUTOSCALING, FLEET, NAMESPACE, OWN, counts, job, queue
from .grafana import BLUE, GREEN, RED, YELLOW, dashboard, number_variable, query, row, stat, steps, table, timeseries

# The autoscalers that KEDA makes, and its ScaledObjects, end in these names.
WORKERS = ".*worker-(standard|fifo)"
# Where kube-state-metrics and KEDA are scraped without honorLabels, the workers' namespace is exported_namespace.
OF_FLEET = 'label_replace(%s, "namespace", "$1", "exported_namespace", "(.+)")'

# A trigger of a ScaledObject, and how it is called in legends.
TRIGGER, OF_TRIGGER = "namespace, scaledObject, scaler, triggerIndex", "{{scaledObject}} {{triggerIndex}} {{scaler}}"

STANDARD, FIFO = 'queue!~".+[.]fifo"', 'queue=~".+[.]fifo"'


def in_namespace(expr, by):
    """A metric of another exporter, of the chosen namespaces."""
    return "max by (%s) (%s) * on (namespace) group_left () %s" % (
        by,
        OF_FLEET % expr,
        'group by (namespace) (build_info{service=~"order-api|delivery-worker|dlq-monitor", %s})' % FLEET,
    )


def hpa(metric):
    """An autoscaler's figure, by its name."""
    return in_namespace('kube_horizontalpodautoscaler_%s{horizontalpodautoscaler=~"%s"}' % (metric, WORKERS), "namespace, horizontalpodautoscaler")


def keda(metric, by="namespace, scaledObject"):
    """A figure of KEDA's operator."""
    return in_namespace('%s{scaledObject=~"%s"}' % (metric, WORKERS), by)


def errors(window):
    """Failed reads of KEDA's, by trigger."""
    return in_namespace('increase(keda_scaler_detail_errors_total{scaledObject=~"%s"}[%s])' % (WORKERS, window), TRIGGER)


def load(queue):
    """Messages that workers have to do with: visible ones, and of those in flight as many as the workers can hold.

    The others in flight wait for their next attempt: more workers would not help them. No worker holds none.
    """
    return """(sum(max by (queue) (sqs_queue_messages{role="source", state="visible", %(fleet)s, %(queue)s}))
        + clamp_max(sum(max by (queue) (sqs_queue_messages{role="source", state="in_flight", %(fleet)s, %(queue)s})),
        scalar(sum(delivery_concurrency_limit{%(own)s, %(queue)s}) or vector(0))))""" % {"fleet": FLEET, "own": OWN, "queue": queue}


NEEDED_STANDARD = "ceil(%s / $target)" % load(STANDARD)
# Groups bound what FIFO workers can do at once: lanes with a running handler tell how many that are. Without a worker none is
# busy.
NEEDED_FIFO = """ceil(clamp_max(%(load)s / $target,
    scalar(sum(delivery_fifo_lanes_busy{%(own)s}) / (avg(delivery_concurrency_limit{%(own)s, %(queue)s}) * $utilisation)
    or vector(0))))""" % {
    "load": load(FIFO),
    "own": OWN,
    "queue": FIFO,
}

NOW = row(
    "Now",
    stat(
        "Standard workers",
        "Instances that consume the standard queue.",
        "short",
        [query("count(delivery_concurrency_limit{%s, %s})" % (OWN, STANDARD))],
        steps(RED, (1, GREEN)),
        decimals=0,
    ),
    stat(
        "Standard workers needed",
        "Standard workers that the backlog needs, by the formula that KEDA is given, with the target above.",
        "short",
        [query(NEEDED_STANDARD)],
        steps(BLUE),
        decimals=0,
        no_value="unknown",
    ),
    stat(
        "FIFO workers",
        "Instances that consume the FIFO queue.",
        "short",
        [query("count(delivery_concurrency_limit{%s, %s})" % (OWN, FIFO))],
        steps(RED, (1, GREEN)),
        decimals=0,
    ),
    stat(
        "FIFO workers needed",
        "FIFO workers that the backlog and the busy lanes need, by the formula that KEDA is given. Without a worker no lane is busy "
        "and this is 0; KEDA keeps its minimum of one.",
        "short",
        [query(NEEDED_FIFO)],
        steps(BLUE),
        decimals=0,
        no_value="unknown",
    ),
    stat(
        "Errors of KEDA, 10 min",
        "Failed reads of what KEDA scales the workers by.",
        "short",
        [query("sum(%s)" % errors("10m"))],
        steps(GREEN, (0.5, RED)),
        decimals=0,
        no_value="no KEDA",
    ),
    stat(
        "Paused",
        "ScaledObjects of workers that an annotation pauses.",
        "short",
        [query("sum(%s)" % keda("keda_scaled_object_paused"))],
        steps(GREEN, (1, YELLOW)),
        decimals=0,
        no_value="no KEDA",
    ),
)

WORK = row(
    "What there is to do",
    timeseries(
        "Backlog",
        "Visible messages wait. In flight are those that workers hold, and those that wait for their next attempt.",
        "short",
        [query(counts("source", "visible"), "{{queue}} visible"), query(counts("source", "in_flight"), "{{queue}} in flight")],
    ),
    timeseries(
        "Visible messages for each worker",
        "A queue's visible messages over the instances that consume it. KEDA aims at the target above, for visible messages and "
        "what is held together.",
        "short",
        [
            query(
                """max by (queue) (sqs_queue_messages{role="source", state="visible", %s})
                / on (queue) count by (queue) (delivery_concurrency_limit{%s})""" % (FLEET, OWN),
                "{{queue}}",
            )
        ],
    ),
)

REPLICAS = row(
    "Workers",
    timeseries(
        "Standard workers",
        "Wanted by the autoscaler, ready, needed by the formula, and at most. Without kube-state-metrics only what is needed and "
        "what consumes is known.",
        "short",
        [
            query(hpa("status_desired_replicas").replace(WORKERS, ".*worker-standard"), "wanted"),
            query("count(delivery_concurrency_limit{%s, %s})" % (OWN, STANDARD), "consuming"),
            query(NEEDED_STANDARD, "needed"),
            query(hpa("spec_max_replicas").replace(WORKERS, ".*worker-standard"), "at most"),
        ],
        decimals=0,
    ),
    timeseries(
        "FIFO workers",
        "The same of the FIFO queue. Groups bound how many can be of use.",
        "short",
        [
            query(hpa("status_desired_replicas").replace(WORKERS, ".*worker-fifo"), "wanted"),
            query("count(delivery_concurrency_limit{%s, %s})" % (OWN, FIFO), "consuming"),
            query(NEEDED_FIFO, "needed"),
            query(hpa("spec_max_replicas").replace(WORKERS, ".*worker-fifo"), "at most"),
        ],
        decimals=0,
    ),
    timeseries(
        "Ready replicas",
        "Of the workers' Deployments, as kube-state-metrics tells.",
        "short",
        [query(in_namespace('kube_deployment_status_replicas_ready{deployment=~"%s"}' % WORKERS, "namespace, deployment"), "{{deployment}}")],
        decimals=0,
    ),
    timeseries(
        "Busy FIFO lanes",
        "Lanes with a running handler, summed over the workers: what bounds the number of FIFO workers. And the handlers that "
        "may run.",
        "short",
        [
            query("sum(delivery_fifo_lanes_busy{%s})" % OWN, "busy"),
            query("sum(delivery_concurrency_limit{%s, %s})" % (OWN, FIFO), "handlers"),
        ],
    ),
)

KEDA = row(
    "KEDA",
    timeseries(
        "What KEDA reads",
        "The value of each trigger, as KEDA's operator last read it.",
        "short",
        [query(keda("keda_scaler_metrics_value", TRIGGER), OF_TRIGGER)],
    ),
    timeseries(
        "Errors",
        "Failed reads, in each interval.",
        "short",
        [
            query(
                errors("$__rate_interval"),
                OF_TRIGGER,
            )
        ],
        bars=True,
        thresholds=steps(GREEN, (0.5, RED)),
    ),
    timeseries(
        "Time of a read",
        "How long KEDA's operator takes to read each trigger.",
        "s",
        [query(keda("keda_scaler_metrics_latency_seconds", TRIGGER), OF_TRIGGER)],
    ),
    table(
        "ScaledObjects",
        "1 where an annotation pauses it: the workers then stay as many as they are.",
        "none",
        [query(keda("keda_scaled_object_paused"))],
        {"namespace": "Namespace", "scaledObject": "ScaledObject", "Value": "Paused"},
        thresholds=steps(GREEN, (1, YELLOW)),
    ),
)

DASHBOARD = dashboard(
    AUTOSCALING,
    "Fleet: autoscaling",
    "Backlog, workers that there are and that are needed, and KEDA. Panels of KEDA and of wanted replicas need the metrics of "
    "KEDA's operator and of kube-state-metrics.",
    [
        NAMESPACE,
        job("delivery-worker"),
        number_variable("target", "Messages for a worker", "The target that KEDA is given: queueLength, 128 for 64 handlers.", "128"),
        number_variable("utilisation", "Lanes in use", "The share of its handlers that a FIFO worker is to have busy.", "0.6"),
    ],
    ANNOTATIONS,
    [NOW, WORK, REPLICAS, KEDA],
)
