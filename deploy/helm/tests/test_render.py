"""Everything that the chart can render is well formed, and is called what is agreed."""
import json
import unittest

import chart
import shapes

LABELS = {
    "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component",
    "app.kubernetes.io/part-of", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart",
}


class Rendering(unittest.TestCase):
    def test_helm_lint_finds_nothing(self):
        linted = set()
        for name, arguments in chart.combinations().items():
            # lint has no such option, and knows no API but Kubernetes' own.
            values = [each for each in arguments if each not in ("--api-versions", chart.KEDA, chart.OPERATOR)]
            if tuple(values) in linted:
                continue
            linted.add(tuple(values))
            with self.subTest(name):
                status, out, err = chart.helm("lint", "--strict", chart.CHART, *values)
                self.assertEqual(status, 0, out + err)

    def test_every_field_of_every_object_is_one_of_its_kind(self):
        for name, arguments in chart.combinations().items():
            with self.subTest(name):
                wrong = [each for one in chart.render(*arguments) for each in shapes.of_object(one)]
                self.assertEqual(wrong, [])

    def test_a_misspelt_field_and_a_wrong_type_are_found(self):
        good = chart.named(chart.render(), "Deployment", "order-api")
        self.assertEqual(shapes.of_object(good), [])
        self.assertTrue(shapes.mistakes({"replica": 2}, "deployment"))
        self.assertTrue(shapes.mistakes({"replicas": "2"}, "deployment"))
        self.assertTrue(shapes.mistakes({"env": [{"name": "A", "value": 1}]}, "container"))

    def test_no_two_objects_are_one(self):
        for name, arguments in chart.combinations().items():
            with self.subTest(name):
                ids = [(each["kind"], each["metadata"]["name"]) for each in chart.render(*arguments)]
                self.assertEqual(len(ids), len(set(ids)), ids)

    def test_kubernetes_1_30_is_the_oldest_that_will_do(self):
        for version in ("1.30.0", "1.34.4", "1.40.0", "1.31.2-eks-1234"):
            with self.subTest(version):
                self.assertTrue(chart.render("--kube-version", version))
        self.assertIn("1.30.0", chart.refusal("--kube-version", "1.29.9"))

    def test_every_object_is_in_the_namespace_with_the_standard_labels(self):
        for each in chart.render(*chart.combinations()["everything"]):
            with self.subTest("%s %s" % (each["kind"], each["metadata"]["name"])):
                metadata = each["metadata"]
                self.assertEqual(metadata["namespace"], chart.NAMESPACE)
                self.assertLessEqual(LABELS, set(metadata["labels"]))
                self.assertEqual(metadata["labels"]["app.kubernetes.io/instance"], "fleet")

    def test_names_are_the_releases_and_fit(self):
        def names(release):
            status, out, err = chart.helm("template", release, chart.CHART, "--set", "observability.demo=true")
            self.assertEqual(status, 0, err)
            return {each["metadata"]["name"] for each in chart.parse(out)}

        self.assertIn("fleet-order-api", names("fleet"))
        self.assertIn("my-fleet-order-api", names("my-fleet"))
        self.assertIn("orders-fleet-order-api", names("orders"))
        self.assertLessEqual(max(map(len, names("o" * 53))), 63)

    def test_the_agreed_objects_are_there(self):
        objects = chart.render("--api-versions", chart.KEDA)
        for kind, names in {
            "Deployment": ["order-api", "worker-standard", "worker-fifo", "dlq-monitor", "local-sqs", "postgres"],
            "Service": ["order-api", "worker", "worker-standard", "worker-fifo", "dlq-monitor", "local-sqs", "postgres"],
            "ScaledObject": ["worker-standard", "worker-fifo"],
            "HorizontalPodAutoscaler": ["order-api"],
            "PodDisruptionBudget": ["order-api"],
            "ServiceAccount": ["order-api", "worker", "dlq-monitor", "local-sqs", "postgres", "test"],
        }.items():
            for name in names:
                with self.subTest("%s %s" % (kind, name)):
                    chart.named(objects, kind, name)

    def test_images_are_named_by_registry_name_and_tag(self):
        version = chart.source("deploy/helm/Chart.yaml").split("appVersion: ")[1].split()[0]
        image = self.image(chart.render(), "order-api")
        self.assertEqual(image, ("order-api:" + version, "IfNotPresent"))
        image = self.image(chart.render(*chart.combinations()["everything"]), "dlq-monitor")
        self.assertEqual(image, ("registry.example:5000/team/dlq-monitor:1.2.3", "Always"))

    def image(self, objects, name):
        container = chart.named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
        return container["image"], container["imagePullPolicy"]

    def test_an_upgrade_of_the_chart_restarts_nothing_that_forgets(self):
        for name in ("local-sqs", "postgres"):
            template = chart.named(chart.render(), "Deployment", name)["spec"]["template"]
            self.assertNotIn("helm.sh/chart", template["metadata"]["labels"])
            self.assertNotIn("app.kubernetes.io/version", template["metadata"]["labels"])

    def test_what_a_pod_reads_at_its_start_restarts_it(self):
        def annotations(name, *arguments):
            return chart.named(chart.render(*arguments), "Deployment", name)["spec"]["template"]["metadata"]["annotations"]

        longer = ("--set", "queues.fifo.visibilityTimeout=60")
        self.assertNotEqual(annotations("local-sqs"), annotations("local-sqs", *longer))
        self.assertEqual(annotations("worker-fifo"), annotations("worker-fifo", *longer))
        other = ("--set", "postgres.password=another")
        for name in ("postgres", "worker-standard", "worker-fifo", "order-api", "dlq-monitor"):
            self.assertNotEqual(annotations(name), annotations(name, *other), name)

    def test_autoscaled_deployments_have_no_number_of_pods(self):
        scaled = chart.render("--api-versions", chart.KEDA)
        fixed = chart.render("--set", "orderApi.autoscaling.enabled=false")
        for name in ("worker-standard", "worker-fifo", "order-api"):
            self.assertNotIn("replicas", chart.named(scaled, "Deployment", name)["spec"], name)
            self.assertEqual(chart.named(fixed, "Deployment", name)["spec"]["replicas"], 2, name)

    def test_annotations_for_prometheus_are_there_where_no_operator_looks_for_pods(self):
        ports = {"order-api": "9080", "worker-standard": "9081", "worker-fifo": "9081", "dlq-monitor": "9082", "local-sqs": "9324"}
        found = {component: annotations for component, _, annotations, _ in chart.pods(chart.render())}
        for component, port in ports.items():
            self.assertEqual(found[component].get("prometheus.io/port"), port, component)
        for _, _, annotations, _ in chart.pods(chart.render("--api-versions", chart.OPERATOR)):
            self.assertNotIn("prometheus.io/scrape", annotations)

    def test_annotations_of_yours_win(self):
        keys = {"prometheus.io/scrape": "false", "prometheus.io/port": "1", "example.com/team": "orders"}
        names = {"orderApi": "order-api", "workers.standard": "worker-standard", "workers.fifo": "worker-fifo", "dlqMonitor": "dlq-monitor", "localSqs": "local-sqs"}
        arguments = [word for value in names for word in ("--set-json", "%s.podAnnotations=%s" % (value, json.dumps(keys)))]
        found = {component: annotations for component, _, annotations, _ in chart.pods(chart.render(*arguments))}
        for name in names.values():
            self.assertLessEqual(keys.items(), found[name].items(), name)
            self.assertEqual(found[name]["prometheus.io/path"], "/metrics", name)
        self.assertIn("checksum/database", found["order-api"])

    def test_names_that_look_like_numbers_are_texts(self):
        arguments = [word for value in (
            "database.existingSecret=123", "database.key=1e3", "database.ca.configMap=1", "database.ca.key=0x1", "dlqMonitor.tokenSecret=007",
            "dlqMonitor.tokenKey=1_0", "aws.credentialsSecret=12", "image.pullSecrets={345}", "serviceAccounts.worker.name=678",
            "serviceAccounts.orderApi.name=true",
        ) for word in ("--set-string", value)]
        spread = [{"topologyKey": "1", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]
        arguments += ["--set-json", "orderApi.topologySpread=" + json.dumps(spread)]
        for one in chart.render(*chart.AWS, "--api-versions", chart.KEDA, *arguments):
            with self.subTest("%s %s" % (one["kind"], one["metadata"]["name"])):
                self.assertEqual(shapes.of_object(one), [])

    def test_a_service_for_the_outside_leaves_the_admin_port_out(self):
        ports = lambda *arguments: [  # noqa: E731
            port["name"] for port in chart.named(chart.render(*arguments), "Service", "order-api")["spec"]["ports"]
        ]
        self.assertEqual(ports(), ["http", "admin"])
        self.assertEqual(ports("--set", "orderApi.service.type=LoadBalancer"), ["http"])

    def test_services_select_pods_that_have_their_ports(self):
        for name, arguments in chart.combinations().items():
            objects = chart.render(*arguments)
            for service in chart.of_kind(objects, "Service"):
                with self.subTest("%s: %s" % (name, service["metadata"]["name"])):
                    wanted = service["spec"]["selector"].items()
                    chosen = [spec for _, labels, _, spec in chart.pods(objects) if wanted <= labels.items()]
                    self.assertTrue(chosen)
                    for spec in chosen:
                        ports = {port["name"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
                        for port in service["spec"]["ports"]:
                            self.assertEqual(ports.get(port["targetPort"]), port["port"])


if __name__ == "__main__":
    unittest.main()
