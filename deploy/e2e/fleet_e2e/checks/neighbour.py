"""A client within the cluster: it reaches the API by its Service's address, and so hears of a pod's end when
kube-proxy does."""
import collections
import json

from .. import load
from ..installation import API
from ..waiting import NotYet
from .pods import RESTRICTED_CONTAINER, RESTRICTED_POD, start_pod

NAME = "e2e-neighbour"
# An order that nobody has placed: the API asks a worker of it.
UNKNOWN = "00000000-0000-4000-8000-000000000000"
# Each request has a connection of its own, which kube-proxy leads to some pod.
SCRIPT = """
ask() {
  local answer=none
  { printf '%s' "$2" >&3; read -t 10 -r _ answer _ <&3; } 2>/dev/null 3<>"/dev/tcp/$host/8080"
  echo "$1 ${answer:-none}"
}
host=$1
while true; do ask order "$2"; sleep 0.05; done &
while true; do ask delivery "$3"; sleep 0.05; done &
wait
"""


class Neighbour:
    """Asks for as long as it is entered."""

    GOOD = ("order 202", "delivery 404")

    def __init__(self, cluster, image):
        self._cluster = cluster
        self._image = image

    def __enter__(self):
        host = self._cluster.get("services", API)["spec"]["clusterIP"]
        body = json.dumps(load.body("neighbour"), ensure_ascii=True)
        order = request("POST /api/orders", host, body)
        delivery = request("GET /api/orders/" + UNKNOWN, host)
        container = dict(
            RESTRICTED_CONTAINER, name="neighbour", image=self._image,
            command=["bash", "-c", SCRIPT, "neighbour", host, order, delivery],
        )
        start_pod(self._cluster, NAME, {"restartPolicy": "Never", "containers": [container], **RESTRICTED_POD})
        return self

    def __exit__(self, *_):
        self._cluster.kubectl("delete", "pod", NAME, "--force", "--grace-period=0")

    def answers(self):
        """How often each answer came so far."""
        return collections.Counter(self._cluster.kubectl("logs", NAME).splitlines())

    def has_asked(self, times):
        pod = self._cluster.get("pods", NAME)
        if pod["status"]["phase"] != "Running":
            raise NotYet("the pod is %s" % pod["status"]["phase"])
        asked = sum(self.answers().values())
        if asked < times:
            raise NotYet("%d requests" % asked)
        return True


def request(line, host, body=""):
    head = "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (line, host)
    if body:
        head += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return head + "\r\n" + body
