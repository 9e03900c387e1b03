"""promtool's tests notice a rule that is wrong in one place.

    python3 .ci/observability/test_mutations.py [RULE...]    only of these rules, with a line for each change
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

import mutations
import support

REAL = "a share, or a time, is never exactly its bound"
# Changes that change nothing: {(rule, what of it): why}.
WITHOUT_EFFECT = {
    ("DlqArrivalsFast", r"> at \d+: >=|>= at \d+: >"): REAL,
    ("DlqArrivalsFast", r"0 at \d+: 1"): "of whole messages an increase is none, or at least one",
    ("QueueWaitSloBurn", r"> at \d+: >=|>= at \d+: >"): REAL,
    ("DeliveriesFailing", r"> at \d+: >="): REAL,
    ("SqsRequestErrors", r"> at \d+: >="): REAL,
    ("OrderApiErrors", r"> at \d+: >=|>= at \d+: >"): REAL,
    ("OrderApiSlow", r"> at \d+: >="): REAL,
    ("QueueStalled", r"sum at \d+: max"): "rates are not negative, so their sum is above zero where one of them is",
    ("FleetServiceDown", r"sum at \d+: max"): "numbers of messages are not negative, so their sum is zero where the largest is",
    ("Watchdog", r"1 at \d+: .*|keep_firing_for: .*"): "it fires always, whatever its value",
}

# Where each group's tests are; a change that these do not notice is shown to the others as well.
FIRST = {
    "fleet-recorded": "recorded.yaml",
    "fleet-dlq": "dlq.yaml",
    "fleet-queues": "queues.yaml",
    "fleet-workers": "workers.yaml",
    "fleet-autoscaling": "autoscaling.yaml",
    "fleet-order-api": "order-api.yaml",
    "fleet-targets": "targets.yaml",
}


def noticed(mutant, folder):
    """Whether a test fails, of a copy of the tests whose rules have the change. None: it is no rule at all."""
    changed = [mutant.rule if one is mutant.original else one for one in support.rules()]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        place = pathlib.Path(place)
        (place / "rules.yaml").write_text(support.rule_file(changed), encoding="utf-8")
        shutil.copytree(support.TESTS, place / "tests")
        if support.run("promtool", "check", "rules", place / "rules.yaml", check=False).returncode:
            return None
        files = sorted((place / "tests").glob("*.yaml"), key=lambda path: path.name != FIRST[mutant.rule.group])
        return any(support.run("promtool", "test", "rules", path, check=False).returncode for path in files)


def survivors(names=(), report=lambda text: None):
    """Changes that no test notices, and how many there were."""
    todo = [mutant for rule in support.rules() if not names or rule.name in names for mutant in mutations.mutants(rule)]
    alive, valid = [], 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(noticed, mutant, folder) for mutant in todo]
        for mutant, job in zip(todo, jobs):
            rule, result = mutant.original, job.result()
            valid += result is not None
            report("%s, %s: %s" % (rule.name, mutant.what, {None: "no rule", True: "noticed", False: "NOT NOTICED"}[result]))
            excused = any(rule.name == name and re.fullmatch(what, mutant.what) for name, what in WITHOUT_EFFECT)
            if result is False and not excused:
                alive.append("%s (%s), %s" % (rule.name, rule.labels.get("severity", "recorded"), mutant.what))
    return alive, valid


class Mutations(unittest.TestCase):
    maxDiff = None

    def test_unchanged_rules_pass_as_they_are_written_here(self):
        """Else every change would be noticed by the writing alone."""
        rule = support.rules()[0]
        with tempfile.TemporaryDirectory() as folder:
            self.assertFalse(noticed(mutations.Mutant(rule, rule, "nothing"), folder))

    def test_every_change_is_noticed(self):
        alive, valid = survivors()
        print("%d changes of %d rules" % (valid, len(support.rules())))
        self.assertEqual(alive, [])
        self.assertGreater(valid, 10 * len(support.rules()))


if __name__ == "__main__":
    alive, _ = survivors(sys.argv[1:], lambda text: print(text, flush=True))
    sys.exit("\n".join(["not noticed:", *alive]) if alive else 0)
