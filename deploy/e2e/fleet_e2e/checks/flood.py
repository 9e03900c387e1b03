"""A flood of orders, and KEDA's answer to it."""
from .. import load, sqs, values
from ..audit import report as report_audit
from ..cluster import is_ready
from ..installation import STANDARD_WORKER, now
from ..process import Failure, say
from ..report import seconds
from ..sampler import Sampler
from ..waiting import NotYet, until

ORDERS = 5000
OUT_SECONDS, DRAIN_SECONDS, IN_SECONDS = 120, 240, 300


def check(run, report):
    fleet = run.installation
    fleet.need_keda()
    fleet.ensure(values.LOADED)
    since = now()
    with Sampler(lambda: ready(fleet)) as pods:
        report.figure("pods before", values.MIN_WORKERS)
        accepted = load.burst(fleet.api, ORDERS)
        report.figure("accepted within", seconds(pods.elapsed()))
        until("%d pods of %s ready" % (values.MAX_WORKERS, STANDARD_WORKER), lambda: at_maximum(pods), seconds=OUT_SECONDS)
        report.figure("full scale-out", "%d -> %d in %s" % (
            values.MIN_WORKERS, values.MAX_WORKERS, seconds(pods.first_at(values.MAX_WORKERS))))
        fleet.wait_drained(sqs.STANDARD, seconds=DRAIN_SECONDS)
        drained = pods.elapsed()
        report.figure("all delivered after", seconds(drained))
        try:
            fleet.wait_replicas(STANDARD_WORKER, values.MIN_WORKERS, seconds=IN_SECONDS)
            report.figure("back at %d pod" % values.MIN_WORKERS, "%s later" % seconds(pods.elapsed() - drained))
        except Failure as failure:
            report.expect(False, str(failure))
    say("ready pods: " + pods.story())
    report.expect(pods.most <= values.MAX_WORKERS, "there were %d pods" % pods.most)
    report_audit(report, fleet.audit(accepted, since), burnt_at_most=0)
    dead = fleet.sqs.counts(sqs.STANDARD_DLQ).total
    report.expect(dead == 0, "%d orders are in the dead-letter queue" % dead)


def ready(fleet):
    return sum(map(is_ready, fleet.pods_of(STANDARD_WORKER)))


def at_maximum(pods):
    if not pods.changes or pods.first_at(values.MAX_WORKERS) is None:
        raise NotYet(pods.story())
    return True
