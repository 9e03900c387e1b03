"""How many pods there were, watched from a thread while a check does something else."""
import threading
import time

from .process import Failure


class Sampler:
    """Reads a number again and again; keeps its changes with their times.

    A read that fails is skipped, and counted: a sampler that saw nothing proves nothing."""

    def __init__(self, read, every=0.5, clock=time.monotonic):
        self._read = read
        self._every = every
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.changes = []
        self.reads = 0
        self.skipped = 0

    def __enter__(self):
        self.began = self._clock()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            self.sample()
            self._stop.wait(self._every)

    def sample(self):
        try:
            value = self._read()
        except (OSError, Failure):
            self.skipped += 1
            return
        self.reads += 1
        if not self.changes or self.changes[-1][1] != value:
            self.changes.append((self.elapsed(), value))

    def elapsed(self):
        return self._clock() - self.began

    @property
    def most(self):
        return max(value for _, value in self.changes)

    def first_at(self, value):
        """When the number first was at least `value`; none if it never was."""
        return next((when for when, seen in list(self.changes) if seen >= value), None)

    def story(self):
        return " -> ".join("%d at %.0f s" % (value, when) for when, value in self.changes)
