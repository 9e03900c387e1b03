"""The chart's copies are what deploy/sync makes."""

import pathlib
import shutil
import tempfile
import unittest

import support

SYNC = support.ROOT / "deploy" / "sync"


class Sync(unittest.TestCase):
    def test_the_chart_has_the_rules_and_the_dashboards(self):
        support.run("bash", SYNC, "--check")

    def test_what_is_missing_different_or_of_nothing_is_noticed_and_mended(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path in ["deploy/sync", "deploy/alerts/rules.yaml", "dashboards/dlq.json", "dashboards/overview.json"]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(support.ROOT / path, root / path)
            sync = root / "deploy/sync"
            support.run("bash", sync)
            support.run("bash", sync, "--check")
            files = root / "deploy/helm/files"
            self.assertEqual((files / "rules/fleet.yaml").read_bytes(), support.RULES.read_bytes())
            (files / "rules/fleet.yaml").unlink()
            (files / "dashboards/dlq.json").write_text("{}", encoding="utf-8")
            (files / "dashboards/old.json").write_text("{}", encoding="utf-8")
            checked = support.run("bash", sync, "--check", check=False)
            self.assertEqual(checked.returncode, 1)
            for name in ["rules/fleet.yaml", "dashboards/dlq.json", "dashboards/old.json"]:
                self.assertIn(name, checked.stdout)
            self.assertNotIn("overview.json", checked.stdout)
            support.run("bash", sync)
            support.run("bash", sync, "--check")

    def test_another_argument_is_refused(self):
        refused = support.run("bash", SYNC, "--chek", check=False)
        self.assertEqual(refused.returncode, 64)
        self.assertIn("--check or nothing, not '--chek'", refused.stdout)


if __name__ == "__main__":
    unittest.main()
