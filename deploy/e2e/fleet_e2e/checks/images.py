"""Small images, and nothing in them to run but the program."""
import os
import shlex
import shutil
import subprocess
import zlib

from ..process import ROOT, Failure, run as ran, shown
from ..waiting import NotYet, until
from .pods import RESTRICTED_CONTAINER, RESTRICTED_POD, run_pod

NAMES = ("order-api", "delivery-worker", "dlq-monitor", "local-sqs", "fleet-check")
LARGEST_BYTES = 40_000_000
SHELLS = ("/bin/sh", "/bin/bash", "/busybox/sh")


# Builders that give out what they have built, by `save`.
SAVERS = ("docker", "podman", "nerdctl")


def check(run, report):
    until("all images on the node", lambda: sizes(run), seconds=60, every=1)
    how, measured = compressed(run.tag)
    if not measured:
        how, measured = "as the node counts, which is uncompressed where an uncompressed archive was loaded", sizes(run)
    report.figure("sizes", how)
    for name, size in measured.items():
        report.figure(name, "%.1f MB" % (size / 1e6))
        report.expect(size <= LARGEST_BYTES, "%s has %d bytes, more than %d, %s" % (name, size, LARGEST_BYTES, how))
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


def compressed(tag):
    """(how, each image's size) compressed, as a registry keeps it and a node pulls it: of what the builder
    has. What it gives out has plain layers, or compressed ones, which do not get smaller. No sizes where
    the builder cannot tell, or has not built all of them."""
    tool = shlex.split(os.environ.get("BUILD") or "docker build")[0]
    if os.path.basename(tool) not in SAVERS or not shutil.which(tool):
        return "", {}
    images = {name: "docker.io/library/%s:%s" % (name, tag) for name in NAMES}
    if any(ran([tool, "image", "inspect", image], check=False).returncode != 0 for image in images.values()):
        return "", {}
    return "gzip of %s save" % tool, {name: gzipped([tool, "save", image]) for name, image in images.items()}


def gzipped(command):
    """How many bytes gzip makes of what a command prints."""
    size, packer = 0, zlib.compressobj(level=6, wbits=31)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        while part := process.stdout.read(1 << 20):
            size += len(packer.compress(part))
    if process.returncode != 0:
        raise Failure("%s ended with %d" % (shown(command), process.returncode))
    return size + len(packer.flush())


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
