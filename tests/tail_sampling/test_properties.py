"""Random span trees, orders of ending, threads and tasks against a model of a few lines."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
from hypothesis import given
from opentelemetry import trace
from opentelemetry.context import attach
from opentelemetry.trace import StatusCode, set_span_in_context

from eco2_tracing.sampling._tail.limits import TailLimits
from tests.tail_sampling.conftest import Local, caller

UNLIMITED = TailLimits(kept_per_second=1_000_000)


class Model:
    """What shall be exported of one local trace: a decision, and the spans that it is about."""

    def __init__(self, *, chosen):
        self.decision = "chosen" if chosen else "undecided"
        self.recorded, self.open, self.ended = set(), set(), set()

    def start(self, name, parent):
        """A span begins; below one that is not recorded nothing is."""
        if self.decision != "forgotten" and (parent is None or parent in self.recorded):
            self.recorded.add(name)
            self.open.add(name)

    def end(self, name, *, fails):
        """A span ends."""
        if name not in self.open:
            return
        self.open.discard(name)
        self.ended.add(name)
        if fails and self.decision == "undecided":
            self.decision = "kept"
        if 0 not in self.open and not self.open and self.decision == "undecided":
            self.decision = "forgotten"

    @property
    def exported(self):
        """The spans to export, once all have ended."""
        return self.ended if self.decision in ("chosen", "kept") else set()


@st.composite
def programs(draw):
    """Steps over up to three local traces: spans begin below any earlier one, end in any order."""
    traces = draw(st.lists(st.booleans(), min_size=1, max_size=3))
    steps = [(number, 0, None) for number in range(len(traces))]
    waiting = {number: [0] for number in range(len(traces))}
    counts = dict.fromkeys(waiting, 1)
    for _ in range(draw(st.integers(0, 25))):
        number = draw(st.sampled_from(sorted(waiting)))
        if waiting[number] and draw(st.booleans()):
            name = waiting[number].pop(draw(st.integers(0, len(waiting[number]) - 1)))
            steps.append((number, name, draw(st.sampled_from([False, False, False, True]))))
        else:
            name, counts[number] = counts[number], counts[number] + 1
            steps.append((number, name, draw(st.integers(0, name - 1)), "start"))
            waiting[number].append(name)
    for number, names in waiting.items():
        steps += [(number, name, False) for name in draw(st.permutations(names))]
    return traces, steps


@given(programs(), st.lists(st.integers(0, 2), min_size=1, max_size=10))
def test_any_order_of_beginning_and_ending(program, threads):
    """Exactly what the model says is exported, once, as sampled; nothing is held in the end."""
    traces, steps = program
    local = Local(limits=UNLIMITED)
    models = [Model(chosen=chosen) for chosen in traces]
    spans = {}

    def run(step):
        number, name, *what = step
        if what == [None] or len(what) == 2:
            parent = caller(sampled=traces[number]) if name == 0 else spans[number, what[0]]
            spans[number, name] = local.start(f"{number}.{name}", parent)
            models[number].start(name, what[0])
        else:
            if what[0]:
                spans[number, name].set_status(StatusCode.ERROR)
            spans[number, name].end()
            models[number].end(name, fails=what[0])

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for turn, step in enumerate(steps):
            thread = threads[turn % len(threads)]
            if thread:
                (one, two)[thread - 1].submit(run, step).result()
            else:
                run(step)
    expected = [f"{number}.{name}" for number, model in enumerate(models) for name in model.exported]
    assert local.names == sorted(expected)
    assert all(span.context.trace_flags.sampled for span in local.exported)
    assert local.is_empty()
    assert sum(local.tail_sampler.buffer.kept.values()) == sum(bool(model.exported) for model in models)
    roots = [span for span in local.exported if span.name.endswith(".0")]
    assert ["eco2.sampling.reason" in span.attributes for span in roots] == [True] * len(roots)


trees = st.recursive(
    st.tuples(st.booleans(), st.integers(0, 2), st.just(())),
    lambda inner: st.tuples(st.booleans(), st.integers(0, 2), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=10,
)
"""Whether a span fails, how many turns it waits before that, and its children, which run side by side."""


def size(tree):
    """How many spans a tree has."""
    return 1 + sum(size(child) for child in tree[2])


def fails(tree):
    """Whether anything in a tree fails."""
    return tree[0] or any(fails(child) for child in tree[2])


def check(local, tree):
    """All of a tree is exported when anything in it failed, else none of it."""
    assert len(local.exported) == (size(tree) if fails(tree) else 0)
    ids = {span.context.span_id for span in local.exported}
    assert len(ids) == len(local.exported)
    assert [span.parent.span_id in ids for span in local.exported].count(False) == fails(tree)
    assert all(span.context.trace_flags.sampled for span in local.exported)
    assert local.is_empty()


@given(trees)
def test_trees_of_tasks(tree):
    """Children run as asyncio tasks side by side."""
    local = Local(limits=UNLIMITED)

    async def run(node):
        failing, turns, children = node
        with local.tracer.start_as_current_span("span") as span:
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.gather(*(run(child) for child in children))
            if failing:
                span.set_status(StatusCode.ERROR)

    async def main():
        attach(caller())
        await run(tree)

    asyncio.run(main())
    check(local, tree)


@given(trees)
def test_trees_of_threads(tree):
    """Children of the root run in threads of their own, in a copy of its context."""
    local = Local(limits=UNLIMITED)

    def run(node, pool):
        failing, _, children = node
        with local.tracer.start_as_current_span("span") as span:
            if pool is None:
                for child in children:
                    run(child, None)
            else:
                running = [
                    pool.submit(contextvars.copy_context().run, run, child, None) for child in children
                ]
                for one in running:
                    one.result()
            if failing:
                span.set_status(StatusCode.ERROR)

    def main(pool):
        attach(caller())
        run(tree, pool)

    with ThreadPoolExecutor(3) as pool:
        contextvars.copy_context().run(main, pool)
    check(local, tree)


@given(st.lists(st.booleans(), max_size=8), st.booleans())
def test_tasks_that_outlive_the_root(failing, root_fails):
    """They were begun under the root; an error in any of them keeps all that has not been forgotten."""
    local = Local(limits=UNLIMITED)
    root = local.start("root", caller())
    tasks = [local.start(f"task {n}", root) for n in range(len(failing))]
    if root_fails:
        root.set_status(StatusCode.ERROR)
    with trace.use_span(root), trace.use_span(root):
        root.end()
    for task, fail in zip(tasks, failing, strict=True):
        if fail:
            task.set_status(StatusCode.ERROR)
        task.end()
    assert len(local.exported) == ((1 + len(failing)) if root_fails or any(failing) else 0)
    assert local.is_empty()
    assert not local.start("late", set_span_in_context(root)).is_recording() or root_fails or any(failing)
