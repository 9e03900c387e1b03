"""What each panel of the dashboards shows of a Prometheus, and which may show nothing."""

import concurrent.futures
import dataclasses
import math
import urllib.parse

import support

NO_KEDA = "there is no KEDA without a cluster"
NO_KUBE_STATE = "there is no kube-state-metrics without a cluster"
OF_TRIGGER = "{{scaledObject}} {{triggerIndex}} {{scaler}}"
# Panels' queries that find no series: {(dashboard, panel, query): why}.
NOTHING = {
    ("autoscaling", "Errors of KEDA, 10 min", "A"): NO_KEDA,
    ("autoscaling", "Paused", "A"): NO_KEDA,
    ("autoscaling", "Standard workers", "wanted"): NO_KUBE_STATE,
    ("autoscaling", "Standard workers", "at most"): NO_KUBE_STATE,
    ("autoscaling", "FIFO workers", "wanted"): NO_KUBE_STATE,
    ("autoscaling", "FIFO workers", "at most"): NO_KUBE_STATE,
    ("autoscaling", "Ready replicas", "{{deployment}}"): NO_KUBE_STATE,
    ("autoscaling", "What KEDA reads", OF_TRIGGER): NO_KEDA,
    ("autoscaling", "Errors", OF_TRIGGER): NO_KEDA,
    ("autoscaling", "Time of a read", OF_TRIGGER): NO_KEDA,
    ("autoscaling", "ScaledObjects", "A"): NO_KEDA,
}
# Those whose series are there, and stay 0.
STRANDED = "no worker leaves a message leased"
ZERO = {
    ("delivery-workers", "Stranded by stopping workers", "{{queue}}"): STRANDED,
    ("delivery-workers", "Stranded, 1 h", "A"): STRANDED,
    ("dlq", "All queues", "{{queue}} delayed"): "the fleet's queues delay nothing",
}
# Those that are 0 or not by chance, or find a series or not.
BY_CHANCE = {
    ("delivery-workers", "Given back by stopping workers", "{{queue}}"): "a worker counts them in its last moments",
}


@dataclasses.dataclass
class Shown:
    """A query of a panel, and what it found: (labels, [(time, value)]) of each series."""

    dashboard: str
    panel: dict
    target: dict
    series: list

    def name(self):
        """Which one it is. A panel's title may be there twice, so what is called alike is judged together."""
        legend = self.target["legendFormat"]
        return (self.dashboard, self.panel["title"], "A" if legend == "__auto" else legend)

    def values(self):
        return [value for _, points in self.series for _, value in points if math.isfinite(value)]


class Source:
    """A Prometheus, and the time that is looked at."""

    def __init__(self, url, began, ended, step=1):
        self.url, self.began, self.ended, self.step = url, began, ended, step
        # Grafana takes four scrape intervals at least, and more on a longer axis.
        whole = "%ds" % (ended - began)
        self.variables = {**support.VARIABLES, "__rate_interval": "15s", "__range": whole}

    def ask(self, path, **asked):
        return support.get("%s/api/v1/%s?%s" % (self.url, path, urllib.parse.urlencode(asked, doseq=True)))["data"]

    def series(self, expr, instant=False):
        """What an expression finds: over the whole time, or at its end."""
        if instant:
            found = self.ask("query", query=expr, time=self.ended)["result"]
            return [(one["metric"], [point(one["value"])]) for one in found]
        found = self.ask("query_range", query=expr, start=self.began, end=self.ended, step=self.step)["result"]
        return [(one["metric"], [point(value) for value in one["values"]]) for one in found]

    def jobs(self, dashboard):
        """What all jobs of a dashboard are."""
        (variable,) = [one for one in dashboard["templating"]["list"] if one["name"] == "job"]
        series, label = support.listed(variable)
        found = {labels[label] for labels, _ in self.series(support.filled_in(series, self.variables))}
        return "(%s)" % "|".join(sorted(found))

    def marks(self):
        """{dashboard: [(time, colour)]} of its annotations, each where a series of it begins."""
        found = {}
        for name, dashboard in support.dashboards().items():
            marks = found.setdefault(name.removesuffix(".json"), [])
            for annotation in dashboard["annotations"]["list"]:
                asked = annotation["target"]["expr"] if "target" in annotation else "vector(0) > 0"
                for _, points in self.series(support.filled_in(asked, self.variables)):
                    times = [at for at, _ in points]
                    begins = [at for before, at in zip([0, *times], times) if at > before + self.step]
                    marks += [(at, annotation["iconColor"]) for at in begins]
        return found

    def shown(self):
        """What every query of every panel finds, with all of each variable chosen."""
        todo = []
        for name, dashboard in support.dashboards().items():
            variables = {**self.variables, "job": self.jobs(dashboard)}
            for panel in support.panels(dashboard):
                todo += [(name.removesuffix(".json"), panel, target, variables) for target in panel["targets"]]

        def found(one):
            dashboard, panel, target, variables = one
            expr = support.filled_in(target["expr"], variables)
            return Shown(dashboard, panel, target, self.series(expr, target["instant"]))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(found, todo))


def point(value):
    return float(value[0]), float(value[1])


def judged(shown):
    """{query: nothing, zero or something}."""
    found = {}
    for one in shown:
        values = one.values()
        # What is left of a difference of sums is none.
        is_now = "nothing" if not values else ("something" if max(map(abs, values)) > 1e-9 else "zero")
        found.setdefault(one.name(), set()).add(is_now)
    return {name: " and ".join(sorted(all_of)) for name, all_of in found.items()}
