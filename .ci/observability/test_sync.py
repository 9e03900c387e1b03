"""The chart's copies are what deploy/sync makes."""

import pathlib
import shutil
import tempfile
import unittest

import support

SYNC = support.ROOT / "deploy" / "sync"


class Sync(unittest.TestCase):
    def test_the_chart_has_the_rules_the_example_and_the_dashboards(self):
        support.run("bash", SYNC, "--check")

    def test_what_is_missing_different_or_of_nothing_is_noticed_and_mended(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            alerts = ["deploy/alerts/" + name for name in ["rules.yaml", "alertmanager.yaml", "messages.tmpl"]]
            for path in ["deploy/sync", *alerts, "dashboards/dlq.json", "dashboards/overview.json"]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(support.ROOT / path, root / path)
            sync = root / "deploy/sync"
            support.run("bash", sync)
            support.run("bash", sync, "--check")
            files = root / "deploy/helm/files"
            self.assertEqual((files / "rules/fleet.yaml").read_bytes(), support.RULES.read_bytes())
            for name in ["alertmanager.yaml", "messages.tmpl"]:
                self.assertEqual((files / "alertmanager" / name).read_bytes(), (support.ALERTS / name).read_bytes())
            (files / "rules/fleet.yaml").unlink()
            (files / "alertmanager/messages.tmpl").write_text("", encoding="utf-8")
            (files / "alertmanager/old.tmpl").write_text("", encoding="utf-8")
            (files / "dashboards/dlq.json").write_text("{}", encoding="utf-8")
            (files / "dashboards/old.json").write_text("{}", encoding="utf-8")
            checked = support.run("bash", sync, "--check", check=False)
            self.assertEqual(checked.returncode, 1)
            stale = ["rules/fleet.yaml", "alertmanager/messages.tmpl", "alertmanager/old.tmpl"]
            for name in [*stale, "dashboards/dlq.json", "dashboards/old.json"]:
                self.assertIn(name, checked.stdout)
            for name in ["overview.json", "alertmanager.yaml"]:
                self.assertNotIn(name, checked.stdout)
            support.run("bash", sync)
            support.run("bash", sync, "--check")

    def test_another_argument_is_refused(self):
        refused = support.run("bash", SYNC, "--chek", check=False)
        self.assertEqual(refused.returncode, 64)
        self.assertIn("--check or nothing, not '--chek'", refused.stdout)


if __name__ == "__main__":
    unittest.main()
