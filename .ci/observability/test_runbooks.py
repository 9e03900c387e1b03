"""Every alert has a page that says what to do, and what the pages say can be done."""

import re
import unittest
import urllib.parse

import names
import support

SECTIONS = ["What it means", "How to look", "What to do"]
PROGRAMS = {"kubectl", "curl", "aws", "helm", "amtool", "attribute", "url", "export"}
# What the chart makes, without its release's name.
OBJECTS = {"order-api", "worker-standard", "worker-fifo", "dlq-monitor", "local-sqs", "rules"}
COMPONENTS = {"order-api", "worker-standard", "worker-fifo", "dlq-monitor"}
QUEUES = {"order-queue-standard", "order-queue-standard-dlq", "order-queue.fifo", "order-queue-dlq.fifo"}


def runbooks():
    """{alert: text} of every page but the table of contents."""
    return {path.stem: path.read_text(encoding="utf-8") for path in support.RUNBOOKS.glob("*.md") if path.stem != "README"}


def everything():
    return {**runbooks(), "README": (support.RUNBOOKS / "README.md").read_text(encoding="utf-8")}


def blocks(text, language):
    """The fenced blocks of a language, those within a list without its indentation."""
    found = re.findall(r"^( *)```%s\n(.*?)^ *```$" % language, text, re.M | re.S)
    return [re.sub("^" + indent, "", block, flags=re.M) for indent, block in found]


def commands(text):
    """What is to be run: blocks, and what stands between backticks and begins as a command does."""
    inline = re.findall(r"`((?:kubectl|helm|curl|aws|amtool) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return blocks(text, "sh") + [command + "\n" for command in inline]


class Runbooks(unittest.TestCase):
    maxDiff = None

    def test_there_is_a_page_for_each_alert_and_no_other(self):
        self.assertEqual(sorted(runbooks()), sorted({rule.name for rule in support.alerts()}))

    def test_every_page_has_its_parts_in_order(self):
        for name, text in runbooks().items():
            with self.subTest(name):
                self.assertTrue(text.startswith("# %s\n\n## " % name))
                self.assertEqual(re.findall(r"^## (.*)$", text, re.M), SECTIONS)
                for part in text.split("\n## ")[1:]:
                    self.assertGreater(len(part.split("\n", 1)[1].strip()), 40, part)

    def test_every_page_has_something_to_run(self):
        for name, text in runbooks().items():
            with self.subTest(name):
                self.assertTrue(blocks(text, "sh") or blocks(text, "promql"))

    def test_the_contents_list_every_page(self):
        listed = re.findall(r"\[(\w+)\]\((\w+)\.md\)", everything()["README"])
        self.assertEqual(sorted(title for title, _ in listed), sorted(runbooks()))
        self.assertTrue(all(title == page for title, page in listed))

    def test_links_lead_somewhere(self):
        for path, text in support.pages().items():
            if not path.startswith("docs/") and path not in ("deploy/alerts/README.md", "dashboards/README.md"):
                continue
            folder = (support.ROOT / path).parent
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if urllib.parse.urlsplit(target).scheme:
                    continue
                with self.subTest(path, target=target):
                    file, _, anchor = target.partition("#")
                    linked = (folder / file).resolve()
                    self.assertTrue(linked.exists())
                    if anchor:
                        headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M)
                        self.assertIn(anchor, [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings])

    def test_commands_are_shell(self):
        for name, text in everything().items():
            for command in commands(text):
                with self.subTest(name, command=command):
                    support.run("bash", "-n", "-c", command)
                    for line in re.sub(r"\\\n", "", command).splitlines():
                        first = line.split()[0] if line.split() else ""
                        self.assertIn(first.split("(")[0], PROGRAMS)

    def test_commands_are_about_what_the_chart_makes(self):
        for name, text in everything().items():
            for command in commands(text):
                with self.subTest(name, command=command):
                    objects = set(re.findall(r"\bfleet-([a-z][a-z-]*)", command))
                    self.assertLessEqual(objects, OBJECTS)
                    components = set(re.findall(r"app\.kubernetes\.io/component=([\w-]+)", command))
                    self.assertLessEqual(components, COMPONENTS)
                    queues = set(re.findall(r"order-queue[\w.-]*", command))
                    self.assertLessEqual(queues, QUEUES)

    def test_addresses_are_those_of_the_services(self):
        sources = "\n".join(path.read_text(encoding="utf-8") for path in self.sources())
        for name, text in everything().items():
            for port, path in re.findall(r"http://127\.0\.0\.1:(\d+)(/[\w/.-]*)?", text):
                with self.subTest(name, port=port, path=path):
                    self.assertIn(port, {"8080", "8081", "8082", "9080", "9081", "9082", "9090", "9093", "9324"})
                    if port in ("9090", "9093", "9324"):
                        continue
                    route = path.rstrip("/") or "/"
                    self.assertIn('"%s' % route, sources)

    def test_what_is_looked_for_in_logs_is_what_the_code_says(self):
        sources = "\n".join(path.read_text(encoding="utf-8") for path in self.sources())
        for name, text in everything().items():
            for command in commands(text):
                if "logs" not in command or "keda-operator" in command:
                    continue
                for line in command.splitlines():
                    for patterns in re.findall(r"kubectl logs.*grep (?:-E )?'([^']+)'", line):
                        for pattern in patterns.split("|") if "level" not in patterns else ():
                            with self.subTest(name, pattern=pattern):
                                self.assertIn(pattern, sources)

    def test_silences_say_where_and_of_which_fleet(self):
        said = [command for text in everything().values() for command in commands(text) if "silence add" in command]
        self.assertGreater(len(said), 1)
        for command in said:
            self.assertIn("--alertmanager.url=http://127.0.0.1:9093", command)
            self.assertIn(" namespace=fleet ", command)

    def test_prometheus_understands_every_query(self):
        known = names.series()
        wrong = []
        with support.prometheus() as url:
            for name, text in everything().items():
                for query in blocks(text, "promql"):
                    wrong += names.wrong(name, query.strip(), known)
                    support.get(url + "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        self.assertEqual(wrong, [])

    @staticmethod
    def sources():
        folders = ["order-api/src", "delivery-worker/src", "dlq-monitor/src", "crates/service-kit/src", "crates/sqs-consumer/src"]
        return [path for folder in folders for path in sorted((support.ROOT / folder).rglob("*.rs"))]


if __name__ == "__main__":
    unittest.main()
