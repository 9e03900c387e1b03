"""Everything that the chart can become, accepted by the real API server."""
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

from .. import values
from ..helm import AWS_VALUES, CHART, rendered
from ..process import Failure

RELEASE = "fleet-render"
CHOICES = (True, False, "auto")
PLACES = ("local", "AWS")
# What each choice must make, so that a rendering without it is noticed.
KEDA_KIND, MONITORING_KIND = "ScaledObject", "PodMonitor"


def check(run, report):
    helm = run.installation.helm
    places = {place: of_place(helm, place) for place in PLACES}
    for arguments in places.values():
        helm("lint", "--strict", CHART, *arguments)
    report.figure("helm lint --strict", len(places))
    has = {KEDA_KIND: run.cluster.knows("keda.sh"), MONITORING_KIND: run.cluster.knows("monitoring.coreos.com")}
    for kind, there in has.items():
        report.expect(there, "the cluster does not know %s: its renderings cannot be tried" % kind)
    # The chart looks for it before it installs anything.
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": values.DATABASE_SECRET}}
    run.cluster.apply(dict(secret, stringData={"DATABASE_URL": "postgres://fleet@db.example/deliveries"}))
    combinations = list(itertools.product(PLACES, CHOICES, CHOICES))

    def one(combination):
        place, keda, monitoring = combination
        try:
            return combination, try_one(run, has, places[place], keda, monitoring), None
        except Failure as failure:
            return combination, 0, str(failure)

    try:
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, combinations))
    finally:
        run.cluster.kubectl("delete", "secret", values.DATABASE_SECRET)
    report.figure("renderings", len(results))
    report.figure("objects accepted", sum(objects for _, objects, _ in results))
    for (place, keda, monitoring), _, problem in results:
        report.expect(problem is None, "%s, keda.enabled %s, monitoring.enabled %s: %s" % (place, keda, monitoring, problem))


def of_place(helm, place):
    """helm's arguments for a place's values."""
    if place == "local":
        return []
    return ["--values", AWS_VALUES, "--values", helm.values_file(values.AWS, "aws.json")]


def try_one(run, has, of_place, keda, monitoring):
    """Renders one combination and has the API server take it, without keeping it; returns how many
    objects there were."""
    helm = run.installation.helm
    chosen = {"keda": {"enabled": keda}, "monitoring": {"enabled": monitoring}}
    file = helm.values_file(chosen, "render-%s-%s-%d.json" % (keda, monitoring, len(of_place)))
    arguments = [*of_place, "--values", file]
    done = helm("install", RELEASE, CHART, "--dry-run=server", "--output", "json", *arguments)
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
