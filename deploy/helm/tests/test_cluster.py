"""A cluster that is asked: what it lacks is refused with what to change, and as many pods run as before."""
import unittest

import chart
import cluster

SHOP = chart.NAMESPACE
DATABASE = cluster.thing("Secret", "deliveries-database", SHOP, data={"DATABASE_URL": ""})
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ACCOUNTS = ("order-api", "worker", "dlq-monitor", "local-sqs", "postgres", "test")
NO_ACCOUNTS = ("--set", "serviceAccounts.create=false")
CA = ("--set", "database.ca.configMap=authorities")


def external_metrics(namespace):
    service = {"name": "keda-operator-metrics-apiserver", "namespace": namespace, "port": 443}
    return cluster.thing("APIService", "v1beta1.external.metrics.k8s.io", None, spec={"service": service})


def keys(*names):
    return cluster.thing("Secret", "keys", SHOP, data={name: "" for name in names})


# Arguments, what the cluster has, and what is said.
CASES = {
    "KEDA forced on a cluster without it": (
        ("--set", "keda.enabled=true"), [], ["does not serve keda.sh/v1alpha1", "Install KEDA 2.20 or later"],
    ),
    "the operator's objects forced on a cluster without it": (
        ("--set", "monitoring.enabled=true"), [], ["does not serve monitoring.coreos.com/v1", "set monitoring.enabled to auto"],
    ),
    "a database Secret that is not there": (
        chart.AWS, [],
        ["database.existingSecret is deliveries-database", "kubectl -n shop create secret generic deliveries-database --from-literal=DATABASE_URL=...\n"],
    ),
    "a database Secret without the key": (
        chart.AWS, [cluster.thing("Secret", "deliveries-database", SHOP, data={"url": "", "password": ""})],
        ["that Secret has no key DATABASE_URL; it has: password, url"],
    ),
    "credentials that are not there": (
        (*chart.AWS, "--set", "aws.credentialsSecret=keys"), [DATABASE],
        ["aws.credentialsSecret is keys", "create secret generic keys --from-literal=AWS_ACCESS_KEY_ID=... --from-literal=AWS_SECRET_ACCESS_KEY=...\n"],
    ),
    "credentials without the one half": (
        (*chart.AWS, "--set", "aws.credentialsSecret=keys"), [DATABASE, keys("AWS_SECRET_ACCESS_KEY")], ["that Secret has no key AWS_ACCESS_KEY_ID; it has: AWS_SECRET_ACCESS_KEY"],
    ),
    "credentials without the other": (
        (*chart.AWS, "--set", "aws.credentialsSecret=keys"), [DATABASE, keys("AWS_ACCESS_KEY_ID")], ["that Secret has no key AWS_SECRET_ACCESS_KEY; it has: AWS_ACCESS_KEY_ID"],
    ),
    "a token that is not there": (
        ("--set", "dlqMonitor.tokenSecret=monitor"), [], ["dlqMonitor.tokenSecret is monitor", "--from-literal=MONITOR_TOKEN=..."],
    ),
    "authorities that are not there": (
        CA, [], ["database.ca.configMap is authorities", "no such ConfigMap", "create configmap authorities --from-file=ca.pem=FILE\n"],
    ),
    "authorities without the key": (
        CA, [cluster.thing("ConfigMap", "authorities", SHOP)], ["that ConfigMap has no key ca.pem; it has: none"],
    ),
    "Secrets to pull with that are not there": (
        ("--set", "image.pullSecrets={registry}"), [], ["image.pullSecrets is registry", "create secret docker-registry registry --docker-server=..."],
    ),
    "ServiceAccounts that are not there": (
        (*NO_ACCOUNTS, "--set", "serviceAccounts.orderApi.name=api"), [cluster.thing("ServiceAccount", "fleet-worker", SHOP)],
        ["the ServiceAccount of order-api (serviceAccounts.create is false) is api", "create serviceaccount api\n", "create serviceaccount fleet-dlq-monitor"],
    ),
    "KEDA in another namespace": (
        ("--set", "keda.enabled=true"), [external_metrics("kube-system")], ["keda.namespace is keda", "KEDA is in namespace kube-system", "Set keda.namespace to kube-system"],
    ),
}
TAKEN = {
    "no objects": ((), []),
    "KEDA where it is said to be": (("--set", "keda.enabled=true,keda.namespace=scaling"), [external_metrics("scaling")]),
    "KEDA whose metrics are not served": (("--set", "keda.enabled=true"), []),
    "KEDA that is not looked for": (("--set", "keda.enabled=true,keda.findNamespace=false"), [external_metrics("scaling")]),
    "KEDA without policies": (("--set", "keda.enabled=true,networkPolicy.enabled=false"), [external_metrics("scaling")]),
    "another adapter where KEDA is not used": (("--set", "keda.enabled=false"), [external_metrics("scaling")]),
    "all that is named": (
        (*chart.AWS, *CA, "--set", "aws.credentialsSecret=keys,image.pullSecrets={registry}"),
        [DATABASE, keys(*KEYS), cluster.thing("ConfigMap", "authorities", SHOP, binaryData={"ca.pem": ""}), cluster.thing("Secret", "registry", SHOP)],
    ),
    "accounts of others": (NO_ACCOUNTS, [cluster.thing("ServiceAccount", "fleet-" + name, SHOP) for name in ACCOUNTS]),
}


