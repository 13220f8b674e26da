"""The hooks of Kafka's three clients, where no broker is needed to see what they do."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import ModuleType

import pytest
from opentelemetry import context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from tests.messaging import fakes

from eco2_tracing import span
from eco2_tracing._instrumentation.common.outgoing_headers import outgoing
from eco2_tracing._instrumentation.messaging import confluent as confluent_module
from eco2_tracing._instrumentation.messaging.kafka import (
    client_of,
    instrument_aiokafka,
    instrument_kafka_python,
)
from eco2_tracing._instrumentation.messaging.spans import Work

pytestmark = pytest.mark.usefixtures("hooks_alone")


@pytest.fixture
def kafka(package, patches):
    """kafka-python, traced."""
    producer, consumer = (
        type(kind.__name__, (), dict(vars(kind))) for kind in (fakes.KafkaProducer, fakes.KafkaConsumer)
    )
    module = package("kafka", KafkaProducer=producer, KafkaConsumer=consumer)
    instrument_kafka_python(patches)
    return module


@pytest.fixture
def aiokafka(package, patches):
    """aiokafka, traced."""
    module = package("aiokafka", **fakes.copies("AIOKafkaProducer", "AIOKafkaConsumer"))
    instrument_aiokafka(patches)
    return module


@pytest.fixture
def confluent(package, patches):
    """confluent-kafka, traced."""
    module = package("confluent_kafka", **fakes.confluent_kafka())
    confluent_module.instrument(patches)
    return module


def names(headers):
    """The names of headers."""
    return [name for name, _ in headers]


def test_headers_of_the_service_are_not_touched(kafka, captured_spans):
    """One list for two messages: each has its own span's ids, and the list is what it was."""
    headers, producer = [("shop", b"tea")], kafka.KafkaProducer()
    assert producer.send("orders", b"1", headers=headers) == "future"
    assert producer.send("orders", b"1", None, headers) == "future"
    assert headers == [("shop", b"tea")]
    first, second = producer.sent
    assert first[0] == second[0] == ("shop", b"tea")
    assert names(first) == names(second) == list(dict.fromkeys(names(first)))
    assert all(isinstance(value, bytes) for _, value in first)
    assert dict(first)["x-b3-spanid"] != dict(second)["x-b3-spanid"]
    assert captured_spans.spans[0].attributes["server.address"] == "kafka"
    assert captured_spans.spans[0].attributes["messaging.client.id"] == "shop"


def test_what_the_client_refuses_it_refuses(kafka, captured_spans):
    """Arguments that are wrong get the client's own answer, as without tracing."""
    with pytest.raises(TypeError, match="must be list-type"):
        kafka.KafkaProducer().send("orders", headers=(("shop", b"tea"),))
    assert captured_spans.one("send orders").status is StatusCode.ERROR
    producer = kafka.KafkaProducer()
    producer.send("orders", headers=["no pair"])
    assert producer.sent == [["no pair"]]


@pytest.mark.parametrize(
    ("servers", "host", "port"),
    [
        ("kafka:9092", "kafka", 9092),
        ("PLAINTEXT://kafka:9092,other:1", "kafka", 9092),
        (["[::1]:9092"], "::1", 9092),
        ("kafka", "kafka", None),
        ([], None, None),
        (None, None, None),
    ],
)
def test_the_first_server_stands_for_the_cluster(servers, host, port):
    """However the bootstrap servers are written."""
    client = client_of(servers)
    assert (client.host, client.port) == (host, port)


def test_a_client_that_has_changed_is_used_all_the_same(kafka, captured_spans, caplog):
    """If the client's configuration cannot be read, spans have fewer attributes and one warning is logged."""
    producer, consumer = kafka.KafkaProducer(), kafka.KafkaConsumer([fakes.record()], [fakes.record()])
    del producer.config, consumer.config
    assert producer.send("orders") == "future"
    assert [found.topic for found in consumer] == ["orders", "orders"]
    assert "x-b3-traceid" in names(producer.sent[0])
    assert captured_spans.one("send orders").attributes.get("server.address") is None
    assert {entry.name for entry in caplog.records} == {"eco2_tracing"}
    assert len(caplog.records) == 2


