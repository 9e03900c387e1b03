"""values.yaml, values.schema.json and the README's table say the same, and wrong values are refused
with what is allowed."""
import functools
import json
import os
import re
import unittest

import chart
import table

SCHEMA = json.loads(table.read(os.path.join(chart.CHART, "values.schema.json")))

# Wrong values as `--set-json` takes them; where helm finds them; a part of what it says.
WRONG = [
    # unknown names, at each depth
    ("orderAPI={}", "''", "orderAPI"),
    ("image.tags=\"1\"", "/image", "tags"),
    ("aws.regio=\"x\"", "/aws", "regio"),
    ("queues.express={}", "/queues", "express"),
    ("queues.standard.name=\"x\"", "/queues/standard", "name"),
    ("queues.fifoDlq.visibilityTimeout=30", "/queues/fifoDlq", "visibilityTimeout"),
    ("localSqs.persistence=true", "/localSqs", "persistence"),
    ("postgres.storage=\"1Gi\"", "/postgres", "storage"),
    ("database.url=\"postgres://u:p@db/d\"", "/database", "url"),
    ("database.ca.secret=\"x\"", "/database/ca", "secret"),
    ("telemetry.level=\"info\"", "/telemetry", "level"),
    ("orderApi.port=80", "/orderApi", "port"),
    ("orderApi.autoscaling.cpu=50", "/orderApi/autoscaling", "cpu"),
    ("orderApi.pdb.minAvailable=1", "/orderApi/pdb", "minAvailable"),
    ("orderApi.service.port=80", "/orderApi/service", "port"),
    ("workers.replicas=2", "/workers", "replicas"),
    ("workers.carrier.URL=\"x\"", "/workers/carrier", "URL"),
    ("workers.fifo.groupConcurrency=2", "/workers/fifo", "groupConcurrency"),
    ("workers.standard.minReplicas=2", "/workers/standard", "minReplicas"),
    ("dlqMonitor.replicas=2", "/dlqMonitor", "replicas"),
    ("keda.enable=true", "/keda", "enable"),
    ("keda.auth.podIdentity=true", "/keda/auth", "podIdentity"),
    ("keda.standard.queueLength=5", "/keda/standard", "queueLength"),
    ("keda.standard.scaleUp.pods=5", "/keda/standard/scaleUp", "pods"),
    ("keda.standard.scaleDown.pods=5", "/keda/standard/scaleDown", "pods"),
    ("keda.fifo.target=5", "/keda/fifo", "target"),
    ("keda.fifo.scaleUp.max=5", "/keda/fifo/scaleUp", "max"),
    ("keda.fifo.scaleDown.percent=5", "/keda/fifo/scaleDown", "percent"),
    ("monitoring.prometheus=true", "/monitoring", "prometheus"),
    ("observability.enabled=true", "/observability", "enabled"),
    ("observability.prometheus.storage=\"1Gi\"", "/observability/prometheus", "storage"),
    ("observability.alertmanager.receiver=\"x\"", "/observability/alertmanager", "receiver"),
    ("observability.grafana.password=\"x\"", "/observability/grafana", "password"),
    ("networkPolicy.allowAll=true", "/networkPolicy", "allowAll"),
    ("networkPolicy.dns.service=\"x\"", "/networkPolicy/dns", "service"),
    ("networkPolicy.egress.s3=\"any\"", "/networkPolicy/egress", "s3"),
    ("networkPolicy.podPorts.database=[5432]", "/networkPolicy/podPorts", "database"),
    ("networkPolicy.podPorts.sqs=null", "/networkPolicy/podPorts", "sqs"),
    ("networkPolicy.podPorts.carrier=[0]", "/networkPolicy/podPorts/carrier/0", "1"),
    ("serviceAccounts.api={}", "/serviceAccounts", "api"),
    ("serviceAccounts.worker.role=\"x\"", "/serviceAccounts/worker", "role"),
    ("tests.image=\"x\"", "/tests", "image"),
    # settings that the programs do not have, or that the chart decides
    ("orderApi.env={\"PUBLISH_LINGERS\":\"2ms\"}", "/orderApi/env", "PUBLISH_LINGER"),
    ("orderApi.env={\"LISTEN_ADDR\":\"0.0.0.0:80\"}", "/orderApi/env", "LISTEN_ADDR"),
    ("orderApi.env={\"PUBLISH_BATCH\":[1]}", "/orderApi/env/PUBLISH_BATCH", "string"),
    ("workers.env={\"WORKER_CONCURRENCY\":8}", "/workers/env", "WORKER_CONCURRENCY"),
    ("workers.fifo.env={\"SQS_QUEUE_URL_STANDARD\":\"x\"}", "/workers/fifo/env", "SQS_QUEUE_URL_STANDARD"),
    ("dlqMonitor.env={\"MONITOR_TOKEN\":\"x\"}", "/dlqMonitor/env", "MONITOR_TOKEN"),
    ("localSqs.env={\"LOCAL_SQS_ADDR\":\"x\"}", "/localSqs/env", "LOCAL_SQS_ADDR"),
    # words
    ("image.pullPolicy=\"Sometimes\"", "/image/pullPolicy", "IfNotPresent"),
    ("telemetry.logFormat=\"xml\"", "/telemetry/logFormat", "json"),
    ("orderApi.service.type=\"ExternalName\"", "/orderApi/service/type", "LoadBalancer"),
    ("keda.enabled=\"yes\"", "/keda/enabled", "auto"),
    ("monitoring.enabled=\"maybe\"", "/monitoring/enabled", "auto"),
    ("keda.auth.identityOwner=\"operator\"", "/keda/auth/identityOwner", "workload"),
    ("orderApi.topologySpread=[{\"topologyKey\":\"zone\",\"maxSkew\":1,\"whenUnsatisfiable\":\"Never\"}]", "/orderApi/topologySpread/0/whenUnsatisfiable", "ScheduleAnyway"),
    ("workers.standard.topologySpread=[{\"topologyKey\":\"zone\",\"minDomains\":2}]", "/workers/standard/topologySpread/0", "minDomains"),
    ("workers.standard.topologySpread=[{\"topologyKey\":\"\"}]", "/workers/standard/topologySpread/0/topologyKey", "minLength"),
    ("workers.standard.topologySpread=[{\"topologyKey\":\"zone\"}]", "/workers/standard/topologySpread/0", "maxSkew"),
    ("workers.fifo.tolerations=[{\"keys\":\"spot\"}]", "/workers/fifo/tolerations/0", "keys"),
    ("workers.fifo.tolerations=[{\"tolerationSeconds\":-1}]", "/workers/fifo/tolerations/0/tolerationSeconds", "0"),
    ("workers.fifo.tolerations=[{\"operator\":\"In\"}]", "/workers/fifo/tolerations/0/operator", "Exists"),
    ("workers.fifo.tolerations=[{\"effect\":\"Never\"}]", "/workers/fifo/tolerations/0/effect", "NoSchedule"),
    # forms
    ("image.registry=\"https://registry.example\"", "/image/registry", "pattern"),
    ("image.tag=\"a b\"", "/image/tag", "pattern"),
    ("image.pullSecrets=[\"My Secret\"]", "/image/pullSecrets/0", "pattern"),
    ("clusterDomain=\"Cluster.Local\"", "/clusterDomain", "pattern"),
    ("aws.region=\"Frankfurt\"", "/aws/region", "pattern"),
    ("aws.endpoint=\"sqs.example\"", "/aws/endpoint", "https?"),
    ("aws.credentialsSecret=\"Keys\"", "/aws/credentialsSecret", "pattern"),
    ("queues.fifo.url=\"order-queue.fifo\"", "/queues/fifo/url", "https?"),
    ("queues.standardDlq.url=\"sqs://1/dead\"", "/queues/standardDlq/url", "https?"),
    ("postgres.image=\"Postgres 17\"", "/postgres/image", "pattern"),
    ("postgres.password=\"a/b\"", "/postgres/password", "pattern"),
    ("database.existingSecret=\"DB\"", "/database/existingSecret", "pattern"),
    ("database.key=\"a key\"", "/database/key", "pattern"),
    ("telemetry.log=\"\"", "/telemetry/log", "minLength"),
    ("orderApi.pdb.maxUnavailable=\"half\"", "/orderApi/pdb/maxUnavailable", "pattern"),
    ("orderApi.publishTimeout=\"5 s\"", "/orderApi/publishTimeout", "ms|s|m|h"),
    ("orderApi.shutdownDelay=5", "/orderApi/shutdownDelay", "string"),
    ("workers.handlerTimeout=\"1m 30s\"", "/workers/handlerTimeout", "ms|s|m|h"),
    ("workers.drainTimeout=\"-1s\"", "/workers/drainTimeout", "ms|s|m|h"),
    ("workers.carrier.simulatedTime=\"normal(5ms)\"", "/workers/carrier/simulatedTime", "lognormal"),
    ("dlqMonitor.interval=\"often\"", "/dlqMonitor/interval", "ms|s|m|h"),
    ("keda.standard.meanProcessingTime=\"0s\"", "/keda/standard/meanProcessingTime", "ms|s|m|h"),
    ("keda.fifo.acceptableWait=\"soon\"", "/keda/fifo/acceptableWait", "ms|s|m|h"),
    ("keda.auth.roleArn=\"fleet-keda\"", "/keda/auth/roleArn", "arn:aws"),
    ("keda.findNamespace=\"auto\"", "/keda/findNamespace", "boolean"),
    ("keda.namespace=\"\"", "/keda/namespace", "pattern"),
    ("monitoring.interval=\"15\"", "/monitoring/interval", "pattern"),
    ("monitoring.runbookUrl=\"wiki.example.com\"", "/monitoring/runbookUrl", "pattern"),
    ("monitoring.runbookUrl=\"https://wiki.example.com/{{ $value }}\"", "/monitoring/runbookUrl", "pattern"),
    ("networkPolicy.dns.cidrs=[\"localhost\"]", "/networkPolicy/dns/cidrs/0", "pattern"),
    ("networkPolicy.dns.cidrs=[\"10.0.0.256/32\"]", "/networkPolicy/dns/cidrs/0", "pattern"),
    ("networkPolicy.dns.cidrs=[\"10.0.0.0/33\"]", "/networkPolicy/dns/cidrs/0", "pattern"),
    ("networkPolicy.dns.cidrs=[\"10.0.0/8\"]", "/networkPolicy/dns/cidrs/0", "pattern"),
    ("networkPolicy.dns.cidrs=[\"10.01.0.0/16\"]", "/networkPolicy/dns/cidrs/0", "pattern"),
    ("networkPolicy.apiFrom=[{\"ipBlock\":{\"cidr\":\"fd00::/129\"}}]", "/networkPolicy/apiFrom/0/ipBlock/cidr", "pattern"),
    ("networkPolicy.apiFrom=[{\"ipBlock\":{\"cidr\":\"fd00:1/64\"}}]", "/networkPolicy/apiFrom/0/ipBlock/cidr", "pattern"),
    ("networkPolicy.egress.carrier=[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0\"]}}]", "/networkPolicy/egress/carrier/0/ipBlock/except/0", "pattern"),
    ("workers.carrier.url=\"http://carrier:port\"", "/workers/carrier/url", "https?"),
    ("workers.carrier.url=\"http://carrier:123456\"", "/workers/carrier/url", "https?"),
    ("telemetry.otlpEndpoint=\"http://fd00::1:4318\"", "/telemetry/otlpEndpoint", "https?"),
    ("telemetry.otlpEndpoint=\"http://collector/%zz\"", "/telemetry/otlpEndpoint", "https?"),
    ("orderApi.resources={\"limits\":{\"memory\":\"lots\"}}", "/orderApi/resources/limits/memory", "pattern"),
    ("orderApi.resources={\"limits\":{\"gpu\":1}}", "/orderApi/resources/limits", "gpu"),
    ("orderApi.resources={\"cpu\":1}", "/orderApi/resources", "cpu"),
    ("workers.fifo.affinity={\"nodes\":{}}", "/workers/fifo/affinity", "nodes"),
    ("networkPolicy.apiFrom=\"all\"", "/networkPolicy/apiFrom", "any"),
    ("networkPolicy.monitorFrom=[{}]", "/networkPolicy/monitorFrom/0", "minProperties"),
    ("networkPolicy.monitorFrom=[{\"selector\":{}}]", "/networkPolicy/monitorFrom/0", "selector"),
    ("networkPolicy.monitorFrom=[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"not\":[]}}]", "/networkPolicy/monitorFrom/0/ipBlock", "not"),
    ("networkPolicy.monitorFrom=[{\"ipBlock\":{}}]", "/networkPolicy/monitorFrom/0/ipBlock", "cidr"),
    ("networkPolicy.dns.podLabels={\"k8s-app\":null}", "/networkPolicy/dns/podLabels", "minProperties"),
    # bounds
    ("queues.standard.visibilityTimeout=0", "/queues/standard/visibilityTimeout", "1"),
    ("queues.fifo.visibilityTimeout=43201", "/queues/fifo/visibilityTimeout", "43,200|43200"),
    ("queues.fifo.maxReceiveCount=1", "/queues/fifo/maxReceiveCount", "2"),
    ("database.port=0", "/database/port", "1"),
    ("queues.standard.maxReceiveCount=1001", "/queues/standard/maxReceiveCount", "1,?000"),
    ("queues.fifo.maxReceiveCount=1001", "/queues/fifo/maxReceiveCount", "1,?000"),
    ("database.port=65536", "/database/port", "65,?535"),
    ("networkPolicy.podPorts.otlp=[65536]", "/networkPolicy/podPorts/otlp/0", "65,?535"),
    ("orderApi.replicas=0", "/orderApi/replicas", "1"),
    ("orderApi.replicas=1001", "/orderApi/replicas", "1,?000"),
    ("orderApi.autoscaling.targetCPUPercent=9", "/orderApi/autoscaling/targetCPUPercent", "10"),
    ("orderApi.autoscaling.targetCPUPercent=101", "/orderApi/autoscaling/targetCPUPercent", "100"),
    ("orderApi.pdb.maxUnavailable=0", "/orderApi/pdb/maxUnavailable", "1"),
    ("orderApi.preStopSeconds=-1", "/orderApi/preStopSeconds", "0"),
    ("orderApi.preStopSeconds=121", "/orderApi/preStopSeconds", "120"),
    ("orderApi.terminationGracePeriodSeconds=-1", "/orderApi/terminationGracePeriodSeconds", "0"),
    ("workers.terminationGracePeriodSeconds=86401", "/workers/terminationGracePeriodSeconds", "86,?400"),
    ("workers.concurrency=0", "/workers/concurrency", "1"),
    ("workers.concurrency=10001", "/workers/concurrency", "10,?000"),
    ("workers.standard.concurrency=-1", "/workers/standard/concurrency", "0"),
    ("workers.standard.concurrency=10001", "/workers/standard/concurrency", "10,?000"),
    ("workers.fifo.concurrency=-1", "/workers/fifo/concurrency", "0"),
    ("workers.fifo.concurrency=10001", "/workers/fifo/concurrency", "10,?000"),
    ("workers.standard.groupConcurrency=-1", "/workers/standard/groupConcurrency", "0"),
    ("workers.standard.groupConcurrency=10001", "/workers/standard/groupConcurrency", "10,?000"),
    ("workers.fifo.replicas=0", "/workers/fifo/replicas", "1"),
    ("keda.pollingInterval=0", "/keda/pollingInterval", "1"),
    ("keda.pollingInterval=3601", "/keda/pollingInterval", "3,?600"),
    ("keda.cooldownPeriod=-1", "/keda/cooldownPeriod", "0"),
    ("keda.cooldownPeriod=86401", "/keda/cooldownPeriod", "86,?400"),
    ("keda.failureThreshold=0", "/keda/failureThreshold", "1"),
    ("keda.failureThreshold=101", "/keda/failureThreshold", "100"),
    ("keda.standard.minReplicas=-1", "/keda/standard/minReplicas", "0"),
    ("keda.standard.minReplicas=1001", "/keda/standard/minReplicas", "1,?000"),
    ("keda.standard.maxReplicas=0", "/keda/standard/maxReplicas", "1"),
    ("keda.fifo.minReplicas=0", "/keda/fifo/minReplicas", "1"),
    ("keda.fifo.utilizationPercent=9", "/keda/fifo/utilizationPercent", "10"),
    ("keda.fifo.utilizationPercent=86", "/keda/fifo/utilizationPercent", "85"),
    ("keda.fifo.utilizationPercent=0.6", "/keda/fifo/utilizationPercent", "integer"),
    ("keda.standard.scaleUp.percent=0", "/keda/standard/scaleUp/percent", "1"),
    ("keda.standard.scaleUp.percent=10001", "/keda/standard/scaleUp/percent", "10,?000"),
    ("keda.standard.scaleUp.periodSeconds=0", "/keda/standard/scaleUp/periodSeconds", "1"),
    ("keda.fifo.scaleUp.periodSeconds=1801", "/keda/fifo/scaleUp/periodSeconds", "1,?800"),
    ("keda.standard.scaleDown.percent=0", "/keda/standard/scaleDown/percent", "1"),
    ("keda.standard.scaleDown.percent=101", "/keda/standard/scaleDown/percent", "100"),
    ("keda.standard.scaleDown.stabilizationSeconds=-1", "/keda/standard/scaleDown/stabilizationSeconds", "0"),
    ("keda.fifo.scaleDown.stabilizationSeconds=3601", "/keda/fifo/scaleDown/stabilizationSeconds", "3,?600"),
    ("workers.fifo.topologySpread=[{\"topologyKey\":\"zone\",\"maxSkew\":0,\"whenUnsatisfiable\":\"ScheduleAnyway\"}]", "/workers/fifo/topologySpread/0/maxSkew", "1"),
    ("workers.fifo.resources={\"requests\":{\"cpu\":0}}", "/workers/fifo/resources/requests/cpu", "exclusiveMinimum"),
    # types that are easily mistaken; all others are tried below
    ("localSqs.enabled=\"true\"", "/localSqs/enabled", "boolean"),
    ("workers.failTestProducts=\"no\"", "/workers/failTestProducts", "boolean"),
    ("orderApi.podAnnotations={\"a\":1}", "/orderApi/podAnnotations/a", "string"),
    ("monitoring.labels={\"a\":true}", "/monitoring/labels/a", "string"),
]


