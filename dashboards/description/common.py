"""What the dashboards share: variables, selectors, annotations, and expressions that several of them draw."""

from .grafana import annotation, query_variable

OVERVIEW, ORDER_API, WORKERS = "fleet-overview", "fleet-order-api", "fleet-delivery-workers"
AUTOSCALING, DLQ, FIFO_GROUPS = "fleet-autoscaling", "fleet-dlq", "fleet-fifo-groups"

SERVICES = "order-api|delivery-worker|dlq-monitor"

# Of another service than the dashboard's own, whose job the variable does not name.
FLEET = 'namespace=~"$namespace"'
# Of the dashboard's own service.
OWN = 'namespace=~"$namespace", job=~"$job"'
OWN_QUEUE = OWN + ', queue=~"$queue"'
OWN_DESTINATION = OWN + ', messaging_destination_name=~"$queue"'

# Prometheus 3 writes the bucket's bound as 30.0, Prometheus 2 as 30.
WITHIN_OBJECTIVE = 'le=~"30|30[.]0"'

NAMESPACE = query_variable(
    "namespace",
    "Namespace",
    "Where the fleet runs; all of them also means a fleet without the label.",
    'label_values(build_info{service=~"%s"}, namespace)' % SERVICES,
)


def job(service):
    """The jobs by which a service is scraped; `service` is a regular expression.

    All of them are those of this service: other services have metrics of the same names.
    """
    return query_variable(
        "job",
        "Job",
        "The scrape jobs of the service that this dashboard is about.",
        'label_values(build_info{service=~"%s", namespace=~"$namespace"}, job)' % service,
        anything=False,
    )


def queue(values):
    """The queues that a metric of the dashboard's own service knows."""
    return query_variable("queue", "Queue", "The queues to show.", values)


def running(offset="", window=""):
    """What runs, or ran: by the version of the program and, where pods are scraped by the chart's PodMonitor, by the revision of
    their Deployment, which an image or a setting that is new makes another one. A Deployment is a job there."""
    of = 'build_info{service=~"%s", %s}%s%s' % (SERVICES, FLEET, window, offset)
    return "count by (namespace, service, job, version, pod_template_hash) (%s)" % ("last_over_time(%s)" % of if window else of)


# New beside what ran of the same Deployment five minutes before, be it an old one again. Where nothing ran then, workers have come
# back from none: new is what has not run for a day.
DEPLOYED = """%s unless %s and on (namespace, service, job) %s or %s unless %s""" % (
    running(),
    running(" offset 5m"),
    running(" offset 5m"),
    running(),
    running(" offset 5m", "[1d]"),
)

ANNOTATIONS = [
    annotation(
        "Deployments",
        DEPLOYED,
        "blue",
        "{{service}} {{version}}",
        "A version, or a revision of a Deployment, that was not running five minutes before.",
    ),
    annotation(
        "Redrives",
        'sum(increase(dlq_redriven_messages_total{outcome="redriven", %s}[2m])) > 0' % FLEET,
        "purple",
        "Redrive",
        "Dead letters were sent back to their queue.",
    ),
    annotation(
        "Discards",
        "sum(increase(dlq_discarded_messages_total{%s}[2m])) > 0" % FLEET,
        "orange",
        "Discard",
        "Dead letters were discarded.",
    ),
]


def rate(metric, selector, *by):
    """Events of a counter each second, summed; `by` are the labels that stay."""
    return summed("rate", metric, selector, by)


def increase(metric, selector, *by):
    """Events of a counter in each interval, summed; `by` are the labels that stay."""
    return summed("increase", metric, selector, by)


def summed(function, metric, selector, by):
    """A function of a counter's interval, summed over everything but the labels that stay."""
    kept = " by (%s) " % ", ".join(by) if by else ""
    return "sum%s(%s(%s{%s}[$__rate_interval]))" % (kept, function, metric, selector)


def share(part, whole):
    """A part of a whole, where there is a whole; no part is none."""
    return "(%s or vector(0)) / (%s > 0)" % (part, whole)


def quantile(q, metric, selector, by):
    """A quantile of a histogram; `by` are the labels that stay."""
    return "histogram_quantile(%s, sum by (%s) (rate(%s_bucket{%s}[$__rate_interval])))" % (
        q,
        ", ".join(["le", *by]),
        metric,
        selector,
    )


def counts(role, state, selector=FLEET):
    """Messages by queue as the monitor counts them; two monitors, during an upgrade, count the same ones."""
    return 'max by (queue) (sqs_queue_messages{role="%s", state="%s", %s})' % (role, state, selector)


def dead(selector):
    """Messages in the dead-letter queues, by queue."""
    return 'sum by (queue) (max by (queue, state) (sqs_queue_messages{role="dlq", state=~"visible|in_flight", %s}))' % selector