def test_several_messages_have_one_span(kafka, captured_spans):
    """A batch has a trace of its own, linked to each producer that said who it was."""
    producer, headers = kafka.KafkaProducer(), []
    for _ in range(2):
        with span("request"):
            headers.append(outgoing([], None))
    records = [fakes.record(headers=sent) for sent in [*headers, []]]
    consumer = kafka.KafkaConsumer(records, [fakes.record("returns"), fakes.record("orders")])
    consumer.poll(100)
    with span("brew"):
        pass
    consumer.poll(100)
    consumer.poll(100)
    work, brew = captured_spans.one("process orders"), captured_spans.one("brew")
    assert (work.parent_span_id, brew.parent_span_id) == (None, work.span_id)
    assert [link.span_id for link in work.links] == [
        found.span_id for found in captured_spans.find("request")
    ]
    assert work.attributes["messaging.batch.message_count"] == 3
    assert work.attributes["messaging.consumer.group.name"] == "cooks"
    assert "messaging.destination.name" not in captured_spans.one("process orders, returns").attributes
    assert producer.sent == []


def test_a_message_asked_for_within_a_request(kafka, captured_spans):
    """The request goes on being what is current: the asking is a span of its own below it, linked."""
    with span("elsewhere"):
        headers = outgoing([], None)
    consumer = kafka.KafkaConsumer([fakes.record(headers=headers)])
    with span("request") as request:
        consumer.poll(100)
        assert trace.get_current_span() is request
    asking = captured_spans.one("poll orders")
    assert (asking.kind, asking.parent_span_id) == (SpanKind.CLIENT, captured_spans.one("request").span_id)
    assert [link.span_id for link in asking.links] == [captured_spans.one("elsewhere").span_id]
    assert asking.attributes["messaging.operation.type"] == "receive"


def test_producers_that_are_not_trusted(kafka, monkeypatch, request):
    """One message or several: a trace of its own, linked."""
    monkeypatch.setenv("ECO2_TRACING_TRUST_INBOUND", "false")
    captured_spans = request.getfixturevalue("captured_spans")
    with span("request"):
        headers = outgoing([], None)
    consumer = kafka.KafkaConsumer([fakes.record(headers=headers)], [fakes.record(headers=headers)] * 2)
    consumer.poll(100)
    consumer.poll(100)
    consumer.close()
    producer, works = captured_spans.one("request"), captured_spans.find("process orders")
    assert [len(work.links) for work in works] == [1, 2]
    assert {link.span_id for work in works for link in work.links} == {producer.span_id}
    assert producer.trace_id not in {work.trace_id for work in works}


def test_an_old_error_is_not_the_messages(kafka, captured_spans):
    """A consumer that is run while an exception is handled does not fail by it."""
    consumer = kafka.KafkaConsumer([fakes.record()])
    try:
        raise ValueError("before")
    except ValueError:
        for _ in consumer:
            break
        consumer.close()
    assert consumer.is_closed
    assert captured_spans.one("process orders").status is StatusCode.UNSET


def test_an_ended_message_is_let_go(kafka, captured_spans):
    """Without the garbage collector, which would have to look for the span of every message."""
    consumer = kafka.KafkaConsumer([fakes.record()], [fakes.record()], [])
    gc.collect()
    gc.disable()
    try:
        while consumer.poll():
            pass
        assert not [one for one in gc.get_objects() if issubclass(type(one), Work)]
    finally:
        gc.enable()


def test_a_consumer_that_is_dropped(kafka, captured_spans):
    """What was never closed ends with the consumer."""
    for _ in kafka.KafkaConsumer([fakes.record()]):
        break
    assert captured_spans.spans == ()
    context.attach(context.Context())  # the message's is gone, as that of a task or a thread that has ended
    gc.collect()
    assert captured_spans.one("process orders").status is StatusCode.UNSET


