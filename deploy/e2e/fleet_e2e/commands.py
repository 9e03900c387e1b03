"""The command blocks of a document, and running them as one reader would.

Every block of shell commands (```sh) is run. One that stands under a comment with a condition,

    <!-- guided run: until 'TEXT' -->

is repeated until its output contains TEXT; a plain `<!-- guided run -->` changes nothing.
"""
import os
import re
import signal
import subprocess
import tempfile
import time

from .process import Failure

FENCE = re.compile(r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.S | re.M)
MARK = re.compile(r"^guided run(?:: until '(.*)')?$")
# On one line, or from a line that ends with { to one that is }.
FUNCTION = re.compile(r"^\w+\(\) \{(?:[^\n]*\}$|\n.*?^\}$)", re.S | re.M)
UNTIL_SECONDS = 180
BLOCK_SECONDS = 300


class Block:
    def __init__(self, text, until=""):
        self.text = text
        self.until = until


def blocks(document):
    """A document's command blocks in their order."""
    found = []
    for fence in FENCE.finditer(document):
        language, mark = fence["language"].strip(), fence["mark"]
        known = MARK.match(mark) if mark else None
        if mark and mark.startswith("guided run") and not known:
            raise Failure("not understood: <!-- %s -->; it is guided run, or guided run: until 'TEXT'" % mark)
        if language == "sh":
            found.append(Block(fence["text"], known[1] or "" if known else ""))
        elif known:
            raise Failure("a guided run is marked at a block of %r, not of sh" % language)
    return found


def functions(text):
    """The functions that a block defines: they serve the later blocks too, as in one shell."""
    return FUNCTION.findall(text)


def execute(found, *, cwd, env, say, until_seconds=UNTIL_SECONDS, block_seconds=BLOCK_SECONDS):
    """Runs the blocks one after another; returns how many. What they leave running in the background,
    such as port-forwards, lives until the end and is stopped then."""
    # A group of its own, not a session: processes join groups of their own session only.
    leader = subprocess.Popen(["sleep", "infinity"], process_group=0)
    try:
        known = ""
        for block in found:
            known += "".join(text + "\n" for text in functions(block.text))
            output = one(block, known, cwd, env, leader.pid, until_seconds, block_seconds)
            say("$ " + block.text.rstrip().replace("\n", "\n  "))
            if output.strip():
                say(output.rstrip().replace("\n", "\n  "))
        return len(found)
    finally:
        # Everything that the blocks started is in this group.
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


def one(block, known, cwd, env, group, until_seconds, block_seconds):
    began = time.monotonic()
    while True:
        code, output, errors = shell(known + block.text, cwd, env, group, block_seconds)
        if code == 0 and block.until in output:
            return output
        if not block.until or time.monotonic() - began > until_seconds:
            wanted = "does not say %r" % block.until if block.until else "failed with %d" % code
            raise Failure("this block %s:\n%s\n%s%s" % (wanted, block.text, output, errors))
        time.sleep(0.5)


def shell(text, cwd, env, group, seconds):
    """Runs a text with bash. Its output goes to files: a command in the background may keep them open."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], cwd=cwd, env=dict(os.environ, **env),
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors, process_group=group,
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            process.wait()
            raise Failure("this block has not ended after %d s:\n%s" % (seconds, text)) from expired
        read = [os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace") for file in (output, errors)]
    return code, *read
