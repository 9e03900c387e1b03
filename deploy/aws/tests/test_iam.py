"""The policies under iam/ allow what the services call, and nothing else."""
import json
import re
import unittest
from pathlib import Path

from calls import ADAPTER, ADAPTER_METHODS, QUEUE_METHODS, ROOT, action, code, functions, operations_of, reached, sources

AWS = Path(__file__).resolve().parents[1]
IAM = AWS / "iam"
# The folder of each one that calls SQS; `helm test` is one of them.
CALLERS = {name: ROOT / name for name in ("order-api", "delivery-worker", "dlq-monitor")}
CALLERS["fleet-check"] = ROOT / "crates" / "fleet-check"
SOURCES = {"order-queue-standard", "order-queue.fifo"}
DEAD_LETTERS = {"order-queue-standard-dlq", "order-queue-dlq.fifo"}
ARN = re.compile(r"^arn:aws:sqs:eu-central-1:123456789012:([a-z-]+(?:\.fifo)?)$")


def policy(name):
    return json.loads((IAM / (name + ".json")).read_text(encoding="utf-8"))


def allowed(name):
    """Each action that a policy allows, and on which queues."""
    found = {}
    for statement in policy(name)["Statement"]:
        queues = {ARN.match(resource).group(1) for resource in statement["Resource"]}
        for each in statement["Action"]:
            found.setdefault(each, set()).update(queues)
    return found


class Policies(unittest.TestCase):
    def test_each_service_is_allowed_what_its_code_calls_and_nothing_else(self):
        for service, folder in CALLERS.items():
            with self.subTest(service):
                called = {action(operation) for operation in operations_of(folder / "src")}
                self.assertTrue(called, "no call was found: the search is broken")
                granted = set(allowed(service))
                self.assertEqual(called - granted, set(), "called, but not allowed")
                self.assertEqual(granted - called, set(), "allowed, but never called")

    def test_keda_is_allowed_to_count_the_messages_that_workers_are_scaled_on(self):
        self.assertEqual(allowed("keda"), {"sqs:GetQueueAttributes": SOURCES})

    def test_a_policy_is_made_of_exact_actions_and_the_four_queues(self):
        files = sorted(path.stem for path in IAM.glob("*.json"))
        self.assertEqual(files, sorted((*CALLERS, "keda")))
        for name in files:
            document = policy(name)
            self.assertEqual(document["Version"], "2012-10-17", name)
            sids = [statement["Sid"] for statement in document["Statement"]]
            self.assertEqual(len(sids), len(set(sids)), name)
            for statement in document["Statement"]:
                self.assertEqual(set(statement), {"Sid", "Effect", "Action", "Resource"}, name)
                self.assertEqual(statement["Effect"], "Allow", name)
                for each in statement["Action"]:
                    self.assertRegex(each, r"^sqs:[A-Za-z]+$", name)
                for resource in statement["Resource"]:
                    self.assertIn(ARN.match(resource).group(1), SOURCES | DEAD_LETTERS, name)

    def test_only_the_api_and_the_monitor_add_orders_and_only_workers_take_them_out(self):
        self.assertEqual(allowed("order-api")["sqs:SendMessage"], SOURCES)
        worker = allowed("delivery-worker")
        self.assertEqual(worker["sqs:SendMessage"], DEAD_LETTERS)
        for each in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"):
            self.assertEqual(worker[each], SOURCES, each)
        # Whoever brings dead letters back may not touch orders that wait for their first attempt.
        monitor = allowed("dlq-monitor")
        self.assertEqual(monitor["sqs:SendMessage"], SOURCES)
        self.assertEqual(monitor["sqs:DeleteMessage"], DEAD_LETTERS)
        for each in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"):
            self.assertLessEqual(monitor.get(each, set()), DEAD_LETTERS, each)

    def test_the_test_touches_no_queue_but_the_standard_ones(self):
        taken = dict.fromkeys(("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"), {"order-queue-standard-dlq"})
        self.assertEqual(allowed("fleet-check"), {**taken, "sqs:SendMessage": {"order-queue-standard"}})