def test_a_consumer_that_is_dropped_at_the_very_end(kafka, captured_spans, monkeypatch):
    """Once the interpreter ends there is nothing to be done any more."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    next(kafka.KafkaConsumer([fakes.record()]))
    context.attach(context.Context())
    gc.collect()
    assert captured_spans.spans == ()


def test_headers_that_cannot_be_read(kafka, captured_spans, caplog):
    """The message is the service's all the same; one warning says that it has no span."""
    consumer = kafka.KafkaConsumer([fakes.record(headers=["no pair", "nor this"])] * 2)
    assert next(consumer).headers == ["no pair", "nor this"]
    assert [entry.name for entry in caplog.records] == ["eco2_tracing"]
    assert captured_spans.spans == ()


def test_a_message_that_is_finished_elsewhere(kafka, captured_spans):
    """In another context, such as another thread's, what is current there is left alone."""
    consumer = kafka.KafkaConsumer([fakes.record()])
    next(consumer)
    with span("other") as other:
        consumer.close()
        assert trace.get_current_span() is other
    assert captured_spans.one("process orders").end_ns <= captured_spans.one("other").end_ns


def test_suppressed(kafka, aiokafka, confluent, captured_spans):
    """Within contrib's ``suppress_instrumentation`` nothing is traced, and everything works."""
    producer, consumer = kafka.KafkaProducer(), kafka.KafkaConsumer([fakes.record()], [fakes.record()])
    aio_producer = aiokafka.AIOKafkaProducer()
    aio_consumer = aiokafka.AIOKafkaConsumer([fakes.record()], [fakes.record()])
    c_producer, c_consumer = confluent.Producer({}), confluent.Consumer({})
    c_consumer.batches = [[fakes.ConfluentMessage()], [fakes.ConfluentMessage()]]

    async def use():
        await aio_producer.send("orders")
        return await aio_consumer.getone(), await aio_consumer.getmany()

    with suppress_instrumentation():
        producer.send("orders")
        assert next(consumer)
        assert consumer.poll(100)
        assert all(asyncio.run(use()))
        c_producer.produce("orders")
        assert c_consumer.poll(1)
        assert c_consumer.consume(1)
    assert captured_spans.spans == ()
    assert producer.sent == aio_producer.sent == c_producer.sent == [None]


def test_aiokafka(aiokafka, captured_spans):
    """Sending, one message, several, none, and the end."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers="kafka:9092", client_id="shop")
    consumer = aiokafka.AIOKafkaConsumer([fakes.record()], [fakes.record(), fakes.record()], group_id="cooks")

    async def use():
        given = [("shop", b"tea")]
        await producer.send("orders", b"1", None, None, None, given)
        await producer.send("orders", b"1")
        await consumer.getone()
        await consumer.getmany()
        assert await consumer.getmany() == {}
        await consumer.stop()
        return given

    assert asyncio.run(use()) == [("shop", b"tea")]
    assert [names(headers)[0] for headers in producer.sent] == ["shop", "x-b3-traceid"]
    kinds = [found.kind for found in captured_spans.spans]
    assert kinds == [SpanKind.PRODUCER] * 2 + [SpanKind.CONSUMER] * 2
    sent, received = captured_spans.spans[0].attributes, captured_spans.spans[2].attributes
    assert (sent["server.address"], sent["messaging.client.id"]) == ("kafka", "shop")
    assert (received["messaging.kafka.offset"], received["messaging.consumer.group.name"]) == (7, "cooks")


def test_clients_of_aiokafka_that_were_made_before(aiokafka, patches, captured_spans):
    """Of a producer the host is known, of a consumer nothing."""
    patches.undo()
    producer, consumer = aiokafka.AIOKafkaProducer(), aiokafka.AIOKafkaConsumer([fakes.record()])
    instrument_aiokafka(patches)

    async def use():
        await producer.send("orders")
        await consumer.getone()
        await consumer.stop()

    asyncio.run(use())
    hosts = [found.attributes.get("server.address") for found in captured_spans.spans]
    assert hosts == ["early", None]


def test_confluent_names_that_were_imported_before(confluent, captured_spans, monkeypatch, package, patches):
    """A module that has a class by name gets the traced one, the package's own modules keep theirs; undone after."""
    traced, plain = confluent.Producer, confluent.Producer.__mro__[3]
    patches.undo()
    assert confluent.Producer is plain
    service = package("service", Producer=plain, other=1)
    inner = package("confluent_kafka.inner", Producer=plain)
    monkeypatch.setitem(sys.modules, "odd", object())  # programs put anything there
    confluent_module.instrument(patches)
    assert service.Producer is confluent.Producer is not plain
    assert issubclass(service.Producer, plain)
    assert (service.Producer.__name__, service.Producer.__module__) == ("Producer", "confluent_kafka")
    assert inner.Producer is plain is not traced
    patches.undo()
    assert service.Producer is confluent.Producer is plain


