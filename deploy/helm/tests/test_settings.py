"""The environment of the fleet's programs: settings that they know, and all of them can be set."""
import json
import os
import re
import unittest

import chart
import table

COMMON = "crates/service-kit/src/settings/common.rs"
TABLES = {
    "order-api": "order-api/src/settings.rs",
    "delivery-worker": "delivery-worker/src/settings.rs",
    "dlq-monitor": "dlq-monitor/src/settings.rs",
    "local-sqs": "crates/local-sqs/src/cli.rs",
    "fleet-check": "crates/fleet-check/src/settings.rs",
}
VALUES = {
    "order-api": ["orderApi/env"], "delivery-worker": ["workers/env", "workers/standard/env", "workers/fifo/env"],
    "dlq-monitor": ["dlqMonitor/env"], "local-sqs": ["localSqs/env"],
}
# What no value sets, and why.
LEFT_OUT = {
    "LISTEN_ADDR": "the ports are the chart's",
    "ADMIN_ADDR": "the ports are the chart's",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry.otlpEndpoint",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "telemetry.otlpEndpoint, which the NetworkPolicies follow",
    "DELIVERY_BASE_URL": "the order API asks the workers itself",
    "SQS_QUEUE_URL_STANDARD_DLQ": "the order API sends nothing there; who does is tested below",
    "SQS_QUEUE_URL_FIFO_DLQ": "the order API sends nothing there; who does is tested below",
    "LOCAL_SQS_FAULTS": "faults are set while it runs, at /_local/faults",
    "LOCAL_SQS_ACCOUNT": "it is in the queues' URLs",
    "LOCAL_SQS_REGION": "the bundled queues are in us-east-1",
    "MONITOR_URL": "where the command line finds the service",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "there is one",
    "OTEL_SERVICE_NAME": "local-sqs has no traces of its own",
    "OTEL_TRACES_SAMPLER": "local-sqs has no traces of its own",
    "OTEL_TRACES_SAMPLER_ARG": "local-sqs has no traces of its own",
}


def names(path):
    """Names of the rows of a table of settings, in Rust."""
    text = chart.source(path)
    constants = dict(re.findall(r'const (\w+): &(?:\'static )?str =\s*"([^"]*)"', text))
    rows = re.findall(r'Setting::(?:new|optional)\(\s*(?:"([A-Z_0-9]+)"|([A-Z_0-9]+)),', text)
    return {literal or constants[constant] for literal, constant in rows}


def known(program):
    own, common = names(TABLES[program]), names(COMMON)
    if program == "local-sqs":
        return own | {name for name in common if name.startswith(("LOG_", "OTEL_", "RUST_LOG"))}
    return own | common


def programs(objects):
    """(program, environment) of every container of the fleet's own."""
    for component, _, _, spec in chart.pods(objects):
        program = spec["containers"][0]["image"].split("/")[-1].split(":")[0]
        if program in TABLES:
            yield program, component, chart.environment(spec)


# What the chart sets where `env` does not.
DEFAULTS = {"LOG_FORMAT", "RUST_LOG", "MAX_CONNECTIONS", "PUBLISH_BUFFER_ORDERS"}


