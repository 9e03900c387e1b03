"""Wrong values, refused on the cluster before anything is installed; and one that only the program
which reads it refuses.

Which values contradict each other is written in the chart's own tests, which render them; here an API
server is there, as for a user, and what the chart asks of it is tried too.
"""
import importlib
import os
import sys

from .. import values
from ..cluster import why_not_ready
from ..helm import AWS_DATABASE, CHART, ON_AWS
from ..waiting import NotYet, until

RELEASE = "fleet-refused"
# Pretends what a cluster serves; only `helm template` takes it.
PRETENDED = "--api-versions"
# Of the schema's rules one of each kind; the chart's tests have them all.
SCHEMA = {
    "a misspelt name": (("--set", "workres.concurrency=8"), ["workres"]),
    "a misspelt name further down": (("--set", "workers.standard.replica=2"), ["/workers/standard", "replica"]),
    "a number that is a text": (("--set-string", "orderApi.replicas=two"), ["/orderApi/replicas", "integer"]),
    "a duration without a unit": (("--set-string", "workers.handlerTimeout=20"), ["/workers/handlerTimeout"]),
    "a setting that no service has": (("--set", "orderApi.env.PUBLISH_LINGERR=1ms"), ["PUBLISH_LINGERR"]),
}
# What a cluster is asked for.
LACKING = {
    "ServiceAccounts that are not there": (("--set", "serviceAccounts.create=false"), ["create serviceaccount %s-order-api" % RELEASE]),
    "authorities that are not there": (("--set", "database.ca.configMap=no-such"), ["database.ca.configMap is no-such"]),
    "Secrets to pull with that are not there": (("--set", "image.pullSecrets={no-such}"), ["image.pullSecrets is no-such"]),
}
KEDA_ELSEWHERE = (("--set", "keda.namespace=no-such"), ["keda.namespace is no-such", "Set keda.namespace to"])
LEAST_CASES = 20

# A setting that the chart hands on as it is, and as few pods around its reader as there can be.
UNREADABLE = values.merged(values.BASE, {
    "workers": {"env": {"MAX_ATTEMPTS": "abc"}, "standard": {"replicas": 1}, "fifo": {"enabled": False}},
    "orderApi": {"autoscaling": {"enabled": False}, "replicas": 1},
    "keda": {"enabled": False}, "postgres": {"enabled": False}, "tests": {"enabled": False},
})
READER = "app.kubernetes.io/instance=%s,app.kubernetes.io/component=worker-standard" % RELEASE
EXIT_USAGE = 64
SAID = ('MAX_ATTEMPTS = "abc"', "allowed: 1 to 1000")


def check(run, report):
    refused = 0
    cases = {**SCHEMA, **contradictions(), **LACKING}
    if run.installation.has_keda():
        cases["KEDA in another namespace"] = KEDA_ELSEWHERE
    for name, (arguments, words) in cases.items():
        refused += is_refused(run, report, name, arguments, words)
    refused += is_refused(run, report, "a database Secret that is not there", ON_AWS, [
        "database.existingSecret is " + AWS_DATABASE,
        "kubectl -n %s create secret generic %s" % (run.cluster.namespace, AWS_DATABASE),
    ])
    with run.cluster.secret(AWS_DATABASE, OTHER="x"):
        refused += is_refused(run, report, "a database Secret without the key", ON_AWS, ["no key DATABASE_URL", "OTHER"])
    report.figure("wrong values refused", "%d of %d" % (refused, len(cases) + 2))
    report.expect(refused >= LEAST_CASES, "only %d wrong values were tried and refused" % refused)
    left = run.installation.helm("status", RELEASE, check=False)
    report.expect(left.returncode != 0, "a refused release is there all the same:\n" + left.stdout)
    is_told_by_its_pod(run, report)


def contradictions():
    """The chart's cases: by name, helm's arguments, and the words that the refusal must have."""
    tests = os.path.join(CHART, "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    found = importlib.import_module("test_refusals").CASES
    return {name: case for name, case in found.items() if PRETENDED not in case[0]}


def is_refused(run, report, name, arguments, words):
    """Notes a failure unless helm refuses the values with these words."""
    done = run.installation.helm.dry_run(RELEASE, *arguments, check=False)
    if not report.expect(done.returncode != 0, "%s is accepted" % name):
        return False
    missing = [word for word in words if word not in done.stderr]
    return report.expect(not missing, "%s: the message lacks %s:\n%s" % (name, ", ".join(map(repr, missing)), done.stderr))


def is_told_by_its_pod(run, report):
    """Installs a setting that only the program refuses: how its pod ends is all that a user sees."""
    helm = run.installation.helm
    try:
        helm.upgrade(RELEASE, UNREADABLE)
        end = until("the end of the worker with a wrong setting", lambda: end_of_reader(run), seconds=120)
    finally:
        helm.uninstall(RELEASE)
    code, message = end["exitCode"], end.get("message", "")
    report.figure("exit code of a wrong setting", code)
    report.expect(code == EXIT_USAGE, "a wrong setting ends its pod with %d, not %d" % (code, EXIT_USAGE))
    missing = [word for word in SAID if word not in message]
    report.expect(not missing, "the termination message lacks %s:\n%s" % (", ".join(missing), message))


def end_of_reader(run):
    for pod in run.cluster.pods(READER):
        found = last_end(pod)
        if found:
            return found
        raise NotYet(why_not_ready(pod))
    raise NotYet("there is no pod")


def last_end(pod):
    """How a pod's container ended last, whether or not it has been started again since; none if it has not."""
    for each in pod["status"].get("containerStatuses", []):
        for state in (each.get("state", {}), each.get("lastState", {})):
            if "terminated" in state:
                return state["terminated"]
    return None
