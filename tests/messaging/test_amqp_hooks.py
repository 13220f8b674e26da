"""The hooks of RabbitMQ's two clients, where no broker is needed to see what they do."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from tests.messaging import fakes

from eco2_tracing import span
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.messaging.amqp import instrument_aio_pika, instrument_pika

pytestmark = pytest.mark.usefixtures("hooks_alone")


@pytest.fixture
def pika(package, patches):
    """pika, traced."""
    members = fakes.copies("BasicProperties", "BlockingChannel", "Channel")
    module = package("pika", **members)
    package("pika.adapters.blocking_connection", BlockingChannel=module.BlockingChannel)
    package("pika.channel", Channel=module.Channel)
    instrument_pika(patches)
    return module


@pytest.fixture
def aio_pika(package, patches):
    """aio-pika, traced."""
    members = fakes.copies("Exchange", "Queue", "QueueIterator", "ProcessContext", "IncomingMessage")
    channel = fakes.copies("AioChannel")["AioChannel"]
    # A robust iterator of today, which asks the plain one.
    robust = type("RobustQueueIterator", (members["QueueIterator"],), {})
    robust.__anext__ = lambda self: super(robust, self).__anext__()
    module = package("aio_pika", Channel=channel, RobustQueueIterator=robust, **members)
    package("aio_pika.queue", QueueIterator=module.QueueIterator)
    package("aio_pika.robust_queue", RobustQueueIterator=robust)
    package("aio_pika.message", ProcessContext=module.ProcessContext)
    package("aio_pika.tools", ensure_awaitable=lambda callback: callback)
    instrument_aio_pika(patches)
    return module


def statuses(captured_spans, name):
    """How spans of a name ended, in order."""
    return [found.status for found in captured_spans.find(name)]


# pika ---------------------------------------------------------------------------------------------


def test_publishing_has_one_span(pika, captured_spans):
    """A blocking channel has a plain one work for it; properties that are used again stay what they were."""
    plain = pika.Channel()
    blocking = pika.BlockingChannel(plain)
    properties = pika.BasicProperties({"shop": "tea"}, "m1")
    blocking.basic_publish("shop", "orders.17", b"1", properties)
    blocking.basic_publish(exchange="", routing_key="orders", body=b"2", mandatory=True)
    plain.basic_publish("", "amq.gen-x", b"3", properties)
    assert properties.headers == {"shop": "tea"}
    assert [found.name for found in captured_spans.spans] == [
        "publish shop",
        "publish orders",
        "publish (anonymous)",
    ]
    assert [next(iter(sent.headers)) for sent in plain.sent] == ["shop", "x-b3-traceid", "shop"]
    ids = [sent.headers["x-b3-spanid"] for sent in plain.sent]
    assert ids == [found.span_id for found in captured_spans.spans]
    attributes = captured_spans.spans[0].attributes
    assert attributes["messaging.destination.name"] == "shop:orders.17"
    assert attributes["messaging.message.id"] == "m1"
    assert (attributes["server.address"], attributes["server.port"]) == ("rabbit", 5672)


def test_pika_that_has_changed_is_used_all_the_same(pika, captured_spans, caplog):
    """Where the client's own parts are not where they were, spans say less, and messages go and come."""
    channel = pika.Channel(connection=object())
    channel.deliveries = [(object(), None, b"tea")]
    channel.basic_publish("", "orders", b"1", "properties of another make")
    seen = []
    channel.basic_consume("orders", lambda *args: seen.append(args[3]))
    assert (channel.sent, seen) == (["properties of another make"], [b"tea"])
    assert "server.address" not in captured_spans.one("publish orders").attributes
    assert {entry.name for entry in caplog.records} == {"eco2_tracing"}
    assert len(caplog.records) == 2


@pytest.mark.parametrize("blocking", [True, False])
def test_callbacks_of_pika(pika, captured_spans, blocking):
    """Each call is the work on one message, below its producer's span and nothing else; what it raises goes on."""
    with span("request"):
        headers = dict(outgoing([], None))
    plain = pika.Channel()
    plain.deliveries = [fakes.delivery(headers), fakes.delivery(None, "orders.1", "shop")]
    channel = pika.BlockingChannel(plain) if blocking else plain

    def on_message(channel, method, properties, body):
        """Handle one."""
        assert trace.get_current_span().is_recording()
        if properties.headers is None:
            raise ValueError(body)

    with span("something that opened the connection"), pytest.raises(ValueError, match="tea"):
        if blocking:
            channel.basic_consume("orders", on_message)
        else:
            channel.basic_consume("orders", on_message_callback=on_message)
    first, second = captured_spans.find("process orders")
    assert first.parent_span_id == captured_spans.one("request").span_id
    assert second.parent_span_id is None
    assert statuses(captured_spans, "process orders") == [StatusCode.UNSET, StatusCode.ERROR]
    assert second.attributes["messaging.destination.name"] == "shop:orders.1:orders"


