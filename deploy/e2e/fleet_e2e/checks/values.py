"""Wrong values, refused before anything is installed."""
from ..helm import AWS_VALUES, CHART
from ..process import Failure
from ..values import AWS, DATABASE_SECRET, merged, queue_url

RELEASE = "fleet-refused"
LOCAL, ON_AWS = [], ["--values", AWS_VALUES]
# An API server that has neither KEDA nor the Prometheus operator, whatever this one has.
BARE = ("template", "--api-versions", "apiregistration.k8s.io/v1")


class Case:
    """Values, and the words that the refusal must have: which value, and what is allowed."""

    def __init__(self, name, values, *words, base=LOCAL, command=("install", "--dry-run=server"), secret=None):
        self.name = name
        self.values = values
        self.words = words
        self.base = base
        self.command = command
        self.secret = secret


def on_aws(name, values, *words, secret=None):
    """A case on top of values that are complete but for what it says, and but for the Secret."""
    return Case(name, merged(AWS, values), *words, base=ON_AWS, secret=secret or {"DATABASE_URL": "postgres://db/x"})


def workers(**values):
    return {"workers": values}


def queue(name, **values):
    return {"queues": {name: values}}


WRONG_URL = "https://sqs.eu-central-1.amazonaws.com/order-queue-standard"
# Of the schema's rules one of each kind; the chart's own check has them all.
SCHEMA = [
    Case("a misspelt name", {"workres": {"concurrency": 8}}, "workres"),
    Case("a misspelt name further down", workers(standard={"replica": 2}), "workers/standard", "replica"),
    Case("a number that is a text", {"orderApi": {"replicas": "two"}}, "orderApi/replicas", "integer"),
    Case("a duration without a unit", workers(handlerTimeout="20"), "workers/handlerTimeout"),
    Case("a setting that no service has", {"orderApi": {"env": {"PUBLISH_LINGERR": "1ms"}}}, "PUBLISH_LINGERR"),
    Case("a setting that the chart decides", workers(env={"HANDLER_TIMEOUT": "1s"}), "HANDLER_TIMEOUT"),
    Case("no FIFO worker at rest", {"keda": {"fifo": {"minReplicas": 0}}}, "keda/fifo/minReplicas"),
]
# Values that contradict each other, or that the cluster cannot take.
CONTRADICTIONS = [
    Case("a queue beside the bundled ones", queue("standard", url=queue_url("orders")), "queues.standard.url", "localSqs.enabled"),
    Case("an endpoint beside the bundled one", {"aws": {"endpoint": "http://sqs.example"}}, "aws.endpoint", "localSqs.enabled"),
    on_aws("a queue URL without its account", queue("standard", url=WRONG_URL), "queues.standard.url", WRONG_URL, "/ACCOUNT/NAME"),
    on_aws("a standard queue for FIFO orders", queue("fifo", url=queue_url("orders")), "queues.fifo.url", ".fifo"),
    on_aws("a queue without a URL", queue("standard", url=""), "queues.standard.url is empty", "workers.standard.enabled"),
    Case("a visibility below what leases need", queue("fifo", visibilityTimeout=5), "visibilityTimeout", "6"),
    Case("a visibility shorter than a handler", queue("standard", visibilityTimeout=10),
         "queues.standard.visibilityTimeout is 10 s", "workers.handlerTimeout"),
    Case("a duration out of bounds", {"orderApi": {"publishTimeout": "20s"}}, "orderApi.publishTimeout is 20s", "100ms to 10s"),
    Case("no worker at all", workers(standard={"enabled": False}, fifo={"enabled": False}),
         "workers.standard.enabled", "workers.fifo.enabled"),
    Case("a carrier that takes the handler's whole time", workers(handlerTimeout="10s", carrier={"timeout": "10s"}),
         "workers.carrier.timeout is 10s", "three quarters of workers.handlerTimeout"),
    Case("more orders of a customer than at all", workers(standard={"concurrency": 8, "groupConcurrency": 9}),
         "workers.standard.groupConcurrency is 9", "8"),
    Case("a worker's grace period shorter than its work", workers(terminationGracePeriodSeconds=30),
         "workers.terminationGracePeriodSeconds is 30", "are needed"),
    Case("the API's grace period shorter than its work", {"orderApi": {"terminationGracePeriodSeconds": 5}},
         "orderApi.terminationGracePeriodSeconds is 5", "are needed"),
    Case("fewer pods at most than at least", {"keda": {"standard": {"minReplicas": 5, "maxReplicas": 3}}},
         "keda.standard.minReplicas is 5", "maxReplicas (3)"),
    Case("a wait too short to scale on", {"keda": {"standard": {"meanProcessingTime": "10m", "acceptableWait": "1s"}}},
         "keda.standard.acceptableWait is 1s", "longer"),
    Case("a database beside the bundled one", {"database": {"existingSecret": DATABASE_SECRET}},
         "database.existingSecret", "postgres.enabled"),
    Case("SQLite for several pods", {"postgres": {"enabled": False}}, "SQLite is for one", "database.existingSecret"),
    Case("KEDA forced on without KEDA", {"keda": {"enabled": True}}, "keda.enabled is true", "Install KEDA", command=BARE),
    Case("the operator forced on without it", {"monitoring": {"enabled": True}}, "monitoring.enabled is true",
         "Install the Prometheus operator", command=BARE),
    Case("no database secret", AWS, "database.existingSecret is " + DATABASE_SECRET, "create secret generic", base=ON_AWS),
    on_aws("a database secret without the key", {}, "no key DATABASE_URL", "OTHER", secret={"OTHER": "x"}),
    Case("two mistakes at once", merged(queue("fifo", visibilityTimeout=5), workers(terminationGracePeriodSeconds=1)),
         "queues.fifo.visibilityTimeout", "workers.terminationGracePeriodSeconds"),
]
CASES = SCHEMA + CONTRADICTIONS


def check(run, report):
    refused = 0
    for case in CASES:
        message = refusal(run, case)
        if not report.expect(message is not None, "%s is accepted" % case.name):
            continue
        refused += 1
        missing = [word for word in case.words if word not in message]
        report.expect(not missing, "%s: the message lacks %s:\n%s" % (case.name, ", ".join(map(repr, missing)), message))
    report.figure("wrong values refused", "%d of %d" % (refused, len(CASES)))
    left = run.installation.helm("status", RELEASE, check=False)
    report.expect(left.returncode != 0, "a refused release is there all the same:\n" + left.stdout)


def refusal(run, case):
    """What helm says to a case; none when it takes it."""
    helm, cluster = run.installation.helm, run.cluster
    file = helm.values_file(case.values, "refused.json")
    if case.secret:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": DATABASE_SECRET}}
        cluster.apply(dict(secret, stringData=case.secret))
    try:
        done = helm(case.command[0], RELEASE, CHART, *case.command[1:], *case.base, "--values", file, check=False)
    finally:
        if case.secret:
            cluster.kubectl("delete", "secret", DATABASE_SECRET)
    if done.returncode == 0:
        return None
    if not done.stderr.strip():
        raise Failure("helm refused %s without a word" % case.name)
    return done.stderr
