"""The Alertmanager example: who gets what, what keeps quiet beside what, and what people read."""

import datetime
import re
import unittest

import support

CONFIG = support.ALERTS / "alertmanager.yaml"
TEMPLATES = support.ALERTS / "messages.tmpl"

# By severity. Watchdog alone goes to whoever misses it.
RECEIVERS = {"critical": "pager,chat", "warning": "chat", "info": "chat"}

DLQ = {"namespace": "shop", "queue": "order-queue-standard-dlq", "component": "dlq"}

# (what it is, what fires, what says nothing beside that, what still does)
INHIBITIONS = [
    (
        "a critical alert keeps its own warning quiet, and no other's",
        {"alertname": "DlqMessageExpiring", "severity": "critical", **DLQ},
        [{"alertname": "DlqMessageExpiring", "severity": "warning", **DLQ}],
        [
            {"alertname": "DlqMessageExpiring", "severity": "warning", **DLQ, "queue": "order-queue-dlq.fifo"},
            {"alertname": "DlqMessageExpiring", "severity": "warning", **DLQ, "namespace": "other"},
            {"alertname": "DlqArrivals", "severity": "warning", **DLQ},
        ],
    ),
    (
        "what is about to expire is not empty",
        {"alertname": "DlqMessageExpiring", "severity": "warning", **DLQ},
        [{"alertname": "DlqNotEmpty", "severity": "warning", **DLQ}],
        [
            {"alertname": "DlqNotEmpty", "severity": "warning", **DLQ, "queue": "order-queue-dlq.fifo"},
            {"alertname": "DlqArrivals", "severity": "warning", **DLQ},
        ],
    ),
    (
        "without a monitor nothing that it says is told",
        {"alertname": "DlqMonitorDown", "severity": "critical", "component": "dlq-monitor", "namespace": "shop"},
        [
            {"alertname": "DlqNotEmpty", "severity": "warning", **DLQ},
            {"alertname": "DlqMessageExpiring", "severity": "critical", **DLQ},
            {"alertname": "DlqMonitorBlind", "severity": "critical", "component": "dlq-monitor", "namespace": "shop"},
            {"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-dlq-monitor"},
            # Nothing is heard of the queue, so that it would be told to be over.
            {"alertname": "QueueStalled", "severity": "critical", "component": "workers", "namespace": "shop"},
        ],
        [
            {"alertname": "DlqNotEmpty", "severity": "warning", **DLQ, "namespace": "other"},
            {"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-order-api"},
            {"alertname": "QueueStalled", "severity": "critical", "component": "workers", "namespace": "other"},
            # By what the workers themselves say.
            {"alertname": "QueueWaitSloBurn", "severity": "critical", "component": "workers", "namespace": "shop"},
        ],
    ),
    (
        "while it cannot see, nothing that goes by what it counts",
        {"alertname": "DlqMonitorBlind", "severity": "critical", "component": "dlq-monitor", "namespace": "shop"},
        [
            {"alertname": "DlqScanIncomplete", "severity": "info", **DLQ},
            {"alertname": "DlqNotEmpty", "severity": "warning", **DLQ},
        ],
        [
            # One queue that it cannot read blinds it; of another one's messages it knows.
            {"alertname": "QueueStalled", "severity": "critical", "component": "workers", "namespace": "shop"},
            # What it has seen does not become untrue.
            {"alertname": "DlqMessageExpiring", "severity": "critical", **DLQ, "queue": "order-queue-dlq.fifo"},
            {"alertname": "DlqArrivals", "severity": "warning", **DLQ},
            {
                "alertname": "DlqArrivalsFast",
                "severity": "critical",
                "component": "dlq",
                "namespace": "shop",
                "queue_type": "standard",
            },
        ],
    ),
    (
        "where no order-api is left, each one that is gone is known",
        {"alertname": "FleetServiceDown", "severity": "critical", "namespace": "shop", "service": "order-api"},
        [{"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-order-api"}],
        [{"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-worker-fifo"}],
    ),
    (
        "and where no worker is",
        {"alertname": "FleetServiceDown", "severity": "critical", "namespace": "shop", "service": "delivery-worker"},
        [{"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-worker-fifo"}],
        [{"alertname": "FleetTargetDown", "severity": "warning", "namespace": "shop", "job": "fleet-order-api"}],
    ),
]


