"""What became of the orders that were accepted, as the deliveries' store tells it."""
import re
from concurrent.futures import ThreadPoolExecutor

from .process import Failure
from .waiting import NotYet, until

TIME = re.compile(r"^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z$")


class Audit:
    """The verdict on a set of orders. Lists hold what a person needs to look further: order ids."""

    def __init__(self):
        self.orders = 0
        self.lost = []
        self.undelivered = []
        self.double = []
        self.out_of_order = []
        self.burnt = {}

    @property
    def receives_burnt(self):
        return sum(self.burnt.values())

    @property
    def most_burnt(self):
        """The receives that one order has lost, at most."""
        return max(self.burnt.values(), default=0)


def judge(accepted, histories):
    """Compares accepted orders with what the store has of them.

    - lost: the store knows nothing of the order.
    - undelivered: it is there, and not delivered.
    - double: more than one attempt at it has delivered it.
    - out_of_order: a FIFO order whose delivery began before that of its customer's order before it ended.
    - burnt: receives that brought an order no attempt. An attempt's number counts receives and retries:
      where the last number is higher than the count of attempts, receives have come to nothing.
    """
    audit = Audit()
    audit.orders = len(accepted)
    groups = {}
    for order in accepted:
        history = histories.get(order.order_id)
        if history is None:
            audit.lost.append(order.order_id)
            continue
        attempts = history["attempts"]
        delivered = [each for each in attempts if each["outcome"] == "delivered"]
        if history["status"] != "DELIVERED":
            audit.undelivered.append(order.order_id)
        if len(delivered) > 1:
            audit.double.append(order.order_id)
        burnt = burnt_receives(attempts)
        if burnt:
            audit.burnt[order.order_id] = burnt
        if order.queue == "fifo" and delivered:
            groups.setdefault(order.customer, []).append((order.number, order.order_id, delivered[0]))
    for orders in groups.values():
        orders.sort(key=lambda entry: entry[0])
        for (_, _, before), (_, order_id, after) in zip(orders, orders[1:]):
            if nanoseconds(after["startedAt"]) < nanoseconds(before["finishedAt"]):
                audit.out_of_order.append(order_id)
    return audit


def burnt_receives(attempts):
    """Receives without an attempt, of all messages that an order came by. A message's numbers go up by
    one; they stay where an attempt did not count, and begin anew after a redrive."""
    burnt, last = 0, {}
    for each in attempts:
        number, before = each["attempt"], last.get(each["messageId"], 0)
        if number > before:
            burnt += number - before - 1
        elif number < before:
            burnt += number - 1
        last[each["messageId"]] = number
    return burnt


def nanoseconds(text):
    """An RFC 3339 time in UTC as a whole number, to compare; not since any epoch."""
    found = TIME.match(text)
    if not found:
        raise ValueError("not a time in UTC: %r" % text)
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction = int((found[7] or "").ljust(9, "0"))
    # Within a month this is exact; no audit spans two, and order is kept even then.
    return (((((year * 12 + month) * 31 + day) * 24 + hour) * 60 + minute) * 60 + second) * 10**9 + fraction


def read_pages(client, since):
    """Every delivery whose first attempt began at `since` or later, by order id."""
    found, cursor = {}, ""
    while True:
        path = "/api/delivery/orders?limit=200&from=%s%s" % (since, "&cursor=" + cursor if cursor else "")
        answer = asked(client, path)
        if answer.status != 200:
            raise Failure("%s was answered with %d: %s" % (path, answer.status, answer.text().strip()))
        page = answer.json()
        found.update((each["orderId"], each) for each in page["deliveries"])
        cursor = page.get("nextCursor")
        if not cursor:
            return found


def read_history(client, order_id):
    """A delivery with its attempts; none when the store knows nothing of the order."""
    path = "/api/delivery/orders/" + order_id
    answer = asked(client, path)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise Failure("%s was answered with %d: %s" % (path, answer.status, answer.text().strip()))
    history = answer.json()
    if history["attemptCount"] != len(history["attempts"]):
        raise Failure("order %s has more attempts than are told" % order_id)
    return history


def asked(client, path):
    """A read's answer. Reads are repeated: the pod behind the address may end, the store be busy."""
    def answered():
        answer = client.get(path)
        if answer.status == 503:
            raise NotYet(answer.text().strip())
        return answer

    return until("an answer to " + path, answered, seconds=60)


def read(client, accepted, since, threads=16):
    """The histories of these orders: the pages say which there are, the orders' own pages the attempts."""
    there = read_pages(client, since)
    ids = [order.order_id for order in accepted if order.order_id in there]
    with ThreadPoolExecutor(threads) as pool:
        histories = pool.map(lambda order_id: read_history(client, order_id), ids)
        return {order_id: history for order_id, history in zip(ids, histories) if history}


def report(report, audit, *, burnt_at_most=None, expect_delivered=True):
    """Puts an audit into a check's report: nothing lost, nothing twice, nothing out of order."""
    missing = audit.lost + (audit.undelivered if expect_delivered else [])
    report.figure("orders", audit.orders)
    report.figure("lost", len(missing))
    report.expect(not missing, "%d orders are not delivered: %s" % (len(missing), few(missing)))
    report.figure("delivered twice", len(audit.double))
    report.expect(not audit.double, "%d orders were delivered twice: %s" % (len(audit.double), few(audit.double)))
    report.figure("order violations", len(audit.out_of_order))
    report.expect(
        not audit.out_of_order,
        "%d orders began before the one before them was delivered: %s" % (len(audit.out_of_order), few(audit.out_of_order)),
    )
    report.figure("receives burnt", audit.receives_burnt)
    if burnt_at_most is not None:
        report.expect(
            audit.most_burnt <= burnt_at_most,
            "an order has lost %d receives, more than %d: %s" % (audit.most_burnt, burnt_at_most, few(audit.burnt)),
        )


def few(ids):
    ids = list(ids)
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
