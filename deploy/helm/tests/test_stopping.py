"""The time that pods have to stop covers the work, by the programs' own constants."""
import re
import unittest

import chart


def seconds(path, before):
    """The seconds of a `Duration::from_secs(...)` in Rust behind a text."""
    found = re.findall(re.escape(before) + r"\s*Duration::from_secs\((\d+)\)", chart.source(path))
    if len(set(found)) != 1:
        raise AssertionError("%s has %s behind %r" % (path, found, before))
    return int(found[0])


LONG_POLL = seconds("crates/sqs-consumer/src/consumer/settings.rs", "wait:")
RECEIVE_MARGIN = seconds("crates/sqs-consumer/src/aws/connection.rs", "receive_margin:")
ATTEMPT = seconds("crates/sqs-consumer/src/aws/connection.rs", "attempt:")
DRAIN_FLUSH = seconds("crates/sqs-consumer/src/scheduler/config.rs", "drain_flush:")
LISTENER = seconds("crates/service-kit/src/http/serve.rs", "drain:")
ADMIN = seconds("crates/service-kit/src/admin.rs", "let drain =")
LAST_SCRAPE = seconds("delivery-worker/src/service.rs", "const LAST_SCRAPE: Duration =")
SPANS = seconds("crates/service-kit/src/telemetry/mod.rs", "const FLUSH: Duration =")
REQUEST_MARGIN = seconds("order-api/src/service.rs", "const DRAIN_MARGIN: Duration =")
QUESTION = seconds("order-api/src/deliveries.rs", "whole:")


def grace(name, *arguments):
    spec = chart.named(chart.render(*arguments), "Deployment", name)["spec"]["template"]["spec"]
    return spec["terminationGracePeriodSeconds"]


def pre_stop(name, *arguments):
    spec = chart.named(chart.render(*arguments), "Deployment", name)["spec"]["template"]["spec"]
    return spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)


class Stopping(unittest.TestCase):
    def test_a_worker_has_time_for_pre_stop_a_long_poll_the_drain_and_the_flush(self):
        flush = DRAIN_FLUSH + LAST_SCRAPE + LISTENER + ADMIN + SPANS
        for values, drain in (("", 25), ("workers.drainTimeout=2m", 120), ("workers.drainTimeout=1500ms", 2), ("workers.preStopSeconds=0", 25)):
            arguments = ("--set", values) if values else ()
            for name in ("worker-standard", "worker-fifo"):
                with self.subTest("%s %s" % (name, values)):
                    expected = pre_stop(name, *arguments) + LONG_POLL + RECEIVE_MARGIN + drain + flush
                    self.assertEqual(grace(name, *arguments), expected)

    def test_what_a_worker_can_really_take_is_covered(self):
        # The poll is awaited beside the drain; each listener closes after that.
        for drain in (1, 25, 3600):
            worst = 5 + max(drain, LONG_POLL + RECEIVE_MARGIN) + DRAIN_FLUSH + LAST_SCRAPE + LISTENER + ADMIN + SPANS
            self.assertGreaterEqual(grace("worker-fifo", "--set", "workers.drainTimeout=%ds" % drain), worst)

    def test_the_order_api_has_time_for_pre_stop_its_delay_and_the_requests_under_way(self):
        for values, delay, publish in (("", 5, 5), ("orderApi.shutdownDelay=30s,orderApi.publishTimeout=10s", 30, 10), ("orderApi.publishTimeout=500ms", 5, 1)):
            arguments = ("--set", values) if values else ()
            request = max(publish, QUESTION) + REQUEST_MARGIN
            worst = pre_stop("order-api", *arguments) + delay + 2 * request + ADMIN + SPANS
            with self.subTest(values):
                self.assertEqual(grace("order-api", *arguments), worst + 2)

    def test_the_monitor_has_time_to_give_back_what_it_looks_at(self):
        self.assertGreaterEqual(grace("dlq-monitor"), ATTEMPT + LISTENER + ADMIN + SPANS)

    def test_a_period_that_is_given_is_taken(self):
        self.assertEqual(grace("worker-fifo", "--set", "workers.terminationGracePeriodSeconds=600"), 600)
        self.assertEqual(grace("order-api", "--set", "orderApi.terminationGracePeriodSeconds=600"), 600)

    def test_endpoints_are_gone_before_the_signal(self):
        for name in ("order-api", "worker-standard", "worker-fifo"):
            self.assertEqual(pre_stop(name), 5)
        self.assertEqual(pre_stop("order-api", "--set", "orderApi.preStopSeconds=0"), 0)

    def test_an_api_pod_goes_only_when_another_one_has_come(self):
        strategy = chart.named(chart.render(), "Deployment", "order-api")["spec"]["strategy"]
        self.assertEqual(strategy["rollingUpdate"], {"maxUnavailable": 0, "maxSurge": 1})
        for name in ("dlq-monitor", "local-sqs", "postgres"):
            spec = chart.named(chart.render(), "Deployment", name)["spec"]
            self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}), name)

    def test_probes_ask_the_admin_port_and_liveness_nobody_else(self):
        for name in ("order-api", "worker-standard", "worker-fifo", "dlq-monitor"):
            container = chart.named(chart.render(), "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
            asked = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
            self.assertEqual(asked["livenessProbe"], {"path": "/livez", "port": "admin"}, name)
            self.assertEqual(asked["readinessProbe"], {"path": "/readyz", "port": "admin"}, name)
            self.assertEqual(asked["startupProbe"], {"path": "/livez", "port": "admin"}, name)
            # Another service may migrate the database for that long.
            startup = container["startupProbe"]
            minutes = int(re.search(r"migration: Duration::from_mins\((\d+)\)", chart.source("crates/order-store/src/lib.rs")).group(1))
            self.assertGreater(startup["periodSeconds"] * startup["failureThreshold"], 60 * minutes)


if __name__ == "__main__":
    unittest.main()
