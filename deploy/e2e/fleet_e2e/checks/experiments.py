"""The guided tour of docs/experiments.md, as a reader would go through it."""
import json
import os

from .. import values
from ..commands import blocks, execute
from ..installation import ALL, RELEASE, SERVING
from ..process import ROOT, Failure, run as command, say

DOCUMENT = os.path.join(ROOT, "docs", "experiments.md")
LEAST_BLOCKS = 15


def check(run, report):
    fleet = run.installation
    fleet.need_keda()
    # The page begins with what the README's way leaves behind, and counts from nothing.
    fleet.uninstall()
    fleet.ensure(values.PLAIN)
    with open(DOCUMENT, encoding="utf-8") as file:
        found = blocks(file.read())
    report.expect(len(found) >= LEAST_BLOCKS, "%s has only %d command blocks" % (DOCUMENT, len(found)))
    before, chosen = command(["git", "status", "--porcelain"]).stdout, chosen_values(fleet)
    # From here on the values are the page's.
    fleet.adopt()
    done = execute(found, cwd=ROOT, env=run.cluster.env, say=say)
    report.figure("command blocks run", done)
    changed = command(["git", "status", "--porcelain"]).stdout
    report.expect(changed == before, "the page's commands changed the checkout:\n" + changed)
    ours = fleet.cluster.list("deployments", ALL)
    if not ours:
        raise Failure("the page's commands have removed the fleet")
    # Its last step is to leave everything as it was.
    fleet.wait_green()
    left = chosen_values(fleet)
    report.expect(left == chosen, "the page began with the values\n%s\nand leaves\n%s" % (chosen, left))
    report.figure("pods ready at the end", len(fleet.cluster.pods(SERVING)))


def chosen_values(fleet):
    """What the release's user has set."""
    return json.loads(fleet.helm("get", "values", RELEASE, "--output", "json").stdout)
