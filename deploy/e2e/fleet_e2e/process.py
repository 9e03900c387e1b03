"""Commands and what goes wrong with them."""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))


class Failure(Exception):
    """Something that must hold does not; the text says what, and what was seen instead."""


def say(text):
    """A line of progress."""
    print("  " + text, flush=True)


def need(tool, why):
    """A tool that is not there is a failure, said before anything else fails by it."""
    if shutil.which(tool) is None:
        raise Failure("%s is not on PATH; it is needed %s" % (tool, why))


def run(command, *, stdin=None, timeout=120, check=True, env=None, cwd=ROOT):
    """Runs a command to its end; with `check`, a failed one is a failure that shows its output."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd,
            env=dict(os.environ, **env) if env else None, stdin=None if stdin is not None else subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as expired:
        raise Failure("%s has not ended after %d s" % (shown(command), timeout)) from expired
    except FileNotFoundError as error:
        raise Failure("%s cannot be run: %s" % (command[0], error)) from error
    if check and done.returncode != 0:
        output = (done.stdout + done.stderr).strip()
        raise Failure("%s ended with %d:\n%s" % (shown(command), done.returncode, output))
    return done


def stream(command, *, timeout, env=None, cwd=ROOT):
    """Runs a command whose output is shown as it comes."""
    sys.stdout.flush()
    try:
        code = subprocess.run(
            command, cwd=cwd, env=dict(os.environ, **env) if env else None, timeout=timeout,
            stdin=subprocess.DEVNULL,
        ).returncode
    except subprocess.TimeoutExpired as expired:
        raise Failure("%s has not ended after %d s" % (shown(command), timeout)) from expired
    if code != 0:
        raise Failure("%s ended with %d" % (shown(command), code))


def shown(command):
    """A command as a message shows it: not its whole input."""
    text = " ".join(command)
    return text if len(text) < 160 else text[:157] + "..."