# What can be wrong about a value, and how helm says that it is.
RULES = {
    "type": re.compile(r"got \w+, want (.*)"),
    "required": re.compile(r"missing propert"),
    "additionalProperties": re.compile(r"additional propert"),
    "propertyNames": re.compile(r"invalid propertyName"),
    "pattern": re.compile(r"does not match pattern"),
    "enum": re.compile(r"value must be one of"),
    "const": re.compile(r"value must be '"),
    **{name: re.compile(name + ": got") for name in ("minimum", "maximum", "exclusiveMinimum", "minLength", "minProperties")},
}
# Those that say something of the schemas in them, which are looked at one by one, and those that say nothing of a value.
NO_RULES = {"$schema", "title", "description", "definitions", "properties", "items", "allOf", "anyOf"}


def places(schema, path=""):
    """(path, what the schema says) of everything in it, references followed. `0` stands for each
    element of a list, `*` for each name of a map."""
    if "$ref" in schema:
        name = schema["$ref"].split("/")[-1]
        return places(SCHEMA["definitions"][name], path)
    found = [(path, schema)]
    for part in schema.get("allOf", []) + schema.get("anyOf", []):
        found += places(part, path)
    for name, part in schema.get("properties", {}).items():
        found += places(part, path + "/" + name)
    if isinstance(schema.get("additionalProperties"), dict):
        found += places(schema["additionalProperties"], path + "/*")
    if isinstance(schema.get("items"), dict):
        found += places(schema["items"], path + "/0")
    return found


