"""The dashboards: made by their description, whole, and asking what Prometheus understands."""

import json
import pathlib
import re
import tempfile
import unittest
import urllib.error
import urllib.parse

import promql
import support

PANELS = {"stat", "timeseries", "heatmap", "table"}
UNITS = {"none", "short", "s", "percentunit", "reqps", "mps", "ops", "suffix:orders/s", "suffix:attempts/s"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
FILES = ["overview", "order-api", "delivery-workers", "autoscaling", "dlq", "fifo-groups"]


def everything(value):
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(inner)


class Dashboards(unittest.TestCase):
    def each_panel(self, holds):
        """`holds` is asked about every panel of every dashboard."""
        for name, dashboard in support.dashboards().items():
            for panel in support.panels(dashboard):
                with self.subTest("%s: %s" % (name, panel["title"])):
                    holds(panel)

    def each_target(self, holds):
        """`holds` is asked about every query of every panel."""
        self.each_panel(lambda panel: [holds(panel, target) for target in panel["targets"]])

    def test_the_files_are_what_the_description_makes(self):
        support.run("python3", support.DASHBOARDS / "generate", "--check")

    def test_there_are_six(self):
        self.assertEqual(sorted(support.dashboards()), sorted(name + ".json" for name in FILES))

    def test_every_dashboard_says_what_it_is(self):
        seen = set()
        for name, dashboard in support.dashboards().items():
            with self.subTest(name):
                self.assertEqual(dashboard["uid"], "fleet-" + name.removesuffix(".json"))
                self.assertTrue(dashboard["title"].startswith("Fleet: ") and dashboard["description"].endswith("."))
                self.assertNotIn(dashboard["title"], seen)
                seen.add(dashboard["title"])
                self.assertNotIn("id", dashboard)
                self.assertNotIn("__inputs", dashboard)
                self.assertNotIn("__requires", dashboard)

    def test_data_source_namespace_and_job_are_variables(self):
        for name, dashboard in support.dashboards().items():
            with self.subTest(name):
                variables = [variable["name"] for variable in dashboard["templating"]["list"]]
                self.assertEqual(variables[:3], ["datasource", "namespace", "job"])
                text = json.dumps(dashboard)
                for variable in variables[1:]:
                    self.assertRegex(text, r'=~\\"\$%s\\"|\$%s\b' % (variable, variable))

    def test_all_jobs_are_those_of_the_dashboards_service(self):
        """Services have metrics of the same names. All namespaces are also none."""
        for name, dashboard in support.dashboards().items():
            of_all = {one["name"]: one["allValue"] for one in dashboard["templating"]["list"] if one["type"] == "query"}
            self.assertEqual((of_all["namespace"], of_all["job"]), (".*", None), name)

    def test_no_data_source_is_named(self):
        for name, dashboard in support.dashboards().items():
            for one in everything(dashboard):
                source = one.get("datasource")
                if isinstance(source, dict) and source.get("uid") != "-- Grafana --":
                    self.assertEqual(source, DATASOURCE, name)
                self.assertNotIsInstance(source, str, name)

    def test_every_panel_is_explained_and_has_a_unit(self):
        def holds(panel):
            self.assertIn(panel["type"], PANELS)
            self.assertTrue(panel["title"])
            self.assertTrue(panel["description"].endswith("."), panel["description"])
            self.assertEqual(panel["datasource"], DATASOURCE)
            shown = panel["options"]["yAxis"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]
            self.assertIn(shown["unit"], UNITS)

        self.each_panel(holds)

    def test_thresholds_are_in_order(self):
        def holds(panel):
            if panel["type"] == "heatmap":
                return
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            self.assertIsNone(steps[0]["value"])
            values = [step["value"] for step in steps[1:]]
            self.assertEqual(values, sorted(values))

        self.each_panel(holds)

    def test_every_query_looks_at_the_chosen_namespace(self):
        self.each_target(lambda panel, target: self.assertIn('namespace=~"$namespace"', target["expr"]))

    def test_rates_are_taken_in_grafanas_interval(self):
        """But for figures that are of a time by their name, or of the whole that is shown."""

        def holds(panel, target):
            windows = set(re.findall(r"\[([^\]]+)\]", re.sub(promql.STRING, "", target["expr"])))
            named = re.search(r", (\d+) (h|min)$", panel["title"])
            allowed = {named[1] + named[2][0]} if named else {"$__rate_interval", "$__range"}
            self.assertLessEqual(windows, allowed)

        self.each_target(holds)

    def test_lines_have_legends(self):
        def holds(panel, target):
            if panel["type"] == "timeseries":
                self.assertNotEqual(target["legendFormat"], "__auto")

        self.each_target(holds)

    def test_legends_use_labels_that_the_query_keeps(self):
        def holds(_panel, target):
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                self.assertRegex(target["expr"], r"by \([^)]*\b%s\b" % label)

        self.each_target(holds)

    def test_panels_do_not_overlap(self):
        for name, dashboard in support.dashboards().items():
            taken = {}
            for panel in dashboard["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24)
                for x in range(place["x"], place["x"] + place["w"]):
                    for y in range(place["y"], place["y"] + place["h"]):
                        self.assertNotIn((x, y), taken, "%s: %s" % (name, panel["title"]))
                        taken[x, y] = panel["title"]
            ids = [panel["id"] for panel in dashboard["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)

    def test_links_lead_to_dashboards(self):
        uids = {dashboard["uid"] for dashboard in support.dashboards().values()}
        linked = set()
        for name, dashboard in support.dashboards().items():
            at_top = [re.match(r"/d/([\w-]+)\?", link["url"])[1] for link in dashboard["links"]]
            self.assertEqual(sorted([*at_top, dashboard["uid"]]), sorted(uids), name)
            self.assertIn("fleet", dashboard["tags"])
            for panel in support.panels(dashboard):
                for link in panel["links"]:
                    linked.add(re.match(r"/d/([\w-]+)\?", link["url"])[1])
        self.assertLessEqual(linked, uids)
        self.assertEqual(uids - linked, {"fleet-overview"}, "the overview leads to every other")

    def test_links_keep_what_means_the_same_everywhere(self):
        """A job or a queue that is chosen on one dashboard is none of another's."""
        for name, dashboard in support.dashboards().items():
            for link in [*dashboard["links"], *(link for panel in support.panels(dashboard) for link in panel["links"])]:
                with self.subTest(name, link=link["title"]):
                    asked = link["url"].split("?")[1].split("&")
                    if link in dashboard["links"]:
                        self.assertEqual((link["keepTime"], link["includeVars"]), (True, False))
                    else:
                        self.assertEqual(asked.pop(0), "${__url_time_range}")
                    self.assertEqual(asked, ["${datasource:queryparam}", "${namespace:queryparam}"])

    def test_a_redrive_is_marked_where_something_was_redriven(self):
        """What a rule of order refuses, or SQS does not take, stays dead."""
        meaning = re.search(r"\| `dlq_redriven_messages_total` .*", support.pages()["docs/metrics.md"])[0]
        self.assertIn("`redriven`; or that stay dead: `refused`", meaning)
        for name, dashboard in support.dashboards().items():
            marks = {annotation["name"]: annotation for annotation in dashboard["annotations"]["list"]}
            self.assertIn('dlq_redriven_messages_total{outcome="redriven", ', marks["Redrives"]["target"]["expr"], name)

    def test_deployments_and_redrives_are_marked(self):
        for name, dashboard in support.dashboards().items():
            marks = [annotation["name"] for annotation in dashboard["annotations"]["list"]]
            self.assertEqual(marks[1:], ["Deployments", "Redrives", "Discards"], name)

    def test_prometheus_understands_every_query(self):
        wrong = []
        with support.prometheus() as url:
            for where, expr in support.expressions():
                query = "%s/api/v1/query?%s" % (url, urllib.parse.urlencode({"query": expr}))
                try:
                    support.get(query)
                except urllib.error.HTTPError as error:
                    wrong.append("%s: %s\n    %s" % (where, error.read().decode(), expr))
        self.assertEqual(wrong, [])


class Generator(unittest.TestCase):
    def test_a_file_that_was_edited_by_hand_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            support.run("cp", "-r", support.DASHBOARDS, folder)
            copy = pathlib.Path(folder) / "dashboards"
            dlq = copy / "dlq.json"
            dlq.write_text(dlq.read_text(encoding="utf-8").replace("Dead letters", "Letters", 1), encoding="utf-8")
            (copy / "old.json").write_text("{}\n", encoding="utf-8")
            checked = support.run("python3", copy / "generate", "--check", check=False)
            self.assertEqual(checked.returncode, 1)
            self.assertIn("dlq.json, old.json", checked.stdout)
            support.run("python3", copy / "generate")
            support.run("python3", copy / "generate", "--check")
            self.assertFalse((copy / "old.json").exists())


if __name__ == "__main__":
    unittest.main()
