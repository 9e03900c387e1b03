import unittest

from fleet_e2e.metrics import parse, total

SCRAPE = r"""# HELP sqs_queue_messages Approximate number.
# TYPE sqs_queue_messages gauge
sqs_queue_messages{queue="order-queue.fifo",role="source",state="visible"} 3
sqs_queue_messages{queue="order-queue.fifo",role="source",state="in_flight"} 2
sqs_queue_messages{queue="order-queue-dlq.fifo",role="dlq",state="visible"} 7

up 1
with_time{a="b"} 1.5e3 1700000000000
escaped{text="a \"quoted\", {brace} and \\ and \n end",other="x"} +Inf
empty{} 4
exemplar_bucket{le="1"} 5 # {trace_id="x"} 0.5
"""


class Parsing(unittest.TestCase):
    def test_samples_have_names_labels_and_values(self):
        samples = parse(SCRAPE)
        self.assertEqual(len(samples), 8)
        self.assertIn(("up", {}, 1.0), samples)
        self.assertIn(("with_time", {"a": "b"}, 1500.0), samples)
        self.assertIn(("empty", {}, 4.0), samples)
        self.assertIn(("exemplar_bucket", {"le": "1"}, 5.0), samples)

    def test_escapes_in_labels_are_undone(self):
        labels = next(labels for name, labels, _ in parse(SCRAPE) if name == "escaped")
        self.assertEqual(labels, {"text": 'a "quoted", {brace} and \\ and \n end', "other": "x"})

    def test_what_is_no_sample_is_refused_with_its_line(self):
        for text in ("up\n", "a{b=c} 1\n", 'a{b="c} 1\n', "up one\n"):
            with self.assertRaises(ValueError, msg=text):
                parse(text)

    def test_a_total_is_of_the_samples_with_these_labels(self):
        samples = parse(SCRAPE)
        self.assertEqual(total(samples, "sqs_queue_messages", role="source"), 5)
        self.assertEqual(total(samples, "sqs_queue_messages", queue="order-queue-dlq.fifo"), 7)
        self.assertIsNone(total(samples, "sqs_queue_messages", role="none"))
        self.assertIsNone(total(samples, "missing"))


if __name__ == "__main__":
    unittest.main()
