"""A fleet that lives for a test, and what stands around it: a carrier, and whoever Alertmanager tells."""

import contextlib
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import support

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", support.ROOT / "target"))
SERVICES = {"API": "order-api", "WORKER": "delivery-worker", "MONITOR": "dlq-monitor"}
# By its name a product says what the carrier does with its order.
REFUSED, SLOW = "not in this town", "by cart"
FAILING = "실패테스트"


def ask(url, data=None, headers=(), method=None):
    """(status, JSON) of a request, whatever the status; `data` is sent as JSON, or as it is when it is bytes."""
    body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
    headers = {"content-type": "application/json", **dict(headers)}
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


class Fleet:
    """The local fleet, at addresses that it keeps when it is started anew."""

    def __init__(self, folder, carrier):
        ports = {name: support.free_port() for name in ("SQS", *SERVICES, *(name + "_ADMIN" for name in SERVICES))}
        at = {name: "127.0.0.1:%d" % port for name, port in ports.items()}
        self.api, self.monitor, self.sqs = ("http://" + at[name] for name in ("API", "MONITOR", "SQS"))
        self.admins = {service: at[name + "_ADMIN"] for name, service in SERVICES.items()}
        self.targets = {**self.admins, "local-sqs": at["SQS"]}
        self.log_path = folder / "fleet.log"
        self.environment = {
            "LOCAL_FLEET_DATA_DIR": str(folder / "data"),
            "LOCAL_SQS_ADDR": at["SQS"],
            "LOG_FORMAT": "text",
            "RUST_LOG": "warn",
            "CARRIER_URL": carrier,
            "CARRIER_TIMEOUT": "14s",
            "WORKER_CONCURRENCY": "8",
            # Shorter than the slowest order, so that a worker that stops gives something back.
            "DRAIN_TIMEOUT": "1s",
            "MONITOR_INTERVAL": "500ms",
        }
        for name in SERVICES:
            self.environment["LOCAL_FLEET_%s_ADDR" % name] = at[name]
            self.environment["LOCAL_FLEET_%s_ADMIN_ADDR" % name] = at[name + "_ADMIN"]
        self.process = None

    def start(self):
        environment = {**os.environ, **self.environment}
        with open(self.log_path, "a", encoding="utf-8") as log:
            command = [TARGET / "debug" / "local-fleet"]
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log)
        support.wait_for(self.ready, "the fleet is ready")

    def ready(self):
        if self.process.poll() is not None:
            log = self.log_path.read_text(encoding="utf-8")
            raise AssertionError("the fleet ended with %d:\n%s" % (self.process.returncode, log[-4000:]))
        with contextlib.suppress(OSError):
            for admin in self.admins.values():
                # Who is not ready answers with an error.
                urllib.request.urlopen("http://%s/readyz" % admin, timeout=5).close()
            return True
        return False

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        ended = self.process.wait(timeout=60)
        if ended:
            raise AssertionError("the fleet ended with %d" % ended)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def order(self, customer, product, queue="standard", key=None):
        """(status, answer) of placing an order."""
        items = [{"productId": "p1", "productName": product, "quantity": 1, "price": 10}]
        headers = {"idempotency-key": key} if key else {}
        return ask("%s/api/orders?queueType=%s" % (self.api, queue), {"customerId": customer, "items": items}, headers)

    def job(self, what, queue, **request):
        """Has the monitor redrive or discard, and waits for the end of it."""
        request = {"queue": queue, "reason": "a test", **request}
        status, job = ask("%s/api/dlq/%s" % (self.monitor, what), request)
        assert status == 202, job
        ended = {"completed", "failed", "cancelled"}

        def over():
            _, now = ask("%s/api/dlq/jobs/%s" % (self.monitor, job["id"]))
            return now if now["state"] in ended else None

        return support.wait_for(over, "the end of the job that is to %s %s" % (what, queue))

    def dead(self, queue):
        """The dead letters of a queue that the monitor knows."""
        return ask("%s/api/dlq/messages?queue=%s&state=dead" % (self.monitor, queue))[1]["items"]


@contextlib.contextmanager
def listener(handle):
    """An HTTP server; `handle` gives the status of a POST to a path with a body. Gives the server's URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            status = handle(self.path, json.loads(body))
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:%d" % server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Carrier:
    """Takes every order at once, but for those whose product says otherwise."""

    def __init__(self, slow):
        self.refuses = True
        self.slow = slow
        self.slow_orders = 0

    def handle(self, _path, order):
        product = order["items"][0]["productName"]
        if product == SLOW:
            self.slow_orders += 1
            time.sleep(self.slow)
        return 422 if product == REFUSED and self.refuses else 200


class Told:
    """What Alertmanager has told: (seconds since the epoch, receiver, alert)."""

    def __init__(self):
        self.alerts = []

    def handle(self, path, message):
        now = time.time()
        self.alerts += [(now, path.strip("/"), alert) for alert in message["alerts"]]
        return 200

    def first(self, name, status, short_sighted=False, **labels):
        """When, and to whom, an alert with these labels was told of first in this status; None if it was not.

        `short_sighted` is the rule's copy that looks back for less long.
        """
        wanted = {"alertname": name, **labels}
        for when, receiver, alert in list(self.alerts):
            of_the_copy = "window" in alert["labels"]
            if alert["status"] == status and of_the_copy == short_sighted and wanted.items() <= alert["labels"].items():
                return when, receiver
        return None
