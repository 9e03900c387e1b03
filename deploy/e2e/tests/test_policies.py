"""Who should reach whom, and how it is tried."""
import os
import subprocess
import tempfile
import unittest

from fleet_e2e.checks import policies
from fleet_e2e.process import Failure

SQS, DATABASE = "10.0.0.1", "10.0.0.2"
# Stands for the `timeout` of a try: what becomes of an address is a line of its file for each try, and the last one for good.
TRY = """#!/bin/sh
address=$(echo "$4" | sed 's|.*/dev/tcp/||; s|/.*||')
echo "$address" >>"$FOLDER/tried"
found=$(head -n 1 "$FOLDER/$address")
[ "$(wc -l <"$FOLDER/$address")" = 1 ] || sed -i 1d "$FOLDER/$address"
[ "$found" = reached ]
"""


class Wanted(unittest.TestCase):
    def test_the_outside_is_reached_by_everybody_but_the_fleet(self):
        for outside in ((policies.LISTENER, 9324), (policies.KUBERNETES, 6443)):
            reached = {source for source in policies.REACHES if policies.wanted(source, outside) == "reached"}
            self.assertEqual(reached, {policies.NEIGHBOUR, policies.STRANGER})
        self.assertEqual(policies.wanted("worker-fifo", policies.SQS), "reached")
        self.assertEqual(policies.wanted(policies.NEIGHBOUR, policies.SQS), "refused")

    def test_the_api_servers_own_address_is_found(self):
        of = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.2"]}], "ports": [{"port": 6443}]}
        none = [{"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::2"]}], "ports": [{"port": 6443}]}, dict(of, endpoints=None)]
        self.assertEqual(policies.endpoint([*none, of]), ("10.0.0.2", 6443))
        with self.assertRaisesRegex(Failure, "no IPv4 endpoint"):
            policies.endpoint(none)


class Tried(unittest.TestCase):
    def tried(self, *addresses):
        """What a probe says, and what it has tried: of (address, what is wanted, what becomes of each try)."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in [("timeout", TRY), ("sleep", "#!/bin/sh\n")]:
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(path, 0o755)
            arguments = []
            for address, wanted, tries in addresses:
                arguments += [address, "5432", wanted]
                with open(os.path.join(folder, address), "w", encoding="utf-8") as file:
                    file.write("".join(one + "\n" for one in tries))
            done = subprocess.run(
                ["bash", "-c", policies.SCRIPT, "probe", *arguments], capture_output=True, text=True, check=True, timeout=60,
                env={"PATH": folder + ":/usr/bin:/bin", "FOLDER": folder},
            )
            self.assertEqual(done.stderr, "")
            with open(os.path.join(folder, "tried"), encoding="utf-8") as file:
                return done.stdout.splitlines(), file.read().split()

    def test_a_refusal_is_tried_when_what_must_be_reached_is(self):
        """Who asks for both in whatever order may not have a network yet."""
        said, tried = self.tried((DATABASE, "refused", ["refused"]), (SQS, "reached", ["refused", "refused", "reached"]))
        self.assertEqual(said, [SQS + " 5432 reached", DATABASE + " 5432 refused"])
        self.assertEqual(tried, [SQS] * 3 + [DATABASE] * 3)

    def test_a_refusal_is_believed_the_third_time_in_a_row(self):
        said, tried = self.tried((SQS, "refused", ["refused", "refused", "reached", "refused"]))
        self.assertEqual((said, len(tried)), ([SQS + " 5432 refused"], 6))

    def test_what_is_not_as_wanted_is_said_after_many_tries(self):
        for wanted, found in [("refused", "reached"), ("reached", "refused")]:
            said, tried = self.tried((SQS, wanted, [found]))
            self.assertEqual((said, len(tried)), (["%s 5432 %s" % (SQS, found)], 20))

    def test_what_is_refused_now_and_then_is_not_refused(self):
        said, tried = self.tried((SQS, "refused", ["reached", "refused"] * 10))
        self.assertEqual((said, len(tried)), ([SQS + " 5432 unsteady"], 20))


if __name__ == "__main__":
    unittest.main()
