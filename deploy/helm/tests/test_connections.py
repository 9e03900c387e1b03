"""The database bears the fleet's connections at its maximum, by the programs' own constants."""
import pathlib
import re
import unittest

import chart

MIB = 1024 ** 2
TUNING = chart.source("crates/order-store/src/postgres/mod.rs").split("const TUNING")[1]
# One connection writes (the group commit), and one counts.
WORKER = 2 + sum(int(re.search(r"%s: (\d+)," % pool, TUNING).group(1)) for pool in ("handlers", "questions"))
MONITOR = WORKER - 1
# What the store is asked on connections for reading.
METHODS = re.findall(r"pub async fn (\w+)\((.*?)\n    \}\n", chart.source("crates/order-store/src/lib.rs"), re.S)
READS = "|".join(name for name, text in METHODS if "reads::" in text)
# What PostgreSQL keeps for superusers: superuser_reserved_connections, and room for people.
SUPERUSERS, PEOPLE = 3, 10


def allowed(*arguments):
    """max_connections of the bundled PostgreSQL."""
    spec = chart.named(chart.render(*arguments), "Deployment", "postgres")["spec"]["template"]["spec"]
    program, flag, setting = spec["containers"][0]["args"]
    assert (program, flag) == ("postgres", "-c")
    return int(re.fullmatch(r"max_connections=(\d+)", setting).group(1))


def most(workers, apis):
    """In a rolling update all old pods may still be there; the monitor's old one is not."""
    return 2 * (WORKER * workers + apis) + MONITOR


def found_in(folder, regex):
    """What is found in a folder's code, without its tests: (file, found)."""
    paths = sorted(pathlib.Path(chart.ROOT, folder).rglob("*.rs"))
    texts = {str(path.relative_to(chart.ROOT)): path.read_text(encoding="utf-8").split("#[cfg(test)]")[0] for path in paths}
    return [(path, found) for path, text in texts.items() for found in re.findall(regex, text)]


class Connections(unittest.TestCase):
    def test_the_order_api_only_writes(self):
        self.assertEqual(set(READS.split("|")), {"status", "find", "attempts", "attempts_without_order", "page", "counts"})
        asks = r"\.(%s)\(" % READS
        self.assertIn(("delivery-worker/src/counting.rs", "counts"), found_in("delivery-worker/src", asks))
        self.assertEqual(found_in("order-api/src/keys", asks), [])
        # Nothing else of the API has the store.
        self.assertEqual({path for path, _ in found_in("order-api/src", r"\bStore\b")}, {"order-api/src/keys/remote.rs"})

    def test_the_bundled_database_bears_all_pods_of_a_rolling_update(self):
        for values, workers, apis in (
            ("", 20, 6),
            ("keda.standard.maxReplicas=40", 50, 6),
            ("keda.standard.maxReplicas=40,keda.fifo.maxReplicas=31,orderApi.autoscaling.maxReplicas=20", 71, 20),
            ("keda.enabled=false,workers.standard.replicas=30,workers.fifo.replicas=5", 35, 6),
            ("keda.standard.maxReplicas=50,workers.fifo.enabled=false,orderApi.idempotencyStore=false", 50, 0),
            ("orderApi.autoscaling.enabled=false,orderApi.replicas=100,keda.fifo.maxReplicas=30", 40, 100),
            # KEDA may come later, and its fallback is these.
            ("keda.fifo.maxReplicas=3,workers.fifo.replicas=60", 70, 6),
        ):
            with self.subTest(values):
                found = allowed("--set", "postgres.resources.limits.memory=8Gi", *(("--set", values) if values else ()))
                needed = most(workers, apis) + SUPERUSERS + PEOPLE
                self.assertGreaterEqual(found, needed)
                self.assertLess(found, max(401, needed + 100))

    def test_what_is_turned_in_a_demonstration_does_not_restart_a_database_that_forgets(self):
        for values in ("keda.enabled=false", "keda.standard.maxReplicas=8", "workers.standard.replicas=10", "orderApi.autoscaling.enabled=false"):
            self.assertEqual(allowed("--set", values), allowed(), values)
        self.assertEqual(allowed("--api-versions", chart.KEDA), allowed())

    def test_connections_have_room_in_its_memory(self):
        self.assertGreaterEqual(1536 * MIB, 256 * MIB + 2 * MIB * allowed(), "the chart's own limit")
        room = 256 + 2 * most(20, 6)
        self.assertTrue(chart.render("--set", "postgres.resources.limits.memory=%dMi" % room))
        text = chart.refusal("--set", "postgres.resources.limits.memory=%dMi" % (room - 1))
        self.assertIn("postgres.resources.limits.memory is %dMi, room for %d connections, and the fleet opens up to %d" % (room - 1, most(20, 6) - 1, most(20, 6)), text)
        self.assertTrue(chart.render("--set", "postgres.resources.limits.memory=null"))

    def test_the_notes_say_how_many_a_database_of_yours_must_bear(self):
        # values-aws.yaml: 50 workers of each queue, 20 order APIs.
        text = " ".join(chart.notes(*chart.AWS).split())
        self.assertIn("%d with as many pods as these values allow, %d in a rolling update" % (WORKER * 100 + 20 + MONITOR, most(100, 20)), text)
        self.assertNotIn("max_connections", chart.notes())
        page = " ".join(chart.source("deploy/aws/README.md").split())
        self.assertIn("{:,}".format(WORKER * 100 + 20 + MONITOR), page)
        self.assertIn("{:,}".format(most(100, 20)), page)
        self.assertIn("%d x workers + order APIs + %d" % (WORKER, MONITOR), page)


if __name__ == "__main__":
    unittest.main()
