"""Small images, and nothing in them to run but the program."""
from ..process import Failure
from ..waiting import NotYet, until
from .pods import RESTRICTED_CONTAINER, RESTRICTED_POD, run_pod

NAMES = ("order-api", "delivery-worker", "dlq-monitor", "local-sqs", "fleet-check")
LARGEST_BYTES = 40_000_000
SHELLS = ("/bin/sh", "/bin/bash", "/busybox/sh")


def check(run, report):
    until("all images on the node", lambda: sizes(run), seconds=60, every=1)
    for name, size in sizes(run).items():
        report.figure(name, "%.1f MB" % (size / 1e6))
        report.expect(size <= LARGEST_BYTES, "%s has %d bytes, more than %d" % (name, size, LARGEST_BYTES))
    shells = 0
    for name, state in try_shells(run).items():
        ended = state.get("terminated") or state.get("waiting") or {}
        message = "%s: %s" % (ended.get("reason"), ended.get("message", ""))
        absent = "no such file" in message
        shells += not absent
        report.expect(absent, "%s: a shell ran, or failed otherwise: %s" % (name, message))
    report.figure("shells", shells)


def sizes(run):
    """Each image's size as its node reports it; images that no node has are not there yet."""
    found = {}
    for node in run.cluster.list("nodes", namespaced=False):
        for image in node["status"].get("images", []):
            for reference in image.get("names") or []:
                for name in NAMES:
                    if is_image(reference, name, run.tag):
                        found[name] = max(found.get(name, 0), image["sizeBytes"])
    missing = sorted(set(NAMES) - set(found))
    if missing:
        raise NotYet("no node has %s with tag %s" % (", ".join(missing), run.tag))
    return found


def is_image(reference, name, tag):
    """Whether a node's reference is this image: registries and the library's prefix are left out."""
    return reference.rsplit("/", 1)[-1] == "%s:%s" % (name, tag)


def try_shells(run):
    """What became of starting each shell in each image."""
    containers = [
        dict(RESTRICTED_CONTAINER, name="%s-%d" % (name, number), image="%s:%s" % (name, run.tag), command=[shell, "-c", "exit 0"])
        for name in NAMES for number, shell in enumerate(SHELLS)
    ]
    pod = {"restartPolicy": "Never", "containers": containers, **RESTRICTED_POD}
    states = run_pod(run.cluster, "e2e-no-shell", pod, ended, seconds=90)
    if len(states) != len(containers):
        raise Failure("%d of %d containers have a state" % (len(states), len(containers)))
    return states


def ended(state):
    """A container that cannot be started ends as such, or waits with an error, as the runtime has it."""
    waiting = state.get("waiting", {}).get("reason", "")
    return "terminated" in state or waiting in ("CreateContainerError", "RunContainerError", "StartError")
