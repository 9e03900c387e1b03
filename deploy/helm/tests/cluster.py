"""An API server of a few objects: what `lookup` and `.Capabilities` ask of a cluster, without one."""
import contextlib
import http.server
import itertools
import json
import os
import threading

# Group and version, to the kinds that the chart has of it.
KINDS = {
    "v1": ["ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"],
    "apps/v1": ["Deployment"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "apiregistration.k8s.io/v1": ["APIService"],
}
# The same of what a cluster need not have.
OPTIONAL = {
    "keda.sh/v1alpha1": ["ScaledObject", "TriggerAuthentication"],
    "monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule"],
    "metrics.k8s.io/v1beta1": [],
}
CLUSTER_WIDE = ["APIService"]
# In each one's address, so that none is taken for an earlier one at the same port.
NUMBERS = itertools.count(1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        path = self.path.split("?")[0].removeprefix(self.server.prefix).strip("/")
        found = self.server.answers.get(path)
        body = json.dumps(found or missing(path)).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def missing(path):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": path}


def plural(kind):
    return kind.lower().removesuffix("y") + "ies" if kind.endswith("y") else kind.lower() + "s"


def discovery(kinds):
    """What tells which APIs there are."""
    answers = {"version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}, "api": {"kind": "APIVersions", "versions": ["v1"]}}
    groups = []
    for api, of_api in kinds.items():
        resources = [
            {"name": plural(kind), "singularName": kind.lower(), "kind": kind, "namespaced": kind not in CLUSTER_WIDE, "verbs": ["get", "list"]}
            for kind in of_api
        ]
        answers[folder(api)] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}
        if "/" in api:
            group, version = api.split("/")
            of = {"groupVersion": api, "version": version}
            groups.append({"name": group, "versions": [of], "preferredVersion": of})
    answers["apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return answers


def folder(api):
    return ("apis/" if "/" in api else "api/") + api


def path_of(each):
    return "%s/%s" % (all_of(each["apiVersion"], each["kind"], each["metadata"]["namespace"]), each["metadata"]["name"])


def all_of(api, kind, namespace):
    inside = "" if kind in CLUSTER_WIDE else "namespaces/%s/" % namespace
    return "%s/%s%s" % (folder(api), inside, plural(kind))


def thing(kind, name, namespace, **fields):
    """An object, by its kind and name."""
    api = next(api for api, kinds in KINDS.items() if kind in kinds)
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


@contextlib.contextmanager
def serving(namespace, objects=(), apis=()):
    """The arguments by which helm asks such a cluster, which has `objects` in the namespace, and `apis` of
    those that are optional."""
    kinds = {**KINDS, **{api: OPTIONAL[api] for api in apis}}
    answers = discovery(kinds)
    services = [each for each in objects if each["kind"] == "Service"]
    answers[all_of("v1", "Service", namespace)] = {"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": services}
    answers.update({path_of(each): each for each in objects})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.prefix = answers, "/%d" % next(NUMBERS)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = "http://127.0.0.1:%d%s" % (server.server_port, server.prefix)
        # What is rendered is checked elsewhere; this server knows no fields.
        yield ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", os.devnull, "--kube-apiserver", address)
    finally:
        server.shutdown()
        server.server_close()
