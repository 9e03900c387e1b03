import os
import tempfile
import time
import unittest

from fleet_e2e.commands import blocks, execute, functions
from fleet_e2e.process import ROOT, Failure
from fleet_e2e.waiting import until

DOCUMENT = """# Title

```
$ not a command block
```

```sh
echo one
```

<!-- guided run: until '"status":"UP" it's' -->
```sh
echo two
echo three
```

<!-- guided run -->
```sh
echo four
```

<!-- another comment -->
```yaml
key: value
```
"""


class Reading(unittest.TestCase):
    def test_every_block_of_shell_commands_is_found_with_its_condition(self):
        found = [(block.text, block.until) for block in blocks(DOCUMENT)]
        self.assertEqual(found, [
            ("echo one\n", ""), ("echo two\necho three\n", '"status":"UP" it\'s'), ("echo four\n", ""),
        ])

    def test_a_mark_that_is_not_understood_is_refused(self):
        for mark in ("guided run until 'x'", "guided run: until x", "guided run: 'x'"):
            with self.assertRaisesRegex(Failure, "not understood"):
                blocks("<!-- %s -->\n```sh\necho\n```\n" % mark)

    def test_a_mark_at_another_block_is_refused(self):
        with self.assertRaisesRegex(Failure, "not of sh"):
            blocks("<!-- guided run -->\n```\necho\n```\n")

    def test_functions_of_one_and_of_several_lines_are_found(self):
        text = 'one() { echo "$1"; }\ntwo() {\n  echo {a,b}\n  one x\n}\necho { no }\n'
        self.assertEqual(functions(text), ['one() { echo "$1"; }', "two() {\n  echo {a,b}\n  one x\n}"])


class Documents(unittest.TestCase):
    def test_no_command_reads_only_the_beginning_of_what_another_writes(self):
        # The writer dies of it (SIGPIPE) if it has not finished, and with it the block.
        for name in ("README.md", os.path.join("docs", "experiments.md")):
            with open(os.path.join(ROOT, name), encoding="utf-8") as file:
                for block in blocks(file.read()):
                    self.assertNotRegex(block.text, r"\|\s*(head\b|grep -[a-z]*[qm]|sed\b[^|]*q\b)", name)


def runs(pid):
    """Whether a process is there and is more than a note of its end."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Running(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        self.said = []

    def run_blocks(self, *texts, **options):
        document = "\n".join(texts)
        return execute(blocks(document), cwd=self.folder, env={"NAME": "fleet"}, say=self.said.append, **options)

    def test_blocks_run_in_order_in_one_folder_with_the_environment(self):
        done = self.run_blocks("```sh\necho $NAME > file\n```", "```sh\ncat file\n```")
        self.assertEqual(done, 2)
        self.assertIn("fleet", self.said)

    def test_a_block_fails_with_its_first_command_that_fails(self):
        for text in ("false\necho on", "false | cat", "echo $UNSET"):
            with self.assertRaisesRegex(Failure, "failed with"):
                self.run_blocks("```sh\n%s\n```" % text)

    def test_a_block_with_a_condition_is_repeated_until_it_holds(self):
        text = "<!-- guided run: until 'xxx' -->\n```sh\nprintf x >> file; cat file\n```"
        self.assertEqual(self.run_blocks(text), 1)
        with self.assertRaisesRegex(Failure, "does not say 'never'"):
            self.run_blocks("<!-- guided run: until 'never' -->\n```sh\necho x\n```", until_seconds=0)

    def test_functions_serve_later_blocks(self):
        self.run_blocks("```sh\ngreet() { echo hello $1; }\n```", "```sh\ngreet you\n```")
        self.assertIn("hello you", self.said)

    def test_what_a_block_leaves_running_serves_later_blocks_and_ends_with_the_last(self):
        first = "```sh\n(echo $BASHPID > pid; exec sleep 1000) &\n```"
        second = "<!-- guided run: until 'alive' -->\n```sh\nkill -0 $(cat pid) && echo alive\n```"
        began = time.monotonic()
        self.run_blocks(first, second)
        self.assertLess(time.monotonic() - began, 60)
        with open(os.path.join(self.folder, "pid"), encoding="utf-8") as file:
            pid = int(file.read())
        until("its end", lambda: not runs(pid), seconds=10, every=0.01)

    def test_a_block_that_does_not_end_is_a_failure(self):
        with self.assertRaisesRegex(Failure, "has not ended"):
            self.run_blocks("```sh\nsleep 1000\n```", block_seconds=0.2)


if __name__ == "__main__":
    unittest.main()
