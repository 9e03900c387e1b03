"""Values that contradict each other are refused with what to change."""
import os
import unittest

import chart

AWS_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/"

# Arguments, and what is said of them: first what is wrong, then what to change.
CASES = {
    "a path that is not /account/name": (
        (*chart.AWS, "--set", "queues.standard.url=https://sqs.example/a/b/orders"),
        ["queues.standard.url is https://sqs.example/a/b/orders", "exactly /ACCOUNT/NAME"],
    ),
    "a queue URL without an account": (
        (*chart.AWS, "--set", "queues.standardDlq.url=https://sqs.example/orders"),
        ["queues.standardDlq.url is https://sqs.example/orders", "exactly /ACCOUNT/NAME"],
    ),
    "a slash at the end": (
        (*chart.AWS, "--set", "queues.fifo.url=%sorder-queue.fifo/" % AWS_URL),
        ["queues.fifo.url", "exactly /ACCOUNT/NAME"],
    ),
    "a FIFO queue as the standard one": (
        (*chart.AWS, "--set", "queues.standard.url=%sorder-queue.fifo" % AWS_URL),
        ["queues.standard.url", "ends in .fifo and that of another does not"],
    ),
    "a standard queue as the FIFO one": (
        (*chart.AWS, "--set", "queues.fifoDlq.url=%sdead" % AWS_URL),
        ["queues.fifoDlq.url", "order-queue.fifo"],
    ),
    "no queues": (
        ("--set", "localSqs.enabled=false"),
        ["queues.standard.url is empty", "queues.fifo.url is empty", "workers.fifo.enabled"],
    ),
    "queues in another region than the one that is set": (
        (*chart.AWS, "--set", "aws.region=eu-west-1"),
        ["queues.fifoDlq.url is %sorder-queue-dlq.fifo, in the region eu-central-1, and the fleet's region is eu-west-1 (aws.region)" % AWS_URL,
         "leave aws.region empty"],
    ),
    "queues in two regions": (
        (*chart.AWS, "--set", "queues.fifo.url=https://sqs.eu-west-1.amazonaws.com/123456789012/order-queue.fifo"),
        ["queues.fifo.url is https://sqs.eu-west-1", "in the region eu-west-1, and the fleet's region is eu-central-1 (that of the first order queue)"],
    ),
    "an endpoint in another region": (
        (*chart.AWS, "--set", "aws.endpoint=https://vpce-0a1-bc-eu-central-1a.sqs.eu-west-1.vpce.amazonaws.com"),
        ["aws.endpoint is https://vpce-0a1", "in the region eu-west-1"],
    ),
    "a queue that is its own dead-letter queue": (
        (*chart.AWS, "--set", "queues.standardDlq.url=%sorder-queue-standard" % AWS_URL),
        ["queues.standard.url and queues.standardDlq.url are both %sorder-queue-standard" % AWS_URL, "each of the four queues is one of its own"],
    ),
    "ports that there are not": (
        (*chart.AWS, "--set", "workers.carrier.url=http://carrier:65536,telemetry.otlpEndpoint=http://collector:0,queues.fifo.url=http://sqs:99999/1/a.fifo"),
        ["workers.carrier.url is http://carrier:65536: a port is a number from 1 to 65535", "telemetry.otlpEndpoint is http://collector:0: a port",
         "queues.fifo.url is http://sqs:99999/1/a.fifo: a port"],
    ),
    "a request above its limit": (
        ("--set", "orderApi.resources.requests.memory=1Gi,workers.fifo.resources.requests.cpu=2,workers.fifo.resources.limits.cpu=1500m,"
                  "observability.grafana.resources.requests.memory=600M,tests.resources.requests.memory=65Mi"),
        ["orderApi.resources.requests.memory is 1Gi, more than its limit (256Mi)", "workers.fifo.resources.requests.cpu is 2, more than its limit (1500m)",
         "observability.grafana.resources.requests.memory is 600M, more than its limit (512Mi)", "tests.resources.requests.memory is 65Mi", "lower the request"],
    ),
    "a label that the chart sets": (
        ("--set", "monitoring.labels.app\\.kubernetes\\.io/name=x"), ["monitoring.labels has app.kubernetes.io/name", "Leave it out"],
    ),
    "a simulated carrier that takes longer than anybody waits": (
        ("--set", "workers.carrier.simulatedTime=10s"),
        ["workers.carrier.simulatedTime is 10s", "waits no longer than workers.carrier.timeout (10s)", "Set a shorter simulatedTime"],
    ),
    "one that mostly does": (
        ("--set-json", 'workers.carrier.simulatedTime="lognormal(1m, 0.5, seed=7)"'), ["workers.carrier.simulatedTime is lognormal(1m, 0.5, seed=7)"],
    ),
    "queues beside the bundled ones": (
        ("--set", "queues.fifo.url=%sorder-queue.fifo" % AWS_URL),
        ["queues.fifo.url is set, and localSqs.enabled is true", "Set localSqs.enabled to false"],
    ),
    "an endpoint beside the bundled one": (
        ("--set", "aws.endpoint=http://sqs.example"), ["aws.endpoint is set", "Set localSqs.enabled to false"],
    ),
    "a FIFO visibility that no lease can live with": (
        ("--set", "queues.fifo.visibilityTimeout=5,workers.handlerTimeout=4s,workers.carrier.timeout=3s"),
        ["queues.fifo.visibilityTimeout is 5 s", "6 or more"],
    ),
    "a standard visibility too short for its handlers": (
        ("--set", "queues.standard.visibilityTimeout=5,workers.handlerTimeout=4s,workers.carrier.timeout=3s"),
        ["queues.standard.visibilityTimeout is 5 s", "6 or more"],
    ),
    "a visibility shorter than the handlers' timeout": (
        ("--set", "workers.handlerTimeout=31s"),
        ["queues.standard.visibilityTimeout is 30 s, shorter than workers.handlerTimeout (31s)", "or shorten workers.handlerTimeout"],
    ),
    "a grace period shorter than a worker's work": (
        ("--set", "workers.terminationGracePeriodSeconds=30"),
        ["workers.terminationGracePeriodSeconds is 30, shorter than the work: 112 s", "Set it to 0"],
    ),
    "more connections than the API's memory bears": (
        ("--set", "orderApi.env.MAX_CONNECTIONS=5000"),
        ["orderApi.resources.limits.memory is 256Mi, room for 4096 connections", "MAX_CONNECTIONS is 5000", "Raise the limit"],
    ),
    "more orders in hand than the API's memory bears": (
        ("--set", "orderApi.env.PUBLISH_BUFFER_BYTES=134217728"),
        ["orderApi.resources.limits.memory is 256Mi, room for 0 connections", "MAX_CONNECTIONS is 16"],
    ),
    "a memory limit that bears no connection": (
        ("--set", "orderApi.resources.limits.memory=64Mi"),
        ["orderApi.resources.limits.memory is 64Mi, room for 0 connections", "Raise the limit"],
    ),
    "a grace period shorter than the API's work": (
        ("--set", "orderApi.terminationGracePeriodSeconds=10"),
        ["orderApi.terminationGracePeriodSeconds is 10, shorter than the work: 32 s", "Set it to 0"],
    ),
    "a carrier that leaves the store no time": (
        ("--set", "workers.carrier.timeout=16s"), ["workers.carrier.timeout is 16s", "three quarters of workers.handlerTimeout (20s)"],
    ),
    "more of one customer than there are": (
        ("--set", "workers.standard.groupConcurrency=65"), ["groupConcurrency is 65", "at most the concurrency (64)"],
    ),
    "no workers": (
        ("--set", "workers.standard.enabled=false,workers.fifo.enabled=false"), ["nobody would deliver anything"],
    ),
    "durations beyond the programs' bounds": (
        ("--set", "workers.drainTimeout=13h,orderApi.publishTimeout=11s,orderApi.shutdownDelay=2m,dlqMonitor.interval=6m,tests.timeout=2h"),
        ["workers.drainTimeout is 13h; allowed is 0s to 12h", "orderApi.publishTimeout is 11s; allowed is 100ms to 10s",
         "orderApi.shutdownDelay is 2m; allowed is 0s to 60s", "dlqMonitor.interval is 6m; allowed is 100ms to 5m", "tests.timeout is 2h"],
    ),
    "a longer handler than SQS hides a message": (
        ("--set", "workers.handlerTimeout=12h,workers.carrier.timeout=9h,queues.standard.visibilityTimeout=43200,queues.fifo.visibilityTimeout=43200"),
        ["workers.handlerTimeout is 12h; allowed is 1ms to 11h", "workers.carrier.timeout is 9h; allowed is 1ms to 8h"],
    ),
    "fewest pods above most": (
        ("--set", "keda.fifo.minReplicas=11,keda.standard.minReplicas=12,orderApi.autoscaling.minReplicas=7"),
        ["keda.fifo.minReplicas is 11, more than maxReplicas (10)", "keda.standard.minReplicas is 12", "orderApi.autoscaling.minReplicas is 7"],
    ),
    "an API that is scaled on a share of no CPU": (
        ("--set", "orderApi.resources.requests.cpu=null"),
        ["orderApi.autoscaling.enabled is true, and the order API's pods request no CPU",
         "Set orderApi.resources.requests.cpu, or orderApi.autoscaling.enabled to false"],
    ),
    "an API that is scaled on a share of nothing": (
        ("--set", "orderApi.resources.requests.cpu=0m,orderApi.resources.limits.cpu=1"), ["the order API's pods request no CPU"],
    ),
    "a wait that asks for pods without need": (
        ("--set", "keda.standard.acceptableWait=10ms"), ["keda.standard.acceptableWait is 10ms", "Set a longer acceptableWait"],
    ),
    "SQLite with more than one worker pod": (
        ("--set", "postgres.enabled=false,keda.enabled=false"), ["up to 4 worker pods", "SQLite is for one", "database.existingSecret"],
    ),
    "SQLite with pods that KEDA may add": (
        ("--set", "postgres.enabled=false,workers.fifo.enabled=false,workers.standard.replicas=1", "--api-versions", chart.KEDA),
        ["up to 10 worker pods", "keda.enabled=false"],
    ),
    "two databases": (
        ("--set", "database.existingSecret=db"), ["there can be one database", "Set postgres.enabled to false"],
    ),
}


