"""Waiting for conditions."""
import time

from .process import Failure


class NotYet(Exception):
    """Raised by a condition that does not hold yet, with what it sees instead."""


def until(what, condition, *, seconds, every=0.25, clock=time.monotonic, sleep=time.sleep):
    """Waits until `condition()` returns something true, and returns that.

    A condition says what it sees instead by raising `NotYet`; a connection that fails is "not yet" too.
    After `seconds` it is a failure, which tells what was seen last.
    """
    began = clock()
    while True:
        seen = ""
        try:
            result = condition()
            if result:
                return result
        except (NotYet, OSError) as error:
            seen = ": " + (str(error) or type(error).__name__)
        if clock() - began >= seconds:
            raise Failure("%s: not after %d s%s" % (what, seconds, seen))
        sleep(every)


def holds(what, condition, *, seconds, every=0.25, clock=time.monotonic, sleep=time.sleep):
    """Watches for `seconds` that `condition()` stays true: what must not happen takes time to be seen."""
    began = clock()
    while clock() - began < seconds:
        if not condition():
            raise Failure("%s: no longer after %.1f s" % (what, clock() - began))
        sleep(every)
