"""Every name that rules, dashboards and pages may use, and where it comes from."""

import re

import promql
import rust_metrics
import support

KEDA = ("namespace", "exported_namespace", "scaledObject", "scaler", "triggerIndex", "metric", "type")
AUTOSCALER = ("namespace", "exported_namespace", "horizontalpodautoscaler")

# Of Prometheus itself, kube-state-metrics and KEDA's operator.
FOREIGN = {
    "up": (),
    "ALERTS": ("alertname", "alertstate", "severity", "component"),
    "kube_horizontalpodautoscaler_status_desired_replicas": AUTOSCALER,
    "kube_horizontalpodautoscaler_spec_max_replicas": AUTOSCALER,
    "kube_deployment_status_replicas_ready": ("namespace", "exported_namespace", "deployment"),
    "keda_scaler_detail_errors_total": KEDA,
    "keda_scaler_metrics_value": KEDA,
    "keda_scaler_metrics_latency_seconds": KEDA,
    "keda_scaled_object_paused": KEDA,
}

# What a scrape adds to every series, by the chart's PodMonitor also whose revision a pod is.
OF_TARGETS = {"namespace", "job", "instance", "pod_template_hash"}


def series():
    """{series: labels}: of the code, recorded, and of others."""
    known = {}
    for metric in rust_metrics.exported().values():
        for name in metric.series():
            known[name] = {*metric.labels, *(["le"] if name.endswith("_bucket") else [])}
    known.update({name: set(labels) for name, labels in FOREIGN.items()})
    for rule in support.recorded():
        known[rule.name] = {"namespace", "queue" if rule.name.startswith("queue:") else "queue_type"}
    return known


def wrong(where, expr, known):
    """What an expression asks for that nothing has."""
    found = []
    for name, labels in promql.series(expr):
        if name not in known:
            found.append("%s: nothing exports %s" % (where, name))
            continue
        for label in labels:
            if label not in known[name] | OF_TARGETS:
                found.append("%s: %s has no label %s" % (where, name, label))
    return found


# Words of the pages that begin like a metric and are none, besides labels.
OTHER_WORDS = {"order_id", "order_api", "dlq_monitor", "sqs_consumer", "http_code"}


def mentioned(text):
    """The words of a page that look like names of metrics: those that begin as one does, and recorded ones."""
    metrics = [*rust_metrics.exported(), *FOREIGN]
    begins = "|".join(sorted({re.match(r"[a-z]+_", name)[0] for name in metrics if "_" in name}))
    words = set(re.findall(r"(?<![\w./:-])(?:%s)[a-z0-9_]+" % begins, text))
    words |= set(re.findall(r"\b(?:queue|queue_type):\w+:\w+", text))
    labels = {label for of in series().values() for label in of}
    return words - labels - OTHER_WORDS