class Lacking(unittest.TestCase):
    def test_what_the_cluster_lacks_is_refused_with_what_to_do(self):
        for name, (arguments, objects, said) in CASES.items():
            apis = () if "without it" in name else (chart.KEDA,)
            with self.subTest(name), cluster.serving(SHOP, objects, apis) as asked:
                text = chart.refusal(*arguments, *asked)
                for part in said:
                    self.assertIn(part, text)

    def test_the_worker_account_that_is_there_is_not_missed(self):
        arguments, objects, _ = CASES["ServiceAccounts that are not there"]
        with cluster.serving(SHOP, objects) as asked:
            text = chart.refusal(*arguments, *asked)
        self.assertEqual(text.count("no such ServiceAccount"), len(ACCOUNTS) - 1, text)
        self.assertNotIn("fleet-worker", text)

    def test_what_is_there_is_taken(self):
        for name, (arguments, objects) in TAKEN.items():
            with self.subTest(name), cluster.serving(SHOP, objects, (chart.KEDA,)) as asked:
                self.assertTrue(chart.render(*arguments, *asked))

    def test_a_cluster_that_is_not_asked_is_not_found_lacking_whatever_apis_are_claimed(self):
        claimed = ("--api-versions", "apiregistration.k8s.io/v1", "--api-versions", "v1")
        for arguments, _, _ in CASES.values():
            with self.subTest(arguments):
                self.assertTrue(chart.render(*arguments, *claimed))


FIXED = ("--set", "keda.enabled=false,orderApi.autoscaling.enabled=false")
AUTOSCALED = ("order-api", "worker-standard", "worker-fifo")


def running(name, pods, *owners):
    """A Deployment whose number of pods was set by some field managers: (manager, operation, whether it owns the number)."""
    fields = [
        {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}} if owns else {"f:template": {}}}}
        for manager, operation, owns in owners
    ]
    deployment = cluster.thing("Deployment", "fleet-" + name, SHOP, spec={"replicas": pods})
    deployment["metadata"].update({
        "managedFields": fields, "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "fleet", "meta.helm.sh/release-namespace": SHOP},
    })
    return deployment