def rules():
    """(id of the schema that has it, keyword) to the first path that it holds for. A definition that
    several values refer to is one schema."""
    found = {}
    for path, schema in places(SCHEMA):
        for keyword in set(schema) - NO_RULES:
            # What a map's values must be is a place of its own.
            if not (keyword == "additionalProperties" and isinstance(schema[keyword], dict)):
                found.setdefault((id(schema), keyword), path)
    # Helm itself takes nothing for values but a map.
    del found[id(SCHEMA), "type"]
    return found


@functools.lru_cache(maxsize=None)
def schemas_by_path():
    found = {}
    for path, schema in places(SCHEMA):
        found.setdefault(path, []).append(schema)
    return found


def broken(said, where):
    """The rules that helm says are broken by a value at `where`."""
    found = set()
    for path, text in re.findall(r"- at '(.*?)': (.*)", said):
        for keyword, words in RULES.items():
            told = words.search(text)
            # Which path helm prints of a wrong name has nothing to do with it.
            for schema in schemas_at(where if keyword == "propertyNames" else path) if told else []:
                if keyword in schema and (keyword != "type" or types(schema["type"]) == told.group(1)):
                    found.add((id(schema), keyword))
    return found


def schemas_at(path):
    path = re.sub(r"/[0-9]+(?=/|$)", "/0", path)
    by_path = schemas_by_path()
    return by_path.get(path) or by_path.get(path.rpartition("/")[0] + "/*", [])


