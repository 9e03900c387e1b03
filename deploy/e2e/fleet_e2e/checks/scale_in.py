"""Pods that are scaled away under load: what they held goes on elsewhere, at once."""
from .. import load, sqs, values
from ..audit import report as report_audit
from ..installation import STANDARD_WORKER, now
from ..process import say
from ..report import seconds
from ..waiting import NotYet, holds, until

MANY, FEW = 4, 1
ORDERS = 1500
# A scale that somebody undid would be undone within a few of KEDA's looks.
STICKS_SECONDS = 3 * values.POLL_SECONDS


def check(run, report):
    fleet = run.installation
    fleet.need_keda()
    fleet.ensure(values.LOADED)
    since = now()
    fleet.pause(STANDARD_WORKER, MANY)
    report.figure("paused at %d pods after" % MANY, seconds(fleet.wait_replicas(STANDARD_WORKER, MANY, seconds=120)))
    until("no autoscaler while paused", lambda: fleet.autoscaler(STANDARD_WORKER) is None, seconds=60)

    accepted = load.burst(fleet.api, ORDERS)
    until("all pods busy", lambda: in_flight_at_least(fleet, MANY * 40), seconds=60)
    scale(fleet, FEW)
    report.figure("%d -> %d under load" % (MANY, FEW), seconds(fleet.wait_replicas(STANDARD_WORKER, FEW, seconds=grace(fleet))))
    holds("%d pod while paused" % FEW, lambda: fleet.cluster.replicas(STANDARD_WORKER) == FEW, seconds=STICKS_SECONDS)
    report.figure("kubectl scale held for", "%d s" % STICKS_SECONDS)

    # With the last pod gone, whatever is still in flight is nobody's.
    counts = fleet.sqs.counts(sqs.STANDARD)
    report.expect(counts.visible > 0, "nothing was left to do before the last pod was scaled away: %s" % counts)
    scale(fleet, 0)
    report.figure("%d -> 0 under load" % FEW, seconds(fleet.wait_replicas(STANDARD_WORKER, 0, seconds=grace(fleet))))
    counts = fleet.sqs.counts(sqs.STANDARD)
    say("without a pod: %s" % counts)
    report.figure("stranded", counts.in_flight)
    report.expect(counts.in_flight == 0, "%d messages are left in flight without a pod" % counts.in_flight)

    fleet.pause(STANDARD_WORKER, None)
    fleet.wait_drained(sqs.STANDARD, seconds=240)
    # A message that was waiting in a pod goes back unattempted, and its next receive counts: once for
    # each of the two times.
    report_audit(report, fleet.audit(accepted, since), burnt_at_most=2)
    dead = fleet.sqs.counts(sqs.STANDARD_DLQ).total
    report.expect(dead == 0, "%d orders are in the dead-letter queue" % dead)


def scale(fleet, replicas):
    fleet.cluster.kubectl("scale", "deployment", STANDARD_WORKER, "--replicas=%d" % replicas)


def grace(fleet):
    """The grace period of the workers' pods: a pod that is still there afterwards has been killed."""
    return fleet.cluster.get("deployments", STANDARD_WORKER)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def in_flight_at_least(fleet, number):
    counts = fleet.sqs.counts(sqs.STANDARD)
    if counts.in_flight < number:
        raise NotYet(str(counts))
    return True
