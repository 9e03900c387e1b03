"""What the chart shares with the rest of the repository: images, versions, rules, dashboards, notes."""
import os
import re
import subprocess
import tempfile
import unittest

import chart
import cluster


def amtool(*arguments):
    """What Alertmanager's own tool says; without it the test fails."""
    ran = subprocess.run(["amtool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        raise AssertionError("amtool %s: %s" % (" ".join(arguments), ran.stdout))
    return ran.stdout


def members():
    """Folders of the workspace's crates."""
    folders = ["bench", "delivery-worker", "dlq-monitor", "order-api"]
    crates = os.path.join(chart.ROOT, "crates")
    found = sorted(name for name in os.listdir(crates) if os.path.exists(os.path.join(crates, name, "Cargo.toml")))
    return sorted(folders + ["crates/" + name for name in found])


class Image(unittest.TestCase):
    def test_the_dependency_layer_has_every_manifest_of_the_workspace(self):
        copied = re.findall(r"^COPY (\S+)/Cargo\.toml \1/$", chart.source("Dockerfile"), re.M)
        self.assertEqual(sorted(copied), members())
        written = re.search(r"^members = \[(.*)\]$", chart.source("Cargo.toml"), re.M).group(1)
        self.assertEqual(sorted(re.findall(r'"([^"]+)"', written)), ["bench", "crates/*", "delivery-worker", "dlq-monitor", "order-api"])

    def test_there_is_a_target_for_each_image_of_the_chart(self):
        dockerfile = chart.source("Dockerfile")
        targets = set(re.findall(r"^FROM run AS (\S+)$", dockerfile, re.M))
        used = set()
        for arguments in chart.combinations().values():
            for _, _, _, spec in chart.pods(chart.render(*arguments)):
                name = spec["containers"][0]["image"].split("/")[-1].split(":")[0]
                used |= {name} if name not in ("postgres", "prometheus", "alertmanager", "grafana") else set()
        self.assertEqual(targets, used)
        for target in targets:
            self.assertIn("COPY --from=build /out/%s /usr/local/bin/%s" % (target, target), dockerfile)

    def test_images_run_as_a_number_that_is_not_roots(self):
        dockerfile = chart.source("Dockerfile")
        self.assertEqual(re.findall(r"^USER (.*)$", dockerfile, re.M), ["65532:65532"])
        users = {spec["securityContext"]["runAsUser"] for component, _, _, spec in chart.pods(chart.render()) if component != "postgres"}
        self.assertEqual(users, {65532})

    def test_ports_of_images_are_those_of_the_pods(self):
        stages = chart.source("Dockerfile").split("\nFROM run AS ")[1:]
        exposed = {stage.split("\n")[0]: found for stage in stages for found in re.findall(r"^EXPOSE (.*)$", stage, re.M)}
        for _, _, _, spec in chart.pods(chart.render()):
            container = spec["containers"][0]
            name = container["image"].split(":")[0]
            if name in exposed:
                ports = " ".join(str(port["containerPort"]) for port in container["ports"])
                self.assertEqual(exposed[name], ports, name)
        self.assertEqual(len(exposed), 4)

    def test_there_is_one_version(self):
        version = re.search(r'\[workspace\.package\]\nversion = "(.*)"', chart.source("Cargo.toml")).group(1)
        self.assertIn("\nappVersion: %s\n" % version, chart.source("deploy/helm/Chart.yaml"))
        self.assertIn("ARG VERSION=%s\n" % version, chart.source("Dockerfile"))


class Monitoring(unittest.TestCase):
    def copied(self, folder, ending):
        path = os.path.join(chart.CHART, "files", folder)
        return sorted(name for name in os.listdir(path) if name.endswith(ending))

    def test_the_rules_and_dashboards_of_the_repository_are_in_the_chart(self):
        checked = subprocess.run([os.path.join(chart.ROOT, "deploy/sync"), "--check"], capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertTrue(self.copied("rules", ".yaml"))
        self.assertTrue(self.copied("dashboards", ".json"))

    def test_each_file_becomes_an_object_of_the_operator_or_a_config_map(self):
        rules, dashboards = self.copied("rules", ".yaml"), self.copied("dashboards", ".json")
        with_operator = chart.render("--api-versions", chart.OPERATOR)
        without = chart.render()
        self.assertEqual(len(chart.of_kind(with_operator, "PrometheusRule")), len(rules))
        self.assertEqual(chart.of_kind(without, "PrometheusRule", "PodMonitor"), [])
        in_map = [each for each in chart.of_kind(without, "ConfigMap") if each["metadata"]["name"] == "fleet-rules"]
        self.assertEqual([sorted(each["data"]) for each in in_map], [rules] if rules else [])
        for objects in (with_operator, without):
            shown = [each for each in chart.of_kind(objects, "ConfigMap") if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
            self.assertEqual(sorted(name for each in shown for name in each["data"]), dashboards)

    def test_the_operator_is_told_to_scrape_every_admin_port_by_component(self):
        monitor = chart.named(chart.render("--api-versions", chart.OPERATOR, "--set", "monitoring.labels.release=prometheus"), "PodMonitor", "pods")
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        self.assertEqual(monitor["spec"]["jobLabel"], "app.kubernetes.io/component")
        # By it the dashboards tell a deployment from workers that come back from none.
        self.assertEqual(monitor["spec"]["podTargetLabels"], ["pod-template-hash"])
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        ports = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        for component, labels, _, spec in chart.pods(chart.render()):
            self.assertLessEqual(wanted, labels.items())
            named = {port["name"] for port in spec["containers"][0].get("ports", [])}
            self.assertEqual(bool(named & ports), component not in ("postgres", "test"), component)

    def test_alerts_lead_to_the_runbooks_where_they_are(self):
        def urls(*arguments):
            wrapped = "\n".join(
                str(each) for each in chart.of_kind(chart.render(*arguments), "PrometheusRule", "ConfigMap")
                if "dashboard" not in each["metadata"]["name"]
            )
            return set(re.findall(r"https?://[^\s'\",]+\.md", wrapped))

        alerts = set(re.findall(r"alert: (\w+)", chart.source("deploy/alerts/rules.yaml")))
        elsewhere = ("--set", "monitoring.runbookUrl=https://wiki.example.com:8443/fleet/runbooks/")
        for more in ((), ("--api-versions", chart.OPERATOR)):
            for arguments, base in (((), "https://runbooks.example/fleet"), (elsewhere, "https://wiki.example.com:8443/fleet/runbooks")):
                with self.subTest(base, more=more):
                    self.assertEqual(urls(*arguments, *more), {"%s/%s.md" % (base, alert) for alert in alerts})
            self.assertNotIn("runbooks.example", chart.render_text(*elsewhere, *more))

    def test_prometheus_starts_anew_where_the_runbooks_have_moved(self):
        def annotations(*arguments):
            objects = chart.render("--set", "observability.demo=true", *arguments)
            return chart.named(objects, "Deployment", "prometheus")["spec"]["template"]["metadata"]["annotations"]

        moved = annotations("--set", "monitoring.runbookUrl=https://wiki.example.com")
        self.assertNotEqual(annotations()["checksum/rules"], moved["checksum/rules"])
        self.assertEqual(annotations()["checksum/config"], moved["checksum/config"])

    def test_the_demonstrations_alertmanager_is_the_example_and_tells_nobody(self):
        data = chart.named(chart.render(*chart.combinations()["demo"]), "ConfigMap", "alertmanager")["data"]
        example, receivers = chart.source("deploy/alerts/alertmanager.yaml").split("\nreceivers:\n")
        names = re.findall(r"^  - name: (.*)$", receivers, re.M)
        self.assertGreater(len(names), 1)
        head, shown = data["alertmanager.yml"].split("\nreceivers:\n")
        self.assertEqual(head.split("\n", 1)[1], example)
        self.assertEqual(shown.rstrip("\n"), "\n".join("  - name: " + name for name in names))
        self.assertEqual(data["messages.tmpl"].strip(), chart.source("deploy/alerts/messages.tmpl").strip())
        with tempfile.TemporaryDirectory() as folder:
            for name, text in data.items():
                chart.write(folder, name, text)
            config = os.path.join(folder, "alertmanager.yml")
            checked = amtool("check-config", config)
            for found in ("route", "%d inhibit rules" % example.count("source_matchers"), "%d receivers" % len(names), "1 templates"):
                self.assertIn(found, checked)
            for labels, receiver in (("alertname=Watchdog", "dead-man"), ("severity=critical", "pager,chat"), ("severity=info", "chat")):
                asked = amtool("config", "routes", "test", "--config.file", config, labels)
                self.assertEqual(asked.splitlines()[-1], receiver)

    def test_the_demonstration_scrapes_what_there_is(self):
        objects = chart.render(*chart.combinations()["demo"])
        config = chart.named(objects, "ConfigMap", "prometheus")["data"]["prometheus.yml"]
        jobs = re.findall(r"job_name: (\S+)", config)
        self.assertEqual(sorted(jobs), ["dlq-monitor", "keda-operator", "local-sqs", "order-api", "worker-fifo", "worker-standard"])
        services = {each["metadata"]["name"]: each["spec"] for each in chart.of_kind(objects, "Service")}
        for name, port in re.findall(r'names: \["([^."]+)\.shop\.svc\.cluster\.local"\]\n\s+type: A\n\s+port: (\d+)', config):
            self.assertIn(int(port), [each["port"] for each in services[name]["ports"]], name)


class Notes(unittest.TestCase):
    def test_they_say_loudly_what_is_not_durable(self):
        text = chart.notes()
        self.assertIn("NOT DURABLE", text)
        self.assertIn("fleet-local-sqs", text)
        self.assertIn("fleet-postgres", text)
        self.assertNotIn("NOT DURABLE", chart.notes(*chart.AWS))
        self.assertIn("SQLite", chart.notes(*chart.combinations()["one-worker-sqlite"]))

    def test_they_say_what_is_missing_and_what_to_do(self):
        with cluster.serving(chart.NAMESPACE) as asked:
            text = chart.notes(*asked)
        self.assertEqual(text.count("MISSING"), 3, text)
        for part in ("Install KEDA", "observability.demo=true", "Install metrics-server"):
            self.assertIn(part, text)
        with cluster.serving(chart.NAMESPACE, apis=(chart.METRICS, chart.KEDA, chart.OPERATOR)) as asked:
            self.assertNotIn("MISSING", chart.notes(*asked))
        self.assertNotIn("MISSING", chart.notes("--set", "keda.enabled=false,monitoring.enabled=false"))

    def test_they_name_services_that_exist(self):
        arguments = ("--set", "observability.demo=true")
        services = {each["metadata"]["name"] for each in chart.of_kind(chart.render(*arguments), "Service")}
        told = set(re.findall(r"service/(\S+)", chart.notes(*arguments)))
        self.assertLessEqual(told, services)
        self.assertIn("fleet-grafana", told)

    def test_they_warn_of_real_queues_without_a_carrier_or_a_watched_dead_letter_queue(self):
        text = chart.notes(*chart.AWS, "--set", "workers.carrier.url=,queues.fifoDlq.url=")
        self.assertIn("delivered to NOBODY", text)
        self.assertIn("queues.fifoDlq.url", text)
        self.assertNotIn("NOBODY", chart.notes(*chart.AWS))

    def test_they_warn_of_a_queue_that_takes_orders_and_has_no_workers(self):
        for queue in ("standard", "fifo"):
            said, off = "Nobody delivers the orders of the %s queue" % queue, "workers.%s.enabled=false" % queue
            self.assertNotIn(said, chart.notes())
            here = chart.notes("--set", off)
            self.assertIn(said, here)
            self.assertIn("send no order with queueType %s." % queue, here)
            self.assertEqual(here.count("Nobody delivers"), 1)
            there = chart.notes(*chart.AWS, "--set", off)
            self.assertIn(said, there)
            self.assertIn("leave queues.%s.url out" % queue, there)
            # The API has no such queue, and says so to whoever asks for it.
            self.assertNotIn(said, chart.notes(*chart.AWS, "--set", "%s,queues.%s.url=" % (off, queue)))

    def test_they_warn_of_fewer_receives_than_attempts_as_the_workers_do(self):
        worker = re.search(r'"MAX_ATTEMPTS",\s*"(\d+)"', chart.source("delivery-worker/src/settings.rs")).group(1)
        fewer, untried = "is %d, less than the %d attempts of a worker", "is %d, as many as the attempts of a worker"
        for values, queue, said in (
            ("queues.standard.maxReceiveCount=2", "standard", fewer % (2, int(worker))),
            ("workers.env.MAX_ATTEMPTS=4", "standard", fewer % (3, 4)),
            # Those of one queue's workers alone, over those of all.
            ("workers.env.MAX_ATTEMPTS=2,workers.standard.env.MAX_ATTEMPTS=5", "standard", fewer % (3, 5)),
            ("workers.fifo.env.MAX_ATTEMPTS=12", "fifo", fewer % (10, 12)),
            ("workers.fifo.env.MAX_ATTEMPTS=10", "fifo", untried % 10),
            ("queues.fifo.maxReceiveCount=%s" % worker, "fifo", untried % int(worker)),
        ):
            with self.subTest(values):
                text = chart.notes("--set", values)
                self.assertIn("queues.%s.maxReceiveCount %s (MAX_ATTEMPTS)" % (queue, said), text)
                self.assertEqual(text.count(".maxReceiveCount is"), 1, text)
        self.assertIn("to 10 or more, or set a lower MAX_ATTEMPTS in workers.env, 3 now.", chart.notes("--set", "queues.fifo.maxReceiveCount=2"))
        self.assertIn("to 13 or more", chart.notes("--set", "workers.fifo.env.MAX_ATTEMPTS=12"))
        for values in (
            "workers.standard.env.MAX_ATTEMPTS=3,workers.fifo.env.MAX_ATTEMPTS=9",
            # Nobody attempts anything there; and what is no number is refused by the program itself.
            "queues.fifo.maxReceiveCount=2,workers.fifo.enabled=false", "workers.env.MAX_ATTEMPTS=abc",
        ):
            self.assertNotIn("maxReceiveCount", chart.notes("--set", values), values)

    def test_they_say_where_the_orders_of_helm_test_go_and_what_is_left_of_it(self):
        self.assertIn("through your queues to the carrier at https://carrier.example", chart.notes(*chart.AWS))
        self.assertIn("through your queues.", chart.notes(*chart.AWS, "--set", "workers.carrier.url="))
        self.assertIn("through the bundled SQS to the carrier at http://carrier.", chart.notes("--set", "workers.carrier.url=http://carrier"))
        self.assertNotIn("real ones", chart.notes())
        self.assertIn("kubectl -n shop delete pod fleet-test", chart.notes())
        self.assertNotIn("fleet-test", chart.notes("--set", "tests.enabled=false"))

    def test_they_say_what_helm_test_needs_where_it_speaks_with_the_queues_of_aws(self):
        failing = (*chart.AWS, "--set", "workers.failTestProducts=true,workers.carrier.url=")
        self.assertIn("the ServiceAccount fleet-test needs a role with what\n  deploy/aws/iam/fleet-check.json allows", chart.notes(*failing))
        named = chart.notes(*failing, "--set", "serviceAccounts.test.name=checker")
        self.assertIn("the ServiceAccount checker needs", named)
        self.assertIn("the keys of the Secret keys need what", chart.notes(*failing, "--set", "aws.credentialsSecret=keys"))
        for others in ((), chart.AWS, (*chart.AWS, "--set", "workers.failTestProducts=true"), (*failing, "--set", "tests.enabled=false")):
            self.assertNotIn("fleet-check.json", chart.notes(*others))

    def test_they_warn_of_a_drain_that_is_shorter_than_an_attempt(self):
        self.assertIn("workers.drainTimeout (19s) is shorter than workers.handlerTimeout (20s)", chart.notes("--set", "workers.drainTimeout=19s"))
        self.assertNotIn("drainTimeout", chart.notes("--set", "workers.drainTimeout=20s"))

    def test_they_say_that_policies_see_the_ports_of_pods(self):
        self.assertIn("networkPolicy.podPorts", chart.notes())
        self.assertNotIn("podPorts", chart.notes("--set", "networkPolicy.enabled=false"))

    def test_what_the_values_for_aws_say_is_refused_and_noted_is(self):
        head = chart.source("deploy/helm/values-aws.yaml").split("# Without these it installs")
        refused = chart.refusal("-f", chart.AWS[1])
        noted = chart.notes(*chart.AWS, "--set", "queues.standardDlq.url=,queues.fifoDlq.url=,workers.carrier.url=")
        for value in ("queues.standard.url", "queues.fifo.url", "database.existingSecret"):
            self.assertIn(value, head[0])
            self.assertIn(value, refused)
        for value in ("queues.standardDlq.url", "queues.fifoDlq.url", "workers.carrier.url"):
            self.assertIn(value, head[1])
            self.assertNotIn(value, refused)
            self.assertIn(value, noted)


class Test(unittest.TestCase):
    def test_helm_test_follows_a_failing_order_where_orders_can_fail(self):
        def environment(*arguments):
            pod = chart.of_kind(chart.render(*arguments), "Pod")[0]
            self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
            return chart.environment(pod["spec"])

        here = environment()
        self.assertEqual(here["FLEET_CHECK_FAILING_ORDERS"], "true")
        self.assertTrue(here["SQS_QUEUE_URL_STANDARD_DLQ"].endswith("/order-queue-standard-dlq"))
        for values in ("workers.failTestProducts=false", "workers.carrier.url=http://carrier", "workers.standard.enabled=false"):
            self.assertEqual(environment("--set", values)["FLEET_CHECK_FAILING_ORDERS"], "false", values)
        self.assertNotIn("SQS_QUEUE_URL_STANDARD", environment("--set", "workers.standard.enabled=false"))
        self.assertEqual(chart.of_kind(chart.render("--set", "tests.enabled=false"), "Pod"), [])

    def test_whoever_applies_what_is_rendered_can_leave_the_test_out_as_the_readme_says(self):
        page = chart.source("deploy/helm/README.md")
        self.assertEqual(len(chart.of_kind(chart.render(), "Pod")), 1)
        for flag in ("--skip-tests", "--no-hooks"):
            self.assertIn(flag, page)
            self.assertEqual(chart.of_kind(chart.render(flag), "Pod"), [], flag)


if __name__ == "__main__":
    unittest.main()
