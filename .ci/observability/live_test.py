"""A fleet under traffic with failures, as Prometheus, Alertmanager and the dashboards see it. Run by `live`.

The fleet is the local one, with a carrier of the test's. Prometheus has the rules as they are, Alertmanager the example's
routes; its receivers are the test's own.

Of two rules Prometheus has a second copy each, told by the label `window`, since the test does not last as long as they
remember: DlqArrivals looks back 30 s instead of 10 min, and DlqNotEmpty waits 3 s instead of 5 min, and does not go on for
10 min. That the rules themselves resolve is shown by promtool, for which time passes as it is told.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import tempfile
import unittest

import drawn
import fleet
import names
import pictures
import promql
import rust_metrics
import support
import test_metrics
import traffic

# Longer than a stopping worker waits; two of them are more than two thirds of a visibility timeout, one is less.
SLOW_SECONDS = 12
FOLDER = pathlib.Path(os.environ.get("FLEET_CACHE", pathlib.Path.home() / ".cache/fleet")) / "pictures" / "dashboards"
# What a scrape itself adds, and Prometheus about alerts.
OF_PROMETHEUS = re.compile(r"up|ALERTS|ALERTS_FOR_STATE|scrape_\w+")


def short_sighted():
    """The copies of rules that end while the test lasts."""
    copies = []
    for rule in support.alerts():
        labels = {**rule.labels, "window": "short"}
        if rule.name == "DlqArrivals":
            assert "[10m]" in rule.expr
            copies.append(dataclasses.replace(rule, expr=rule.expr.replace("[10m]", "[30s]"), labels=labels))
        if rule.name == "DlqNotEmpty":
            copies.append(dataclasses.replace(rule, for_=3, keep_firing_for=0, labels=labels))
    assert len(copies) == 2
    return [dataclasses.replace(copy, group="short-sighted") for copy in copies]


def prometheus_config(targets, alertmanager, rules):
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
            ],
        }
    )


def alertmanager_config(webhook):
    """The example, with receivers of its names that post to the test."""
    routes, receivers = (support.ALERTS / "alertmanager.yaml").read_text(encoding="utf-8").split("\nreceivers:\n")
    for name in re.findall(r"^  - name: (\S+)$", receivers, re.M):
        routes += '\n  - {name: %s, webhook_configs: [{url: "%s/%s"}]}' % (name, webhook, name)
    return routes.replace("\n  - {name", "\nreceivers:\n  - {name", 1)


class Live:
    """What the tests below look at: made once, before them."""

    story: traffic.Story
    source: drawn.Source
    shown: list
    series: list
    kinds: dict


def setUpModule():
    stack = contextlib.ExitStack()
    unittest.addModuleCleanup(stack.close)
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    told, carrier = fleet.Told(), fleet.Carrier(SLOW_SECONDS)
    webhook = stack.enter_context(fleet.listener(told.handle))
    alertmanager = stack.enter_context(
        support.server(
            "alertmanager",
            alertmanager_config(webhook),
            "--storage.path=data",
            "--cluster.listen-address=",
            files=[support.ALERTS / "messages.tmpl"],
        )
    )
    running = fleet.Fleet(folder, stack.enter_context(fleet.listener(carrier.handle)))
    stack.callback(running.kill)
    short = folder / "short.yaml"
    short.write_text(support.rule_file(short_sighted()), encoding="utf-8")
    config = prometheus_config(running.targets, alertmanager, [support.RULES.name, short.name])
    prometheus = stack.enter_context(
        support.server("prometheus", config, "--storage.tsdb.path=data", files=[support.RULES, short])
    )
    Live.story = traffic.tell(running, carrier, told, prometheus)
    Live.source = drawn.Source(prometheus, Live.story.began, Live.story.ended)
    Live.shown = Live.source.shown()
    whole = {"start": Live.story.began, "end": Live.story.ended}
    Live.series = Live.source.ask("series", **{"match[]": '{__name__!=""}', **whole})
    Live.kinds = {name: {one["type"] for one in of} for name, of in Live.source.ask("metadata").items()}
    running.stop()


class Panels(unittest.TestCase):
    maxDiff = None

    def test_every_query_of_every_panel_shows_something_or_is_known_not_to(self):
        judged = drawn.judged(Live.shown)
        wanted = {name: "nothing" for name in drawn.NOTHING} | {name: "zero" for name in drawn.ZERO}
        wrong = {
            name: "is %s, not %s" % (is_now, wanted.get(name, "something"))
            for name, is_now in judged.items()
            if name not in drawn.BY_CHANCE and is_now != wanted.get(name, "something")
        }
        self.assertEqual(wrong, {})

    def test_what_is_known_to_show_nothing_is_a_query(self):
        there = {one.name() for one in Live.shown}
        self.assertLessEqual(drawn.NOTHING.keys() | drawn.ZERO.keys() | drawn.BY_CHANCE.keys(), there)

    def test_nothing_is_excused_that_could_be_shown_here(self):
        """What finds no series asks for a metric of another exporter."""
        others = {name for name in names.FOREIGN if name.startswith(("keda_", "kube_"))}
        for one in Live.shown:
            if one.name() in drawn.NOTHING:
                asked = {name for name, _ in promql.series(support.filled_in(one.target["expr"]))}
                with self.subTest(one.name()):
                    self.assertTrue(asked & others)

    def test_variables_and_annotations_find_something(self):
        for where, expr in support.expressions(Live.source.variables):
            if ", annotation " in where or ", variable " in where:
                with self.subTest(where):
                    found = [value for _, points in Live.source.series(expr) for _, value in points]
                    self.assertTrue(any(found), expr)


class Names(unittest.TestCase):
    maxDiff = None

    def scraped(self):
        """{metric: labels} of what was scraped; a histogram by its name, without its series' ends."""
        histograms = {name for name, kinds in Live.kinds.items() if "histogram" in kinds}
        found = {}
        for one in Live.series:
            name = one["__name__"]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            name = base if base in histograms else name
            if name in Live.kinds and not OF_PROMETHEUS.fullmatch(name):
                labels = one.keys() - {"__name__", "le"} - names.OF_TARGETS
                found.setdefault(name, set()).update(labels)
        return found

    def test_what_is_scraped_is_documented_and_what_is_documented_is_scraped(self):
        documented = {name: set(labels) for name, (_, labels) in test_metrics.documented().items()}
        self.assertEqual(self.scraped(), documented)

    def test_what_is_scraped_is_of_the_kind_that_is_documented(self):
        kinds = {name: {kind} for name, (kind, _) in test_metrics.documented().items()}
        self.assertEqual({name: Live.kinds[name] for name in self.scraped()}, kinds)

    def test_what_the_sources_are_read_for_is_what_is_scraped(self):
        """So that tests without a fleet, which read the sources, are right."""
        self.assertEqual(sorted(self.scraped()), sorted(rust_metrics.exported()))

    def test_every_name_in_rules_and_dashboards_has_series(self):
        there = {one["__name__"] for one in Live.series}
        elsewhere = {name for name in names.FOREIGN if name.startswith(("keda_", "kube_"))}
        # Recorded of what another exporter has.
        elsewhere.add("queue_type:workers_at_maximum:bool")
        used = {name for rule in support.rules() for name, _ in promql.series(rule.expr)}
        used |= {name for _, expr in support.expressions() for name, _ in promql.series(expr)}
        used |= {rule.name for rule in support.recorded()}
        self.assertEqual(used - there, elsewhere)


