"""How many new traces `rate_limiting` keeps, whatever is offered, on a simulated clock.

Run it as ``python benchmarks/rate_limiting.py [N]``. The first table gives, for each shape of the load,
the fewest and the most traces kept in any window of 10 s, in percent of N times 10, and the offered
count that the kept traces' weights 1/p give back, with its standard error. The second table
gives how much two services agree that see the same traces some milliseconds apart, and the third one
what a decision costs. The exit status is 1 when a window is outside 10 %.
"""

from __future__ import annotations

import math
import random
import sys
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.loads import LOADS, Load, poisson, windows

from eco2_tracing.sampling import RateLimiting, TraceIdRatio

DURATION_S = 60.0
OFFERED = (50, 500, 5000)


class Clock:
    """Seconds that pass when the simulation says so."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def simulate(
    load: Load, offered: float, per_second: float, seed: str
) -> tuple[list[float], int, float, float]:
    """When traces were kept, how many were offered, how many the weights say, and with which error."""
    source = random.Random(seed)
    clock = Clock()
    sampler = RateLimiting(per_second, clock=clock)
    times = load(offered, DURATION_S, source)
    kept, weight, variance = [], 0.0, 0.0
    for clock.now in times:
        p = sampler.sample(source.getrandbits(128), "GET")
        if p:
            kept.append(clock.now)
            weight += 1 / p
            variance += (1 - p) / p**2
    return kept, len(times), weight, math.sqrt(variance)


def limits(per_second: float) -> bool:
    """Print the table of loads; tell whether all windows are within 10 %, and one trace."""
    print(f"N = {per_second:g} new traces a second, {DURATION_S:g} s, every window of 10 s\n")
    print(
        f"{'offered':>8}  {'shape':<28}  {'traces':>7}  {'kept':>6}  {'min %':>6}  {'max %':>6}  {'by 1/p %':>14}"
    )
    good = True
    for offered in OFFERED:
        for shape, load in LOADS.items():
            kept, traces, weight, error = simulate(load, offered, per_second, f"{offered} {shape}")
            counts = windows(kept, DURATION_S)
            expected = min(per_second, offered) * 10
            low, high = min(counts), max(counts)
            if offered > per_second:
                good &= 0.9 * expected - 1 <= low and high <= 1.1 * expected + 1
            shares = f"{low / expected:>6.1%}  {high / expected:>6.1%}  {weight / traces:>6.1%} ± {error / traces:.1%}"
            print(f"{offered:>6}/s  {shape:<28}  {traces:>7}  {len(kept):>6}  {shares.replace('%', ' ')}")
    return good


def agreement(per_second: float) -> None:
    """Print how many traces two services keep in common."""
    print("\nTwo services, the second sees each trace 1 to 20 ms later\n")
    print(
        f"{'offered':>8}  {'first':>6}  {'second':>6}  {'both':>6}  {'alike %':>7}  {'if independent %':>16}"
    )
    for offered in OFFERED:
        source = random.Random(12)
        clock = Clock()
        services = [RateLimiting(per_second, clock=clock) for _ in range(2)]
        kept: list[set[int]] = [set(), set()]
        events = []
        for at in poisson(offered, DURATION_S, source):
            trace_id = source.getrandbits(128)
            events += [(at, 0, trace_id), (at + source.uniform(0.001, 0.02), 1, trace_id)]
        for clock.now, service, trace_id in sorted(events):
            if services[service].decide(trace_id, "GET"):
                kept[service].add(trace_id)
        first, second, both = len(kept[0]), len(kept[1]), len(kept[0] & kept[1])
        alike, chance = 100 * both / max(first, second), 100 * min(1.0, per_second / offered)
        print(f"{offered:>6}/s  {first:>6}  {second:>6}  {both:>6}  {alike:>7.1f}  {chance:>16.1f}")


def cost() -> None:
    """Print what one decision takes."""
    source = random.Random(13)
    ids = [source.getrandbits(128) for _ in range(1000)]
    print()
    for sampler in (TraceIdRatio(0.01), RateLimiting(100)):
        runs = timeit.repeat(lambda s=sampler.sample: [s(i, "GET") for i in ids], number=100, repeat=5)
        print(f"{sampler.get_description():<42} {min(runs) / 100_000 * 1e6:.2f} µs a decision")


def main() -> int:
    """Print the three tables."""
    per_second = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    if not 0 < per_second < math.inf:
        raise SystemExit("N is a number over 0")
    good = limits(per_second)
    agreement(per_second)
    cost()
    print("\nall windows within 10 %, give or take one trace" if good else "\nA WINDOW IS OUTSIDE 10 %")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
