"""The order API's connections have room within its memory limit, by the program's own constants."""
import re
import unittest

import chart

KIB, MIB, GIB = 1024, 1024 ** 2, 1024 ** 3


def default(name):
    """A setting's default in the program's table."""
    found = re.search(r'Setting::new\("%s", "(\d+)"' % name, chart.source("order-api/src/settings.rs"))
    return int(found.group(1))


def tested_most():
    """The most that a test of the program lets a connection take, whatever its client has begun, bytes."""
    source = chart.source("order-api/tests/it/hostile_memory.rs")
    return KIB * max(int(most) for most in re.findall(r"^ +\(.*, (\d+) \* 1024\),$", source, re.M))


def header_limit():
    return KIB * int(re.search(r"header_bytes: (\d+) \* 1024", chart.source("crates/service-kit/src/http/serve.rs")).group(1))


CONNECTION = 48 * KIB
PROGRAM = 32 * MIB


def bounds(*sets):
    """(connections, orders in hand) that the program is given."""
    arguments = [word for one in sets for word in ("--set", one)]
    spec = chart.named(chart.render(*arguments), "Deployment", "order-api")["spec"]["template"]["spec"]
    environment = chart.environment(spec)
    return int(environment["MAX_CONNECTIONS"]), int(environment["PUBLISH_BUFFER_ORDERS"])


class Memory(unittest.TestCase):
    def test_what_a_connection_is_counted_as_is_what_the_program_is_tested_for(self):
        self.assertLessEqual(tested_most(), CONNECTION)
        # The reading buffer may be twice the head's limit; the rest is for all else of a connection.
        self.assertLess(2 * header_limit(), CONNECTION)

    def test_all_connections_and_orders_have_room_in_every_limit(self):
        for limit, size in (("256Mi", 256 * MIB), ("128Mi", 128 * MIB), ("80Mi", 80 * MIB), ("200M", 200 * 10 ** 6), ("1.5Gi", 1.5 * GIB), ("268435456", 256 * MIB)):
            for buffer in (default("PUBLISH_BUFFER_BYTES"), MIB):
                with self.subTest("%s, %d" % (limit, buffer)):
                    connections, orders = bounds("orderApi.resources.limits.memory=" + limit, "orderApi.env.PUBLISH_BUFFER_BYTES=%d" % buffer)
                    self.assertLessEqual(PROGRAM + 2 * buffer + connections * CONNECTION, size)
                    self.assertLess(orders, connections, "or no order would ever be told that there is no room")
                    most = (size - PROGRAM - 2 * buffer) // CONNECTION
                    self.assertEqual(connections, min(default("MAX_CONNECTIONS"), most))

    def test_the_charts_own_limit_bears_the_programs_defaults(self):
        self.assertEqual(bounds(), (default("MAX_CONNECTIONS"), default("PUBLISH_BUFFER_ORDERS")))
        self.assertEqual(bounds("orderApi.resources.limits.memory=null"), bounds(), "nothing bounds it")

    def test_what_is_given_is_taken_where_there_is_room(self):
        given = ("orderApi.resources.limits.memory=1Gi", "orderApi.env.MAX_CONNECTIONS=10000")
        self.assertEqual(bounds(*given), (10_000, 5_000))
        self.assertEqual(bounds(*given, "orderApi.env.PUBLISH_BUFFER_ORDERS=100"), (10_000, 100))


if __name__ == "__main__":
    unittest.main()
