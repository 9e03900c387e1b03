"""Everything that the chart can become, accepted by the real API server."""
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

from ..helm import AWS_DATABASE, CHART, ON_AWS, rendered
from ..process import Failure

RELEASE = "fleet-render"
CHOICES = (True, False, "auto")
PLACES = {"local": (), "AWS": ON_AWS}
# What each choice must make, so that a rendering without it is noticed.
KEDA_KIND, MONITORING_KIND = "ScaledObject", "PodMonitor"


def check(run, report):
    for arguments in PLACES.values():
        run.installation.helm("lint", "--strict", CHART, *arguments)
    report.figure("helm lint --strict", len(PLACES))
    has = {KEDA_KIND: run.cluster.knows("keda.sh"), MONITORING_KIND: run.cluster.knows("monitoring.coreos.com")}
    for kind, there in has.items():
        report.expect(there, "the cluster does not know %s: its renderings cannot be tried" % kind)
    combinations = list(itertools.product(PLACES, CHOICES, CHOICES))

    def one(combination):
        try:
            return combination, try_one(run, has, *combination), None
        except Failure as failure:
            return combination, 0, str(failure)

    # The chart looks for the Secret before it installs anything.
    with run.cluster.secret(AWS_DATABASE, DATABASE_URL="postgres://fleet@db.example/deliveries"):
        accounts = service_accounts(run)
        for account in accounts.values():
            run.cluster.apply(account)
        try:
            with ThreadPoolExecutor(2) as pool:
                results = list(pool.map(one, combinations))
        finally:
            run.cluster.kubectl("delete", "serviceaccount", *accounts)
    report.figure("renderings", len(results))
    report.figure("objects accepted", sum(objects for _, objects, _ in results))
    for (place, keda, monitoring), _, problem in results:
        report.expect(problem is None, "%s, keda.enabled %s, monitoring.enabled %s: %s" % (place, keda, monitoring, problem))


def service_accounts(run):
    """Those of all renderings, by name. The API server takes no bare pod, such as the test's, whose account is not
    there, and a dry run leaves none."""
    accounts = {}
    for arguments in PLACES.values():
        documents, _ = rendered(run.installation.helm.dry_run(RELEASE, *arguments).stdout)
        made = run.cluster.kubectl("apply", "--dry-run=client", "-o", "json", "-f", "-", stdin=documents)
        for each in json.loads(made)["items"]:
            if each["kind"] == "ServiceAccount":
                # As if the release had them, since helm takes over nobody else's.
                each["metadata"].setdefault("annotations", {}).update({
                    "meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": run.cluster.namespace})
                accounts[each["metadata"]["name"]] = each
    return accounts


def try_one(run, has, place, keda, monitoring):
    """Renders one combination and has the API server take it, without keeping it; returns how many
    objects there were."""
    chosen = ("--set", "keda.enabled=%s,monitoring.enabled=%s" % (text(keda), text(monitoring)))
    done = run.installation.helm.dry_run(RELEASE, *PLACES[place], *chosen)
    documents, _ = rendered(done.stdout)
    made = run.cluster.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=documents, check=False)
    # A warning is what Pod Security and deprecated versions are told by.
    if made.returncode != 0 or "Warning" in made.stderr:
        raise Failure(made.stderr.strip())
    objects = json.loads(made.stdout)["items"]
    kinds = [each["kind"] for each in objects]
    for kind, choice in ((KEDA_KIND, keda), (MONITORING_KIND, monitoring)):
        wanted = has[kind] if choice == "auto" else choice
        if (kind in kinds) != wanted:
            raise Failure("%s %s" % ("there is no" if wanted else "there is a", kind))
    return len(objects)


def text(choice):
    return str(choice).lower()
