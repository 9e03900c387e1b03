"""Pods that a check starts itself, under the restricted Pod Security Standard."""
from ..cluster import why_not_ready
from ..waiting import NotYet, until

RESTRICTED_POD = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
}
RESTRICTED_CONTAINER = {
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    },
    "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
}


def start_pod(cluster, name, spec, labels=None):
    """Starts a pod in the place of an earlier one of its name."""
    cluster.kubectl("delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0")
    metadata = {"name": name, "namespace": cluster.namespace, "labels": labels or {}}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def run_pod(cluster, name, spec, ended, *, seconds, labels=None):
    """Starts a pod, waits until all its containers' states are `ended`, deletes it; returns the states."""
    start_pod(cluster, name, spec, labels)

    def all_ended():
        pod = cluster.get("pods", name)
        states = {each["name"]: each["state"] for each in pod["status"].get("containerStatuses", [])}
        if len(states) < len(spec["containers"]) or not all(map(ended, states.values())):
            raise NotYet(why_not_ready(pod))
        return states

    try:
        return until("the containers of pod %s ended" % name, all_ended, seconds=seconds)
    finally:
        cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")
