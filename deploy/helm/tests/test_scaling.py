"""Autoscaling: the arithmetic, what KEDA is told, and what comes of it when it is played through."""
import copy
import json
import math
import os
import unittest

import chart
import table

KEDA = ("--api-versions", chart.KEDA)


def scaled(queue, *arguments):
    return chart.named(chart.render(*KEDA, *arguments), "ScaledObject", "worker-" + queue)["spec"]


def trigger(spec, name):
    return next(each for each in spec["triggers"] if each["name"] == name)


class Autoscaler:
    """What the HorizontalPodAutoscaler makes of a ScaledObject, a sync every 15 s.

    Kubernetes: "Algorithm details" (a tenth of tolerance) and "Configurable scaling behavior"; every
    policy here has a period of a sync or more, so a change in each sync that the period covers counts.
    """

    SYNC = 15
    TOLERANCE = 0.1

    def __init__(self, spec):
        self.spec, self.pods, self.wanted = spec, spec["minReplicaCount"], []
        self.history = [self.pods]

    def sync(self, **seen):
        value = eval(self.spec["advanced"]["scalingModifiers"]["formula"], {"min": min}, {**seen, "pods": self.pods})
        target = float(self.spec["advanced"]["scalingModifiers"]["target"])
        desired = self.pods
        if abs(value / target / self.pods - 1) > self.TOLERANCE:
            desired = math.ceil(value / target)
        desired = max(self.spec["minReplicaCount"], min(self.spec["maxReplicaCount"], desired))
        behavior = self.spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        down = behavior["scaleDown"]
        self.wanted.append(desired)
        window = self.wanted[-(down["stabilizationWindowSeconds"] // self.SYNC + 1):]
        if desired < self.pods:
            # Not fewer than the most that was wanted within the window.
            desired = min(self.pods, max(window))
        if desired > self.pods:
            desired = min(desired, max(self.limit(policy, 1) for policy in behavior["scaleUp"]["policies"]))
        elif desired < self.pods:
            desired = max(desired, min(self.limit(policy, -1) for policy in down["policies"]))
        self.pods = desired
        self.history.append(self.pods)

    def limit(self, policy, sign):
        """As far as a policy lets the pods go from where they were at the beginning of its period."""
        syncs = max(policy["periodSeconds"] // self.SYNC, 1)
        before = self.history[max(0, len(self.history) - syncs):][0]
        if policy["type"] == "Pods":
            return before + sign * policy["value"]
        share = before * (1 + sign * policy["value"] / 100)
        return math.ceil(share) if sign > 0 else math.floor(share)


class Arithmetic(unittest.TestCase):
    def test_the_target_is_concurrency_times_one_and_wait_over_processing_time(self):
        for values, target in (
            ("", 128),
            ("keda.standard.acceptableWait=30s", 64 * 31),
            ("keda.standard.meanProcessingTime=250ms,keda.standard.acceptableWait=2s", 64 * 9),
            ("workers.concurrency=8", 16),
            ("workers.standard.concurrency=100,keda.standard.meanProcessingTime=1m,keda.standard.acceptableWait=30s", 150),
        ):
            with self.subTest(values):
                spec = scaled("standard", *(("--set", values) if values else ()))
                self.assertEqual(spec["advanced"]["scalingModifiers"]["target"], str(target))
                for name in ("q", "t"):
                    self.assertEqual(trigger(spec, name)["metadata"]["queueLength"], str(target))

    def test_the_formulas_are_those_of_the_design(self):
        formula = lambda *of: scaled(*of)["advanced"]["scalingModifiers"]["formula"]  # noqa: E731
        self.assertEqual(formula("standard"), "q + min(t - q, 64 * pods)")
        self.assertEqual(formula("fifo"), "min(q + min(t - q, 64 * pods), busy * 128 / (64 * 0.6))")
        other = ("--set", "workers.fifo.concurrency=16,keda.fifo.utilizationPercent=75")
        self.assertEqual(formula("fifo", *other), "min(q + min(t - q, 16 * pods), busy * 32 / (16 * 0.75))")

    def test_the_pods_own_concurrency_is_the_one_that_was_computed_with(self):
        objects = chart.render(*KEDA, "--set", "workers.concurrency=32,workers.fifo.concurrency=16")
        for queue, concurrency in (("standard", "32"), ("fifo", "16")):
            spec = chart.named(objects, "Deployment", "worker-" + queue)["spec"]["template"]["spec"]
            self.assertEqual(chart.environment(spec)["WORKER_CONCURRENCY"], concurrency)
            formula = chart.named(objects, "ScaledObject", "worker-" + queue)["spec"]["advanced"]["scalingModifiers"]["formula"]
            self.assertIn("%s * pods" % concurrency, formula)


class Told(unittest.TestCase):
    def test_keda_counts_the_queue_of_the_worker_that_it_scales(self):
        for queue, name in (("standard", "order-queue-standard"), ("fifo", "order-queue.fifo")):
            spec = scaled(queue)
            self.assertEqual(spec["scaleTargetRef"], {"name": "fleet-worker-" + queue})
            for each, in_flight in (("q", "false"), ("t", "true")):
                metadata = trigger(spec, each)["metadata"]
                host = "http://fleet-local-sqs.shop.svc.cluster.local:9324"
                self.assertEqual(metadata["queueURL"], "%s/000000000000/%s" % (host, name))
                self.assertEqual(metadata["awsEndpoint"], host)
                self.assertEqual(metadata["scaleOnInFlight"], in_flight)
                self.assertEqual(metadata["awsRegion"], "us-east-1")
                self.assertEqual(trigger(spec, each)["authenticationRef"], {"name": "fleet-sqs"})

    def test_the_pods_that_are_counted_are_the_deployments(self):
        objects = chart.render(*KEDA)
        for queue in ("standard", "fifo"):
            spec = chart.named(objects, "ScaledObject", "worker-" + queue)["spec"]
            selector = dict(pair.split("=") for pair in trigger(spec, "pods")["metadata"]["podSelector"].split(","))
            deployment = chart.named(objects, "Deployment", "worker-" + queue)["spec"]
            self.assertEqual(selector, deployment["selector"]["matchLabels"])

    def test_busy_lanes_are_summed_over_the_fifo_workers_by_their_own_service(self):
        objects = chart.render(*KEDA)
        busy = trigger(chart.named(objects, "ScaledObject", "worker-fifo")["spec"], "busy")
        self.assertEqual(busy["type"], "metrics-api")
        metadata = busy["metadata"]
        self.assertEqual(metadata["url"], "http://fleet-worker-fifo.shop.svc.cluster.local:9081/metrics")
        self.assertEqual((metadata["format"], metadata["aggregationType"]), ("prometheus", "sum"))
        self.assertEqual(metadata["aggregateFromKubeServiceEndpoints"], "true")
        # The metric is one of the worker's.
        self.assertIn('name("fifo_lanes_busy")', chart.source("crates/sqs-consumer/src/metrics.rs"))
        self.assertIn('Metrics::register(registry, "delivery")', chart.source("delivery-worker/src/service.rs"))
        self.assertEqual(metadata["valueLocation"], "delivery_fifo_lanes_busy")
        # KEDA wants the port of the pods in the URL.
        service = chart.named(objects, "Service", "worker-fifo")["spec"]
        self.assertEqual([port["port"] for port in service["ports"]], [9081])

    def test_each_variable_of_a_formula_is_a_trigger(self):
        for queue, names in (("standard", {"q", "t", "pods"}), ("fifo", {"q", "t", "pods", "busy"})):
            self.assertEqual({each["name"] for each in scaled(queue)["triggers"]}, names)

    def test_bounds_polling_and_fallback_are_the_values(self):
        spec = scaled("standard", "--set", "keda.standard.minReplicas=0,keda.standard.maxReplicas=7,keda.pollingInterval=5,workers.standard.replicas=3")
        self.assertEqual((spec["minReplicaCount"], spec["maxReplicaCount"]), (0, 7))
        self.assertEqual((spec["pollingInterval"], spec["cooldownPeriod"]), (5, 300))
        # KEDA warns of one that it does not need: the last pod stays.
        self.assertNotIn("cooldownPeriod", scaled("fifo"))
        self.assertEqual(spec["fallback"], {"failureThreshold": 3, "replicas": 3, "behavior": "currentReplicasIfHigher"})

    def test_keys_are_dummies_for_the_bundled_sqs_and_identities_on_aws(self):
        authentication = lambda *of: chart.named(chart.render(*KEDA, *of), "TriggerAuthentication", "sqs")["spec"]  # noqa: E731
        self.assertEqual({each["name"] for each in authentication()["secretTargetRef"]}, {"fleet-sqs"})
        self.assertTrue(chart.named(chart.render(*KEDA), "Secret", "sqs"))
        self.assertEqual(authentication(*chart.AWS), {"podIdentity": {"provider": "aws", "identityOwner": "workload"}})
        role = "arn:aws:iam::123456789012:role/keda"
        given = authentication(*chart.AWS, "--set", "keda.auth.roleArn=" + role)
        self.assertEqual(given, {"podIdentity": {"provider": "aws", "roleArn": role}})
        keys = authentication(*chart.AWS, "--set", "aws.credentialsSecret=keys")
        self.assertEqual({each["name"] for each in keys["secretTargetRef"]}, {"keys"})
        self.assertNotIn("awsEndpoint", trigger(scaled("fifo", *chart.AWS), "q")["metadata"])

    def test_the_region_is_the_queues(self):
        self.assertEqual(trigger(scaled("fifo", *chart.AWS), "q")["metadata"]["awsRegion"], "eu-central-1")
        given = scaled("fifo", "--set", "aws.region=eu-west-1")
        self.assertEqual(trigger(given, "t")["metadata"]["awsRegion"], "eu-west-1")

    def test_nothing_of_keda_is_there_without_it(self):
        for arguments in ((), ("--set", "keda.enabled=false", *KEDA)):
            self.assertEqual(chart.of_kind(chart.render(*arguments), "ScaledObject", "TriggerAuthentication"), [])


class Played(unittest.TestCase):
    def test_a_flood_of_the_standard_queue_has_the_most_pods_after_one_sync(self):
        scaler = Autoscaler(scaled("standard"))
        scaler.sync(q=5000, t=5000)
        self.assertEqual(scaler.pods, 10)

    def test_5000_messages_that_wait_for_their_backoff_add_no_pods(self):
        scaler = Autoscaler(scaled("standard"))
        for _ in range(40):
            scaler.sync(q=0, t=5000)
        self.assertEqual(scaler.pods, 1)

    def test_an_empty_standard_queue_comes_back_to_the_fewest_pods_and_not_at_once(self):
        scaler = Autoscaler(scaled("standard"))
        scaler.sync(q=5000, t=5000)
        for _ in range(120 // scaler.SYNC):
            scaler.sync(q=0, t=0)
        self.assertEqual(scaler.pods, 10)
        for _ in range(40):
            scaler.sync(q=0, t=0)
        self.assertEqual(scaler.pods, 1)
        self.assertTrue(all(after >= before - max(1, math.ceil(before / 2)) for before, after in zip(scaler.history[1:], scaler.history[2:])))

    def fifo(self, groups, syncs=80, utilization=60, occupied=1.0):
        """`occupied` is the share of a full pod's lanes that have a running handler at a look."""
        values = "keda.fifo.maxReplicas=60,keda.fifo.utilizationPercent=%d,postgres.resources.limits.memory=4Gi" % utilization
        scaler = Autoscaler(scaled("fifo", "--set", values))
        for _ in range(syncs):
            busy = int(min(groups, 64 * scaler.pods) * occupied)
            scaler.sync(q=100000, t=100000 + busy, busy=busy)
        return scaler

    def test_3_groups_stay_at_one_pod_and_50_at_two_however_long_the_queue(self):
        self.assertEqual(set(self.fifo(3).history), {1})
        self.assertEqual(self.fifo(50).pods, 2)

    def test_1000_groups_have_the_16_pods_that_they_need_within_a_minute_and_settle_at_27(self):
        scaler = self.fifo(1000)
        reached = next(i for i, pods in enumerate(scaler.history) if pods >= 16)
        self.assertLessEqual(reached * scaler.SYNC, 75)
        self.assertEqual(set(scaler.history[-20:]), {27})

    def test_pods_are_added_at_the_highest_utilization_too_even_while_some_lanes_are_between_two_orders(self):
        fifo = json.loads(table.read(os.path.join(chart.CHART, "values.schema.json")))["properties"]["keda"]["properties"]["fifo"]
        highest = fifo["properties"]["utilizationPercent"]["maximum"]
        for occupied in (1.0, 0.95):
            scaler = self.fifo(1000, utilization=highest, occupied=occupied)
            self.assertGreaterEqual(scaler.pods, 16, "as many as the groups need")
            self.assertEqual(len(set(scaler.history[-20:])), 1, scaler.history)
        # Why there is a highest one: above it full pods ask for more of them in vain.
        spec = copy.deepcopy(scaled("fifo"))
        modifiers = spec["advanced"]["scalingModifiers"]
        modifiers["formula"] = modifiers["formula"].replace("0.6", "0.91")
        scaler = Autoscaler(spec)
        for _ in range(40):
            scaler.sync(q=100000, t=100064, busy=64 * scaler.pods)
        self.assertEqual(scaler.pods, 1)

    def test_no_pods_are_added_for_more_groups_than_there_are_messages(self):
        scaler = Autoscaler(scaled("fifo"))
        for _ in range(20):
            scaler.sync(q=0, t=40, busy=40)
        self.assertEqual(scaler.pods, 1)


if __name__ == "__main__":
    unittest.main()
