"""The NetworkPolicies at work: who reaches whom, tried from pods with each component's labels."""
import json

from .. import values
from ..cluster import Cluster, is_ready, why_not_ready
from ..installation import RELEASE, selector
from ..process import Failure, say
from ..waiting import NotYet, until
from .pods import RESTRICTED_CONTAINER, RESTRICTED_POD, start_pod

# Every port of every component.
PORTS = {
    "order-api": (8080, 9080), "worker-standard": (8081, 9081), "worker-fifo": (8081, 9081),
    "dlq-monitor": (8082, 9082), "local-sqs": (9324,), "postgres": (5432,),
}
TARGETS = [(component, port) for component, ports in PORTS.items() for port in ports]
ENTRANCE = ("order-api", 8080)
SQS, DATABASE = ("local-sqs", 9324), ("postgres", 5432)
# What any pod of the cluster reaches, and none of the fleet's may: another namespace's, and Kubernetes itself.
LISTENER, KUBERNETES = "a listener of another namespace", "the API server"
OUTSIDE = (LISTENER, KUBERNETES)
LISTENER_PORT = 9324
# What pods must reach; whatever is not listed is refused. The first two have no labels of the fleet's.
NEIGHBOUR, STRANGER = "a pod without labels", "a pod of another namespace"
REACHES = {
    NEIGHBOUR: [ENTRANCE],
    STRANGER: [ENTRANCE],
    "order-api": [SQS, DATABASE, ("worker-standard", 8081), ("worker-fifo", 8081)],
    "worker-standard": [SQS, DATABASE],
    "worker-fifo": [SQS, DATABASE],
    "dlq-monitor": [SQS, DATABASE],
    "test": [SQS, ENTRANCE, ("dlq-monitor", 9082)],
    "local-sqs": [],
    "postgres": [],
}
# Tries each address until it is as wanted: rules take a moment to know a new pod. Until then it may also reach nothing at
# all, so a refusal is none before what must be reached is, and only the third one in a row.
SCRIPT = """
try() {
  for ((i = 0, in_a_row = 0; i < 20 && in_a_row < $4; i++)); do
    [ $i = 0 ] || sleep 1
    if timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then seen=reached; else seen=refused; fi
    if [ "$seen" = "$3" ]; then in_a_row=$((in_a_row + 1)); else in_a_row=0; fi
  done
  [ "$seen" != "$3" ] || [ $in_a_row = $4 ] || seen=unsteady
  echo "$1 $2 $seen"
}
each() {
  wanted=$1 times=$2
  shift 2
  while [ $# -gt 0 ]; do
    [ "$3" != "$wanted" ] || try "$1" "$2" "$wanted" "$times" &
    shift 3
  done
  wait
}
each reached 1 "$@"
each refused 3 "$@"
"""
# What that takes at most: twenty tries of 2 s and a second between them, twice; and for the pod to start.
PROBE_SECONDS = 180


def check(run, report):
    fleet = run.installation
    fleet.ensure(values.PLAIN)
    addresses = {component: address(fleet, component) for component in PORTS}
    other = Cluster(run.cluster.namespace + "-other")
    tried, wrong = 0, []
    try:
        other.create_namespace()
        image = fleet.image_with_a_shell()
        addresses[LISTENER] = listening(other, run.tag)
        addresses[KUBERNETES], kubernetes_port = kubernetes(run.cluster)
        targets = TARGETS + [(LISTENER, LISTENER_PORT), (KUBERNETES, kubernetes_port)]
        for source in REACHES:
            start(other if source == STRANGER else run.cluster, source, image, addresses, targets)
        for source in REACHES:
            cluster = other if source == STRANGER else run.cluster
            seen = finished(cluster, source)
            for target in targets:
                found = seen.get((addresses[target[0]], target[1]), "not tried")
                tried += 1
                if found != wanted(source, target):
                    wrong.append("%s -> %s:%d is %s" % (source, *target, found))
            reached = ["%s:%d" % target for target in targets if wanted(source, target) == "reached"]
            say("%s reaches %s" % (source, ", ".join(reached) or "nothing"))
    finally:
        remove(run.cluster, [source for source in REACHES if source != STRANGER])
        other.delete_namespace()
        other.close()
    report.figure("connections tried", tried)
    report.figure("not as they should be", len(wrong))
    for text in wrong:
        report.expect(False, text)


