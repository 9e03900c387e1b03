"""Wrong values, refused before anything is installed."""
from ..helm import AWS_VALUES, CHART
from ..process import Failure
from ..values import AWS, DATABASE_SECRET, merged, queue_url

RELEASE = "fleet-refused"
LOCAL, ON_AWS = [], ["--values", AWS_VALUES]
# Of an API server that has no KEDA, whatever this one has.
WITHOUT_KEDA = ["--api-versions", "apiregistration.k8s.io/v1"]


class Case:
    """Values, and the words that the refusal must have: which value, and what is allowed."""

    def __init__(self, name, values, *words, base=LOCAL, command=("install", "--dry-run=server")):
        self.name = name
        self.values = values
        self.words = words
        self.base = base
        self.command = command


def workers(**values):
    return {"workers": values}


def on_aws(name, values, *words):
    """A case on top of values that are complete but for what it says."""
    return Case(name, merged(AWS, {"postgres": {"enabled": False}}, values), *words, base=ON_AWS)


CASES = [
    Case("a misspelt name", {"workres": {"concurrency": 8}}, "workres"),
    Case("a misspelt name further down", workers(standard={"replica": 2}), "replica"),
    Case("a number that is a text", {"orderApi": {"replicas": "two"}}, "replicas", "integer"),
    Case("a duration without a unit", workers(handlerTimeout="20"), "handlerTimeout"),
    Case("a setting that no service has", {"orderApi": {"env": {"PUBLISH_LINGERR": "1ms"}}}, "PUBLISH_LINGERR"),
    Case("a setting that the chart decides", workers(env={"HANDLER_TIMEOUT": "1s"}), "HANDLER_TIMEOUT"),
    Case("a grace period shorter than the work", workers(terminationGracePeriodSeconds=30),
         "terminationGracePeriodSeconds", "30", "at least"),
    Case("a visibility shorter than a handler", {"queues": {"standard": {"visibilityTimeout": 10}}},
         "queues.standard.visibilityTimeout", "handlerTimeout"),
    Case("a FIFO visibility below what leases need", {"queues": {"fifo": {"visibilityTimeout": 5}}}, "visibilityTimeout", "6"),
    Case("a carrier that takes the handler's whole time", workers(handlerTimeout="10s", carrier={"timeout": "10s"}),
         "workers.carrier.timeout", "handlerTimeout"),
    Case("fewer pods at most than at least", {"keda": {"standard": {"minReplicas": 5, "maxReplicas": 3}}},
         "minReplicas", "maxReplicas"),
    Case("no FIFO worker at rest", {"keda": {"fifo": {"minReplicas": 0}}}, "minReplicas"),
    Case("KEDA forced on without KEDA", {"keda": {"enabled": True}}, "keda.enabled", "KEDA",
         command=("template", *WITHOUT_KEDA)),
    on_aws("no database secret", {}, DATABASE_SECRET, "kubectl create secret"),
    on_aws("a queue without a URL", {"queues": {"standard": {"url": ""}}}, "queues.standard.url"),
    on_aws("a queue URL without its account", {"queues": {"standard": {"url": "https://sqs.eu-central-1.amazonaws.com/orders"}}},
           "url", "/ACCOUNT/NAME"),
    on_aws("a standard queue for FIFO orders", {"queues": {"fifo": {"url": queue_url("order-queue-standard")}}}, "fifo", "url"),
]


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
    left = run.installation.helm("list", "--all", "--short", "--filter", RELEASE).stdout.split()
    report.expect(not left, "a refused release is there all the same: %s" % left)


def refusal(run, case):
    """What helm says to a case; none when it takes it."""
    helm = run.installation.helm
    file = helm.values_file(case.values, "refused.json")
    done = helm(case.command[0], RELEASE, CHART, *case.command[1:], *case.base, "--values", file, check=False)
    if done.returncode == 0:
        return None
    if not done.stderr.strip():
        raise Failure("helm refused %s without a word" % case.name)
    return done.stderr