class Settings(unittest.TestCase):
    def test_the_tables_are_read_from_the_code(self):
        self.assertLessEqual({"LISTEN_ADDR", "ADMIN_ADDR", "AWS_REGION", "RUST_LOG"}, names(COMMON))
        self.assertLessEqual({"WORKER_GROUP_CONCURRENCY", "DATABASE_URL", "CARRIER_URL"}, names(TABLES["delivery-worker"]))
        self.assertLessEqual({"DATABASE_URL", "PUBLISH_LINGER"}, names(TABLES["order-api"]))
        listed = set(re.findall(r'^    "([A-Z_0-9]+)",$', chart.source("crates/service-kit/src/settings/names.rs"), re.M))
        for program in TABLES:
            self.assertLessEqual(known(program), listed, program)

    def test_every_name_in_a_pod_is_a_setting_of_its_program(self):
        for name, arguments in chart.combinations().items():
            for program, component, environment in programs(chart.render(*arguments)):
                with self.subTest("%s: %s" % (name, component)):
                    self.assertEqual(set(environment) - known(program), set())

    def test_every_setting_of_every_service_can_be_set(self):
        schema = json.loads(table.read(os.path.join(chart.CHART, "values.schema.json")))
        seen, decided = {program: set() for program in TABLES}, {program: set() for program in TABLES}
        for name, arguments in chart.combinations().items():
            for program, _, environment in programs(chart.render(*arguments)):
                seen[program] |= set(environment)
                # In "everything" some are set by `env`.
                decided[program] |= set(environment) if name != "everything" else set()
        for program, paths in VALUES.items():
            for path in paths:
                allowed = self.env_names(schema, path)
                with self.subTest(path):
                    self.assertEqual(allowed - known(program), set(), "the program has no such setting")
                    self.assertEqual(known(program) - allowed - seen[program] - set(LEFT_OUT), set(), "no value sets it")
                    self.assertEqual(allowed & decided[program] - DEFAULTS, set(), "the chart decides it")

    def env_names(self, schema, path):
        for part in path.split("/"):
            schema = self.resolved(schema)["properties"][part]
        found = self.resolved(schema)
        return set(next(part["propertyNames"]["enum"] for part in found["allOf"] if "propertyNames" in part))

    def resolved(self, schema):
        while "$ref" in schema:
            root = json.loads(table.read(os.path.join(chart.CHART, "values.schema.json")))
            schema = root["definitions"][schema["$ref"].split("/")[-1]]
        return schema

    def test_whoever_has_a_database_is_given_one(self):
        for program, _, environment in programs(chart.render()):
            self.assertEqual("DATABASE_URL" in environment, "DATABASE_URL" in known(program), program)

    def test_each_worker_knows_its_own_queue_alone(self):
        for arguments in ((), chart.AWS):
            found = {component: environment for _, component, environment in programs(chart.render(*arguments))}
            for queue, other in (("STANDARD", "FIFO"), ("FIFO", "STANDARD")):
                urls = {name for name in found["worker-" + queue.lower()] if name.startswith("SQS_QUEUE_URL_")}
                self.assertEqual(urls, {"SQS_QUEUE_URL_" + queue, "SQS_QUEUE_URL_%s_DLQ" % queue})
            urls = {name for name in found["order-api"] if name.startswith("SQS_QUEUE_URL_")}
            self.assertEqual(urls, {"SQS_QUEUE_URL_STANDARD", "SQS_QUEUE_URL_FIFO"})
            self.assertEqual(len([name for name in found["dlq-monitor"] if name.startswith("SQS_QUEUE_URL_")]), 4)

    def test_the_last_of_env_wins_and_the_chart_over_all(self):
        found = {component: environment for _, component, environment in programs(chart.render(*chart.combinations()["everything"]))}
        self.assertEqual(found["worker-standard"]["RETRY_BACKOFF"], "3s")
        self.assertEqual(found["worker-fifo"]["RETRY_BACKOFF"], "2s")
        self.assertEqual(found["order-api"]["LOG_FORMAT"], "json")
        self.assertEqual(found["dlq-monitor"]["LOG_FORMAT"], "text")
        self.assertEqual(found["dlq-monitor"]["RUST_LOG"], "debug")
        self.assertEqual(found["worker-fifo"]["CARRIER"], "http")
        self.assertNotIn("CARRIER", {c: e for _, c, e in programs(chart.render())}["worker-fifo"])

    def test_secrets_come_from_the_secrets_that_are_named(self):
        found = {component: environment for _, component, environment in programs(chart.render(*chart.combinations()["everything"]))}
        self.assertEqual(found["worker-fifo"]["DATABASE_URL"], "deliveries-database/url")
        self.assertEqual(found["order-api"]["AWS_SECRET_ACCESS_KEY"], "sqs-keys/AWS_SECRET_ACCESS_KEY")
        self.assertEqual(found["dlq-monitor"]["MONITOR_TOKEN"], "monitor/token")
        bundled = {component: environment for _, component, environment in programs(chart.render())}
        self.assertEqual(bundled["worker-fifo"]["DATABASE_URL"], "fleet-postgres/DATABASE_URL")
        self.assertNotIn("AWS_SECRET_ACCESS_KEY", bundled["worker-fifo"])

    def test_one_worker_alone_keeps_deliveries_in_a_file_that_it_can_write(self):
        objects = chart.render(*chart.combinations()["one-worker-sqlite"])
        spec = chart.named(objects, "Deployment", "worker-standard")["spec"]["template"]["spec"]
        self.assertEqual(chart.environment(spec)["DATABASE_URL"], "sqlite:///data/deliveries.db")
        self.assertIn({"name": "data", "mountPath": "/data"}, spec["containers"][0]["volumeMounts"])
        monitor = chart.named(objects, "Deployment", "dlq-monitor")["spec"]["template"]["spec"]
        self.assertEqual(chart.environment(monitor)["DATABASE_URL"], "sqlite:///data/deliveries.db")
        self.assertIn({"name": "data", "emptyDir": {}}, monitor["volumes"])
        api = chart.named(objects, "Deployment", "order-api")["spec"]["template"]["spec"]
        self.assertNotIn("DATABASE_URL", chart.environment(api))

    def test_the_bundled_queues_have_the_attributes_of_the_values(self):
        text = chart.named(chart.render("--set", "queues.fifo.visibilityTimeout=45,queues.standard.maxReceiveCount=5"), "ConfigMap", "local-sqs")["data"]["queues.toml"]
        queues = {re.search(r'name = "(.*)"', part).group(1): part for part in text.split("[[queue]]")[1:]}
        self.assertEqual(list(queues)[:2], ["order-queue-standard-dlq", "order-queue-dlq.fifo"])
        self.assertIn('VisibilityTimeout = "45"', queues["order-queue.fifo"])
        self.assertIn("max_receive_count = 5", queues["order-queue-standard"])
        # Beside these, the queues are those that local-sqs has by itself.
        declared = chart.source("crates/local-sqs/src/declaration.rs")
        for name in queues:
            self.assertIn('"%s"' % name, declared)
        for attribute in re.findall(r"^([A-Z]\w+) =", text, re.M):
            self.assertIn('"%s"' % attribute, declared)


if __name__ == "__main__":
    unittest.main()
