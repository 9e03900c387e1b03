"""New versions and restarts under load, seen by clients of the API."""
import time

from .. import load, sqs, values
from ..audit import report as report_audit
from ..client import Client
from ..forward import Proxy
from ..installation import API, DEPLOYMENTS, FIFO_WORKER, STANDARD_WORKER, now
from ..process import say
from ..report import seconds
from ..waiting import NotYet, until
from .neighbour import Neighbour

ORDERS_PER_SECOND, READS_PER_SECOND = 20, 20
ROLLED_OUT_SECONDS = 240


class Service:
    """The API as clients outside of the cluster have it here. A port-forward leads to one pod and ends with
    it; the API server's proxy chooses among the Service's pods that are ready at that very moment. Clients
    that come later to know what has become of a pod are the neighbour's."""

    def __init__(self, cluster):
        self._proxy = Proxy(cluster)
        self._path = "/api/v1/namespaces/%s/services/%s:8080/proxy" % (cluster.namespace, API)

    def url(self):
        return self._proxy.url() + self._path

    def renew(self, url):
        """A failed request is a finding, not a reason to look for another way."""

    def stop(self):
        self._proxy.stop()


def check(run, report):
    fleet = run.installation
    fleet.ensure(values.STEADY)
    since = now()
    service = Service(run.cluster)
    try:
        client = Client(service)
        stream = load.Stream(client, orders_per_second=ORDERS_PER_SECOND, reads_per_second=READS_PER_SECOND)
        with client, stream, Neighbour(run.cluster, image=fleet.image_with_a_shell()) as neighbour:
            until("orders and reads under way", lambda: len(stream.accepted) > 50 and stream.reads > 10, seconds=30)
            until("a neighbour's requests under way", lambda: neighbour.has_asked(100), seconds=60)
            began = time.monotonic()
            fleet.upgrade(values.rolled(values.STEADY, 1))
            rolled_out(fleet, DEPLOYMENTS)
            report.figure("helm upgrade", seconds(time.monotonic() - began))
            for deployment in DEPLOYMENTS:
                began = time.monotonic()
                run.cluster.kubectl("rollout", "restart", "deployment", deployment)
                rolled_out(fleet, [deployment])
                report.figure("restart of " + deployment, seconds(time.monotonic() - began))
            asked = neighbour.answers()
    finally:
        service.stop()
    fleet.forget_addresses()
    report.figure("reads", stream.reads)
    report.figure("requests of a pod by the Service's address", sum(asked.values()))
    failed = {answer: count for answer, count in asked.items() if answer not in neighbour.GOOD}
    report.expect(not failed, "a pod's requests were answered: %s" % failed)
    report.figure("failed requests", len(stream.failures) + sum(failed.values()))
    for when, problem in stream.failures[:10]:
        say("after %.1f s: %s" % (when, problem))
    report.expect(not stream.failures, "%d requests failed" % len(stream.failures))
    report.figure("stranded", sum(stranded(fleet, *each) for each in (
        (sqs.STANDARD, STANDARD_WORKER), (sqs.FIFO, FIFO_WORKER))))
    for queue in sqs.SOURCES:
        fleet.wait_drained(queue, seconds=60)
    # What waited in a pod that ended goes back unattempted: once for the upgrade, once for the restart.
    report_audit(report, fleet.audit(stream.accepted, since), burnt_at_most=2)
    for queue in (sqs.STANDARD_DLQ, sqs.FIFO_DLQ):
        dead = fleet.sqs.counts(queue).total
        report.expect(dead == 0, "%d orders are in %s" % (dead, queue))


def rolled_out(fleet, deployments):
    def done():
        return all(fleet.cluster.rolled_out(deployment) for deployment in deployments)

    until("the rollout of " + ", ".join(deployments), done, seconds=ROLLED_OUT_SECONDS)


def stranded(fleet, queue, deployment):
    """Messages that are in flight when the pods hold none and none is visible: an ended pod's."""
    def quiet():
        counts = fleet.sqs.counts(queue)
        held = fleet.held(deployment)
        if counts.visible or held:
            raise NotYet("%s, %d held" % (counts, held))
        return True

    until("%s with nothing to do" % deployment, quiet, seconds=60)
    return fleet.sqs.counts(queue).in_flight
