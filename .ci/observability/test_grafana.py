"""The dashboards, by Grafana's own types (npm's @grafana/schema): each property is one of its, with a value that it takes.

Types do not tell whether Grafana draws what is meant; which data a panel shows is the live test's.
"""

import copy
import json
import os
import pathlib
import shutil
import tempfile
import unittest

import support

CACHE = pathlib.Path(os.environ.get("FLEET_CACHE", pathlib.Path.home() / ".cache" / "fleet"))
MODULES = CACHE / "tools" / "grafana" / "node_modules"
TYPES = pathlib.Path(__file__).parent / "grafana" / "dashboard.ts"
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--pretty", "false"]


def complaints(dashboards):
    """The compiler's lines about each of these dashboards, by its name."""
    if not MODULES.is_dir():
        raise AssertionError("@grafana/schema is not installed: .ci/bootstrap installs it")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "node_modules").symlink_to(MODULES)
        shutil.copy(TYPES, folder)
        for name, dashboard in dashboards.items():
            text = json.dumps(dashboard, indent=2, ensure_ascii=False)
            head = 'import type { FleetDashboard } from "./dashboard";\nexport const dashboard: FleetDashboard = '
            (folder / (name + ".ts")).write_text(head + text + ";\n", encoding="utf-8")
        compiler = MODULES / "typescript" / "lib" / "tsc.js"
        files = [name + ".ts" for name in dashboards]
        told = support.run("node", compiler, *OPTIONS, "dashboard.ts", *files, check=False, cwd=folder)
    lines = told.stdout.splitlines()
    found = {name: [line for line in lines if line.startswith(name + ".ts(")] for name in dashboards}
    if bool(told.returncode) != any(found.values()) or any(line.startswith("dashboard.ts(") for line in lines):
        raise AssertionError("the types themselves do not compile:\n" + told.stdout)
    return found


class Types(unittest.TestCase):
    def test_grafanas_types_have_all_that_the_dashboards_say(self):
        dashboards = {name.removesuffix(".json"): dashboard for name, dashboard in support.dashboards().items()}
        found = complaints(dashboards)
        told = "\n".join(line for lines in found.values() for line in lines)
        self.assertFalse(told, "\n" + told)

    def test_what_grafana_does_not_know_is_noticed(self):
        """A name, a word and a type, in each part of a dashboard."""

        def panel(dashboard, kind):
            return next(one for one in support.panels(dashboard) if one["type"] == kind)

        changes = {
            "title": lambda one: one.update(titel=one.pop("title")),
            "schema": lambda one: one.update(schemaVersion="41"),
            "cursor": lambda one: one.update(graphTooltip=7),
            "unit": lambda one: panel(one, "stat")["fieldConfig"]["defaults"].update(unit=5),
            "option": lambda one: panel(one, "stat")["options"].update(colorMode="colour"),
            "legend": lambda one: panel(one, "timeseries")["options"]["legend"].update(calc=["max"]),
            "line": lambda one: panel(one, "timeseries")["fieldConfig"]["defaults"]["custom"].update(lineInterpolation="round"),
            "query": lambda one: panel(one, "timeseries")["targets"][0].update(expression="up"),
            "plugin": lambda one: panel(one, "stat").update(type="statistic"),
            "variable": lambda one: one["templating"]["list"][1].update(multiple=True),
            "mark": lambda one: one["annotations"]["list"][1].update(colour="blue"),
            "its query": lambda one: one["annotations"]["list"][1].update(expr="up"),
        }
        wrong = {}
        for name, change in changes.items():
            wrong[name] = copy.deepcopy(support.dashboards()["dlq.json"])
            change(wrong[name])
        self.assertEqual([name for name, lines in complaints(wrong).items() if not lines], [])


if __name__ == "__main__":
    unittest.main()
