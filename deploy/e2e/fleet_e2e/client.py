"""HTTP on connections that are kept."""
import http.client
import json
import select
import threading
from urllib.parse import urlsplit


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Fixed:
    """An address that does not move."""

    def __init__(self, url):
        self._url = url

    def url(self):
        return self._url

    def renew(self, url):
        """Nothing to do."""


class Client:
    """Requests to one address: a URL, or something that has one at a time, as a `Forward`. Threads share
    it; there are as many connections as there were requests at once."""

    def __init__(self, address, timeout=30):
        self._address = Fixed(address) if isinstance(address, str) else address
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connections that no request uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def request(self, method, path, body=None, headers=()):
        """One request. A connection that the other side has closed meanwhile is not used; an error
        while the request is under way is the caller's: it may have had its effect."""
        base = self._address.url()
        headers = dict(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
            headers.setdefault("content-type", "application/json")
        connection = self._take(base)
        try:
            connection.request(method, urlsplit(base).path.rstrip("/") + path, body=body, headers=headers)
            answer = connection.getresponse()
            read = Answer(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise
            # What leads there may have ended with its pod: the next request begins anew.
            self._address.renew(base)
            if isinstance(error, OSError):
                raise
            raise ConnectionError("%s %s: %r" % (method, path, error)) from error
        with self._lock:
            self._idle.append((base, connection))
        return read

    def get(self, path, headers=()):
        return self.request("GET", path, headers=headers)

    def _take(self, base):
        """A kept connection to this address that is still open, or a new one."""
        while True:
            with self._lock:
                of, connection = self._idle.pop() if self._idle else (None, None)
            if connection is None:
                return http.client.HTTPConnection(urlsplit(base).netloc, timeout=self._timeout)
            if of == base and not is_closed(connection):
                return connection
            connection.close()


def is_closed(connection):
    """Whether a kept connection has ended: something to read before a request is its end."""
    if connection.sock is None:
        return True
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)
