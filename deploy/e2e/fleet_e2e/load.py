"""Orders: one after another, in bursts, and as a stream that does not stop for trouble."""
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .process import Failure

# A product whose name contains it fails every attempt, unless FAIL_TEST_PRODUCTS is false.
FAILING = "실패테스트"


class Accepted:
    """An order that was answered with 202. `number` is its place among its customer's."""

    def __init__(self, order_id, customer, queue, number, failing):
        self.order_id = order_id
        self.customer = customer
        self.queue = queue
        self.number = number
        self.failing = failing


def body(customer, name="상품", price=10000, quantity=1):
    items = [{"productId": "p1", "productName": name, "quantity": quantity, "price": price}]
    return {"customerId": customer, "items": items}


def place(client, customer, queue="standard", number=0, name="상품"):
    """Places one order; anything but 202 is a failure."""
    answer = client.request("POST", "/api/orders?queueType=" + queue, body=body(customer, name))
    if answer.status != 202:
        raise Failure("an order was answered with %d: %s" % (answer.status, answer.text().strip()))
    return Accepted(answer.json()["orderId"], customer, queue, number, FAILING in name)


def burst(client, count, *, queue="standard", customers=50, name="상품", threads=16):
    """Places orders as fast as they are accepted. A customer's are placed one after another, each when
    the one before it was accepted: their order is the order in which they are to be delivered."""
    customers = min(customers, count)

    def one_customer(index):
        mine = range(index, count, customers)
        customer = "customer-%03d" % index
        return [place(client, customer, queue, number, name) for number, _ in enumerate(mine)]

    with ThreadPoolExecutor(min(threads, customers)) as pool:
        return [order for orders in pool.map(one_customer, range(customers)) for order in orders]


class Stream:
    """Orders and reads at a steady rate until it is stopped. What is not answered as it should be is
    kept, with its time and the answer; nothing is tried again."""

    def __init__(self, client, *, orders_per_second, reads_per_second, seed=7, clock=time.monotonic):
        self._client = client
        self._random = random.Random(seed)
        self._clock = clock
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.accepted = []
        self.reads = 0
        self.failures = []
        # One customer each for FIFO orders: two threads would not know whose order came first.
        self._threads = [
            threading.Thread(target=self._pace, args=(rate / 4, work), daemon=True)
            for rate, work in [
                *((orders_per_second, self._ordering("standard", "customer-s%d" % n)) for n in range(2)),
                *((orders_per_second, self._ordering("fifo", "customer-f%d" % n)) for n in range(2)),
                *((reads_per_second, self._read) for _ in range(4)),
            ]
        ]

    def __enter__(self):
        self._began = self._clock()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pace(self, per_second, work):
        due = self._clock()
        while not self._stop.is_set():
            problem = None
            try:
                problem = work()
            except OSError as error:
                problem = "%s: %s" % (type(error).__name__, error)
            if problem:
                with self._lock:
                    self.failures.append((self._clock() - self._began, problem))
            # After a request that took long it goes on at its pace, and does not catch up.
            due = max(due + 1 / per_second, self._clock() - 1)
            self._stop.wait(max(0.0, due - self._clock()))

    def _ordering(self, queue, customer):
        numbers = iter(range(1 << 30))

        def order():
            answer = self._client.request("POST", "/api/orders?queueType=" + queue, body=body(customer))
            if answer.status != 202:
                return "POST: %d %s" % (answer.status, answer.text().strip()[:300])
            accepted = Accepted(answer.json()["orderId"], customer, queue, next(numbers), False)
            with self._lock:
                self.accepted.append(accepted)
            return None

        return order

    def _read(self):
        with self._lock:
            known = len(self.accepted)
            order = self.accepted[self._random.randrange(known)] if known else None
        if order is None:
            return None
        answer = self._client.get("/api/orders/" + order.order_id)
        with self._lock:
            self.reads += 1
        # 404: nothing is known of the order yet, it may still wait in its queue.
        if answer.status not in (200, 404):
            return "GET: %d %s" % (answer.status, answer.text().strip()[:300])
        return None