def types(allowed):
    """Types as helm names them."""
    return allowed if isinstance(allowed, str) else " or ".join(sorted(allowed))


def of_another_type():
    """(what `--set-json` takes, path) of a value of a wrong type in each place, of a definition in one."""
    seen = set()
    for path, schema in places(SCHEMA):
        if path and "type" in schema and id(schema) not in seen:
            seen.add(id(schema))
            name = path[1:].replace("/0", "[0]").replace("/*", "/any").replace("/", ".")
            yield "%s=%s" % (name, "{}" if schema["type"] == "array" else "[]"), path.replace("*", "any")


def taken_away():
    """A value of each object, and the objects themselves."""
    paths = [path for path, _, _ in table.rows(table.read(table.VALUES))]
    first = {path.rpartition(".")[0]: path for path in reversed(paths)}
    return sorted({*first.values(), *(parent for parent in first if parent)})


class Values(unittest.TestCase):
    def test_the_readmes_table_is_made_of_values_yaml(self):
        is_now, should_be = table.current()
        self.assertEqual(is_now, should_be, "deploy/helm/check --write-table writes it anew")

    def test_the_table_refuses_a_value_without_a_meaning_and_lines_that_it_cannot_read(self):
        self.assertEqual(table.rows("a:\n  # -- what b is\n  b: 1\n"), [("a.b", "1", "what b is")])
        for text in ("a: 1\n", "# -- about\na:\n  b: 1\n", "# -- about\n- a\n"):
            with self.subTest(text), self.assertRaises(table.Mistake):
                table.rows(text)

    def test_every_value_is_in_the_schema_and_every_property_of_the_schema_is_a_value(self):
        of_schema = {path for path, _ in places(SCHEMA)}
        of_values = {"/" + path.replace(".", "/") for path, _, _ in table.rows(table.read(table.VALUES))}
        self.assertEqual(of_values - of_schema, set())
        leaves = {
            path for path, schema in places(SCHEMA)
            if "properties" not in schema and "/0" not in path and path.count("/") > 0
        }
        beneath = {path for path in leaves if any(path.startswith(value + "/") for value in of_values)}
        self.assertEqual(leaves - of_values - beneath - {"/global", "/enabled"}, set())

    def test_no_object_takes_unknown_names(self):
        free = {"/global", "/networkPolicy/dns/podLabels"}
        for path, schema in places(SCHEMA):
            is_map = isinstance(schema.get("additionalProperties"), dict)
            if schema.get("type") == "object" and not is_map and path not in free:
                # What Kubernetes itself checks is left to it.
                if path.split("/")[-1] in ("nodeAffinity", "podAffinity", "podAntiAffinity", "podSelector", "namespaceSelector"):
                    continue
                with self.subTest(path):
                    self.assertIs(schema.get("additionalProperties"), False)

    def test_every_text_and_number_has_bounds(self):
        # Words of people's own: any text is right.
        free = ("topologyKey", "key", "value", "*")
        for path, schema in places(SCHEMA):
            with self.subTest(path):
                if schema.get("type") == "string" and path.split("/")[-1] not in free:
                    self.assertTrue("pattern" in schema or "minLength" in schema)
                if schema.get("type") in ("integer", "number"):
                    self.assertTrue("minimum" in schema or "exclusiveMinimum" in schema)

    def test_each_wrong_value_is_refused_where_it_is_with_what_is_allowed(self):
        for wrong, where, allowed in WRONG:
            with self.subTest(wrong):
                said = chart.refusal("--set-json", wrong)
                self.assertIn(where, said)
                self.assertRegex(said, allowed)

    def test_a_value_that_is_taken_away_is_missed(self):
        for path in taken_away():
            with self.subTest(path):
                said = chart.refusal("--set", path + "=null")
                self.assertIn("missing property '%s'" % path.split(".")[-1], said)

    def test_a_value_of_another_type_is_refused_with_the_right_one(self):
        for wrong, where in of_another_type():
            with self.subTest(wrong):
                said = chart.refusal("--set-json", wrong)
                told = re.findall(r"(?m)at '%s': got \w+, want (.*)$" % re.escape(where), said)
                allowed = {types(schema["type"]) for schema in schemas_at(where) if "type" in schema}
                self.assertEqual(set(told), allowed - {"array" if wrong.endswith("=[]") else "object"}, said)

    def test_every_rule_of_the_schema_has_a_wrong_value(self):
        unknown = {keyword for _, keyword in rules()} - set(RULES)
        self.assertEqual(unknown, set(), "a keyword that this test does not know")
        tried = set()
        for wrong, where in [(wrong, where) for wrong, where, _ in WRONG] + list(of_another_type()):
            tried |= broken(chart.refusal("--set-json", wrong), where)
        for path in taken_away():
            tried |= broken(chart.refusal("--set", path + "=null"), "")
        for rule, path in rules().items():
            with self.subTest(path, rule=rule[1]):
                self.assertTrue(rule in tried, "no wrong value breaks this rule")

    def test_addresses_and_urls_of_every_form_are_taken(self):
        for cidr in ("0.0.0.0/0", "255.255.255.255/32", "10.1.2.0/24", "::/0", "fd00:ec2::23/128", "2001:db8:0:1:2:3:4:5/64", "fe80::/10"):
            with self.subTest(cidr):
                self.assertTrue(chart.render("--set-json", 'networkPolicy.dns.cidrs=["%s"]' % cidr))
        for url in ("http://carrier", "https://user:pass@carrier.example:65535/a%20b?c=d#e", "http://[fd00::1]:4318", "http://10.0.0.1:1/", "https://c_1.example?x"):
            with self.subTest(url):
                self.assertTrue(chart.render("--set-json", 'workers.carrier.url="%s"' % url))

    def test_it_can_be_a_part_of_another_chart_under_a_condition(self):
        self.assertEqual(chart.render("--set", "enabled=true"), chart.render())

    def test_numbers_and_flags_of_env_are_written_as_the_programs_read_them(self):
        env = 'orderApi.env={"PUBLISH_BUFFER_BYTES":16777216,"OTEL_SDK_DISABLED":true,"OTEL_TRACES_SAMPLER_ARG":0.25}'
        api = chart.named(chart.render("--set-json", env), "Deployment", "order-api")
        found = chart.environment(api["spec"]["template"]["spec"])
        self.assertEqual(found["PUBLISH_BUFFER_BYTES"], "16777216")
        self.assertEqual(found["OTEL_SDK_DISABLED"], "true")
        self.assertEqual(found["OTEL_TRACES_SAMPLER_ARG"], "0.25")


if __name__ == "__main__":
    unittest.main()
