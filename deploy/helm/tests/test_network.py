"""NetworkPolicies: nothing but what is needed, to pods and ports that exist, agreed by both sides."""
import unittest

import chart


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def covers(rule, port):
    """Whether a rule is for a port; one without ports is for all of them."""
    return "ports" not in rule or port in [each["port"] for each in rule["ports"]]


class Cluster:
    """The release's pods and policies, and who may talk to whom of them."""

    def __init__(self, objects):
        self.objects = objects
        self.pods = {component: (labels, spec) for component, labels, _, spec in chart.pods(objects)}
        self.policies = [each["spec"] for each in chart.of_kind(objects, "NetworkPolicy")]

    def rules(self, component, side):
        """The rules of all policies that choose a component's pods; None if none does."""
        labels, _ = self.pods[component]
        chosen = [
            spec for spec in self.policies
            if selects(spec["podSelector"], labels) and side.capitalize() in spec["policyTypes"]
        ]
        return [rule for spec in chosen for rule in spec.get(side, [])] if chosen else None

    def permits(self, component, side, other, port):
        """Whether the rules of one side let another pod of the release through."""
        labels, _ = self.pods[other]
        peers = "from" if side == "ingress" else "to"
        for rule in self.rules(component, side):
            if not covers(rule, port):
                continue
            if peers not in rule:
                return True
            for peer in rule[peers]:
                if "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels):
                    return True
        return False

    def ports(self, component):
        return [port["containerPort"] for port in self.pods[component][1]["containers"][0].get("ports", [])]

    def talks(self):
        """Every (from, to, port) that both sides allow."""
        return {
            (source, target, port)
            for source in self.pods for target in self.pods for port in self.ports(target)
            if self.permits(source, "egress", target, port) and self.permits(target, "ingress", source, port)
        }


def cluster(*arguments):
    return Cluster(chart.render(*arguments))


WORKERS = ("worker-standard", "worker-fifo")
NEEDED = (
    {(source, "local-sqs", 9324) for source in ("order-api", "dlq-monitor", "test", *WORKERS)}
    | {("order-api", worker, 8081) for worker in WORKERS}
    | {(source, "postgres", 5432) for source in ("order-api", "dlq-monitor", *WORKERS)}
    | {("test", "order-api", 8080), ("test", "dlq-monitor", 9082)}
)
DEMO = (
    {("prometheus", target, port) for target, port in (
        ("order-api", 9080), ("worker-standard", 9081), ("worker-fifo", 9081), ("dlq-monitor", 9082),
        ("local-sqs", 9324), ("alertmanager", 9093),
    )}
    | {("grafana", "prometheus", 9090), ("grafana", "alertmanager", 9093)}
)


