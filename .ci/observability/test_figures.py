"""What dashboards come to where a fleet is not as usual: promtool counts it."""

import json
import pathlib
import tempfile
import unittest

import support

# 500 wait in each queue, and 300 are in flight.
WAITING = {
    'sqs_queue_messages{namespace="shop",job="m",queue="%s",role="source",state="%s"}' % (queue, state): "%dx60" % count
    for queue in ("order-queue-standard", "order-queue.fifo")
    for state, count in [("visible", 500), ("in_flight", 300)]
}


def of_annotation(name):
    return support.expressions_of("overview.json, annotation %s" % name)


def of_panels(dashboard, title):
    return support.expressions_of("%s, %s, " % (dashboard, title))


class Figures(unittest.TestCase):
    def comes_to(self, expr, series, wanted, at="30m"):
        """Of these series, one sample a minute, the expression is these samples."""
        samples = [{"labels": labels, "value": value} for labels, value in wanted.items()]
        test = {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": expr, "eval_time": at, "exp_samples": samples}],
        }
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "test.yaml"
            file.write_text(json.dumps({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
            support.run("promtool", "test", "rules", file)

    def test_what_is_needed_is_known_where_no_worker_runs(self):
        """As by the formula that KEDA is given: no pod holds anything, and no lane is busy."""
        for kind, needed in [("Standard", 4), ("FIFO", 0)]:
            exprs = of_panels("autoscaling.json", kind + " workers needed")
            exprs += [expr for expr in of_panels("autoscaling.json", kind + " workers") if "ceil" in expr]
            self.assertEqual(len(exprs), 2)
            for expr in exprs:
                self.comes_to(expr, WAITING, {"{}": needed})

    def test_what_is_needed_where_workers_run(self):
        limit = 'delivery_concurrency_limit{namespace="shop",job="w",pod="%s",queue="%s"}'
        workers = {limit % (pod, queue): "64x60" for pod, queue in [("s", "order-queue-standard"), ("f", "order-queue.fifo")]}
        workers['delivery_fifo_lanes_busy{namespace="shop",job="w",pod="f",queue="order-queue.fifo"}'] = "50x60"
        (standard,) = of_panels("autoscaling.json", "Standard workers needed")
        self.comes_to(standard, WAITING | workers, {"{}": 5})
        # 50 busy lanes are 1.3 workers of 64 handlers, 60 % of them in use.
        (fifo,) = of_panels("autoscaling.json", "FIFO workers needed")
        self.comes_to(fifo, WAITING | workers, {"{}": 2})

    def test_deployments_are_marked_and_what_comes_back_from_none_is_not(self):
        (expr,) = of_annotation("Deployments")
        of = '{namespace="%s",service="delivery-worker",job="%s",version="%s",pod_template_hash="%s"}'
        old, new, image = (of % ("shop", "worker-standard", *one) for one in [("0.1.0", "a"), ("0.2.0", "b"), ("0.1.0", "c")])
        of_old, of_new, of_image = ("build_info" + one.replace("}", ',pod="w-1"}') for one in [old, new, image])
        of_fifo, of_other = (
            "build_info" + of % (namespace, job, "0.1.0", revision)
            for namespace, job, revision in [("shop", "worker-fifo", "d"), ("other", "worker-standard", "e")]
        )
        for what, series, wanted in [
            ("they run on", {of_old: "1x60"}, {}),
            ("they come back from none", {of_old: "1x10 _x17 1x30"}, {}),
            ("they do while workers of another queue run on", {of_old: "1x10 _x17 1x30", of_fifo: "1x60"}, {}),
            ("they do while another fleet's run on", {of_old: "1x10 _x17 1x30", of_other: "1x60"}, {}),
            ("a new version", {of_old: "1x28", of_new: "_x27 1x30"}, {new: 1}),
            ("a new image of the same version", {of_old: "1x28", of_image: "_x27 1x30"}, {image: 1}),
            ("back to the one before", {of_old: "1x10 _x17 1x30", of_new: "_x9 1x20"}, {old: 1}),
            ("from none with a new version", {of_old: "1x10", of_new: "_x27 1x30"}, {new: 1}),
        ]:
            with self.subTest(what):
                self.comes_to(expr, series, wanted)


if __name__ == "__main__":
    unittest.main()
