"""Where things are, the tools that read them, and servers that live for a test."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "alerts"
RULES = ALERTS / "rules.yaml"
TESTS = ALERTS / "tests"
DASHBOARDS = ROOT / "dashboards"
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_BASE = "https://runbooks.example/fleet"

# Alerts that always fire: of them nothing else can be tested.
ALWAYS = {"Watchdog"}


def tool(name):
    """A program on PATH. A missing one is a failure, not something to skip."""
    # Debian calls its server so.
    found = shutil.which(name) or shutil.which("prometheus-" + name)
    if not found:
        raise AssertionError("%s is not installed: .ci/bootstrap installs it" % name)
    return found


def run(*command, check=True, **options):
    """A command's output, errors included; fails with all of it."""
    ended = subprocess.run(
        [tool(command[0]), *map(str, command[1:])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        **options,
    )
    if check and ended.returncode:
        raise AssertionError("%s failed:\n%s" % (" ".join(map(str, command)), ended.stdout))
    return ended


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, data=None):
    """The JSON that a URL answers; `data` is posted, as JSON."""
    request = urllib.request.Request(url)
    if data is not None:
        request = urllib.request.Request(url, json.dumps(data).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = answer.read()
    return json.loads(body) if body else None


def wait_for(condition, what, seconds=60):
    """Asks again and again until `condition` has an answer, which it returns."""
    ends = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.05)


@contextlib.contextmanager
def server(name, config, *flags, files=()):
    """A Prometheus or Alertmanager with this configuration, in a folder of its own; gives its URL."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        for path in files:
            shutil.copy(path, folder)
        url = "http://127.0.0.1:%d" % free_port()
        command = [tool(name), "--config.file=config.yaml", "--web.listen-address=" + url.removeprefix("http://"), *flags]
        with open(folder / "log", "w+", encoding="utf-8") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

            def ready():
                if process.poll() is not None:
                    log.seek(0)
                    raise AssertionError("%s ended with %d:\n%s" % (name, process.returncode, log.read()))
                try:
                    return urllib.request.urlopen(url + "/-/ready", timeout=5).status == 200
                except OSError:
                    return False

            try:
                wait_for(ready, name + " is ready")
                yield url
            finally:
                process.terminate()
                process.wait(timeout=30)


def prometheus(rules=None):
    """A Prometheus that scrapes nothing."""
    config = "global: {evaluation_interval: 1h}\nrule_files: %s\n" % json.dumps([rules.name] if rules else [])
    return server("prometheus", config, "--storage.tsdb.path=data", files=[rules] if rules else [])


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule as Prometheus understood it; durations are seconds."""

    group: str
    name: str
    expr: str
    alert: bool
    for_: float
    keep_firing_for: float
    labels: dict
    annotations: dict

    def described(self):
        """As a rule file has it. JSON is YAML, too."""
        if not self.alert:
            return {"record": self.name, "expr": self.expr, "labels": self.labels}
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": "%ds" % self.for_,
            "keep_firing_for": "%ds" % self.keep_firing_for,
            "labels": self.labels,
            "annotations": self.annotations,
        }


@functools.lru_cache(maxsize=None)
def rules():
    """The rules, read by Prometheus itself."""
    with prometheus(RULES) as url:
        groups = get(url + "/api/v1/rules")["data"]["groups"]
    return tuple(
        Rule(
            group=group["name"],
            name=rule["name"],
            expr=" ".join(rule["query"].split()),
            alert=rule["type"] == "alerting",
            for_=rule.get("duration", 0),
            keep_firing_for=rule.get("keepFiringFor", 0),
            labels=rule.get("labels") or {},
            annotations=rule.get("annotations") or {},
        )
        for group in groups
        for rule in group["rules"]
    )


def alerts():
    return [rule for rule in rules() if rule.alert]


def recorded():
    return [rule for rule in rules() if not rule.alert]


def rule_file(all_rules):
    """A rule file of these rules."""
    groups = {}
    for rule in all_rules:
        groups.setdefault(rule.group, []).append(rule.described())
    return json.dumps({"groups": [{"name": name, "rules": of} for name, of in groups.items()]}, indent=1)


def dashboards():
    """Every dashboard by its file's name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard):
    """Its panels, without the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def listed(variable):
    """(series, label) whose values a variable offers."""
    return re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()


VARIABLES = {"__rate_interval": "1m", "__range": "3h", "target": "128", "utilisation": "0.6"}


def expressions(variables=VARIABLES):
    """Every query of every dashboard, variables filled in: (where, expression)."""
    found = []
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                found.append(("%s, %s, %s" % (name, panel["title"], target["refId"]), target["expr"]))
        for annotation in dashboard["annotations"]["list"]:
            if "target" in annotation:
                found.append(("%s, annotation %s" % (name, annotation["name"]), annotation["target"]["expr"]))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found.append(("%s, variable %s" % (name, variable["name"]), listed(variable)[0]))
    return [(where, filled_in(expr, variables)) for where, expr in found]


def expressions_of(where):
    """Those whose place begins so."""
    return [expr for place, expr in expressions() if place.startswith(where)]


def filled_in(expr, variables=VARIABLES):
    """An expression as Grafana sends it; within a selector's quotes a variable is a regular expression, of anything if unknown."""
    # $1 is none: it is what label_replace puts in.
    quoted = re.sub(r'"\$([A-Za-z_]\w*)"', lambda found: '"%s"' % variables.get(found.group(1), ".*"), expr)
    return re.sub(r"\$([A-Za-z_]\w*)", lambda found: variables[found.group(1)], quoted)


def pages():
    """What people read, by its path from the root."""
    found = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
    found += [*ROOT.glob("docs/**/*.md"), ALERTS / "README.md", DASHBOARDS / "README.md"]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}
