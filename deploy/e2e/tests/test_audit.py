import unittest

from fleet_e2e.audit import burnt_receives, judge, nanoseconds, read
from fleet_e2e.client import Client
from fleet_e2e.load import Accepted
from fleet_e2e.process import Failure
from server import Server


def attempt(number, outcome="delivered", began="00", ended="01", message="m"):
    return {
        "attempt": number, "outcome": outcome, "messageId": message,
        "startedAt": "2026-01-01T00:00:%sZ" % began, "finishedAt": "2026-01-01T00:00:%sZ" % ended,
    }


def history(*attempts, status="DELIVERED"):
    return {"status": status, "attempts": list(attempts), "attemptCount": len(attempts)}


def order(name, customer="c", queue="standard", number=0):
    return Accepted(name, customer, queue, number, False)


class Judging(unittest.TestCase):
    def test_an_order_that_the_store_does_not_know_is_lost(self):
        audit = judge([order("a"), order("b")], {"a": history(attempt(1))})
        self.assertEqual((audit.lost, audit.undelivered, audit.double), (["b"], [], []))

    def test_an_order_that_is_not_delivered_yet_is_undelivered(self):
        audit = judge([order("a")], {"a": history(attempt(1, "failed"), status="PENDING")})
        self.assertEqual((audit.lost, audit.undelivered), ([], ["a"]))

    def test_two_delivering_attempts_are_one_delivery_too_many(self):
        audit = judge([order("a")], {"a": history(attempt(1), attempt(2))})
        self.assertEqual(audit.double, ["a"])

    def test_a_fifo_order_begins_when_the_one_before_it_is_delivered(self):
        orders = [order("b", queue="fifo", number=1), order("a", queue="fifo", number=0)]
        first, second = history(attempt(1, began="00", ended="02.5")), history(attempt(1, began="02.5", ended="03"))
        self.assertEqual(judge(orders, {"a": first, "b": second}).out_of_order, [])
        early = history(attempt(1, began="02.499999999", ended="03"))
        self.assertEqual(judge(orders, {"a": first, "b": early}).out_of_order, ["b"])

    def test_other_customers_and_standard_orders_have_no_order(self):
        late, early = history(attempt(1, began="05", ended="06")), history(attempt(1))
        mixed = [order("a", "c1", "fifo", 0), order("b", "c2", "fifo", 1)]
        self.assertEqual(judge(mixed, {"a": late, "b": early}).out_of_order, [])
        standard = [order("a", number=0), order("b", number=1)]
        self.assertEqual(judge(standard, {"a": late, "b": early}).out_of_order, [])

    def test_the_receives_that_were_burnt_are_summed_and_the_worst_order_is_told(self):
        audit = judge([order("a"), order("b"), order("c")], {
            "a": history(attempt(3)), "b": history(attempt(2)), "c": history(attempt(1)),
        })
        self.assertEqual((audit.receives_burnt, audit.most_burnt), (3, 2))
        self.assertEqual(audit.burnt, {"a": 2, "b": 1})


class Burning(unittest.TestCase):
    def burnt(self, *numbers, message="m"):
        return burnt_receives([attempt(number, message=message) for number in numbers])

    def test_attempts_in_a_row_burn_nothing(self):
        self.assertEqual(self.burnt(1), 0)
        self.assertEqual(self.burnt(1, 2, 3), 0)

    def test_a_number_that_is_left_out_is_a_receive_without_an_attempt(self):
        self.assertEqual(self.burnt(2), 1)
        self.assertEqual(self.burnt(1, 3), 1)

    def test_an_attempt_that_did_not_count_keeps_its_number(self):
        self.assertEqual(self.burnt(1, 1, 1, 2), 0)

    def test_numbers_begin_anew_after_a_redrive(self):
        self.assertEqual(self.burnt(1, 2, 3, 1), 0)
        self.assertEqual(self.burnt(1, 2, 3, 2), 1)

    def test_each_message_of_an_order_counts_by_itself(self):
        attempts = [attempt(1, message="m1"), attempt(2, message="m2"), attempt(2, message="m1")]
        self.assertEqual(burnt_receives(attempts), 1)


class Times(unittest.TestCase):
    def test_fractions_of_any_length_compare(self):
        times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.75Z"]
        self.assertEqual(sorted(times, key=nanoseconds), times)
        self.assertEqual(nanoseconds(times[2]) - nanoseconds(times[0]), 500_000_000)
        self.assertLess(nanoseconds("2026-01-31T23:59:59Z"), nanoseconds("2026-02-01T00:00:00Z"))

    def test_a_time_of_another_zone_is_refused(self):
        for text in ("2026-01-01T00:00:00+09:00", "2026-01-01 00:00:00Z", ""):
            with self.assertRaises(ValueError):
                nanoseconds(text)


class Reading(unittest.TestCase):
    def test_pages_are_followed_and_only_the_orders_asked_about_are_read(self):
        def answer(method, path, body, headers):
            if path.startswith("/api/delivery/orders?"):
                last = "cursor=next" in path
                found = [{"orderId": "b"}] if last else [{"orderId": "a"}]
                return 200, {"deliveries": found, "nextCursor": None if last else "next"}
            return 200, history(attempt(1))

        with Server(answer) as server, Client(server.url) as client:
            histories = read(client, [order("b"), order("c")], "2026-01-01T00:00:00Z")
        self.assertEqual(set(histories), {"b"})
        self.assertNotIn("/api/delivery/orders/a", [path for _, path, _ in server.requests])

    def test_a_busy_store_is_asked_again(self):
        answers = [(503, {}), (200, {"deliveries": [], "nextCursor": None})]
        with Server(lambda *_: answers.pop(0)) as server, Client(server.url) as client:
            self.assertEqual(read(client, [], "2026-01-01T00:00:00Z"), {})
        self.assertEqual(len(server.requests), 2)

    def test_an_order_with_more_attempts_than_are_told_cannot_be_judged(self):
        def answer(method, path, body, headers):
            if "?" in path:
                return 200, {"deliveries": [{"orderId": "a"}], "nextCursor": None}
            return 200, dict(history(attempt(1)), attemptCount=101)

        with Server(answer) as server, Client(server.url) as client, self.assertRaisesRegex(Failure, "more attempts"):
            read(client, [order("a")], "2026-01-01T00:00:00Z")


if __name__ == "__main__":
    unittest.main()
