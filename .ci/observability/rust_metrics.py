"""The metrics that the code exports, read from the sources that register them."""

import dataclasses
import re

from support import ROOT

SOURCES = [
    "order-api/src",
    "delivery-worker/src",
    "dlq-monitor/src",
    "crates/service-kit/src",
    "crates/sqs-consumer/src",
    "crates/local-sqs/src",
]

KINDS = {
    "IntCounterVec::new": "counter",
    "IntCounter::new": "counter",
    "counter": "counter",
    "IntGaugeVec::new": "gauge",
    "IntGauge::new": "gauge",
    "GaugeVec::new": "gauge",
    "Gauge::new": "gauge",
    "gauge": "gauge",
    "int_gauge": "gauge",
    "HistogramVec::new": "histogram",
    "histogram": "histogram",
}
DEFINITION = re.compile(
    r"""\b(?P<maker>%s)\(\s*
        (?:(?:Opts::new|HistogramOpts::new|opts)\(\s*|(?P<prefixed>name)\(\s*)?
        "(?P<name>[a-z][a-z0-9_]*)\""""
    % "|".join(map(re.escape, KINDS)),
    re.X,
)
LABELS = re.compile(r'&\[((?:\s*"[a-z_]+"\s*,?)*)\]')


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    labels: tuple
    buckets: tuple

    def series(self):
        """What a scrape has of it."""
        return [self.name + end for end in ("_bucket", "_sum", "_count")] if self.kind == "histogram" else [self.name]


def exported():
    """Every metric, by its name."""
    found = {}
    for folder in SOURCES:
        for code in sources(folder):
            for metric in defined(code):
                known = found.setdefault(metric.name, metric)
                if known != metric:
                    raise AssertionError("%s is defined in two ways: %s, %s" % (metric.name, known, metric))
    if len(found) < 30:
        raise AssertionError("only %d metrics were found in the sources: are they written otherwise now?" % len(found))
    return found


def sources(folder):
    """The code of a folder's files that speak of metrics, without its tests."""
    for path in sorted((ROOT / folder).rglob("*.rs")):
        text = path.read_text(encoding="utf-8")
        if "prometheus::" in text:
            yield text.split("#[cfg(test)]")[0]


def folder(name):
    """Where a metric is defined."""
    return next(one for one in SOURCES for code in sources(one) for metric in defined(code) if metric.name == name)


def help_of(name):
    """What the code says of a metric."""
    short = re.escape(name.removeprefix(prefix() + "_"))
    for code in sources(folder(name)):
        found = re.search(r'"(?:%s|%s)"(?:\)|\.to_owned\(\))?,\s*"((?:[^"\\]|\\.|\\\n)*)"' % (re.escape(name), short), code)
        if found:
            return re.sub(r"\\\n\s*", "", found[1])
    raise AssertionError("no help of %s was found: write its row by hand" % name)


def defined(code):
    """The metrics that a file defines."""
    for match in DEFINITION.finditer(code):
        call = parenthesized(code, code.index("(", match.start()))
        labels = LABELS.search(call)
        if not labels and match["maker"].islower():
            # The closure that makes it has the labels.
            labels = LABELS.search(code[code.index("let %s = " % match["maker"]) : match.start()])
        name = (prefix() + "_" if match["prefixed"] else "") + match["name"]
        kind = KINDS[match["maker"]]
        buckets = read_buckets(code, call) if kind == "histogram" else ()
        yield Metric(name, kind, tuple(re.findall(r'"([a-z_]+)"', labels[1])) if labels else (), buckets)


def parenthesized(code, start):
    """What is within the parentheses that open at `start`; parentheses in texts come in pairs."""
    depth = 0
    for at in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return code[start : at + 1]
    raise AssertionError("a parenthesis does not close")


def prefix():
    """What the worker has its consumers' metrics begin with."""
    service = (ROOT / "delivery-worker/src/service.rs").read_text(encoding="utf-8")
    return re.search(r'sqs_consumer::Metrics::register\(\s*\w+,\s*"(\w+)"\)', service)[1]


def read_buckets(code, call):
    """The bounds of a histogram, from the constant, the list or the range that its definition names."""
    counted = re.search(r"\((\d+)\.\.=(\d+)\)", call)
    if counted:
        return tuple(float(number) for number in range(int(counted[1]), int(counted[2]) + 1))
    listed = re.search(r"vec!\[([^\]]*)\]", call)
    if not listed:
        lists = re.finditer(r"const ([A-Z_]+): &?\[f64[^=]*=\s*&?\[([^\]]*)\]", code)
        (numbers,) = [found[2] for found in lists if re.search(r"\b%s\b" % found[1], call)]
    else:
        numbers = listed[1]
    return tuple(float(number.replace("_", "")) for number in numbers.split(",") if number.strip())