class Network(unittest.TestCase):
    def test_pods_reach_what_they_need_and_each_other_nowhere_else(self):
        api = {(source, "order-api", 8080) for source in ("test",)}
        self.assertEqual(cluster().talks(), NEEDED | api)
        self.assertEqual(cluster("--set", "observability.demo=true").talks(), NEEDED | DEMO)

    def test_every_pod_is_denied_everything_first_in_both_directions(self):
        for name, arguments in chart.combinations().items():
            if name == "no-policies":
                self.assertEqual(cluster(*arguments).policies, [])
                continue
            of = cluster(*arguments)
            for component in of.pods:
                for side in ("ingress", "egress"):
                    with self.subTest("%s: %s %s" % (name, component, side)):
                        self.assertIsNotNone(of.rules(component, side))

    def test_a_policy_of_one_side_has_its_counterpart_on_the_other(self):
        for name, arguments in chart.combinations().items():
            of = cluster(*arguments)
            if not of.policies:
                continue
            for source in of.pods:
                for target in of.pods:
                    for port in of.ports(target):
                        leaves = of.permits(source, "egress", target, port)
                        enters = of.permits(target, "ingress", source, port)
                        # What is open to everybody needs no counterpart.
                        anybody = any("from" not in rule and covers(rule, port) for rule in of.rules(target, "ingress"))
                        anywhere = any("to" not in rule and covers(rule, port) for rule in of.rules(source, "egress"))
                        with self.subTest("%s: %s to %s:%d" % (name, source, target, port)):
                            self.assertTrue(leaves == enters or anybody or anywhere)

    def test_every_port_of_an_ingress_rule_is_one_of_the_pod(self):
        for name, arguments in chart.combinations().items():
            of = cluster(*arguments)
            for component in of.pods:
                for rule in of.rules(component, "ingress") or []:
                    for port in rule["ports"]:
                        with self.subTest("%s: %s:%s" % (name, component, port["port"])):
                            self.assertIn(port["port"], of.ports(component))

    def test_every_selected_pod_of_the_release_exists(self):
        for name, arguments in chart.combinations().items():
            of = cluster(*arguments)
            chosen = [spec["podSelector"] for spec in of.policies]
            for spec in of.policies:
                for rule in spec.get("ingress", []) + spec.get("egress", []):
                    peers = rule.get("from", []) + rule.get("to", [])
                    chosen += [peer["podSelector"] for peer in peers if "podSelector" in peer and "namespaceSelector" not in peer]
            for selector in chosen:
                with self.subTest("%s: %s" % (name, selector)):
                    self.assertTrue(any(selects(selector, labels) for labels, _ in of.pods.values()))

    def test_every_rule_names_ports_or_pods_outside_and_no_list_of_peers_is_empty(self):
        # Kubernetes takes an empty list for everybody.
        lists = ("--set-json", "networkPolicy.apiFrom=[]", "--set-json", "networkPolicy.egress.sqs=[]")
        for arguments in [*chart.combinations().values(), (*chart.AWS, *lists)]:
            for spec in cluster(*arguments).policies:
                for rule in spec.get("ingress", []) + spec.get("egress", []):
                    self.assertNotEqual(rule.get("ports"), [])
                    self.assertTrue("ports" in rule or all("namespaceSelector" in peer for peer in rule["to"]), rule)
                    for peers in ("from", "to"):
                        self.assertNotEqual(rule.get(peers), [])

    def namespaces(self, of, component, side, port):
        """Namespaces whose pods a component's rules let through; None stands for everybody."""
        found = []
        for rule in of.rules(component, side):
            if covers(rule, port):
                peers = rule.get("from" if side == "ingress" else "to", [None])
                found += [peer and peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") for peer in peers]
        return {each for each in found if each is not None}

    def test_kedas_namespace_reaches_the_bundled_queues_and_the_fifo_lanes_and_nothing_without_keda(self):
        of, without = cluster("--api-versions", chart.KEDA), cluster()
        for component, port in (("local-sqs", 9324), ("worker-fifo", 9081)):
            self.assertIn("keda", self.namespaces(of, component, "ingress", port))
            self.assertNotIn("keda", self.namespaces(without, component, "ingress", port))
        self.assertNotIn("keda", self.namespaces(of, "worker-standard", "ingress", 9081))

    def test_the_monitoring_namespace_reaches_every_port_with_metrics(self):
        of = cluster("--set", "monitoring.namespace=metrics")
        for component, port in (("order-api", 9080), ("worker-standard", 9081), ("worker-fifo", 9081), ("dlq-monitor", 9082), ("local-sqs", 9324)):
            self.assertIn("metrics", self.namespaces(of, component, "ingress", port), component)
        self.assertEqual(self.namespaces(of, "postgres", "ingress", 5432), set())

    def test_names_are_looked_up_at_the_clusters_dns_only(self):
        of = cluster()
        for component in ("order-api", "dlq-monitor", "test", *WORKERS):
            self.assertEqual(self.namespaces(of, component, "egress", 53), {"kube-system"})
        for component in ("local-sqs", "postgres"):
            self.assertEqual(of.rules(component, "egress"), [])

    def test_services_reach_aws_by_https_and_a_database_by_its_port(self):
        of = cluster(*chart.AWS)
        for component in ("order-api", "dlq-monitor", "test", *WORKERS):
            anywhere = [port["port"] for rule in of.rules(component, "egress") if "to" not in rule for port in rule["ports"]]
            self.assertIn(443, anywhere)
            self.assertEqual(5432 in anywhere, component in ("order-api", "dlq-monitor", *WORKERS), component)
        agent = [rule for rule in of.rules("worker-fifo", "egress") if any(peer.get("ipBlock", {}).get("cidr") == "169.254.170.23/32" for peer in rule.get("to", []))]
        self.assertEqual([port["port"] for rule in agent for port in rule["ports"]], [80])

    def test_egress_is_narrowed_to_the_peers_that_are_given(self):
        of = cluster(*chart.combinations()["everything"])
        for component in ("order-api", *WORKERS):
            open_rules = [rule for rule in of.rules(component, "egress") if "to" not in rule]
            self.assertEqual(open_rules, [], component)
            self.assertEqual(self.namespaces(of, component, "egress", 9324), {"queues"})
            self.assertEqual(self.namespaces(of, component, "egress", 14318), {"monitoring"})
            self.assertEqual(self.namespaces(of, component, "egress", 5353), {"kube-system"})
            self.assertEqual(self.namespaces(of, component, "egress", 80), set())
        self.assertEqual(self.namespaces(of, "order-api", "ingress", 8080), {"ingress"})
        self.assertEqual(self.namespaces(of, "dlq-monitor", "ingress", 8082), {"operators"})
        carrier = [rule["to"] for rule in of.rules("worker-standard", "egress") if rule.get("ports") == [{"protocol": "TCP", "port": 8443}]]
        self.assertEqual(carrier, [[{"ipBlock": {"cidr": "203.0.113.0/24"}}]])

    def test_who_is_in_the_cluster_is_reached_on_the_ports_of_its_pods(self):
        # A Service on port 80 may lead to pods on any port, which is what a policy sees.
        for host, namespace in (
            ("carrier", chart.NAMESPACE), ("carrier.logistics", "logistics"), ("carrier.logistics.svc", "logistics"),
            ("carrier.logistics.svc.cluster.local:8080", "logistics"), ("carrier-0.carrier.logistics.svc.cluster.local.", "logistics"),
        ):
            with self.subTest(host):
                of = cluster("--set", "workers.carrier.url=http://%s/deliveries" % host)
                self.assertIn(namespace, self.namespaces(of, "worker-fifo", "egress", 18080))
                self.assertEqual(self.namespaces(of, "dlq-monitor", "egress", 18080), set())
        for host in ("carrier.example.com", "10.96.0.17", "[fd00::17]:8080", "svc.cluster.example.com"):
            with self.subTest(host):
                of = cluster("--set", "workers.carrier.url=http://%s/deliveries" % host)
                self.assertEqual(self.namespaces(of, "worker-fifo", "egress", 18080), set())

    def test_an_sqs_and_a_collector_in_the_cluster_are_reached_on_the_ports_of_their_pods(self):
        of = cluster(*chart.AWS, "--set", "workers.carrier.url=,aws.endpoint=http://elasticmq.queues,telemetry.otlpEndpoint=http://otel.traces.svc:80")
        for component in ("order-api", "dlq-monitor", *WORKERS):
            self.assertEqual(self.namespaces(of, component, "egress", 18080), {"queues", "traces"}, component)
        self.assertEqual(self.namespaces(of, "test", "egress", 18080), {"queues"})

    def test_ports_of_pods_that_are_given_are_the_only_ones(self):
        ports = ("--set", "networkPolicy.podPorts.carrier={8080}", "--set", "workers.carrier.url=http://carrier.logistics")
        peers = ("--set-json", 'networkPolicy.egress.carrier=[{"podSelector":{"matchLabels":{"app":"carrier"}},"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"trucks"}}},{"ipBlock":{"cidr":"203.0.113.0/24"}}]')
        for arguments, namespace in ((ports, "logistics"), (ports + peers, "trucks")):
            of = cluster(*arguments)
            self.assertEqual(self.namespaces(of, "worker-fifo", "egress", 8080), {namespace})
            self.assertNotIn(namespace, self.namespaces(of, "worker-fifo", "egress", 8081))
        blocks = [(rule["ports"], rule["to"]) for rule in of.rules("worker-fifo", "egress") if "ipBlock" in rule["to"][0]]
        self.assertEqual(blocks, [([{"protocol": "TCP", "port": 80}], [{"ipBlock": {"cidr": "203.0.113.0/24"}}])])


if __name__ == "__main__":
    unittest.main()
