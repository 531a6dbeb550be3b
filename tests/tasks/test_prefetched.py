"""Tasks made ahead by a thread: the same ones, errors where they belong, and no thread left."""

import threading
import time

import numpy as np
import pytest

from metalearn.tasks import Prefetched, SinusoidSampler
from metalearn.tasks.placing import OnDevice, on_device


class Counting:
    """A sampler whose tasks are their numbers, and that keeps who asked for which."""

    def __init__(self, seconds=0.0, broken=()):
        self.seconds, self.broken, self.asked = seconds, broken, []

    def sample(self, iteration, tasks):
        self.asked.append((iteration, tuple(tasks), threading.current_thread()))
        time.sleep(self.seconds)
        if iteration in self.broken:
            raise ValueError(f"no images in {iteration}")
        return iteration, tuple(tasks)


def test_the_thread_is_ahead_and_every_task_is_made_once():
    sampler = Counting()
    with Prefetched(sampler, 3, always=True) as ahead:
        assert [ahead.sample(i, range(2))[0] for i in range(6)] == list(range(6))
    assert [asked[0] for asked in sampler.asked[:6]] == list(range(6))
    assert {asked[2] for asked in sampler.asked} != {threading.current_thread()}


def test_what_is_asked_for_out_of_order_is_right_and_nothing_piles_up():
    with Prefetched(Counting(), 3, always=True) as ahead:
        for iteration in (5, 6, 100, 2, 3, 2, 2):
            for tasks in (range(2), range(3)):
                assert ahead.sample(iteration, tasks) == (iteration, tuple(tasks))
                assert len(ahead._drawn) <= 3


def test_errors_come_with_their_iteration_and_do_not_stop_the_others():
    with Prefetched(Counting(broken=(2,)), 4, always=True) as ahead:
        assert ahead.sample(1, [0]) == (1, (0,))
        for _ in range(2):
            with pytest.raises(ValueError, match="no images in 2"):
                ahead.sample(2, [0])
        assert ahead.sample(3, [0]) == (3, (0,))


def test_closing_ends_the_thread_and_later_tasks_are_made_here():
    sampler = Counting()
    ahead = Prefetched(sampler, 2, always=True)
    ahead.sample(0, [1])
    thread = sampler.asked[0][2]
    ahead.close()
    thread.join(5)
    assert not thread.is_alive()
    ahead.close()
    assert ahead.sample(7, [1]) == (7, (1,))
    assert sampler.asked[-1][2] is threading.current_thread()


def test_ctrl_c_leaves_a_thread_that_ends_and_makes_nothing_more():
    sampler = Counting(seconds=0.05)
    with pytest.raises(KeyboardInterrupt), Prefetched(sampler, 8, always=True) as ahead:
        ahead.sample(0, [0])
        raise KeyboardInterrupt
    thread = sampler.asked[0][2]
    thread.join(5)
    assert not thread.is_alive()
    assert len(sampler.asked) <= 3  # of nine that were wanted, those not begun were dropped


def test_the_trial_compares_medians_from_call_to_call(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def kept(alone, by_thread):
        ahead = Prefetched(Counting(), 2)
        for i in range(25):
            ahead.sample(i, [0])
            way = i // 6 % 2 == 1
            # One odd pause a stretch, and what the first of a stretch takes, do not count.
            now[0] += 50.0 if i % 6 in (0, 3) else (by_thread if way else alone)
        kept = ahead.ahead
        ahead.close()
        return kept

    assert kept(alone=1.0, by_thread=0.9) == 2
    assert kept(alone=1.0, by_thread=1.1) == 0
    assert kept(alone=1.0, by_thread=1.0) == 0


def test_what_serves_a_device():
    sampler = SinusoidSampler(2, 3, 0)
    assert on_device(sampler, "cpu") is sampler
    ahead = on_device(sampler, "cpu", 3)
    assert isinstance(ahead, Prefetched) and ahead.ahead == 3
    np.testing.assert_array_equal(
        ahead.sample(0, range(4)).query[0], sampler.sample(0, range(4)).query[0]
    )
    ahead.close()
    placed = OnDevice(sampler, "cpu", 2)
    got = placed.sample(1, range(3)).support[1]
    np.testing.assert_array_equal(got, sampler.sample(1, range(3)).support[1])
    placed.close()
