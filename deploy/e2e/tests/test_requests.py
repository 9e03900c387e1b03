import contextlib
import json
import socket
import threading
import unittest

from fleet_e2e import sqs
from fleet_e2e.client import Client
from fleet_e2e.load import FAILING, Stream, burst, place
from fleet_e2e.process import Failure
from fleet_e2e.waiting import until
from server import Server


@contextlib.contextmanager
def served(answer):
    """A server, and a client of it."""
    with Server(answer) as server, Client(server.url) as client:
        yield server, client


class Requests(unittest.TestCase):
    def test_a_connection_is_kept(self):
        with served(lambda *_: (200, {"a": 1})) as (server, client):
            for _ in range(3):
                self.assertEqual(client.get("/x").json(), {"a": 1})
            self.assertEqual(server.connections, 1)

    def test_requests_at_once_have_a_connection_each_and_leave_them_to_later_ones(self):
        both = threading.Barrier(2, timeout=20)

        def answer(method, path, body, headers):
            if path == "/both":
                both.wait()
            return 200, {}

        with served(answer) as (server, client):
            other = threading.Thread(target=client.get, args=("/both",))
            other.start()
            client.get("/both")
            other.join()
            client.get("/alone")
            self.assertEqual(server.connections, 2)

    def test_a_path_in_front_of_the_address_stays(self):
        with Server(lambda *_: (200, {})) as server, Client(server.url + "/proxy/") as client:
            client.get("/api?x=1")
        self.assertEqual(server.requests[0][1], "/proxy/api?x=1")

    def test_a_request_without_an_answer_is_an_error_and_is_not_repeated(self):
        with served(lambda *_: None) as (server, client):
            with self.assertRaises(ConnectionError):
                client.request("POST", "/x", body={})
            self.assertEqual(len(server.requests), 1)

    def test_an_address_that_broke_is_given_up_by_its_name(self):
        renewed = []

        class Address:
            def url(self):
                return server.url

            def renew(self, url):
                renewed.append(url)

        with Server(lambda *_: None) as server, Client(Address()) as client:
            with self.assertRaises(ConnectionError):
                client.get("/x")
        self.assertEqual(renewed, [server.url])

    def test_a_connection_that_the_server_has_ended_is_replaced(self):
        def answer(method, path, body, headers):
            return 200, {}

        with served(answer) as (server, client):
            client.get("/x")
            # As if the other side had ended it: there is its end to be read.
            client._idle[0][1].sock.shutdown(socket.SHUT_RD)
            client.get("/x")
            self.assertEqual(server.connections, 2)


class Queues(unittest.TestCase):
    def answer(self, method, path, body, headers):
        operation = headers["x-amz-target"].removeprefix("AmazonSQS.")
        parameters = json.loads(body)
        if operation == "GetQueueUrl":
            return 200, {"QueueUrl": "http://sqs/000000000000/" + parameters["QueueName"]}
        if operation == "GetQueueAttributes":
            numbers = dict.fromkeys(parameters["AttributeNames"], "2")
            return 200, {"Attributes": numbers}
        if operation == "PurgeQueue":
            return 200, b""
        return 400, {"__type": "com.amazonaws.sqs#PurgeQueueInProgress", "message": "wait"}

    def test_counts_are_read_by_the_queues_name(self):
        with served(self.answer) as (server, client):
            queues = sqs.Sqs(client)
            counts = queues.counts(sqs.FIFO)
            queues.counts(sqs.FIFO)
        self.assertEqual((counts.visible, counts.total), (2, 6))
        # The URL is asked for once.
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(json.loads(server.requests[1][2])["QueueUrl"], "http://sqs/000000000000/order-queue.fifo")

    def test_an_answer_without_a_body_is_an_answer(self):
        with served(self.answer) as (_, client):
            sqs.Sqs(client).purge(sqs.STANDARD)

    def test_a_refusal_has_its_code_and_words(self):
        with served(self.answer) as (_, client):
            with self.assertRaisesRegex(sqs.SqsError, "refused TagQueue: PurgeQueueInProgress: wait") as raised:
                sqs.Sqs(client).call("TagQueue")
        self.assertEqual(raised.exception.code, "PurgeQueueInProgress")


class Orders(unittest.TestCase):
    def setUp(self):
        self.lock = threading.Lock()
        self.ids = iter(range(1 << 20))
        self.placed = []

    def accept(self, method, path, body, headers):
        with self.lock:
            order_id = "order-%d" % next(self.ids)
            if method == "POST":
                self.placed.append((json.loads(body)["customerId"], path, order_id))
        return (202 if method == "POST" else 200), {"orderId": order_id}

    def test_a_burst_keeps_each_customers_orders_in_their_order(self):
        with served(self.accept) as (_, client):
            accepted = burst(client, 50, queue="fifo", customers=3, threads=3)
        self.assertEqual(len({order.order_id for order in accepted}), 50)
        for customer in {order.customer for order in accepted}:
            mine = [order for order in accepted if order.customer == customer]
            arrived = [order_id for of, _, order_id in self.placed if of == customer]
            self.assertEqual([order.order_id for order in sorted(mine, key=lambda order: order.number)], arrived)
        self.assertEqual({path for _, path, _ in self.placed}, {"/api/orders?queueType=fifo"})

    def test_an_order_that_is_refused_ends_a_burst(self):
        with served(lambda *_: (503, {"title": "full"})) as (_, client):
            with self.assertRaisesRegex(Failure, "503.*full"):
                burst(client, 5)

    def test_a_failing_order_is_marked(self):
        with served(self.accept) as (_, client):
            self.assertTrue(place(client, "c", name=FAILING).failing)
            self.assertFalse(place(client, "c").failing)

    def test_a_stream_goes_on_through_failures_and_keeps_them(self):
        broken = threading.Event()

        def answer(method, path, body, headers):
            if broken.is_set() and method == "POST":
                return 503, {"title": "away"}
            return self.accept(method, path, body, headers)

        with served(answer) as (_, client):
            with Stream(client, orders_per_second=200, reads_per_second=100) as stream:
                until("orders", lambda: len(stream.accepted) > 8 and stream.reads > 4, seconds=20)
                self.assertEqual(stream.failures, [])
                broken.set()
                until("failures", lambda: len(stream.failures) > 4, seconds=20)
                broken.clear()
                before = len(stream.accepted)
                until("orders again", lambda: len(stream.accepted) > before + 8, seconds=20)
        self.assertTrue(all("503" in text and "away" in text for _, text in stream.failures))
        for customer in ("customer-f0", "customer-f1"):
            numbers = [order.number for order in stream.accepted if order.customer == customer]
            self.assertEqual(numbers, list(range(len(numbers))))

    def test_a_read_of_an_order_that_is_not_known_yet_is_no_failure(self):
        def answer(method, path, body, headers):
            return self.accept(method, path, body, headers) if method == "POST" else (404, {})

        with served(answer) as (_, client):
            with Stream(client, orders_per_second=100, reads_per_second=100) as stream:
                until("reads", lambda: stream.reads > 4, seconds=20)
        self.assertEqual(stream.failures, [])


if __name__ == "__main__":
    unittest.main()
