import json
import threading
import unittest

from fleet_e2e import sqs
from fleet_e2e.client import Client
from fleet_e2e.load import FAILING, Stream, burst, place
from fleet_e2e.process import Failure
from fleet_e2e.waiting import until
from server import Server


class Requests(unittest.TestCase):
    def test_a_connection_is_kept(self):
        with Server(lambda *_: (200, {"a": 1})) as server:
            client = Client(server.url)
            for _ in range(3):
                self.assertEqual(client.get("/x").json(), {"a": 1})
            self.assertEqual(server.connections, 1)

    def test_a_path_in_front_of_the_address_stays(self):
        with Server(lambda *_: (200, {})) as server:
            Client(server.url + "/proxy/").get("/api?x=1")
        self.assertEqual(server.requests[0][1], "/proxy/api?x=1")

    def test_a_request_without_an_answer_is_an_error_and_is_not_repeated(self):
        with Server(lambda *_: None) as server:
            with self.assertRaises(ConnectionError):
                Client(server.url).request("POST", "/x", body={})
            self.assertEqual(len(server.requests), 1)

    def test_an_address_that_broke_is_given_up_by_its_name(self):
        renewed = []

        class Address:
            def url(self):
                return server.url

            def renew(self, url):
                renewed.append(url)

        with Server(lambda *_: None) as server:
            with self.assertRaises(ConnectionError):
                Client(Address()).get("/x")
        self.assertEqual(renewed, [server.url])

    def test_a_connection_that_the_server_has_ended_is_replaced(self):
        with Server(lambda method, path, body, headers: (200, {})) as server:
            client = Client(server.url)
            client.get("/x")
            # The server's side of the kept connection is shut: as a pod does that ends.
            client._local.kept[1].sock.shutdown(0)
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
        with Server(self.answer) as server:
            queues = sqs.Sqs(server.url)
            counts = queues.counts(sqs.FIFO)
            queues.counts(sqs.FIFO)
        self.assertEqual((counts.visible, counts.total), (2, 6))
        # The URL is asked for once.
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(json.loads(server.requests[1][2])["QueueUrl"], "http://sqs/000000000000/order-queue.fifo")

    def test_an_answer_without_a_body_is_an_answer(self):
        with Server(self.answer) as server:
            sqs.Sqs(server.url).purge(sqs.STANDARD)

    def test_a_refusal_has_its_code_and_words(self):
        with Server(self.answer) as server:
            with self.assertRaisesRegex(sqs.SqsError, "refused TagQueue: PurgeQueueInProgress: wait") as raised:
                sqs.Sqs(server.url).call("TagQueue")
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
        with Server(self.accept) as server:
            accepted = burst(Client(server.url), 50, queue="fifo", customers=3, threads=3)
        self.assertEqual(len({order.order_id for order in accepted}), 50)
        for customer in {order.customer for order in accepted}:
            mine = [order for order in accepted if order.customer == customer]
            arrived = [order_id for of, _, order_id in self.placed if of == customer]
            self.assertEqual([order.order_id for order in sorted(mine, key=lambda order: order.number)], arrived)
        self.assertEqual({path for _, path, _ in self.placed}, {"/api/orders?queueType=fifo"})

    def test_an_order_that_is_refused_ends_a_burst(self):
        with Server(lambda *_: (503, {"title": "full"})) as server:
            with self.assertRaisesRegex(Failure, "503.*full"):
                burst(Client(server.url), 5)

    def test_a_failing_order_is_marked(self):
        with Server(self.accept) as server:
            self.assertTrue(place(Client(server.url), "c", name=FAILING).failing)
            self.assertFalse(place(Client(server.url), "c").failing)

    def test_a_stream_goes_on_through_failures_and_keeps_them(self):
        broken = threading.Event()

        def answer(method, path, body, headers):
            if broken.is_set() and method == "POST":
                return 503, {"title": "away"}
            return self.accept(method, path, body, headers)

        with Server(answer) as server:
            with Stream(Client(server.url), orders_per_second=200, reads_per_second=100) as stream:
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

        with Server(answer) as server:
            with Stream(Client(server.url), orders_per_second=100, reads_per_second=100) as stream:
                until("reads", lambda: stream.reads > 4, seconds=20)
        self.assertEqual(stream.failures, [])


if __name__ == "__main__":
    unittest.main()
