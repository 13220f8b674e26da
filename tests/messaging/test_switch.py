"""Hooks that replace those of OpenTelemetry's instrumentations, behind their switch."""

from __future__ import annotations

import importlib

import pytest
from tests.messaging import fakes
from wrapt import FunctionWrapper

from eco2_tracing import instrument_libraries
from eco2_tracing._instrumentation.common.replacement import Replacement
from eco2_tracing._instrumentation.instrument import uninstrument_libraries
from eco2_tracing._instrumentation.libraries.tested import TESTED
from eco2_tracing._instrumentation.messaging import MESSAGING

ROWS = [library for library in TESTED if library.name in MESSAGING]
# The method that sends, of each client.
SENDS = {
    "kafka": ("kafka", "KafkaProducer", "send"),
    "aiokafka": ("aiokafka", "AIOKafkaProducer", "send"),
    "pika": ("pika.channel", "Channel", "basic_publish"),
    "aio-pika": ("aio_pika", "Exchange", "publish"),
    "celery": ("celery", "Celery", "send_task"),
}


@pytest.fixture(autouse=True)
def _switched_off():
    """Undo what a test switched on, even where it failed."""
    yield
    uninstrument_libraries()


class Instrumentor:
    """The used part of an instrumentor."""

    def __init__(self):
        self.calls = []

    def _uninstrument(self):
        self.calls.append("off")


def test_every_row_has_its_hooks():
    """The names are those of the tested table."""
    assert {library.name for library in ROWS} == MESSAGING.keys()


def test_contribs_hooks_come_off(package, patches):
    """Ours are on instead, until they are taken off."""
    kafka = package("kafka", **fakes.copies("KafkaProducer", "KafkaConsumer"))
    plain, instrumentor, stand_in = (
        kafka.KafkaProducer.send,
        Instrumentor(),
        Replacement("eco2_tracing._instrumentation.messaging.kafka:instrument_kafka_python"),
    )
    stand_in.prepare()
    stand_in.begin(instrumentor)
    assert instrumentor.calls == ["off"]
    assert kafka.KafkaProducer.send is not plain
    stand_in.end()
    assert kafka.KafkaProducer.send is plain


def test_a_library_that_does_not_fit_is_left_as_it_was(package):
    """Either all hooks are on, or none."""
    kafka = package("kafka", **fakes.copies("KafkaProducer"))
    plain = kafka.KafkaProducer.send
    with pytest.raises(AttributeError, match="KafkaConsumer"):
        Replacement("eco2_tracing._instrumentation.messaging.kafka:instrument_kafka_python").begin(
            Instrumentor()
        )
    assert kafka.KafkaProducer.send is plain


@pytest.mark.parametrize("library", ROWS, ids=lambda library: library.name)
def test_installed_clients(library):
    """Switched on, each method has one hook and the instrumentor is on; switched off, it is the client's own."""
    for name in (library.watched, library.module):
        pytest.importorskip(name)
    module, owner, method = SENDS.get(library.name, ("confluent_kafka", "Producer", "__name__"))
    importlib.import_module(module)

    def layers():
        kind = getattr(importlib.import_module(module), owner)
        found = vars(kind).get(method, kind)
        return len(kind.__mro__) + (
            isinstance(found, FunctionWrapper) and 1 + isinstance(found.__wrapped__, FunctionWrapper)
        )

    plain = layers()
    instrumentor = getattr(importlib.import_module(library.module), library.instrumentor)()
    assert instrument_libraries([library.name]) == (library.name,)
    assert instrumentor.is_instrumented_by_opentelemetry
    # A wrapper more; of what is written in C, a subclass that is made of two.
    assert layers() == plain + (3 if library.name == "confluent_kafka" else 1)
    uninstrument_libraries()
    assert not instrumentor.is_instrumented_by_opentelemetry
    assert layers() == plain


def test_contribs_that_was_on_before_stays():
    """An instrumentation that other code has switched on is not changed."""
    pytest.importorskip("pika")
    pytest.importorskip("opentelemetry.instrumentation.pika")
    from opentelemetry.instrumentation.pika import PikaInstrumentor
    from pika.channel import Channel

    instrumentor = PikaInstrumentor()
    instrumentor.instrument()
    try:
        assert instrument_libraries(["pika"]) == ("pika",)
        assert not isinstance(vars(Channel)["basic_publish"], FunctionWrapper)
        uninstrument_libraries()
        assert instrumentor.is_instrumented_by_opentelemetry
    finally:
        instrumentor.uninstrument()
