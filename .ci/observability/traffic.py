"""What happens to the fleet while it is looked at: orders, failures of each kind, a restart, redrives and a discard."""

import contextlib
import dataclasses
import http.client
import threading
import time
import urllib.parse

import support
from fleet import FAILING, REFUSED, SLOW, ask

STANDARD_DLQ, FIFO_DLQ = "order-queue-standard-dlq", "order-queue-dlq.fifo"
# Of an order that is refused, and of one that always fails.
REJECTED, FORCED = "carrier_rejected", "forced"


@dataclasses.dataclass
class Story:
    """When what was to be seen has happened, in seconds since the epoch."""

    began: float = 0
    refused_at: float = 0
    told_at: float = 0
    told: str = ""
    redriven_at: float = 0
    resolved_at: float = 0
    emptied_at: float = 0
    ended: float = 0
    accepted: int = 0


class Asked:
    """A Prometheus that is asked for single values."""

    def __init__(self, url):
        self.url = url

    def value(self, expr):
        """The sum of what an expression has now; 0 where it has nothing."""
        found = support.get(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        return sum(float(one["value"][1]) for one in found["data"]["result"])

    def until(self, expr, seconds=60):
        """Waits until an expression has a value other than 0."""
        support.wait_for(lambda: self.value(expr), "a value of " + expr, seconds)

    def scraped_since(self, when, targets):
        """Waits until every target has been scraped after a time."""
        expr = "count(up == 1 and timestamp(up) > %f)" % when
        support.wait_for(lambda: self.value(expr) == targets, "a scrape of all %d targets" % targets)


class Shoppers:
    """Orders that go well, and a few that are wrong, until they are told to stop."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.accepted = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.shop)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def shop(self):
        number = 0
        while not self.stopping.wait(0.05):
            number += 1
            queue = ("standard", "fifo")[number % 2]
            key = "key-%d" % (number // 2 % 50) if number % 5 == 0 else None
            with contextlib.suppress(OSError):
                status, order = self.fleet.order("c-%d" % (number % 12), "tea", queue, key)
                self.accepted += status == 202
                if number % 4 == 0 and status == 202:
                    ask("%s/api/orders/%s" % (self.fleet.api, order["orderId"]))
                if number % 10 == 0:
                    self.fleet.order("c-1", "", queue)
                    ask(self.fleet.monitor + "/api/dlq/queues")


def tell(fleet, carrier, told, prometheus):
    """The whole story, in the order in which it has to happen."""
    story = Story(began=time.time())
    asked = Asked(prometheus)
    fleet.start()
    asked.scraped_since(story.began, len(fleet.targets))
    restart(fleet, asked, carrier)
    with Shoppers(fleet) as shoppers:
        lease(fleet)
        die(fleet, story, told)
        outage(fleet, asked)
        fail(fleet, asked)
        bring_back(fleet, carrier, story, asked)
        fail_again(fleet, asked)
        asked.until("sum(delivery_visibility_extensions_total{outcome='ok'})", 60)
        lose(fleet, asked)
        keep_waiting(fleet, asked)
        resolve(story, told)
    # Whatever happened last is in several scrapes.
    asked.scraped_since(time.time() + 2, len(fleet.targets))
    story.accepted = shoppers.accepted
    story.ended = time.time()
    return story


def restart(fleet, asked, carrier):
    """A stop with orders in hand, some of which have to be given back."""
    _, order = fleet.order("c-1", "tea", key="of the time before")
    delivered(fleet, order)
    for customer in range(6):
        fleet.order("slow-%d" % customer, SLOW, ("standard", "fifo")[customer % 2])
    support.wait_for(lambda: carrier.slow_orders >= 4, "slow orders are at the carrier")
    fleet.stop()
    again = time.time()
    fleet.start()
    asked.scraped_since(again, len(fleet.targets))
    # The API has forgotten the key; the order's id is the same, and it is not delivered twice.
    _, repeated = fleet.order("c-1", "tea", key="of the time before")
    assert repeated["orderId"] == order["orderId"]
    asked.until("sum(delivery_duplicates_suppressed_total)")


def lease(fleet):
    """Three orders of one customer, each slow: the last ones are held for longer than a lease may go unextended."""
    for _ in range(3):
        fleet.order("patient", SLOW, "fifo")


def die(fleet, story, told):
    """An order that the carrier refuses is dead at once. It is the first of its queue, so its group is told of at once."""
    story.refused_at = time.time()
    status, _ = fleet.order("far-away", REFUSED)
    assert status == 202
    story.told_at, story.told = support.wait_for(
        lambda: told.first("DlqArrivals", "firing", queue=STANDARD_DLQ, reason=REJECTED), "the refusal is told", 60
    )


def outage(fleet, asked):
    """SQS refuses, takes its time, and recovers; one client does not wait for it."""

    def faults(**rule):
        rules = [{"operation": operation, **rule} for operation in ("SendMessage", "SendMessageBatch")]
        show(fleet, rules + [{"operation": "ReceiveMessage", "error_rate": 0.3, "error": "Throttling"}])

    faults(error_rate=0.8, error="ServiceUnavailable")
    asked.until('sum(rate(http_server_request_duration_seconds_count{http_response_status_code="503"}[5s]))')
    for job in ("order-api", "delivery-worker"):
        asked.until('sum(increase(sqs_api_requests_total{job="%s", error_type!=""}[5s]))' % job)
    faults(latency={"kind": "fixed", "ms": 500})
    support.wait_for(lambda: leave(fleet) and asked.value("orders_abandoned_total"), "a client that has gone is counted")
    recover(fleet)


def show(fleet, rules):
    """SQS has these faults from now on."""
    status, answer = ask(fleet.sqs + "/_local/faults", {"seed": 7, "rules": rules})
    assert status < 300, answer


def recover(fleet):
    """SQS has no faults any more."""
    ask(fleet.sqs + "/_local/faults", method="DELETE")


def leave(fleet):
    """A client that places an order and does not wait for the answer."""
    body = '{"customerId": "hasty", "items": [{"productId": "p", "productName": "n", "quantity": 1, "price": 1}]}'
    connection = http.client.HTTPConnection(fleet.api.removeprefix("http://"), timeout=0.2)
    connection.request("POST", "/api/orders", body, {"content-type": "application/json"})
    with contextlib.suppress(TimeoutError):
        connection.getresponse()
    connection.close()
    return True


def fail(fleet, asked):
    """Groups whose head fails until its attempts are used up, with innocent orders behind it."""
    for customer in range(4):
        fleet.order("unlucky-%d" % customer, FAILING, "fifo")
        fleet.order("unlucky-%d" % customer, "tea", "fifo")
    asked.until("sum(delivery_fifo_groups_blocked)")
    support.wait_for(lambda: len(fleet.dead(FIFO_DLQ)) == 4, "the failing orders of the FIFO queue are dead", 60)


def bring_back(fleet, carrier, story, asked):
    """The carrier goes everywhere now, so what it has refused is redriven, and delivered."""
    asked.until('ALERTS{alertname="DlqNotEmpty", alertstate="firing", window!="", queue="%s"}' % STANDARD_DLQ)
    (letter,) = fleet.dead(STANDARD_DLQ)
    carrier.refuses = False
    story.redriven_at = time.time()
    job = fleet.job("redrive", STANDARD_DLQ, all=True)
    assert job["done"] == 1, job
    delivered(fleet, letter)
    expr = 'absent(ALERTS{alertname="DlqNotEmpty", alertstate="firing", window!="", queue="%s"})' % STANDARD_DLQ
    asked.until(expr)
    story.emptied_at = time.time()


def fail_again(fleet, asked):
    """A redrive that changes nothing, and a discard. One dead letter stays."""
    fleet.order("hopeless", FAILING)
    support.wait_for(lambda: fleet.dead(STANDARD_DLQ), "the failing order of the standard queue is dead")
    fleet.job("redrive", STANDARD_DLQ, all=True)
    asked.until('sum(dlq_redelivered_failed_again_total{queue="%s"})' % STANDARD_DLQ)
    fleet.job("discard", STANDARD_DLQ, all=True)
    letters = fleet.dead(FIFO_DLQ)
    fleet.job("discard", FIFO_DLQ, ids=[letter["messageId"] for letter in letters[1:]])
    asked.until("sum(increase(dlq_discarded_messages_total[10s]))")


def lose(fleet, asked):
    """SQS extends no lease, and takes nothing back: not from a worker whose orders take long, not from the monitor."""
    operations = ("ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
    show(fleet, [{"operation": operation, "error_rate": 1, "error": "ServiceUnavailable"} for operation in operations])
    lease(fleet)
    asked.until("sum(increase(dlq_scan_release_failures_total[10s]))")
    asked.until("sum(increase(delivery_leases_lost_total[10s]))")
    recover(fleet)


def keep_waiting(fleet, asked):
    """Nobody receives anything for longer than the objective allows an order to wait."""
    show(fleet, [{"operation": "ReceiveMessage", "error_rate": 1, "error": "ServiceUnavailable"}])
    received = time.time() + 31
    support.wait_for(lambda: time.time() > received, "orders have waited", 60)
    recover(fleet)
    asked.until("max(queue:delivery_queue_wait_slow:increase1h) > 0.5")


def resolve(story, told):
    """The rule that looks back for less long sees no refusal any more."""
    story.resolved_at, _ = support.wait_for(
        lambda: told.first("DlqArrivals", "resolved", True, queue=STANDARD_DLQ, reason=REJECTED), "its end is told", 100
    )


def delivered(fleet, order):
    """Waits until an order is delivered."""
    url = "%s/api/orders/%s" % (fleet.api, order["orderId"])
    support.wait_for(lambda: (ask(url)[1] or {}).get("status") == "DELIVERED", "the order is delivered")