def test_what_is_no_callback_is_refused_by_pika(pika, captured_spans):
    """Arguments that are wrong get the client's own answer."""
    assert pika.Channel().basic_consume("orders", on_message_callback=None) == "tag"


def test_messages_that_pika_is_asked_for(pika, captured_spans):
    """The span of one lasts until the next poll; without a message there is none."""
    channel = pika.BlockingChannel(pika.Channel())
    channel.found = [fakes.delivery(), fakes.delivery(), (None, None, None), fakes.delivery()]
    for method, _, _ in channel.consume(queue="orders", inactivity_timeout=1):
        with span("brew" if method else "nothing to do"):
            pass
    assert channel.basic_get("orders") == (None, None, None)
    works = captured_spans.find("process orders")
    assert [found.parent_span_id for found in captured_spans.find("brew")] == [work.span_id for work in works]
    assert captured_spans.one("nothing to do").parent_span_id is None
    channel.found = [fakes.delivery()] * 2
    assert channel.basic_get(queue="orders")[2] == b"tea"
    channel.close()
    assert channel.is_closed
    with span("request"):
        channel.basic_get("orders")
    assert captured_spans.one("get orders").kind is SpanKind.CLIENT
    assert len(captured_spans.find("process orders")) == 4


def test_a_loop_over_pika_that_fails(pika, captured_spans):
    """The end of the channel records the exception of the loop."""
    channel = pika.BlockingChannel(pika.Channel())
    channel.found = [fakes.delivery()]
    with pytest.raises(ValueError, match="spoilt"):
        try:
            for _ in channel.consume("orders"):
                raise ValueError("spoilt")
        finally:
            channel.cancel()
    assert statuses(captured_spans, "process orders") == [StatusCode.ERROR]


def test_suppressed_pika(pika, captured_spans):
    """Within contrib's ``suppress_instrumentation`` nothing is traced, and everything works."""
    plain = pika.Channel()
    plain.deliveries = [fakes.delivery()]
    channel = pika.BlockingChannel(plain)
    channel.found = [fakes.delivery()] * 2
    seen = []
    with suppress_instrumentation():
        channel.basic_publish("", "orders", b"1")
        channel.basic_consume("orders", lambda *args: seen.append(args))
        assert channel.basic_get("orders")[2] == b"tea"
        assert len(list(channel.consume("orders"))) == 1
    assert (plain.sent, len(seen)) == ([None], 1)
    assert captured_spans.spans == ()


# aio-pika -----------------------------------------------------------------------------------------


def test_aio_pika_publishes_a_copy(aio_pika, captured_spans):
    """A message that is published twice is what it was, and goes with each span's own ids."""
    exchange = aio_pika.Exchange("shop", aio_pika.Channel())
    message = aio_pika.IncomingMessage({"x": 1})

    async def publish():
        assert await exchange.publish(message, "orders.17") == "confirmed"
        assert (
            await exchange.publish(message=message, routing_key="orders.18", mandatory=False) == "confirmed"
        )

    asyncio.run(publish())
    assert message.headers == {"x": 1}
    assert [sent.headers["x-b3-spanid"] for sent in exchange.sent] == [
        found.span_id for found in captured_spans.find("publish shop")
    ]
    assert exchange.sent[0].headers["x"] == 1
    assert captured_spans.spans[0].attributes["server.port"] == 5672


def test_aio_pika_that_has_changed_is_used_all_the_same(aio_pika, captured_spans, caplog):
    """Where the client's own parts are not where they were, spans say less, and messages go and come."""
    exchange, queue = aio_pika.Exchange("shop", object()), aio_pika.Queue("orders", object(), "odd message")
    seen = []

    async def use():
        await exchange.publish("odd message", "orders")
        await queue.consume(lambda message: asyncio.sleep(0, seen.append(message)))

    asyncio.run(use())
    assert (exchange.sent, seen) == (["odd message"], ["odd message"])
    assert {entry.name for entry in caplog.records} == {"eco2_tracing"}


@pytest.mark.parametrize("by_name", [True, False])
def test_callbacks_of_aio_pika(aio_pika, captured_spans, by_name):
    """Each call is the work on one message to its end; what failed within ``process()`` is told, caught or not."""
    queue = aio_pika.Queue("orders", aio_pika.Channel(), *(aio_pika.IncomingMessage() for _ in range(3)))
    fails = iter([None, ValueError("spoilt"), ValueError("dropped")])

    async def on_message(message):
        error = next(fails)
        try:
            async with aio_pika.ProcessContext(message):
                if error:
                    raise error
        except ValueError:
            if error.args == ("dropped",):
                raise
        with span("afterwards"):
            pass

    async def consume():
        with span("something that opened the connection"), pytest.raises(ValueError, match="dropped"):
            if by_name:
                await queue.consume(callback=on_message)
            else:
                await queue.consume(on_message, True)

    asyncio.run(consume())
    works = captured_spans.find("process orders")
    assert [work.status for work in works] == [StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR]
    assert [len(work.events) for work in works] == [0, 1, 1]
    assert [found.parent_span_id for found in captured_spans.find("afterwards")] == [
        work.span_id for work in works[:2]
    ]