def test_confluent_loads_no_module_that_waits(confluent, monkeypatch, package, patches):
    """A module that loads at its first access is not accessed."""
    patches.undo()

    class Waiting(ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError("it was loaded")

    service = package("service", Producer=confluent.Producer)
    monkeypatch.setitem(sys.modules, "waiting", Waiting("waiting"))
    confluent_module.instrument(patches)
    assert service.Producer is confluent.Producer


@pytest.mark.parametrize(
    "configure",
    [
        lambda kind, conf: kind(conf),
        lambda kind, conf: kind(conf=conf),
        lambda kind, conf: kind(**conf),
        lambda kind, conf: kind({"bootstrap.servers": "other"}, **conf),
    ],
)
def test_confluent_producer(confluent, captured_spans, configure):
    """A list, a mapping or nothing: each message has our headers, and none is the service's object."""
    producer = configure(
        confluent.SerializingProducer, {"bootstrap.servers": "kafka:9092", "client.id": "shop"}
    )
    pairs, mapping = [("shop", b"tea")], {"shop": b"tea", "none": None}
    producer.produce("orders", b"1", headers=pairs)
    producer.produce(topic="orders", headers=mapping)
    producer.produce("orders", b"1", b"key", 0, None, 0, pairs)
    producer.produce("orders")
    assert (pairs, mapping) == ([("shop", b"tea")], {"shop": b"tea", "none": None})
    first, second, third, fourth = producer.sent
    assert names(first) == names(third) == ["shop", *names(fourth)]
    assert isinstance(second, dict)
    assert list(second) == ["shop", "none", *names(fourth)]
    for found in captured_spans.find("send orders"):
        assert (found.attributes["server.address"], found.attributes["server.port"]) == ("kafka", 9092)
        assert found.attributes["messaging.client.id"] == "shop"


def test_confluent_configuration_that_cannot_be_read(confluent, captured_spans, caplog):
    """It is the client's to refuse; ours says less."""
    producer = confluent.Producer({"bootstrap.servers": 7})
    producer.produce("orders")
    assert "server.address" not in captured_spans.one("send orders").attributes
    assert [entry.name for entry in caplog.records] == ["eco2_tracing"]


def test_confluent_consumer(confluent, captured_spans):
    """Messages begin work; errors that come as messages, and nothing, do not."""
    error = fakes.ConfluentMessage(error="end of partition")
    with confluent.Consumer({"group.id": "cooks"}) as consumer:
        consumer.batches = [[fakes.ConfluentMessage()], [error], [fakes.ConfluentMessage(), error]]
        assert consumer.poll(1)
        assert consumer.poll(1) is error
        assert consumer.poll(1).error() is None
        assert consumer.poll(1) is None
        assert consumer.consume(1) == []
    assert consumer.is_closed
    closed = confluent.DeserializingConsumer({})
    closed.batches = [[fakes.ConfluentMessage(), fakes.ConfluentMessage()]]
    assert len(closed.consume(2)) == 2
    with pytest.raises(ValueError, match="spoilt"):
        try:
            raise ValueError("spoilt")
        finally:
            closed.close()
    statuses = [found.status for found in captured_spans.find("process orders")]
    assert statuses == [StatusCode.UNSET, StatusCode.UNSET, StatusCode.ERROR]