class Alerts(unittest.TestCase):
    def test_a_dead_order_is_told_to_the_chat_within_a_minute(self):
        self.assertEqual(Live.story.told, "chat")
        took = Live.story.told_at - Live.story.refused_at
        print("told after %.1f s" % took)
        self.assertLess(took, 60)

    def test_that_the_queue_is_not_empty_resolves_by_the_redrive(self):
        self.assertGreater(Live.story.emptied_at, Live.story.redriven_at)

    def test_that_orders_have_died_is_told_to_be_over_after_the_redrive(self):
        self.assertGreater(Live.story.resolved_at, Live.story.redriven_at)

    def test_there_was_traffic(self):
        print("%d orders in %.0f s" % (Live.story.accepted, Live.story.ended - Live.story.began))
        self.assertGreater(Live.story.accepted, 200)


class Pictures(unittest.TestCase):
    def test_every_dashboard_is_drawn(self):
        pictures.keep(FOLDER, Live.shown, Live.source)
        drawn_now = sorted(path.stem for path in FOLDER.glob("*.png"))
        self.assertEqual(drawn_now, sorted(name.removesuffix(".json") for name in support.dashboards()))
        for path in FOLDER.glob("*.png"):
            self.assertGreater(path.stat().st_size, 20_000, path)


if __name__ == "__main__":
    unittest.main()