def wanted(source, target):
    """What should become of a connection. Who is not the fleet's shows that the outside can be reached."""
    is_outside = target[0] in OUTSIDE and source in (NEIGHBOUR, STRANGER)
    return "reached" if is_outside or target in REACHES[source] else "refused"


def listening(cluster, tag):
    """The address of a pod that listens, in a namespace without policies: the fleet's own image has a server."""
    name = "e2e-listener"
    container = dict(
        RESTRICTED_CONTAINER, name="listener", image="local-sqs:%s" % tag,
        env=[{"name": "LOCAL_SQS_ADDR", "value": "0.0.0.0:%d" % LISTENER_PORT}],
        readinessProbe={"tcpSocket": {"port": LISTENER_PORT}, "periodSeconds": 1},
    )
    start_pod(cluster, name, {"containers": [container], **RESTRICTED_POD})

    def ready():
        pod = cluster.get("pods", name)
        if not is_ready(pod):
            raise NotYet(why_not_ready(pod))
        return pod["status"]["podIP"]

    return until("a listener in another namespace", ready, seconds=60)


def kubernetes(cluster):
    """(address, port) of the API server behind `kubernetes.default`: a policy sees these, not the Service's."""
    query = "?labelSelector=kubernetes.io/service-name%3Dkubernetes"
    slices = cluster.read("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices" + query)["items"]
    return endpoint(slices)


def endpoint(slices):
    for each in slices:
        if each["addressType"] == "IPv4" and each.get("endpoints") and each.get("ports"):
            return each["endpoints"][0]["addresses"][0], each["ports"][0]["port"]
    raise Failure("kubernetes.default has no IPv4 endpoint: %s" % json.dumps(slices)[:300])


def address(fleet, component):
    """The address of one of a component's pods: names would need DNS, which is a policy of its own."""
    ready = [pod for pod in fleet.cluster.pods(selector(component)) if is_ready(pod)]
    if not ready:
        raise Failure("no pod of %s is ready" % component)
    return ready[0]["status"]["podIP"]


def pod_name(source):
    return "e2e-probe-" + {NEIGHBOUR: "neighbour", STRANGER: "stranger"}.get(source, source)


def labels(source):
    if source in (NEIGHBOUR, STRANGER):
        return {}
    return {
        "app.kubernetes.io/name": "fleet", "app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/component": source,
    }


def start(cluster, source, image, addresses, targets):
    """Starts a pod that tries every target. It is never ready, so that no Service sends it anything."""
    arguments = []
    for target in targets:
        arguments += [addresses[target[0]], str(target[1]), wanted(source, target)]
    container = dict(
        RESTRICTED_CONTAINER, name="probe", image=image, command=["bash", "-c", SCRIPT, "probe", *arguments],
        readinessProbe={"exec": {"command": ["false"]}},
    )
    spec = {"restartPolicy": "Never", "containers": [container], **RESTRICTED_POD}
    start_pod(cluster, pod_name(source), spec, labels(source))


def finished(cluster, source):
    """What a probe has seen, by address and port."""
    def done():
        pod = cluster.get("pods", pod_name(source))
        if pod["status"]["phase"] != "Succeeded":
            raise NotYet("the probe is %s: %s" % (pod["status"]["phase"], json.dumps(pod["status"].get("containerStatuses", []))[:300]))
        return True

    until("the probe of %s" % source, done, seconds=PROBE_SECONDS, every=1)
    seen = {}
    for line in cluster.kubectl("logs", pod_name(source)).splitlines():
        ip, port, found = line.split()
        seen[(ip, int(port))] = found
    return seen


def remove(cluster, sources):
    names = [pod_name(source) for source in sources]
    cluster.kubectl("delete", "pod", *names, "--ignore-not-found", "--force", "--grace-period=0")
