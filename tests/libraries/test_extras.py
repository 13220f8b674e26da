"""An extra is all that a library needs to be traced: no further package, and no further line.

`nox -s extras` runs this file once for each extra, with nothing beside it but the library itself. Elsewhere it
runs for one, because each takes a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.differential.client_cases import answering_server
from tests.support import mongo
from tests.support.kafka import kafka
from tests.support.mariadb import mariadb
from tests.support.postgres import postgres
from tests.support.rabbitmq import rabbitmq
from tests.support.redis import redis_server

ROOT = Path(__file__).parents[2]
ONLY = os.environ.get("ECO2_TEST_EXTRA")

SERVICE = """
import logging
from eco2_tracing import configure_tracing, flush_tracing, span
from opentelemetry.sdk.trace import SpanProcessor

class Scopes(SpanProcessor):
    def on_end(self, span):
        print(span.kind.name, span.instrumentation_scope.name)

logging.basicConfig(level="WARNING")
configure_tracing("orders", span_processors=[Scopes()])
with span("work"):
    work()
assert flush_tracing()
"""
"""What stands around the work: not a word about the library."""

GRPC = """
    import grpc
    from concurrent.futures import ThreadPoolExecutor

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    server = grpc.server(ThreadPoolExecutor(1), handlers=(Echo(),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with grpc.insecure_channel(target) as channel:
        channel.unary_unary("/test.Echo/Say")(b"hello", timeout=30)
    server.stop(None).wait(30)
"""
ASYNC = """
    import asyncio

    async def run():
{body}

    asyncio.run(run())
"""
SQL = """
    import {module}
    connection = {module}.connect({place})
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    cursor.fetchall()
    connection.close()
"""
POSTGRES = 'f"postgresql://postgres@127.0.0.1:{port}/postgres"'
MARIADB = 'host="127.0.0.1", port=port, user="root"'


def in_loop(body: str) -> str:
    """Work that is a coroutine's."""
    return ASYNC.format(body=textwrap.indent(textwrap.dedent(body), " " * 8))


WORK = {
    "aio-pika": (
        rabbitmq,
        in_loop("""
            import aio_pika
            connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")
            channel = await connection.channel()
            await channel.default_exchange.publish(aio_pika.Message(b"one"), routing_key="orders")
            await connection.close()
        """),
    ),
    "aiohttp": (
        answering_server,
        in_loop("""
            import aiohttp
            async with aiohttp.ClientSession() as session:
                (await session.get(f"http://127.0.0.1:{port}/status/200")).close()
        """),
    ),
    "aiokafka": (
        kafka,
        in_loop("""
            import aiokafka
            producer = aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}")
            await producer.start()
            await producer.send_and_wait("orders", b"one")
            await producer.stop()
        """),
    ),
    "asyncpg": (
        postgres,
        in_loop(f"""
            import asyncpg
            connection = await asyncpg.connect({POSTGRES})
            await connection.fetchval("SELECT 1")
            await connection.close()
        """),
    ),
    "botocore": (
        answering_server,
        """
    import botocore.session
    client = botocore.session.Session().create_client(
        "s3", "eu-west-1", endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="key", aws_secret_access_key="secret",
    )
    client.head_object(Bucket="bucket", Key="key")
""",
    ),
    "celery": (
        None,
        """
    import celery
    celery.Celery("tasks", broker="memory://").send_task("add")
""",
    ),
    "confluent-kafka": (
        None,
        """
    import confluent_kafka
    confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}).produce("orders", b"one")
""",
    ),
    "grpc": (None, GRPC),
    "kafka-python": (
        kafka,
        """
    import kafka
    producer = kafka.KafkaProducer(bootstrap_servers=f"127.0.0.1:{port}")
    producer.send("orders", b"one").get(30)
    producer.close()
""",
    ),
    "mysql": (mariadb, SQL.format(module="mysql.connector", place=MARIADB)),
    "pika": (
        rabbitmq,
        """
    import pika
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
    connection.channel().basic_publish("", "orders", b"one")
    connection.close()
""",
    ),
    "psycopg": (postgres, SQL.format(module="psycopg", place=POSTGRES)),
    "psycopg2": (postgres, SQL.format(module="psycopg2", place=POSTGRES)),
    "pymongo": (
        mongo.stand_in,
        """
    import pymongo
    with pymongo.MongoClient("127.0.0.1", port) as client:
        client.shop.orders.insert_one({"card": "4111"})
""",
    ),
    "pymysql": (mariadb, SQL.format(module="pymysql", place=MARIADB)),
    "redis": (
        redis_server,
        """
    import redis
    with redis.Redis(port=port) as client:
        client.get("one")
""",
    ),
    "requests": (
        answering_server,
        """
    import requests
    requests.get(f"http://127.0.0.1:{port}/status/200", timeout=30)
""",
    ),
    "sqlalchemy": (
        None,
        """
    import sqlalchemy
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
""",
    ),
}


def instrumentations() -> dict[str, str]:
    """The module of the instrumentation that each extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {}
    for extra, requirements in project["optional-dependencies"].items():
        package = "".join(requirements[:1]).partition(">")[0]
        if package.startswith("opentelemetry-instrumentation-"):
            part = package.removeprefix("opentelemetry-instrumentation-").removesuffix("-python")
            found[extra] = f"opentelemetry.instrumentation.{part.replace('-', '_')}"
    return found


def test_every_extra_is_shown():
    """No extra that brings an instrumentation is left out here."""
    assert WORK.keys() == instrumentations().keys()


@pytest.mark.parametrize("extra", [ONLY or "sqlalchemy"])
def test_extra(extra):
    """A service that configures tracing and uses the library makes that library's spans, and is warned of nothing."""
    module = instrumentations()[extra]
    if not ONLY and find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    start, work = WORK[extra]
    running: AbstractContextManager[object] = nullcontext() if start is None else start()
    with running as server:
        port = getattr(server, "port", server)
        script = f"port = {port}\ndef work():\n{work}\n{SERVICE}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ECO2_"))}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={**kept, "OTEL_TRACES_EXPORTER": "none"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "eco2_tracing" not in done.stderr, done.stderr
    made = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    assert [kind for kind in made if kind in {"CLIENT", "PRODUCER"}], done.stdout + done.stderr
