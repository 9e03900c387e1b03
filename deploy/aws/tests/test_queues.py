"""The CloudFormation template is valid, and makes the queues that the README names."""
import re
import subprocess
import sys
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TEMPLATE = HERE.parent / "queues.yaml"
QUEUE = "AWS::SQS::Queue"
ALARM = "AWS::CloudWatch::Alarm"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is read as `{"Ref": "x"}`."""


def short_form(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else "Fn::" + tag: value}


Loader.add_multi_constructor("!", short_form)


def template():
    return yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader)


def resources(kind):
    found = template()["Resources"]
    return {name: each["Properties"] for name, each in found.items() if each["Type"] == kind}


def resolved(value):
    """A property's value with the parameters' defaults."""
    if isinstance(value, dict) and set(value) == {"Ref"}:
        return template()["Parameters"][value["Ref"]]["Default"]
    return value


def readme_queues():
    """Each queue's attributes as the README's table has them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (order-queue[\w.-]+) \| (.*) \|$", text, re.M)
    found = {}
    for name, cell in rows:
        same = "the same" in cell
        attributes = dict(found[rows[0][0]]) if same else {}
        attributes.update(re.findall(r"\b([A-Z][A-Za-z]+) (\w+)", cell))
        for flag in re.findall(r"(?:^|[,;] )([A-Z][A-Za-z]+)(?=[,;]|$)", cell):
            attributes[flag] = "true"
        target = re.search(r"redrive to ([\w.-]+)", cell)
        if target:
            attributes["deadLetterTarget"] = target.group(1).rstrip(".")
        count = re.search(r"maxReceiveCount (\d+)", cell)
        if count:
            attributes["maxReceiveCount"] = count.group(1)
        found[name] = attributes
    return found


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


class Queues(unittest.TestCase):
    def test_cfn_lint_finds_nothing(self):
        command = [str(Path(sys.executable).with_name("cfn-lint")), "--include-checks", "W", "I", "--", str(TEMPLATE)]
        run = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stdout), (0, ""), run.stderr)

    def test_the_queues_are_those_of_the_readme_with_its_attributes(self):
        expected = readme_queues()
        self.assertEqual(len(expected), 4)
        queues = {each["QueueName"]: each for each in resources(QUEUE).values()}
        self.assertEqual(set(queues), set(expected))
        for name, attributes in expected.items():
            self.assertGreaterEqual(len(attributes), 2, name)
            for attribute, value in attributes.items():
                with self.subTest(queue=name, attribute=attribute):
                    properties = queues[name]
                    if attribute == "maxReceiveCount":
                        found = properties["RedrivePolicy"]["maxReceiveCount"]
                    elif attribute == "deadLetterTarget":
                        target, of = properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
                        self.assertEqual(of, "Arn")
                        found = resources(QUEUE)[target]["QueueName"]
                    else:
                        found = resolved(properties[attribute])
                    self.assertEqual(text_of(found), value)

    def test_a_dead_letter_queue_keeps_messages_longer_than_its_source_and_names_it(self):
        queues = resources(QUEUE)
        sources = [each for each in queues.values() if "RedrivePolicy" in each]
        self.assertEqual(len(sources), 2)
        for source in sources:
            dlq = queues[source["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
            self.assertLess(source["MessageRetentionPeriod"], dlq["MessageRetentionPeriod"])
            (arn,) = dlq["RedriveAllowPolicy"]["sourceQueueArns"]
            self.assertTrue(arn["Fn::Sub"].endswith(":" + source["QueueName"]), arn)
            self.assertEqual(source.get("FifoQueue", False), dlq.get("FifoQueue", False))
            self.assertEqual(source.get("FifoQueue", False), source["QueueName"].endswith(".fifo"))

    def test_what_is_in_a_queue_outlives_the_stack(self):
        for name, each in template()["Resources"].items():
            if each["Type"] == QUEUE:
                self.assertEqual(each["DeletionPolicy"], "Retain", name)
                self.assertEqual(each["UpdateReplacePolicy"], "Retain", name)

    def test_every_queue_refuses_plain_http(self):
        (policy,) = resources("AWS::SQS::QueuePolicy").values()
        named = {each["Ref"] for each in policy["Queues"]}
        self.assertEqual(named, set(resources(QUEUE)))
        (statement,) = policy["PolicyDocument"]["Statement"]
        arns = {each["Fn::GetAtt"][0] for each in statement["Resource"]}
        self.assertEqual((statement["Effect"], arns), ("Deny", named))

    def test_each_queue_has_its_alarms_and_they_say_which_queue(self):
        expected = {"StandardOrders", "FifoOrders"}
        metrics = {}
        for name, alarm in resources(ALARM).items():
            (dimension,) = alarm["Dimensions"]
            queue, of = dimension["Value"]["Fn::GetAtt"]
            self.assertEqual((dimension["Name"], of), ("QueueName", "QueueName"), name)
            metrics.setdefault(queue, set()).add(alarm["MetricName"])
            self.assertIn(resources(QUEUE)[queue]["QueueName"], alarm["AlarmDescription"], name)
            topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
            self.assertEqual((alarm["AlarmActions"], alarm["OKActions"]), (topic, topic), name)
        for queue in resources(QUEUE):
            waits = "ApproximateNumberOfMessagesNotVisible" if queue in expected else "ApproximateNumberOfMessagesVisible"
            self.assertEqual(metrics[queue], {"ApproximateAgeOfOldestMessage", waits}, queue)

    def test_the_outputs_are_the_four_urls(self):
        outputs = {each["Value"]["Ref"] for each in template()["Outputs"].values()}
        self.assertEqual(outputs, set(resources(QUEUE)))


if __name__ == "__main__":
    unittest.main()