class Page(unittest.TestCase):
    """README.md: every policy, and those that it shows for taking roles on."""

    def test_every_policy_is_in_the_table(self):
        listed = re.findall(r"^\| \[(\S+)\.json\]\(iam/\1\.json\) \|", (AWS / "README.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual(sorted(listed), sorted((*CALLERS, "keda")))

    def statements(self):
        blocks = re.findall(r"^```json\n(.*?)^```$", (AWS / "README.md").read_text(encoding="utf-8"), re.S | re.M)
        return [statement for block in blocks for statement in json.loads(block)["Statement"]]

    def test_whoever_may_take_a_role_on_may_bring_the_tags_of_pod_identity(self):
        taken = [each for each in self.statements() if "sts:AssumeRole" in each["Action"] and isinstance(each["Action"], list)]
        # The pods' own way in, and of KEDA's both sides: a role that trusts its, and what its is allowed.
        self.assertEqual([sorted(set(each) - {"Effect", "Action"}) for each in taken], [["Principal"], ["Principal"], ["Resource"]])
        self.assertEqual(taken[0]["Principal"], {"Service": "pods.eks.amazonaws.com"})
        self.assertRegex(taken[1]["Principal"]["AWS"], r":role/keda-operator$")
        self.assertRegex(taken[2]["Resource"], r":role/fleet-delivery-worker$")
        for statement in taken:
            self.assertEqual(statement["Action"], ["sts:AssumeRole", "sts:TagSession"])

    def test_each_identity_that_keda_takes_on_leads_to_both_policies(self):
        rows = re.findall(r"^\| `(identityOwner: \w+|roleArn)[^|]*\|[^|]*\|([^|]*)\|$", (AWS / "README.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual(
            {name: "may take it on, both as below" in needs for name, needs in rows},
            {"identityOwner: workload": True, "identityOwner: keda": False, "roleArn": True},
        )


class Search(unittest.TestCase):
    """The search itself: a call that it overlooks would leave a service without its permission."""

    def test_every_method_of_the_queue_trait_and_of_its_adapter_leads_to_an_operation(self):
        bodies = functions(sources(ADAPTER))
        expected = {
            "attributes": {"get_queue_attributes"},
            "receive": {"receive_message"},
            "delete": {"delete_message_batch"},
            "change_visibility": {"change_message_visibility_batch"},
            "dead_letter": {"send_message"},
            "send_batch": {"send_message_batch"},
        }
        self.assertEqual(set(expected), {*QUEUE_METHODS, *ADAPTER_METHODS})
        for method, operations in expected.items():
            self.assertEqual(reached(bodies, method), operations, method)

    def test_the_trait_has_no_other_method_that_speaks_with_sqs(self):
        text = code((ADAPTER.parent / "queue.rs").read_text(encoding="utf-8"))
        trait = text[text.index("pub trait Queue"):]
        trait = trait[:trait.index("\n}")]
        self.assertEqual(set(re.findall(r"fn (\w+)\([^;]*?->\s*impl Future", trait)), set(QUEUE_METHODS))

    def test_comments_texts_and_tests_are_no_calls(self):
        text = code(
            '// client.purge_queue()\nlet a = "x.purge_queue() {";\nfn f() { c.send_message() }\n'
            "#[cfg(test)]\nmod tests {\n fn g() { c.purge_queue() } }\n"
        )
        self.assertEqual(set(functions(text)), {"f"})
        self.assertEqual(reached(functions(text), "f"), {"send_message"})
        self.assertNotIn("purge_queue", text)

    def test_a_builder_on_a_line_of_its_own_is_found(self):
        bodies = functions("fn f() { self.g() }\nfn g() { client\n    .start_message_move_task()\n  .send() }")
        self.assertEqual(reached(bodies, "f"), {"start_message_move_task"})

    def test_a_batch_needs_the_action_of_its_single_form(self):
        self.assertEqual(action("delete_message_batch"), "sqs:DeleteMessage")
        self.assertEqual(action("start_message_move_task"), "sqs:StartMessageMoveTask")


if __name__ == "__main__":
    unittest.main()
