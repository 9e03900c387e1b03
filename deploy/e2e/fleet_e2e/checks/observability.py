"""The demonstration's Prometheus and Alertmanager: what they reach through the NetworkPolicies, KEDA's
metrics that dashboards and rules ask for, and an alert that fires."""
import glob
import os
import re
import time

from .. import load, values
from ..cluster import is_ready
from ..installation import RELEASE, selector
from ..process import ROOT
from ..report import seconds
from ..waiting import NotYet, until

RULES = os.path.join(ROOT, "deploy", "alerts", "rules.yaml")
DASHBOARDS = os.path.join(ROOT, "dashboards", "*.json")
# Each pod of these is a target by itself.
MANY = ("order-api", "worker-standard", "worker-fifo")
# Of these there is one pod, which is scraped at its Service's address.
SINGLE = ("dlq-monitor", "local-sqs")
ALERT = "DlqArrivals"
ALERT_SECONDS = 90


def check(run, report):
    fleet = run.installation
    fleet.ensure(values.OBSERVED)
    targets = until("every pod scraped", lambda: all_up(fleet), seconds=90)
    report.figure("targets up", len(targets))
    with open(RULES, encoding="utf-8") as file:
        written = sorted(re.findall(r"(?m)^\s*- alert: (\S+)", file.read()))
    loaded = until("the rules evaluated", lambda: evaluated(fleet), seconds=60)
    report.figure("alerts loaded", "%d of %d" % (len(loaded), len(written)))
    report.expect(loaded == written, "of deploy/alerts/rules.yaml Prometheus has %s" % loaded)
    wanted = asked_of_keda()
    report.expect(wanted, "no dashboard asks for a metric of KEDA")
    until("KEDA's metrics scraped", lambda: all_scraped(fleet, wanted), seconds=60)
    report.figure("metrics of KEDA found", len(wanted))
    firing = alerts(fleet)
    report.expect(firing == 0, "%s fires before anything has failed" % ALERT)

    began = time.monotonic()
    load.place(fleet.api, "customer-001", name=load.FAILING)
    until("%s at Alertmanager" % ALERT, lambda: has_fired(fleet), seconds=ALERT_SECONDS)
    report.figure("%s at Alertmanager" % ALERT, seconds(time.monotonic() - began))


def answered(client, path):
    answer = client.get(path)
    if answer.status != 200:
        raise NotYet("%s: HTTP %d" % (path, answer.status))
    return answer.json()


def all_up(fleet):
    """Prometheus's targets, when those are the ready pods and every one of them answers."""
    targets = answered(fleet.prometheus, "/api/v1/targets?state=active")["data"]["activeTargets"]
    down = ["%s: %s" % (each["scrapeUrl"], each["lastError"] or each["health"]) for each in targets if each["health"] != "up"]
    if down:
        raise NotYet("; ".join(down))
    for component in MANY + SINGLE:
        wanted = addresses(fleet, component)
        found = {each["labels"]["instance"].rsplit(":", 1)[0] for each in targets if each["labels"]["job"] == component}
        if not wanted or wanted != found:
            raise NotYet("of %s at %s Prometheus has %s" % (component, sorted(wanted), sorted(found)))
    return targets


def addresses(fleet, component):
    """Where a component's pods are to be scraped."""
    pods = {pod["status"]["podIP"] for pod in fleet.cluster.pods(selector(component)) if is_ready(pod)}
    if component in MANY:
        return pods
    service = fleet.cluster.get("services", "%s-%s" % (RELEASE, component))
    return {service["spec"]["clusterIP"]} if len(pods) == 1 else set()


def evaluated(fleet):
    """The names of the alerts, once each has been evaluated and is well."""
    groups = answered(fleet.prometheus, "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    unwell = ["%s: %s" % (rule["name"], rule.get("lastError") or rule["health"]) for rule in rules if rule["health"] != "ok"]
    if unwell or not rules:
        raise NotYet("; ".join(unwell) or "no rules")
    return sorted(rule["name"] for rule in rules if rule["type"] == "alerting")


def asked_of_keda():
    """The names of KEDA's metrics in the dashboards' queries and in the rules."""
    names = set()
    for path in [RULES, *glob.glob(DASHBOARDS)]:
        with open(path, encoding="utf-8") as file:
            names.update(re.findall(r"\bkeda_\w+", file.read()))
    return names


def all_scraped(fleet, names):
    missing = names - set(answered(fleet.prometheus, "/api/v1/label/__name__/values")["data"])
    if missing:
        raise NotYet("Prometheus has no %s" % ", ".join(sorted(missing)))
    return True


def alerts(fleet):
    path = "/api/v2/alerts?active=true&filter=alertname%%3D%%22%s%%22" % ALERT
    return len(answered(fleet.alertmanager, path))


def has_fired(fleet):
    if alerts(fleet) == 0:
        raise NotYet("Alertmanager knows of none")
    return True
