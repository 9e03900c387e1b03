"""The cluster: kubectl for what changes something, the API server's own address for what is read often."""
import contextlib
import json
import os
import tempfile

from .client import Client
from .forward import Proxy
from .process import Failure, run, say
from .waiting import NotYet, until

# What says that a namespace was made here, and may be deleted.
OWNED = "app.kubernetes.io/managed-by"
OWNER = "fleet-e2e"
RESTRICTED = {
    OWNED: OWNER,
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}
RESOURCES = {
    "pods": "/api/v1", "services": "/api/v1", "nodes": "/api/v1", "events": "/api/v1", "endpoints": "/api/v1",
    "deployments": "/apis/apps/v1", "replicasets": "/apis/apps/v1", "statefulsets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2", "scaledobjects": "/apis/keda.sh/v1alpha1",
}


class Cluster:
    """One namespace of the cluster. kubectl and helm get a copy of KUBECONFIG in which it is the
    context's own, so that commands need not name it."""

    def __init__(self, namespace):
        self.namespace = namespace
        view = json.loads(run(["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).stdout)
        if not view.get("contexts"):
            raise Failure("KUBECONFIG names no cluster; kubectl config view shows nothing")
        view["contexts"][0]["context"]["namespace"] = namespace
        self._scratch = tempfile.TemporaryDirectory(prefix="fleet-e2e-")
        self.kubeconfig = os.path.join(self._scratch.name, "kubeconfig")
        with open(self.kubeconfig, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(view, file)
        self._proxy = Proxy(self)
        self.api = Client(self._proxy)

    def close(self):
        self.api.close()
        self._proxy.stop()
        self._scratch.cleanup()

    @property
    def env(self):
        return {"KUBECONFIG": self.kubeconfig}

    def scratch(self, name):
        """The path of a file that is deleted at the end."""
        return os.path.join(self._scratch.name, name)

    def command(self, *arguments):
        return ["kubectl", "--kubeconfig", self.kubeconfig, *arguments]

    def kubectl(self, *arguments, stdin=None, timeout=120, check=True):
        done = run(self.command(*arguments), stdin=stdin, timeout=timeout, check=check)
        return done.stdout if check else done

    def apply(self, *objects):
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    @contextlib.contextmanager
    def secret(self, name, **texts):
        """A Secret for as long as it is needed."""
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": texts})
        try:
            yield
        finally:
            self.kubectl("delete", "secret", name)

    # --- reading ---------------------------------------------------------------

    def path(self, kind, name="", namespaced=True):
        prefix = RESOURCES[kind] + ("/namespaces/" + self.namespace if namespaced else "")
        return prefix + "/" + kind + ("/" + name if name else "")

    def read(self, path):
        """A document of the API server; none when there is no such thing."""
        answer = self.api.get(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OSError("%s: HTTP %d: %s" % (path, answer.status, answer.text().strip()))
        return answer.json()

    def get(self, kind, name):
        return self.read(self.path(kind, name))

    def list(self, kind, selector="", namespaced=True):
        query = "?labelSelector=" + selector.replace("=", "%3D").replace(",", "%2C") if selector else ""
        found = self.read(self.path(kind, namespaced=namespaced) + query)
        if found is None:
            raise Failure("the cluster does not know %s" % kind)
        return found["items"]

    def knows(self, group):
        """Whether the cluster has an API group, such as keda.sh."""
        return any(each["name"] == group for each in self.read("/apis")["groups"])

    def latest_events(self, most=25):
        """The namespace's latest events, for what went wrong."""
        items = sorted(self.list("events"), key=lambda event: event["metadata"]["creationTimestamp"])
        return [
            "%s %s/%s: %s" % (each.get("reason"), each["involvedObject"].get("kind"), each["involvedObject"].get("name"), each.get("message"))
            for each in items[-most:]
        ]

    # --- namespaces ------------------------------------------------------------

    def create_namespace(self):
        """Makes the namespace anew, with the restricted Pod Security Standard enforced."""
        self.delete_namespace()
        self.kubectl("create", "-f", "-", stdin=json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": RESTRICTED}}
        ))
        until("the default ServiceAccount of %s" % self.namespace, lambda: self.read(
            "/api/v1/namespaces/%s/serviceaccounts/default" % self.namespace), seconds=30)

    def delete_namespace(self):
        """Deletes the namespace with all that is in it; one that was not made here is left alone."""
        found = self.read("/api/v1/namespaces/" + self.namespace)
        if found is None:
            return
        if found["metadata"].get("labels", {}).get(OWNED) != OWNER:
            raise Failure(
                "the namespace %s exists and was not made by this script (label %s=%s): choose another with "
                "--namespace, or delete it" % (self.namespace, OWNED, OWNER)
            )
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")

        def gone():
            left = self.read("/api/v1/namespaces/" + self.namespace)
            if left is None:
                return True
            texts = [each.get("message", "") for each in left["status"].get("conditions", [])]
            raise NotYet("; ".join(texts) or left["status"].get("phase", ""))

        until("the end of namespace %s" % self.namespace, gone, seconds=180)

    # --- pods and deployments --------------------------------------------------

    def pods(self, selector):
        return self.list("pods", selector)

    def replicas(self, deployment):
        """How many pods a deployment is told to have."""
        found = self.get("deployments", deployment)
        if found is None:
            raise OSError("there is no deployment " + deployment)
        return found["spec"]["replicas"]

    def rolled_out(self, deployment):
        """Whether a deployment's pods are all of its present template and available, and no other is left."""
        found = self.get("deployments", deployment)
        if found is None:
            raise NotYet("there is no deployment " + deployment)
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        numbers = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        if status.get("observedGeneration") != found["metadata"]["generation"] or numbers != [wanted] * 3:
            raise NotYet("%s: %d wanted, %d there, %d updated, %d available" % (deployment, wanted, *numbers))
        selector = ",".join("%s=%s" % label for label in found["spec"]["selector"]["matchLabels"].items())
        there = len(self.pods(selector))
        if there != wanted:
            raise NotYet("%s: %d pods are there, some of them ending" % (deployment, there))
        return True

    def diagnose(self):
        """What a person would look at first."""
        for command in (["get", "pods,deployments,statefulsets,hpa", "-o", "wide"], ["get", "scaledobjects"]):
            done = self.kubectl(*command, check=False)
            print(done.stdout + done.stderr, end="", flush=True)
        try:
            for event in self.latest_events():
                say(event)
            for pod in self.list("pods"):
                if not is_ready(pod):
                    name = pod["metadata"]["name"]
                    done = self.kubectl("logs", name, "--all-containers", "--tail=15", check=False)
                    print("  log of %s:\n%s%s" % (name, done.stdout, done.stderr), flush=True)
        except (OSError, Failure) as error:
            say("no more to be seen: %s" % error)


def is_ready(pod):
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def restarts(pod):
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))


def why_not_ready(pod):
    """The first reason that a pod's containers give."""
    for each in pod["status"].get("containerStatuses", []):
        state = each.get("state", {})
        for kind in ("waiting", "terminated"):
            if kind in state:
                return "%s: %s %s" % (each["name"], state[kind].get("reason", kind), state[kind].get("message", ""))
    conditions = [each.get("message", "") for each in pod["status"].get("conditions", []) if each["status"] != "True"]
    return next((text for text in conditions if text), pod["status"].get("phase", "unknown"))
