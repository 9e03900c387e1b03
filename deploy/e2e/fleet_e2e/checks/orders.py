"""The three orders of the README, and the way back of the one that fails."""
import secrets

from .. import load, metrics, sqs, values
from ..audit import read_history, report as report_audit
from ..installation import now
from ..process import Failure
from ..waiting import NotYet, until

COUNT = 10


def check(run, report):
    fleet = run.installation
    fleet.ensure(values.PLAIN)
    since = now()
    arrived_before = arrived(fleet)
    standard = load.burst(fleet.api, COUNT, customers=1)
    fifo = load.burst(fleet.api, COUNT, queue="fifo", customers=1, name="FIFO-상품")
    failing = load.place(fleet.api, "customer-001", name=load.FAILING)

    for queue in (sqs.FIFO, sqs.STANDARD):
        fleet.wait_drained(queue, seconds=90)
    report_audit(report, fleet.audit(standard + fifo, since), burnt_at_most=0)

    history = until("the failing order FAILED", lambda: with_status(fleet, failing, "FAILED"), seconds=60)
    outcomes = [(each["attempt"], each["outcome"], each["reason"]) for each in history["attempts"]]
    report.figure("attempts of the failing order", len(outcomes))
    expected = [(number, "failed", "forced") for number in (1, 2, 3)]
    report.expect(outcomes == expected, "its attempts are %s" % outcomes)
    counts = fleet.sqs.counts(sqs.STANDARD_DLQ)
    report.expect(counts.total == 1, "%s has %s" % (sqs.STANDARD_DLQ, counts))
    until("the dead letter in the monitor's metrics", lambda: monitor_sees(fleet, 1), seconds=60)
    until("the dead letter counted", lambda: has_arrived(fleet, arrived_before), seconds=60)
    report.figure("dead letters that the monitor counted", int(arrived(fleet) - arrived_before))
    report.expect(arrived(fleet) - arrived_before == 1, "dlq_messages_arrived_total went up by more than one")

    token = secrets.token_urlsafe(24)
    with run.cluster.secret(values.MONITOR_SECRET, MONITOR_TOKEN=token):
        fleet.ensure(values.REPAIRED, keep_dead_letters=True)
        report.expect(fleet.monitor.get("/api/dlq/messages").status == 401, "the monitor answers without its token")
        job = redrive(fleet, token)
        until("the end of the redrive", lambda: is_redriven(fleet, token, job), seconds=60)
    until("the redriven order DELIVERED", lambda: with_status(fleet, failing, "DELIVERED"), seconds=60)
    fleet.wait_drained(sqs.STANDARD, seconds=30)
    counts = fleet.sqs.counts(sqs.STANDARD_DLQ)
    report.expect(counts.total == 0, "after the redrive %s has %s" % (sqs.STANDARD_DLQ, counts))
    until("an empty dead-letter queue in the monitor's metrics", lambda: monitor_sees(fleet, 0), seconds=60)
    report.figure("redriven", 1)


def with_status(fleet, order, status):
    history = read_history(fleet.deliveries, order.order_id)
    if history is None or history["status"] != status:
        raise NotYet("it is %s" % (history["status"] if history else "unknown"))
    return history


def monitor_sees(fleet, wanted):
    seen = metrics.total(scraped(fleet), "sqs_queue_messages", queue=sqs.STANDARD_DLQ, role="dlq")
    if seen != wanted:
        raise NotYet("sqs_queue_messages of %s is %s" % (sqs.STANDARD_DLQ, seen))
    return True


def arrived(fleet):
    """Dead letters that the monitor has counted since it began."""
    count = metrics.total(scraped(fleet), "dlq_messages_arrived_total", queue=sqs.STANDARD_DLQ)
    if count is None:
        raise Failure("the monitor has no dlq_messages_arrived_total of " + sqs.STANDARD_DLQ)
    return count


def scraped(fleet):
    return metrics.parse(fleet.monitor_admin.get("/metrics").text())


def has_arrived(fleet, before):
    if arrived(fleet) <= before:
        raise NotYet("dlq_messages_arrived_total is still %d" % before)
    return True


def redrive(fleet, token):
    """Asks the monitor to send everything back; returns the job's id."""
    body = {"queue": sqs.STANDARD_DLQ, "all": True, "reason": "the failing rule is off", "by": "e2e"}
    answer = fleet.monitor.request("POST", "/api/dlq/redrive", body=body, headers=bearer(token))
    if answer.status != 202:
        raise Failure("the monitor refuses to redrive: HTTP %d %s" % (answer.status, answer.text()))
    return answer.json()["id"]


def is_redriven(fleet, token, job):
    answer = fleet.monitor.get("/api/dlq/jobs/" + job, headers=bearer(token))
    if answer.status != 200:
        raise Failure("no answer about the job: HTTP %d %s" % (answer.status, answer.text()))
    job = answer.json()
    told = "%s, %d of %s done, %s" % (job["state"], job["done"], job["selected"], job["note"])
    if job["state"] in ("failed", "cancelled") or job["state"] == "completed" and job["done"] != 1:
        raise Failure("the redrive is " + told)
    if job["state"] != "completed":
        raise NotYet(told)
    return True


def bearer(token):
    return {"authorization": "Bearer " + token}
