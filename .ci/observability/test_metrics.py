"""docs/metrics.md says what the code exports, and everything else names only that."""

import pathlib
import re
import runpy
import unittest

import names
import promql
import rust_metrics
import support

PAGE = support.ROOT / "docs" / "metrics.md"
COMMAND = pathlib.Path(__file__).resolve().parent / "metrics_page"


def documented():
    """{metric: (kind, labels)} of the page's tables."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.M)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def documented_buckets():
    """{histogram: bounds} of the page's sentences."""
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    number = r"\d+(?:\.\d+)?"
    found = {}
    for name, bounds in re.findall(r"`(\w+)`(?:, \w+)?: (%s(?:, %s)*|%s to %s)\." % ((number,) * 4), text):
        if " to " in bounds:
            first, last = bounds.split(" to ")
            found[name] = tuple(float(bound) for bound in range(int(first), int(last) + 1))
        else:
            found[name] = tuple(map(float, bounds.split(", ")))
    return found


class Metrics(unittest.TestCase):
    maxDiff = None

    def test_the_page_is_what_the_command_makes_of_the_code(self):
        support.run("python3", COMMAND, "--check")

    def test_the_command_mends_kinds_labels_buckets_and_rows(self):
        page = PAGE.read_text(encoding="utf-8")
        gone = "| `orders_gone_total` | counter | `why` | Gone. |\n"
        row = re.search(r"^\| `orders_accepted_total` .*\n", page, re.M)[0]
        wrong = page.replace(row, gone).replace("| `dlq_scan_complete` | gauge | `queue` ", "| `dlq_scan_complete` | counter | ")
        wrong = wrong.replace("0.0001, 0.001, 0.005", "0.2")
        made = runpy.run_path(str(COMMAND))["made"]
        mended = made(wrong)
        self.assertNotEqual(wrong, page)
        # The new row is the last of its table, and means what the code says.
        (new,) = re.findall(r"^\| `orders_accepted_total` .*\n", mended, re.M)
        self.assertEqual(new.rsplit("|", 2)[1].strip(), rust_metrics.help_of("orders_accepted_total"))
        self.assertEqual(mended.replace(new, ""), page.replace(row, ""))

    def test_the_page_has_the_metrics_of_the_code_and_no_other(self):
        code = {metric.name: (metric.kind, metric.labels) for metric in rust_metrics.exported().values()}
        self.assertEqual(documented(), code)

    def test_the_page_has_the_buckets_of_the_code(self):
        code = {metric.name: metric.buckets for metric in rust_metrics.exported().values() if metric.kind == "histogram"}
        self.assertEqual(documented_buckets(), code)

    def test_rules_name_only_metrics_and_labels_that_exist(self):
        known = names.series()
        wrong = [line for rule in support.rules() for line in names.wrong(rule.name, rule.expr, known)]
        self.assertEqual(wrong, [])

    def test_dashboards_name_only_metrics_and_labels_that_exist(self):
        known = names.series()
        wrong = [line for where, expr in support.expressions() for line in names.wrong(where, expr, known)]
        self.assertEqual(wrong, [])

    def test_pages_name_only_metrics_that_exist(self):
        known = names.series().keys() | rust_metrics.exported().keys()
        wrong = {path: names.mentioned(text) - known for path, text in support.pages().items()}
        self.assertEqual({path: unknown for path, unknown in wrong.items() if unknown}, {})

    def test_every_metric_of_a_service_is_on_a_dashboard(self):
        drawn = {name for _, expr in support.expressions() for name, _ in promql.series(expr)}
        services = [metric for metric in rust_metrics.exported().values() if not metric.name.startswith("local_sqs_")]
        self.assertEqual([metric.name for metric in services if not drawn & set(metric.series())], [])

    def test_every_foreign_name_is_used(self):
        used = {name for rule in support.rules() for name, _ in promql.series(rule.expr)}
        used |= {name for _, expr in support.expressions() for name, _ in promql.series(expr)}
        self.assertEqual(names.FOREIGN.keys() - used, set())

    def test_every_recorded_series_is_used(self):
        used = {name for rule in support.alerts() for name, _ in promql.series(rule.expr)}
        used |= {name for _, expr in support.expressions() for name, _ in promql.series(expr)}
        self.assertEqual([rule.name for rule in support.recorded() if rule.name not in used], [])


class Expressions(unittest.TestCase):
    """The reader of expressions, by examples: the tests above are worth what it is."""

    def test_metrics_are_told_from_functions_words_labels_and_texts(self):
        expr = (
            'sum by (queue) (rate(a_total{x="b_total", y=~"{c}"}[5m] offset 1h)) / on (queue) group_left () '
            "(max(d) by (queue) > bool 1.5e3) unless time() - e:f:g and absent(up) or vector(1)"
        )
        self.assertEqual(promql.series(expr), [("a_total", ["x", "y"]), ("d", []), ("e:f:g", []), ("up", [])])

    def test_what_is_not_understood_is_an_error(self):
        with self.assertRaises(ValueError):
            promql.tokens("up # a comment")


if __name__ == "__main__":
    unittest.main()
