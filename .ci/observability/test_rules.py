"""The rules and their promtool tests."""

import re
import unittest

import support

KINDS = ["fires", "does not fire", "resolves", "series missing"]
SEVERITIES = {"critical", "warning", "info", "none"}
COMPONENTS = {"dlq", "dlq-monitor", "workers", "sqs", "autoscaling", "order-api", "fleet", "monitoring"}
# What they say is the same whatever fires them.
WITHOUT_VALUES = {"DlqMonitorDown", "Watchdog"}


def test_groups():
    """(file, name, text) of every test group of every test file."""
    found = []
    for path in sorted(support.TESTS.glob("*.yaml")):
        for part in path.read_text(encoding="utf-8").split("\n  - name: ")[1:]:
            found.append((path.name, part.split("\n")[0].strip('"'), part))
    return found


class Rules(unittest.TestCase):
    maxDiff = None

    def test_promtool_accepts_the_rules(self):
        support.run("promtool", "check", "rules", "--lint=all", "--lint-fatal", support.RULES)

    def test_the_rules_do_what_their_tests_say(self):
        support.run("promtool", "test", "rules", *sorted(support.TESTS.glob("*.yaml")))

    def test_what_goes_by_a_count_does_not_end_before_it_is_told_why_that_is_not_known(self):
        """The monitor's counts end when it cannot read them, and DlqMonitorBlind or DlqMonitorDown fire later."""
        observe = (support.ROOT / "dlq-monitor/src/observe.rs").read_text(encoding="utf-8")
        stand = 60 * int(re.search(r"const COUNTS_STAND: Duration = Duration::from_mins\((\d+)\);", observe)[1])
        of = {rule.name: rule for rule in support.alerts()}
        blind = of["DlqMonitorBlind"]
        told = int(re.search(r"> (\d+)$", blind.expr)[1]) + blind.for_
        for name in ["DlqNotEmpty", "QueueStalled"]:
            with self.subTest(name):
                self.assertGreater(stand + of[name].keep_firing_for, told)
                self.assertGreater(of[name].keep_firing_for, of["DlqMonitorDown"].for_)
                # Nor does it come of a count that was true for a moment.
                self.assertLess(stand, of[name].for_)

    def test_every_alert_has_a_test_of_each_kind(self):
        groups = test_groups()
        missing = []
        for alert in sorted({rule.name for rule in support.alerts()}):
            for kind in KINDS if alert not in support.ALWAYS else ["fires", "series missing"]:
                if not any(re.match(r"%s: %s\b" % (alert, kind), name) for _, name, _ in groups):
                    missing.append("%s: %s" % (alert, kind))
        self.assertEqual(missing, [])

    def test_every_test_asks_about_the_alert_that_it_names(self):
        alerts = {rule.name for rule in support.alerts()}
        recorded = {rule.name for rule in support.recorded()}
        wrong = []
        for file, name, text in test_groups():
            subject = name.split(": ")[0]
            if subject in alerts:
                asked = set(re.findall(r"alertname: (\w+)", text)) | set(re.findall(r'alertname="(\w+)"', text))
                if asked != {subject}:
                    wrong.append("%s, %s: asks about %s" % (file, name, sorted(asked)))
            elif not any(one.startswith(subject) for one in recorded):
                wrong.append("%s, %s: of nothing that the rules have" % (file, name))
        self.assertEqual(wrong, [])

    def test_every_severity_of_an_alert_is_seen_whole_where_it_fires(self):
        """Whole: with all labels and annotations, as promtool compares them."""
        fires = {}
        for _, name, text in test_groups():
            for severity in re.findall(r"exp_labels:\s*\{severity: (\w+)", text):
                fires.setdefault(name.split(": ")[0], set()).add(severity)
        wanted = {}
        for rule in support.alerts():
            wanted.setdefault(rule.name, set()).add(rule.labels["severity"])
        self.assertEqual(fires, wanted)

    def test_every_alert_is_labelled(self):
        for rule in support.alerts():
            with self.subTest(rule.name):
                self.assertEqual(rule.labels.keys(), {"severity", "component"})
                self.assertIn(rule.labels["severity"], SEVERITIES)
                self.assertIn(rule.labels["component"], COMPONENTS)

    def test_every_alert_says_what_it_is_and_where_to_read_on(self):
        for rule in support.alerts():
            with self.subTest(rule.name):
                self.assertEqual(rule.annotations.keys(), {"runbook_url", "summary", "description"})
                self.assertEqual(rule.annotations["runbook_url"], "%s/%s.md" % (support.RUNBOOK_BASE, rule.name))
                self.assertFalse(rule.annotations["summary"].endswith("."))
                self.assertTrue(rule.annotations["description"].endswith("."))
                templated = "{{" in rule.annotations["summary"] + rule.annotations["description"]
                self.assertEqual(templated, rule.name not in WITHOUT_VALUES)

    def test_every_alert_says_how_long(self):
        text = support.RULES.read_text(encoding="utf-8")
        for part in text.split("      - alert: ")[1:]:
            self.assertRegex(part, r"\n        for: \d+[mh]\n", part.split("\n")[0])

    def test_what_can_flap_keeps_firing(self):
        """Those that look back over a window of their own, last for it; two are about what does not flap."""
        settled = {"AutoscalingPaused", "Watchdog"}
        for rule in support.alerts():
            looks_back = re.search(r"increase\(", rule.expr)
            if not looks_back and rule.name not in settled:
                self.assertGreater(rule.keep_firing_for, 0, rule.name)

    def test_the_beginning_of_runbook_url_is_nowhere_else(self):
        text = support.RULES.read_text(encoding="utf-8")
        used = len(re.findall(r"\n          runbook_url: %s/\w+\.md\n" % re.escape(support.RUNBOOK_BASE), text))
        in_comments = len(re.findall(r"^#.*%s" % re.escape(support.RUNBOOK_BASE), text, re.M))
        self.assertEqual(text.count(support.RUNBOOK_BASE), used + in_comments)


if __name__ == "__main__":
    unittest.main()