@pytest.mark.parametrize("kind", ["QueueIterator", "RobustQueueIterator"])
def test_iteration_of_aio_pika(aio_pika, captured_spans, kind):
    """One span a message, until it is processed or the next is asked for, whichever class iterates."""
    queue = aio_pika.Queue("orders", aio_pika.Channel(), *(aio_pika.IncomingMessage() for _ in range(3)))

    async def iterate():
        messages = getattr(aio_pika, kind)(queue)
        number = 0
        async for message in messages:
            number += 1
            if number == 2:
                continue
            try:
                async with aio_pika.ProcessContext(message):
                    assert trace.get_current_span().is_recording()
                    if number == 1:
                        raise ValueError("spoilt")
            except ValueError:
                assert not trace.get_current_span().is_recording()
        await messages.close()
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(iterate())
    assert statuses(captured_spans, "process orders") == [
        StatusCode.ERROR,
        StatusCode.UNSET,
        StatusCode.UNSET,
    ]
    assert len(captured_spans.spans) == 3


def test_a_robust_iterator_of_older_versions(package, patches, captured_spans):
    """One that inherits how it iterates has one span a message, too."""
    members = fakes.copies("Exchange", "Queue", "QueueIterator", "ProcessContext")
    channel = fakes.copies("AioChannel")["AioChannel"]
    robust = type("RobustQueueIterator", (members["QueueIterator"],), {})
    package("aio_pika", Channel=channel, **members)
    package("aio_pika.queue", QueueIterator=members["QueueIterator"])
    package("aio_pika.robust_queue", RobustQueueIterator=robust)
    package("aio_pika.message", ProcessContext=members["ProcessContext"])
    instrument_aio_pika(patches)
    messages = robust(members["Queue"]("orders", channel(), fakes.IncomingMessage()))

    async def iterate():
        async for _ in messages:
            pass

    asyncio.run(iterate())
    assert len(captured_spans.find("process orders")) == 1


def test_an_iteration_that_began_before(aio_pika, captured_spans):
    """An iterator whose queue is not known gives its messages without spans."""
    messages = aio_pika.QueueIterator(aio_pika.Queue("orders", aio_pika.Channel(), "message"))
    vars(messages).pop("_eco2_queue")

    async def iterate():
        return [message async for message in messages]

    assert asyncio.run(iterate()) == ["message"]
    assert captured_spans.spans == ()


def test_an_iterators_own_callback_is_no_work(aio_pika, captured_spans):
    """It only puts messages aside."""
    queue = aio_pika.Queue("orders", aio_pika.Channel(), aio_pika.IncomingMessage())
    iterator = aio_pika.QueueIterator(queue)
    asyncio.run(queue.consume(iterator.on_message))
    assert len(iterator.put_aside) == 1
    assert captured_spans.spans == ()


def test_a_message_that_aio_pika_is_asked_for(aio_pika, captured_spans):
    """The span lasts until the next poll or the end of the channel; without a message there is none."""
    channel = aio_pika.Channel()
    queue = aio_pika.Queue("orders", channel, *(aio_pika.IncomingMessage() for _ in range(2)))

    async def ask():
        other = aio_pika.IncomingMessage()
        await queue.get()
        async with aio_pika.ProcessContext(other):  # somebody else's message
            pass
        assert trace.get_current_span().is_recording()
        await queue.get()
        assert await queue.get(fail=False) is None
        queue.messages.append(other)
        await queue.get()
        await channel.close()
        async with aio_pika.ProcessContext(other):
            pass

    asyncio.run(ask())
    assert statuses(captured_spans, "process orders") == [StatusCode.UNSET] * 3


def test_suppressed_aio_pika(aio_pika, captured_spans):
    """Within contrib's ``suppress_instrumentation`` nothing is traced, and everything works."""
    queue = aio_pika.Queue("orders", aio_pika.Channel(), *(aio_pika.IncomingMessage() for _ in range(3)))
    exchange, seen = aio_pika.Exchange("shop", queue.channel), []

    async def use():
        await exchange.publish("message", "orders")
        await queue.consume(lambda message: asyncio.sleep(0, seen.append(message)))
        assert await queue.get()
        return [message async for message in aio_pika.RobustQueueIterator(queue)]

    with suppress_instrumentation():
        assert len(asyncio.run(use())) == 2
    assert (exchange.sent, len(seen)) == (["message"], 3)
    assert captured_spans.spans == ()