class Refusals(unittest.TestCase):
    def test_what_cannot_work_is_refused_with_what_to_change(self):
        for name, (arguments, said) in CASES.items():
            with self.subTest(name):
                text = chart.refusal(*arguments)
                for part in said:
                    self.assertIn(part, text)

    def test_a_release_that_no_service_can_be_called_after_is_refused(self):
        for name in ("2fleet", "fleet.eu", "shop.fleet"):
            with self.subTest(name):
                status, _, err = chart.helm("template", name, chart.CHART)
                self.assertNotEqual(status, 0)
                self.assertIn("the release is called %s" % name, err)
                self.assertIn("begin with a letter and have nothing but lower-case letters, digits and hyphens", err)
                self.assertEqual(err.count("\n- "), 1, err)

    def test_names_of_a_long_release_are_those_of_services(self):
        for name in ("a" * 53, "a" * 34 + "---b"):
            status, out, err = chart.helm("template", name, chart.CHART)
            self.assertEqual(status, 0, err)
            for each in chart.parse(out):
                self.assertRegex(each["metadata"]["name"], r"^a+-[a-z-]*[a-z]$")
                self.assertNotIn("--", each["metadata"]["name"])
                self.assertLessEqual(len(each["metadata"]["name"]), 63)

    def test_everything_that_is_wrong_is_told_at_once(self):
        text = chart.refusal("--set", "workers.handlerTimeout=31s,workers.terminationGracePeriodSeconds=1,postgres.enabled=false")
        self.assertEqual(text.count("\n- "), 4, text)

    def test_what_is_just_enough_is_taken(self):
        for values in (
            "workers.terminationGracePeriodSeconds=112",
            "orderApi.terminationGracePeriodSeconds=32",
            "workers.handlerTimeout=30s",
            "workers.carrier.timeout=15s",
            "queues.fifo.visibilityTimeout=6,queues.standard.visibilityTimeout=6,workers.handlerTimeout=6s,workers.carrier.timeout=4s",
            # No extension is needed: an attempt ends within two thirds of the lease.
            "queues.standard.visibilityTimeout=3,workers.handlerTimeout=2s,workers.carrier.timeout=1s",
            "keda.standard.minReplicas=10",
            "workers.standard.groupConcurrency=64",
            # A limit alone is requested too.
            "orderApi.resources.requests.cpu=null,orderApi.resources.limits.cpu=1",
            "orderApi.resources.requests.cpu=null,orderApi.autoscaling.enabled=false",
            "workers.carrier.simulatedTime=9999ms",
            # A carrier at a URL is not simulated.
            "workers.carrier.simulatedTime=1h,workers.carrier.url=http://carrier:65535",
            "workers.fifo.resources.requests.cpu=0.25,workers.fifo.resources.limits.cpu=250m",
            "dlqMonitor.resources.requests.memory=262144Ki,dlqMonitor.resources.limits.memory=256Mi",
        ):
            with self.subTest(values):
                self.assertTrue(chart.render("--set", values))

    def test_the_values_for_aws_alone_are_refused_with_what_is_left_to_fill_in(self):
        text = chart.refusal("-f", os.path.join(chart.CHART, "values-aws.yaml"))
        for part in ("queues.standard.url", "queues.fifo.url", "database.existingSecret"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
