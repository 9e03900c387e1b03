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


# Small, since several workers share whatever machine this is; quick to notice, since that is waited for.
BASE = {
    "keda": {"pollingInterval": POLL_SECONDS},
    "dlqMonitor": {"env": {"MONITOR_INTERVAL": "5s"}},
    "workers": {"resources": {"requests": {"cpu": "20m", "memory": "32Mi"}}},
}

# A newcomer's installation, as in the README.
PLAIN = BASE

# The test order does not fail any more.
REPAIRED = merged(PLAIN, {"workers": {"env": {"FAIL_TEST_PRODUCTS": "false"}}})

# Workers that take their time, so that a backlog lasts; failing orders that come back long after the
# check; and no patience before scaling in, since that is waited for.
LOADED = merged(BASE, {
    "keda": {
        "standard": {
            "minReplicas": MIN_WORKERS, "maxReplicas": MAX_WORKERS,
            "meanProcessingTime": "%ds" % CARRIER_SECONDS, "acceptableWait": "10s",
            "scaleDown": {"stabilizationWindowSeconds": 15},
        },
        "fifo": {"scaleDown": {"stabilizationWindowSeconds": 30}},
    },
    "workers": {
        "standard": {"env": {
            "CARRIER_SIMULATED_TIME": "%ds" % CARRIER_SECONDS,
            "RETRY_BACKOFF": "20m", "RETRY_BACKOFF_MAX": "20m",
        }},
        "fifo": {"env": {"CARRIER_SIMULATED_TIME": "100ms"}},
    },
})

# Nothing autoscaled: pods come and go by the rollout alone.
STEADY = merged(BASE, {
    "keda": {"enabled": False},
    "workers": {"standard": {"replicas": 2}, "fifo": {"replicas": 2}},
})


def rolled(profile, revision):
    """The same, with pods that are new to Kubernetes."""
    note = {"podAnnotations": {"fleet-e2e/revision": str(revision)}}
    return merged(profile, {"orderApi": note, "dlqMonitor": note, "workers": {"standard": note, "fifo": note}})
