"""The libraries that are traced by default, and the instrumentations that are never switched on."""

from __future__ import annotations

from typing import NamedTuple


class Library(NamedTuple):
    """One library and OpenTelemetry's instrumentation of it.

    Attributes:
        name: The instrumentation's entry-point name, which the environment variables use.
        watched: The library's module, whose import switches the instrumentation on.
        package: The distribution of the instrumentation.
        module: The instrumentation's module.
        instrumentor: Its class.
        extra: The extra of eco2-tracing that brings it.
        newer: The beginning of versions of the library that are tested here, although the instrumentation refuses
            them because they are newer.
    """

    name: str
    watched: str
    package: str
    module: str
    instrumentor: str
    extra: str
    newer: str = ""


def _library(name: str, watched: str, part: str, instrumentor: str, extra: str, newer: str = "") -> Library:
    return Library(
        name,
        watched,
        "opentelemetry-instrumentation-" + ("kafka-python" if part == "kafka" else part.replace("_", "-")),
        f"opentelemetry.instrumentation.{part}",
        instrumentor,
        extra,
        newer,
    )


TESTED = (
    _library("asyncpg", "asyncpg", "asyncpg", "AsyncPGInstrumentor", "asyncpg"),
    _library("psycopg", "psycopg", "psycopg", "PsycopgInstrumentor", "psycopg"),
    _library("psycopg2", "psycopg2", "psycopg2", "Psycopg2Instrumentor", "psycopg2"),
    _library("sqlalchemy", "sqlalchemy", "sqlalchemy", "SQLAlchemyInstrumentor", "sqlalchemy", "2.1."),
    _library("pymysql", "pymysql", "pymysql", "PyMySQLInstrumentor", "pymysql"),
    _library("mysql", "mysql.connector", "mysql", "MySQLInstrumentor", "mysql", "26."),
    _library("redis", "redis", "redis", "RedisInstrumentor", "redis"),
    _library("pymongo", "pymongo", "pymongo", "PymongoInstrumentor", "pymongo"),
    _library("requests", "requests", "requests", "RequestsInstrumentor", "requests"),
    _library("aiohttp-client", "aiohttp", "aiohttp_client", "AioHttpClientInstrumentor", "aiohttp"),
    _library("grpc_client", "grpc", "grpc", "GrpcInstrumentorClient", "grpc"),
    _library("grpc_aio_client", "grpc", "grpc", "GrpcAioInstrumentorClient", "grpc"),
    _library("botocore", "botocore", "botocore", "BotocoreInstrumentor", "botocore"),
    _library("aiobotocore", "aiobotocore", "botocore", "AiobotocoreInstrumentor", "botocore"),
    _library("kafka", "kafka", "kafka", "KafkaInstrumentor", "kafka-python"),
    _library("aiokafka", "aiokafka", "aiokafka", "AIOKafkaInstrumentor", "aiokafka"),
    _library(
        "confluent_kafka",
        "confluent_kafka",
        "confluent_kafka",
        "ConfluentKafkaInstrumentor",
        "confluent-kafka",
    ),
    _library("pika", "pika", "pika", "PikaInstrumentor", "pika"),
    _library("aio-pika", "aio_pika", "aio_pika", "AioPikaInstrumentor", "aio-pika"),
    _library("celery", "celery", "celery", "CeleryInstrumentor", "celery"),
)
"""On by default, where the instrumentation and its library are installed."""

_SECOND_SPAN = "server frameworks make a second server span"
_FRAMEWORKS = ("aiohttp-server", "asgi", "django", "falcon", "pyramid", "starlette", "tornado", "wsgi")
_GRPC_SERVERS = ("grpc-aio-server", "grpc-server")
REFUSED = {
    **dict.fromkeys(_FRAMEWORKS, _SECOND_SPAN),
    **dict.fromkeys(_GRPC_SERVERS, f"{_SECOND_SPAN}; add its interceptor to the server itself"),
    "fastapi": "instrument_app traces FastAPI",
    "flask": f"{_SECOND_SPAN}; switch it on in the Flask service itself",
    "httpx": "eco2-tracing traces httpx itself; call instrument_httpx()",
    "httpx2": "eco2-tracing traces httpx2 itself; call instrument_httpx()",
    "logging": "configure_logging writes the trace ids",
}
"""The instrumentations that are never switched on, by `key_of` the name, with the reason."""


def key_of(name: str) -> str:
    """Return a name for comparison: in lower case, with ``-`` for ``_``."""
    return name.strip().lower().replace("_", "-")