def receivers(labels):
    """Who gets an alert with these labels, as amtool tells."""
    asked = support.run(
        "amtool", "config", "routes", "test", "--config.file", CONFIG, *("%s=%s" % label for label in labels.items())
    )
    # Before its answer it may warn that the machine's own settings are not used.
    return asked.stdout.splitlines()[-1]


class Routes(unittest.TestCase):
    def test_amtool_accepts_the_example(self):
        support.run("amtool", "check-config", CONFIG)

    def test_every_alert_goes_where_its_severity_says(self):
        for rule in support.alerts():
            with self.subTest(rule.name, severity=rule.labels["severity"]):
                labels = {"alertname": rule.name, **rule.labels, "namespace": "shop", "queue": "order-queue-dlq.fifo"}
                wanted = "dead-man" if rule.name == "Watchdog" else RECEIVERS[rule.labels["severity"]]
                self.assertEqual(receivers(labels), wanted)

    def test_what_nobody_has_thought_of_goes_to_the_chat(self):
        self.assertEqual(receivers({"alertname": "SomebodyElses"}), "chat")

    def test_the_example_names_only_alerts_and_components_of_the_rules(self):
        text = CONFIG.read_text(encoding="utf-8")
        alerts = {rule.name for rule in support.alerts()}
        named = {name for names in re.findall(r'alertname=~?"([^"]+)"', text) for name in names.split("|")}
        self.assertLessEqual(named, alerts)
        components = set(re.findall(r'component="([^"]+)"', text))
        self.assertLessEqual(components, {rule.labels["component"] for rule in support.alerts()})
        services = set(re.findall(r'service="([^"]+)"', text))
        self.assertLessEqual(services, {"order-api", "delivery-worker", "dlq-monitor"})


class Inhibitions(unittest.TestCase):
    """By an Alertmanager that runs: amtool does not tell."""

    def test_alerts_keep_quiet_beside_what_says_more(self):
        for what, source, quiet, loud in INHIBITIONS:
            with self.subTest(what):
                config = CONFIG.read_text(encoding="utf-8")
                with support.server(
                    "alertmanager", config, "--storage.path=data", "--cluster.listen-address=", files=[TEMPLATES]
                ) as url:
                    self.assertEqual(inhibited(url, [source, *quiet, *loud], quiet), sorted(map(key, quiet)))


def key(labels):
    return sorted(labels.items())


def inhibited(url, alerts, quiet):
    """Which of these say nothing, once those do that should: Alertmanager has then looked at what keeps them quiet."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    support.get(url + "/api/v2/alerts", [{"labels": labels, "startsAt": now} for labels in alerts])

    def looked_at():
        found = support.get(url + "/api/v2/alerts")
        silent = sorted(key(alert["labels"]) for alert in found if alert["status"]["inhibitedBy"])
        return silent if len(found) == len(alerts) and all(key(labels) in silent for labels in quiet) else None

    return support.wait_for(looked_at, "each of these says nothing: %s" % quiet, seconds=20)


class Messages(unittest.TestCase):
    def test_people_read_what_the_example_says(self):
        """The title; colour and link; the text."""
        text = '{{ template "fleet.title" . }}\n{{ template "fleet.color" . }} {{ template "fleet.runbook" . }}\n{{ template "fleet.text" . }}'
        rendered = support.run(
            "amtool",
            "template",
            "render",
            "--template.glob=%s" % TEMPLATES,
            "--template.text=" + text,
            "--template.data=%s" % (support.TESTS / "message.json"),
        )
        self.assertEqual(rendered.stdout, (support.TESTS / "message.txt").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
