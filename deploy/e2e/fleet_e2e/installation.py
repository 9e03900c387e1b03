"""The release that the checks share, and where its parts are reached."""
import datetime
import time

from . import audit, metrics, sqs
from .client import Client
from .cluster import is_ready, restarts, why_not_ready
from .forward import Forward
from .helm import Helm
from .process import Failure, say
from .values import fixed_replicas
from .waiting import NotYet, until

RELEASE = "fleet"
STANDARD_WORKER = "fleet-worker-standard"
FIFO_WORKER = "fleet-worker-fifo"
API = "fleet-order-api"
MONITOR = "fleet-dlq-monitor"
DEPLOYMENTS = (API, STANDARD_WORKER, FIFO_WORKER, MONITOR)
PAUSED = "autoscaling.keda.sh/paused-replicas"
GREEN_SECONDS = 180


def selector(component):
    return "app.kubernetes.io/instance=%s,app.kubernetes.io/component=%s" % (RELEASE, component)


ALL = "app.kubernetes.io/instance=" + RELEASE
# The test's pod ends, and is ready no more.
SERVING = ALL + ",app.kubernetes.io/component!=test"


class Installation:
    """Installed when a check first asks for it, upgraded when one needs other values."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.helm = Helm(cluster)
        self._values = None
        self._forwards, self._clients = [], []
        self.sqs = sqs.Sqs(self._client("service/fleet-local-sqs", 9324))
        self.api = self._client("service/" + API, 8080)
        # Both kinds of worker tell of all deliveries; this one is never scaled away in a check that reads.
        self.deliveries = self._client("deployment/" + FIFO_WORKER, 8081)
        self.monitor = self._client("service/" + MONITOR, 8082)
        self.monitor_admin = self._client("service/" + MONITOR, 9082)
        self.prometheus = self._client("service/fleet-prometheus", 9090)
        self.alertmanager = self._client("service/fleet-alertmanager", 9093)

    def _client(self, target, port):
        forward = Forward(self.cluster, target, port)
        self._forwards.append(forward)
        client = Client(forward)
        self._clients.append(client)
        return client

    def forget_addresses(self):
        """Pods have been replaced: what leads to the old ones ends."""
        for forward in self._forwards:
            forward.renew()
        for client in self._clients:
            client.close()

    def close(self):
        self.forget_addresses()

    # --- values ----------------------------------------------------------------

    def ensure(self, values, keep_dead_letters=False):
        """The release with exactly these values, green, its queues empty and nothing paused."""
        if self._values != values:
            say("helm upgrade --install %s" % RELEASE if self._values is not None else "helm install " + RELEASE)
            self._values = None
            self.helm.upgrade(RELEASE, values)
            # The chart leaves a number that is an autoscaler's alone; its notes say so.
            for component, pods in fixed_replicas(values).items():
                self.cluster.kubectl("scale", "deployment", "%s-%s" % (RELEASE, component), "--replicas=%d" % pods)
            self.wait_green()
            self._values = values
        self.settle(keep_dead_letters)

    def upgrade(self, values):
        """helm upgrade without waiting: the check watches what happens meanwhile."""
        self._values = None
        self.helm.upgrade(RELEASE, values)

    def adopt(self):
        """Something else has installed or changed the release."""
        self._values = None
        self.forget_addresses()

    def uninstall(self):
        self.forget_addresses()
        self._values = None
        self.helm.uninstall(RELEASE)

    # --- states ----------------------------------------------------------------

    def wait_green(self, seconds=GREEN_SECONDS):
        """Every deployment rolled out and every pod ready; returns the pods."""
        def green():
            for each in self.cluster.list("deployments", ALL):
                self.cluster.rolled_out(each["metadata"]["name"])
            pods = self.cluster.pods(SERVING)
            waiting = ["%s: %s" % (pod["metadata"]["name"], why_not_ready(pod)) for pod in pods if not is_ready(pod)]
            if waiting or len(pods) < len(DEPLOYMENTS):
                raise NotYet("; ".join(waiting) or "%d pods" % len(pods))
            return pods

        pods = until("every pod ready", green, seconds=seconds)
        self.forget_addresses()
        return pods

    def image_with_a_shell(self):
        """The bundled database's: it is in the cluster already, and the fleet's own have none."""
        return self.cluster.pods(selector("postgres"))[0]["spec"]["containers"][0]["image"]

    def settle(self, keep_dead_letters=False):
        """The state that checks begin with: nothing paused, queues empty, KEDA at its minimum."""
        if self.has_keda():
            for deployment in (STANDARD_WORKER, FIFO_WORKER):
                if self.cluster.get("scaledobjects", deployment):
                    self.pause(deployment, None)
        self.empty_queues(sqs.SOURCES if keep_dead_letters else sqs.ALL)
        self.wait_green()
        for deployment in (STANDARD_WORKER, FIFO_WORKER):
            scaled = self.cluster.get("scaledobjects", deployment) if self.has_keda() else None
            if scaled:
                self.wait_replicas(deployment, scaled["spec"].get("minReplicaCount", 0), seconds=300)

    def empty_queues(self, queues):
        for queue in queues:
            counts = self.sqs.counts(queue)
            if counts.total:
                say("%s has %s: purged" % (queue, counts))
                until("the purge of " + queue, lambda: self._purge(queue), seconds=90, every=2)

    def _purge(self, queue):
        """SQS takes one purge of a queue a minute."""
        try:
            self.sqs.purge(queue)
        except sqs.SqsError as error:
            if "PurgeQueueInProgress" not in error.code:
                raise
            raise NotYet(str(error)) from error
        return True

    def has_keda(self):
        return self.cluster.knows("keda.sh")

    def need_keda(self):
        if not self.has_keda():
            raise Failure("this check needs KEDA on the cluster; deploy/up --keda installs it")

    def pause(self, deployment, replicas):
        """KEDA's annotation: so many pods, and nobody scales; None ends it."""
        note = "%s-" % PAUSED if replicas is None else "%s=%d" % (PAUSED, replicas)
        self.cluster.kubectl("annotate", "--overwrite", "scaledobject", deployment, note)

    def autoscaler(self, deployment):
        """The HorizontalPodAutoscaler that KEDA has made; none while paused."""
        found = [
            each for each in self.cluster.list("horizontalpodautoscalers")
            if each["spec"]["scaleTargetRef"]["name"] == deployment
        ]
        return found[0] if found else None

    def pods_of(self, deployment):
        return self.cluster.pods(selector(deployment.removeprefix(RELEASE + "-")))

    def wait_replicas(self, deployment, wanted, *, seconds):
        """So many pods, all of them ready, and no other one left. Returns the seconds that took."""
        began = time.monotonic()

        def there():
            pods = self.pods_of(deployment)
            ready = sum(map(is_ready, pods))
            told = self.cluster.replicas(deployment)
            if (told, len(pods), ready) != (wanted, wanted, wanted):
                raise NotYet("%d wanted by the deployment, %d there, %d ready" % (told, len(pods), ready))
            return True

        until("%s with %d pods" % (deployment, wanted), there, seconds=seconds)
        return time.monotonic() - began

    def wait_drained(self, queue, *, seconds):
        """A source queue with nothing visible, in flight or delayed. Returns the seconds that took."""
        began = time.monotonic()

        def drained():
            counts = self.sqs.counts(queue)
            if counts.total:
                raise NotYet(str(counts))
            return True

        until("%s empty" % queue, drained, seconds=seconds, every=0.5)
        return time.monotonic() - began

    def scrape(self, pod, port):
        """The samples of one pod's admin port."""
        forward = Forward(self.cluster, "pod/" + pod, port)
        try:
            with Client(forward) as client:
                answer = client.get("/metrics")
            if answer.status != 200:
                raise OSError("/metrics of %s: HTTP %d" % (pod, answer.status))
            return metrics.parse(answer.text())
        finally:
            forward.stop()

    def held(self, deployment):
        """Messages that a deployment's pods hold, by their own count."""
        pods = [pod["metadata"]["name"] for pod in self.pods_of(deployment) if is_ready(pod)]
        return sum(metrics.total(self.scrape(pod, 9081), "delivery_in_flight") or 0 for pod in pods)

    # --- audits ----------------------------------------------------------------

    def audit(self, accepted, since):
        return audit.judge(accepted, audit.read(self.deliveries, accepted, since))


def now():
    """A time to begin an audit with, in RFC 3339: a minute early, since clocks differ."""
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def total_restarts(pods):
    return sum(map(restarts, pods))
