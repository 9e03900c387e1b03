import unittest

from fleet_e2e.process import Failure
from fleet_e2e.sampler import Sampler
from fleet_e2e.waiting import NotYet, holds, until


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Waiting(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()

    def until(self, condition, seconds=10):
        return until("it", condition, seconds=seconds, every=1, clock=self.clock, sleep=self.clock.sleep)

    def test_the_first_true_value_is_returned(self):
        values = iter([None, 0, "there"])
        self.assertEqual(self.until(lambda: next(values)), "there")
        self.assertEqual(self.clock.now, 2)

    def test_a_condition_that_never_holds_fails_with_what_was_seen_last(self):
        def condition():
            raise NotYet("%d pods" % self.clock.now)

        with self.assertRaisesRegex(Failure, "it: not after 10 s: 10 pods"):
            self.until(condition)

    def test_a_connection_that_fails_is_not_yet(self):
        answers = iter([ConnectionError("refused"), TimeoutError(), True])

        def condition():
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        self.assertTrue(self.until(condition))

    def test_a_failure_is_not_waited_out(self):
        def condition():
            raise Failure("broken")

        with self.assertRaisesRegex(Failure, "^broken$"):
            self.until(condition)
        self.assertEqual(self.clock.now, 0)

    def test_what_must_stay_true_fails_when_it_does_not(self):
        watch = dict(seconds=5, every=1, clock=self.clock, sleep=self.clock.sleep)
        holds("it", lambda: True, **watch)
        self.assertEqual(self.clock.now, 5)
        with self.assertRaisesRegex(Failure, "it: no longer after 2.0 s"):
            holds("it", lambda: self.clock.now < 7, **watch)


class Sampling(unittest.TestCase):
    def sampler(self, *reads):
        clock, values = Clock(), iter(reads)

        def read():
            value = next(values)
            if isinstance(value, Exception):
                raise value
            return value

        sampler = Sampler(read, clock=clock)
        sampler.began = 0
        for _ in reads:
            clock.now += 1
            sampler.sample()
        return sampler

    def test_changes_are_kept_with_their_times(self):
        sampler = self.sampler(1, 1, 4, 10, 10, 1)
        self.assertEqual(sampler.changes, [(1, 1), (3, 4), (4, 10), (6, 1)])
        self.assertEqual((sampler.most, sampler.first_at(4), sampler.first_at(5), sampler.first_at(11)), (10, 3, 4, None))
        self.assertEqual(sampler.story(), "1 at 1 s -> 4 at 3 s -> 10 at 4 s -> 1 at 6 s")

    def test_reads_that_failed_are_counted_apart(self):
        sampler = self.sampler(1, ConnectionError("gone"), Failure("no forward"), 2)
        self.assertEqual((sampler.reads, sampler.skipped, sampler.most), (2, 2, 2))

    def test_it_reads_from_a_thread_while_something_else_goes_on(self):
        numbers = iter(range(1_000_000))
        with Sampler(lambda: next(numbers), every=0) as sampler:
            until("ten reads", lambda: sampler.reads >= 10, seconds=10, every=0.001)
        self.assertGreaterEqual(sampler.most, 9)


if __name__ == "__main__":
    unittest.main()