class Replicas(unittest.TestCase):
    def numbers(self, *owners, arguments=()):
        """What an upgrade asks for where so many pods run, None for nothing."""
        objects = [running(name, pods, *owners) for pods, name in enumerate(AUTOSCALED, 3)]
        with cluster.serving(SHOP, objects if owners else [], (chart.KEDA,)) as asked:
            rendered = chart.render(*arguments, "--is-upgrade", *asked)
        return [chart.named(rendered, "Deployment", name)["spec"].get("replicas") for name in AUTOSCALED]

    def test_a_number_that_helm_would_take_away_is_kept_when_autoscaling_is_switched_on(self):
        self.assertEqual(self.numbers(("helm", "Apply", True)), [3, 4, 5])
        # Without server-side apply helm goes by what it rendered before, whoever has set the number.
        self.assertEqual(self.numbers(("helm", "Update", True)), [3, 4, 5])
        self.assertEqual(self.numbers(("helm", "Update", False), ("kube-controller-manager", "Update", True)), [3, 4, 5])

    def test_a_number_that_an_autoscaler_owns_is_left_to_it(self):
        self.assertEqual(self.numbers(("helm", "Apply", False), ("keda", "Update", True)), [None] * 3)

    def test_a_first_installation_leaves_the_number_to_the_autoscaler(self):
        self.assertEqual(self.numbers(), [None] * 3)

    def test_a_fixed_number_is_the_values_one_whatever_runs(self):
        self.assertEqual(self.numbers(("helm", "Apply", True), arguments=FIXED), [2] * 3)
        # Kubernetes notes no owner of a number that helm had not set when it was scaled.
        self.assertEqual(self.numbers(("helm", "Apply", False), arguments=FIXED), [2] * 3)
        # Without server-side apply nobody owns anything, and what is not rendered is taken away.
        self.assertEqual(self.numbers(("helm", "Update", True), ("kubectl", "Update", True), arguments=FIXED), [2] * 3)

    def test_a_fixed_number_that_somebody_else_has_changed_stays_and_the_notes_say_how_to_have_it_back(self):
        for owner in ("kubectl", "kube-controller-manager"):
            owners = (("helm", "Apply", False), (owner, "Update", True))
            self.assertEqual(self.numbers(*owners, arguments=FIXED), [None] * 3)
            text = self.notes(*owners)
            for pods, name in enumerate(AUTOSCALED, 3):
                self.assertRegex(text, r"%s +keeps its %d pods: not this chart has set their number, and it says 2" % (name, pods))
                self.assertIn("kubectl -n shop scale deployment fleet-%s --replicas=2" % name, text)

    def test_where_no_pod_is_left_when_autoscaling_is_switched_off_the_notes_say_so_before_all_else(self):
        """KEDA may have had none of a queue that was empty, and is not there any more to bring one."""
        owners = (("helm", "Apply", False), ("keda", "Update", True))
        text = self.notes(*owners, pods=0)
        head = text.split("Found in this cluster:")[0]
        for name, what in zip(AUTOSCALED, ("takes orders", "delivers the orders of the standard queue", "delivers the orders of the fifo queue")):
            self.assertIn("*** NO POD OF %s ***" % name, head)
            self.assertIn("and it says 2. Nobody %s until:\n  kubectl -n shop scale deployment fleet-%s --replicas=2\n" % (what, name), head)
        self.assertEqual(text.count("keeps its"), 3, "each is told once")
        for pods in (1, 2):
            self.assertNotIn("NO POD", self.notes(*owners, pods=pods))
        # A worker that is not to be there is not missed.
        self.assertNotIn("worker-fifo", self.notes(*owners, pods=0, arguments=("--set", "workers.fifo.enabled=false")).split("Found in this cluster:")[0])
        # Nor is one whose number the autoscaler has.
        self.assertNotIn("NO POD", self.notes(*owners, pods=0, fixed=()))

    def test_a_fixed_number_that_is_the_present_one_is_asked_for_whoever_has_set_it(self):
        owners = (("helm", "Apply", False), ("kubectl", "Update", True))
        given = ("--set", "orderApi.replicas=3,workers.standard.replicas=4,workers.fifo.replicas=5")
        self.assertEqual(self.numbers(*owners, arguments=(*FIXED, *given)), [3, 4, 5])
        self.assertNotIn("keeps its", self.notes(*owners, arguments=given))
        self.assertNotIn("keeps its", chart.notes(*FIXED))

    def notes(self, *owners, arguments=(), pods=None, fixed=FIXED):
        """What an upgrade says where so many pods run of each: where no number is given, 3, 4 and 5."""
        objects = [running(name, number if pods is None else pods, *owners) for number, name in enumerate(AUTOSCALED, 3)]
        with cluster.serving(SHOP, objects, (chart.KEDA,)) as asked:
            return chart.notes(*fixed, *arguments, "--is-upgrade", *asked)


if __name__ == "__main__":
    unittest.main()
