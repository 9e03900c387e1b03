"""Messages that wait for their next attempt are in flight for SQS, and no work for anybody."""
from .. import load, sqs, values
from ..installation import STANDARD_WORKER
from ..process import say
from ..sampler import Sampler
from ..waiting import NotYet, until

ORDERS = 5000
# KEDA looks at the queue this often while the messages wait.
LOOKS = 10


def check(run, report):
    fleet = run.installation
    fleet.need_keda()
    fleet.ensure(values.LOADED)
    # Until all have failed once they are a flood as any other.
    fleet.pause(STANDARD_WORKER, values.MIN_WORKERS)
    until("KEDA paused", lambda: fleet.autoscaler(STANDARD_WORKER) is None, seconds=60)
    load.burst(fleet.api, ORDERS, name=load.FAILING)
    until("all orders in backoff", lambda: all_wait(fleet), seconds=180, every=1)
    fleet.pause(STANDARD_WORKER, None)
    until("KEDA at work", lambda: fleet.autoscaler(STANDARD_WORKER), seconds=60)
    with Sampler(lambda: fleet.cluster.replicas(STANDARD_WORKER)) as pods:
        until("KEDA's metric at the autoscaler", lambda: sees_something(fleet), seconds=60)
        watched = LOOKS * values.POLL_SECONDS
        until("%d looks of KEDA" % LOOKS, lambda: pods.elapsed() >= watched, seconds=watched + 5)
        seen = sees_something(fleet)
    counts = fleet.sqs.counts(sqs.STANDARD)
    report.figure("waiting in backoff", counts.in_flight)
    report.expect(counts.in_flight == ORDERS, "%s has %s: not all wait in backoff" % (sqs.STANDARD, counts))
    report.figure("KEDA's metric", seen)
    report.figure("pods added", pods.most - values.MIN_WORKERS)
    say("pods: " + pods.story())
    report.expect(pods.most == values.MIN_WORKERS, "there were %d pods" % pods.most)
    report.expect(pods.reads >= watched, "the pods were counted %d times only" % pods.reads)
    fleet.empty_queues([sqs.STANDARD])


def all_wait(fleet):
    """Every order has failed once: none is visible, and the pods hold none."""
    counts = fleet.sqs.counts(sqs.STANDARD)
    if counts.visible or counts.in_flight != ORDERS:
        raise NotYet(str(counts))
    held = fleet.held(STANDARD_WORKER)
    if held:
        raise NotYet("%d are held" % held)
    return True


def sees_something(fleet):
    """What the autoscaler was last told: that it was told at all says that KEDA looks at the queue."""
    autoscaler = fleet.autoscaler(STANDARD_WORKER)
    conditions = {each["type"]: each for each in (autoscaler or {}).get("status", {}).get("conditions", [])}
    active = conditions.get("ScalingActive", {})
    if active.get("status") != "True":
        raise NotYet(active.get("message", "no autoscaler yet"))
    values_seen = [
        each["external"]["current"].get("averageValue", each["external"]["current"].get("value"))
        for each in autoscaler["status"].get("currentMetrics") or [] if "external" in each
    ]
    if not values_seen:
        raise NotYet("the autoscaler has no external metric")
    return ", ".join(map(str, values_seen))
