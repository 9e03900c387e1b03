"""What the checks set in the chart. Everything else stays as the chart has it.

Each profile is a whole: an installation is brought from one to another by `helm upgrade`."""

# KEDA's polling interval in all of them, seconds: what is watched for takes several of these.
POLL_SECONDS = 5
# The standard workers' bounds under KEDA where pods are counted.
MIN_WORKERS, MAX_WORKERS = 1, 10
# The simulated carrier's time for an order on the standard queue where a backlog is to last.
CARRIER_SECONDS = 5


def merged(*layers):
    """Values on top of each other: of two maps the later one's entries win."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def of_workers(value):
    return {"workers": {"standard": value, "fifo": value}}


# Small, since all pods may share two cores; quick to notice and to scale in, since that is waited for.
SOON = {"scaleDown": {"stabilizationSeconds": 30}}
BASE = merged(
    {"keda": {"pollingInterval": POLL_SECONDS, "standard": SOON, "fifo": SOON}, "dlqMonitor": {"interval": "5s"}},
    of_workers({"resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}}),
)

# A newcomer's installation, as in the README.
PLAIN = BASE

# The Secret with the monitor's token where the monitor is to act.
MONITOR_SECRET = "e2e-monitor-token"

# The test order does not fail any more, and the monitor may bring it back.
REPAIRED = merged(PLAIN, {
    "workers": {"failTestProducts": False}, "dlqMonitor": {"tokenSecret": MONITOR_SECRET},
})

# With Prometheus and Alertmanager. Grafana adds nothing to what is checked, and its image is large.
OBSERVED = merged(PLAIN, {"observability": {"demo": True, "grafana": {"enabled": False}}})

# Workers that take their time, so that a backlog lasts; failing orders that come back long after the
# check; and little patience before scaling in, since that is waited for.
LOADED = merged(BASE, {
    "keda": {
        "standard": {
            "minReplicas": MIN_WORKERS, "maxReplicas": MAX_WORKERS,
            "meanProcessingTime": "%ds" % CARRIER_SECONDS, "acceptableWait": "%ds" % CARRIER_SECONDS,
            # Longer than the last of a backlog takes: pods that still have work are not taken away.
            "scaleDown": {"stabilizationSeconds": 30, "percent": 50, "periodSeconds": 15},
        },
    },
    "workers": {
        "carrier": {"simulatedTime": "%ds" % CARRIER_SECONDS},
        "env": {"RETRY_BACKOFF": "20m", "RETRY_BACKOFF_MAX": "20m"},
    },
})

# One order after another in each of a few groups takes long enough as it is. A pod delivers few groups at
# once, so that they need more pods than the least.
FIFO_CONCURRENCY, FIFO_UTILIZATION_PERCENT, MAX_FIFO_WORKERS = 2, 60, 10
FIFO = merged(BASE, {
    "keda": {
        "fifo": {
            "minReplicas": MIN_WORKERS, "maxReplicas": MAX_FIFO_WORKERS, "utilizationPercent": FIFO_UTILIZATION_PERCENT,
            "meanProcessingTime": "1s",
        },
    },
    "workers": {"carrier": {"simulatedTime": "200ms"}, "fifo": {"concurrency": FIFO_CONCURRENCY}},
})

# Nothing autoscaled: pods come and go by the rollout alone.
STEADY = merged(BASE, {
    "keda": {"enabled": False}, "orderApi": {"autoscaling": {"enabled": False}, "replicas": 2},
}, of_workers({"replicas": 2}))


def fixed_replicas(profile):
    """The pods that a profile sets, by component, where nothing scales them."""
    workers, api = profile.get("workers", {}), profile.get("orderApi", {})
    found = {}
    if profile.get("keda", {}).get("enabled") is False:
        found = {"worker-" + queue: workers[queue]["replicas"] for queue in ("standard", "fifo")}
    if api.get("autoscaling", {}).get("enabled") is False:
        found["order-api"] = api["replicas"]
    return found


def rolled(profile, revision):
    """The same, with pods that are new to Kubernetes."""
    note = {"podAnnotations": {"fleet-e2e/revision": str(revision)}}
    return merged(profile, {"orderApi": note, "dlqMonitor": note}, of_workers(note))
