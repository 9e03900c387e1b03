"""helm install on an empty namespace, and back."""
import time

from .. import values
from ..cluster import RESTRICTED
from ..installation import ALL, RELEASE, total_restarts
from ..process import Failure, say
from ..report import seconds
from ..waiting import NotYet, until

GREEN_SECONDS = 120
# What a namespace has by itself.
OWN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
# Records, not things: the API server lets them expire.
RECORDS = {"Event"}


def check(run, report):
    run.installation.uninstall()
    until("an empty namespace", lambda: nothing_left(run), seconds=120, every=1)
    labels = run.cluster.read("/api/v1/namespaces/" + run.cluster.namespace)["metadata"]["labels"]
    missing = {name: value for name, value in RESTRICTED.items() if labels.get(name) != value}
    report.expect(not missing, "the namespace lacks the labels %s" % missing)

    began = time.monotonic()
    run.up("--only-chart", "--", "--values", run.installation.helm.values_file(values.PLAIN, "install.json"))
    pods = run.installation.wait_green(GREEN_SECONDS)
    green = time.monotonic() - began
    report.figure("green after", seconds(green))
    report.expect(green <= GREEN_SECONDS, "green after %.0f s, more than %d" % (green, GREEN_SECONDS))
    report.figure("pods", len(pods))
    report.figure("restarts", total_restarts(pods))
    say(run.cluster.kubectl("get", "pods", "-o", "wide").rstrip().replace("\n", "\n  "))
    for container in writable_roots(pods):
        report.expect(False, "%s may write to its root" % container)

    began = time.monotonic()
    tested = run.installation.helm("test", RELEASE, "--timeout", "5m", check=False, timeout=330)
    say(tested.stdout.rstrip().replace("\n", "\n  "))
    report.figure("helm test", seconds(time.monotonic() - began))
    report.expect(tested.returncode == 0, "helm test: %s" % tested.stderr.strip())

    began = time.monotonic()
    run.installation.uninstall()
    try:
        until("an empty namespace", lambda: nothing_left(run), seconds=120, every=1)
        report.figure("left after uninstall", 0)
    except Failure as failure:
        report.figure("left after uninstall", "some")
        report.expect(False, str(failure))
    report.figure("uninstalled after", seconds(time.monotonic() - began))


def writable_roots(pods):
    """The containers of our own images whose root is not read-only. The bundled database is another's."""
    for pod in pods:
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            ours = not container["image"].rsplit("/", 1)[-1].startswith("postgres:")
            if ours and not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
                yield "%s of %s" % (container["name"], pod["metadata"]["name"])


def nothing_left(run):
    """Whether the namespace has nothing but its own, and the cluster nothing of the release."""
    kinds = {"true": [], "false": []}
    for namespaced in kinds:
        names = run.cluster.kubectl("api-resources", "--verbs=list", "--namespaced=" + namespaced, "-o", "name").split()
        # Metrics are of pods that are gone; reviews and the like are no objects.
        kinds[namespaced] = [name for name in names if not name.endswith((".metrics.k8s.io", "componentstatuses"))]
    own = listed(run, ",".join(kinds["true"]))
    left = [each for each in own if each not in OWN and each[0] not in RECORDS]
    left += listed(run, ",".join(kinds["false"]), "--selector", ALL)
    if left:
        raise NotYet(", ".join("%s %s" % each for each in left[:10]))
    return True


def listed(run, kinds, *arguments):
    template = '{range .items[*]}{.kind}{"\\t"}{.metadata.name}{"\\n"}{end}'
    text = run.cluster.kubectl("get", kinds, *arguments, "--ignore-not-found", "-o", "jsonpath=" + template)
    return [tuple(line.split("\t")) for line in text.splitlines()]
