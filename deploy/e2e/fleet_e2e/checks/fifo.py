"""Groups have as many pods as they need and no more, and keep their order when those are killed."""
import math

from .. import load, sqs, values
from ..audit import report as report_audit
from ..installation import FIFO_WORKER, now
from ..process import say
from ..report import seconds
from ..sampler import Sampler
from ..waiting import NotYet, until

GROUPS, ORDERS = 3, 900
# Pods are killed when so much of the orders is left.
KILL_AT = (0.75, 0.5, 0.25)


def check(run, report):
    fleet = run.installation
    fleet.need_keda()
    fleet.ensure(values.FIFO)
    since = now()
    # So much of what a pod can do at once is used before KEDA wants another one; every group is a lane.
    needed = math.ceil(GROUPS / (values.FIFO_CONCURRENCY * values.FIFO_UTILIZATION_PERCENT / 100))
    killed = 0
    with Sampler(lambda: fleet.cluster.replicas(FIFO_WORKER)) as pods:
        accepted = load.burst(fleet.api, ORDERS, queue="fifo", customers=GROUPS)
        until("%d pods, as many as the groups need" % needed, lambda: pods.most >= needed, seconds=90)
        report.figure("1 -> %d pods in" % needed, seconds(pods.elapsed()))
        for share in KILL_AT:
            until("%d%% of the orders left" % (share * 100), lambda: left_at_most(fleet, share * ORDERS), seconds=120)
            names = [pod["metadata"]["name"] for pod in fleet.pods_of(FIFO_WORKER)]
            fleet.cluster.kubectl("delete", "pod", *names, "--force", "--grace-period=0")
            killed += len(names)
        fleet.wait_drained(sqs.FIFO, seconds=300)
        report.figure("all delivered after", seconds(pods.elapsed()))
    report.figure("pods killed", killed)
    report.figure("pods at most", pods.most)
    say("pods: " + pods.story())
    report.figure("pods needed", needed)
    # Of the lanes of all pods: were KEDA told of one pod's alone, it would stop before.
    report.expect(pods.most == needed, "%d pods for %d groups, which need %d" % (pods.most, GROUPS, needed))
    fleet.wait_green()
    # A killed pod's messages have each lost a receive, and a pod lives long enough to deliver what it has.
    report_audit(report, fleet.audit(accepted, since), burnt_at_most=len(KILL_AT))
    dead = fleet.sqs.counts(sqs.FIFO_DLQ).total
    report.figure("dead-lettered", dead)
    report.expect(dead == 0, "%d orders are in the dead-letter queue" % dead)


def left_at_most(fleet, orders):
    counts = fleet.sqs.counts(sqs.FIFO)
    if counts.total > orders:
        raise NotYet(str(counts))
    return True
