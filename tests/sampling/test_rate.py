"""N traces a second, whatever is offered: the bounds, the fairness of 1/p, and who agrees with whom."""

from __future__ import annotations

import gc
import math
import os
import random
import threading
import weakref

import pytest

from eco2_tracing._forks import _forks
from eco2_tracing.sampling import RateLimiting
from tests.support.loads import LOADS, on_and_off, poisson, steady, windows


def run(clock, times, per_second, seed=1, **kw):
    """The times of the kept traces, and the sum of their weights."""
    sampler = RateLimiting(per_second, clock=clock, **kw)
    source = random.Random(seed)
    begin = clock.now
    kept, weight = [], 0.0
    for at in times:
        clock.now = begin + at
        if (p := sampler.sample(source.getrandbits(128), "GET")) > 0:
            kept.append(at)
            weight += 1 / p
    return kept, weight


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("offered", [50, 500, 5000])
@pytest.mark.parametrize("per_second", [10, 20])
def test_n_a_second_are_kept_over_any_ten_seconds(clock, load, offered, per_second):
    """Within 10 %, and one trace, whatever the shape of the load; the first ten seconds included."""
    duration = 40
    kept, _ = run(clock, load(offered, duration, random.Random(3)), per_second)
    allowed = per_second * 10
    counts = windows(kept, duration)
    assert 0.9 * allowed - 1 <= min(counts)
    assert max(counts) <= 1.1 * allowed + 1


@pytest.mark.parametrize("load", [poisson, on_and_off])
def test_a_step_of_the_load_does_not_break_the_limit(clock, load):
    """From quiet to a storm and back, no ten seconds keep more than 10 % too many."""
    times, begin = [], 0.0
    for offered in (50, 500, 5000, 50, 2000):
        times += [begin + at for at in load(offered, 15, random.Random(offered))]
        begin += 15
    kept, _ = run(clock, times, 100)
    assert max(windows(kept, begin)) <= 1100 + 10


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_below_the_limit_everything_is_kept(clock, load):
    """Half of N in any shape is kept whole."""
    times = load(50, 30, random.Random(3))
    kept, weight = run(clock, times, 100)
    assert len(kept) == len(times)
    assert weight == pytest.approx(len(times))


def test_a_first_trace_is_kept_however_late(clock):
    """A service that is hardly called keeps its traces, also where N is less than one a second."""
    sampler = RateLimiting(0.1, clock=clock)
    clock.now += 60
    assert sampler.sample((1 << 128) - 1, "GET") == 1.0


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_weights_give_the_offered_count_back(clock, load):
    """The kept traces' 1/p add up to what was offered, within 4.5 standard errors over 30 runs."""
    errors = []
    for seed in range(30):
        times = load(300, 10, random.Random(seed))
        _, weight = run(clock, times, 20, seed)
        errors.append(weight / len(times) - 1)
    mean = sum(errors) / len(errors)
    spread = math.sqrt(sum((error - mean) ** 2 for error in errors) / (len(errors) - 1))
    assert abs(mean) < 4.5 * spread / math.sqrt(len(errors))
    assert spread < 0.5


def test_services_that_see_the_same_traces_keep_the_same(clock):
    """The second sees each trace 3 to 5 ms later: nearly every kept trace is kept by both."""
    source = random.Random(5)
    first, second = (RateLimiting(20, clock=clock) for _ in range(2))
    events = []
    for at in poisson(500, 60, source):
        trace_id = source.getrandbits(128)
        events += [(at, first, trace_id), (at + source.uniform(0.003, 0.005), second, trace_id)]
    kept = {first: set(), second: set()}
    for at, sampler, trace_id in sorted(events, key=lambda event: event[0]):
        clock.now = 1000 + at
        if sampler.decide(trace_id, "GET"):
            kept[sampler].add(trace_id)
    both = len(kept[first] & kept[second])
    assert both > 0.9 * max(len(kept[first]), len(kept[second]))


def test_the_lower_probability_keeps_a_part_of_the_higher_ones(clock, ids):
    """A trace kept by the service with the lower probability is kept by the other one too."""
    few, many = RateLimiting(5, clock=clock), RateLimiting(50, clock=clock)
    for _ in range(5000):
        clock.now += 0.002
        trace_id = ids()
        p_few, p_many = few.probability("GET"), many.probability("GET")
        kept_few, kept_many = few.decide(trace_id, "GET"), many.decide(trace_id, "GET")
        assert kept_many or not (kept_few and p_few <= p_many)


def test_the_probability_is_known_before_the_decision(clock, ids):
    """What is used does not depend on the trace that it is used on."""
    sampler = RateLimiting(10, clock=clock)
    for _ in range(500):
        clock.now += 0.01
        announced = sampler.probability("GET")
        assert sampler.sample(ids(), "GET") in (0.0, announced)


def test_a_share_for_each_worker(clock):
    """Four processes with a quarter of the load each keep N together."""
    kept, _ = run(clock, steady(125, 60, random.Random(1)), 20, workers=4)
    assert len(kept) == pytest.approx(60 * 20 / 4, rel=0.1)


def test_a_clock_that_stands_still_or_steps_back_changes_nothing(clock, ids):
    """Traces at one instant only raise the rate; the balance never grows by a step back."""
    sampler = RateLimiting(10, clock=clock)
    kept = 0
    for step in (0, -5, 0, -1):
        clock.now += step
        kept += sum(sampler.decide(ids(), "GET") for _ in range(500))
    assert kept < 30
    assert 0 < sampler.probability("GET") < 0.01


@pytest.mark.parametrize(
    "bad", [{"per_second": 0}, {"per_second": math.inf}, {"per_second": 1, "workers": 0}]
)
def test_a_limit_that_is_none_is_refused(bad):
    """N is over 0 and finite, and there is a process to keep it."""
    with pytest.raises(ValueError, match="traces a second"):
        RateLimiting(**bad)


def test_threads_share_one_limit(clock):
    """Eight threads at one instant: every offer is counted, and the limit holds."""
    sampler = RateLimiting(100, clock=clock)
    kept = []

    def offer(seed):
        source = random.Random(seed)
        kept.append(sum(sampler.decide(source.getrandbits(128), "GET") for _ in range(2000)))

    threads = [threading.Thread(target=offer, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sampler._count == pytest.approx(16_000 + sampler._expected - 1)
    assert sum(kept) < 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_decides_leaves_no_lock_behind():
    """In the child the limiter answers at once, though its lock was held at the fork."""
    sampler = RateLimiting(100)
    with sampler._lock:
        pid = os.fork()
        if pid == 0:  # pragma: no cover - runs in the child
            os._exit(0 if sampler.sample(1, "GET") == 1.0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_what_a_child_does_first():
    """A sampler gets a new lock, even if another thread holds the old one."""
    sampler = RateLimiting(100)
    with sampler._lock:
        sampler.after_fork()
        assert sampler.sample(1, "GET") == 1.0


def test_a_sampler_that_is_gone_is_forgotten():
    """What has to be renewed after a fork is not kept alive by it."""
    sampler = RateLimiting(1)
    gone = weakref.ref(sampler)
    assert sampler in _forks.owners
    del sampler
    gc.collect()
    assert gone() is None
