"""Port-forwards: an address of this machine that leads to a pod, for as long as it is used."""
import os
import re
import subprocess
import tempfile
import threading
import time

from .process import Failure

READY = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
START_SECONDS = 30


class Forward:
    """`kubectl port-forward` to a service, a deployment or a pod, started when its address is first
    asked for, and anew when it has ended, as it does with its pod."""

    def __init__(self, cluster, target, port):
        self._command = cluster.command("port-forward", "--address", "127.0.0.1", target, ":%d" % port)
        self._target = target
        self._lock = threading.Lock()
        self._process = None
        self._url = None

    def url(self):
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._url

    def _start(self):
        """Starts until it listens. A target whose pod is not there yet makes kubectl end at once."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            output = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )
            url = self._listens(output, deadline)
            if url:
                self._url = url
                return
            said = text_of(output).strip()
            if time.monotonic() >= deadline:
                self.stop()
                raise Failure("no port-forward to %s after %d s: %s" % (self._target, START_SECONDS, said))

    def _listens(self, output, deadline):
        while time.monotonic() < deadline:
            found = READY.search(text_of(output))
            if found:
                return "http://127.0.0.1:" + found[1]
            if self._process.poll() is not None:
                time.sleep(0.2)
                return None
            time.sleep(0.05)
        return None

    def renew(self, url=None):
        """Gives the present one up, or that with a URL if it is still the present one."""
        with self._lock:
            if url is None or url == self._url:
                self.stop()

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Proxy(Forward):
    """`kubectl proxy`: the API server's own address, with the credentials of KUBECONFIG. Through it a
    service is reached as `/api/v1/namespaces/…/services/…/proxy`, by whichever pod is ready."""

    def __init__(self, cluster):
        super().__init__(cluster, "the API server", 0)
        self._command = cluster.command("proxy", "--port=0")

    def _listens(self, output, deadline):
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"Starting to serve on (127\.0\.0\.1:\d+)", text_of(output))
            if found:
                return "http://" + found[1]
            time.sleep(0.05)
        return None


def text_of(output):
    """What has been written so far. Read without seeking: the writer has the same position."""
    return os.pread(output.fileno(), 1 << 16, 0).decode("utf-8", "replace")
