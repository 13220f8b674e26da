"""Producers and consumers as services write them, for each client and each of its ways to get a message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
WAIT_S = 30.0

Handle = Callable[[bytes], None]


@dataclass(frozen=True)
class Way:
    """One client and one way to get its messages.

    Attributes:
        client: The module, which is also the name of the instrumentation's row.
        broker: ``kafka`` or ``rabbitmq``.
        produce: Sends one message; gets the port, the name of topic or queue, and the body.
        consume: Handles one message.
        how: How it gets it.
    """

    client: str
    broker: str
    produce: Callable[[int, str, bytes], Awaitable[None]]
    consume: Callable[..., None]
    how: str

    def __str__(self) -> str:
        return f"{self.client}-{self.how}"


# kafka-python -------------------------------------------------------------------------------------


async def produce_kafka_python(port: int, name: str, body: bytes) -> None:
    import kafka

    producer = kafka.KafkaProducer(bootstrap_servers=f"{HOST}:{port}")
    producer.send(name, body).get(WAIT_S)
    producer.close()


def consume_kafka_python(port: int, name: str, handle: Handle, how: str) -> None:
    import kafka

    options = {"auto_offset_reset": "earliest", "group_id": f"{name}-group", "enable_auto_commit": False}
    consumer = kafka.KafkaConsumer(name, bootstrap_servers=f"{HOST}:{port}", **options)
    try:
        if how == "iterate":
            for record in consumer:
                handle(record.value)
                break
            return
        while not (found := consumer.poll(timeout_ms=1000)):
            pass
        for records in found.values():
            for record in records:
                handle(record.value)
    finally:
        consumer.close()


# aiokafka -----------------------------------------------------------------------------------------


async def produce_aiokafka(port: int, name: str, body: bytes) -> None:
    import aiokafka

    async with aiokafka.AIOKafkaProducer(bootstrap_servers=f"{HOST}:{port}") as producer:
        await producer.send_and_wait(name, body)


def consume_aiokafka(port: int, name: str, handle: Handle, how: str) -> None:
    import aiokafka

    async def consume() -> None:
        options = {"auto_offset_reset": "earliest", "group_id": f"{name}-group"}
        async with aiokafka.AIOKafkaConsumer(name, bootstrap_servers=f"{HOST}:{port}", **options) as consumer:
            if how == "iterate":
                async for record in consumer:
                    handle(record.value)
                    break
            elif how == "getone":
                handle((await consumer.getone()).value)
            else:
                while not (found := await consumer.getmany(timeout_ms=1000)):
                    pass
                for records in found.values():
                    for record in records:
                        handle(record.value)

    asyncio.run(consume())


# confluent-kafka ----------------------------------------------------------------------------------


async def produce_confluent(port: int, name: str, body: bytes) -> None:
    import confluent_kafka

    producer = confluent_kafka.Producer({"bootstrap.servers": f"{HOST}:{port}"})
    producer.produce(name, body)
    assert producer.flush(WAIT_S) == 0


def consume_confluent(port: int, name: str, handle: Handle, how: str) -> None:
    import confluent_kafka

    settings = {
        "bootstrap.servers": f"{HOST}:{port}",
        "group.id": f"{name}-group",
        "auto.offset.reset": "earliest",
    }
    consumer = confluent_kafka.Consumer(settings)
    consumer.subscribe([name])
    try:
        if how == "poll":
            while (message := consumer.poll(1.0)) is None or message.error():
                pass
            handle(message.value())
        else:
            while not (found := consumer.consume(1, 1.0)):
                pass
            handle(found[0].value())
    finally:
        consumer.close()


# pika ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def pika_channel(port: int, name: str) -> Any:
    import pika

    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, port))
    try:
        channel = connection.channel()
        channel.queue_declare(name)
        yield channel
    finally:
        connection.close()


async def produce_pika(port: int, name: str, body: bytes) -> None:
    with pika_channel(port, name) as channel:
        channel.basic_publish("", name, body)


def consume_pika(port: int, name: str, handle: Handle, how: str) -> None:
    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.stop_consuming()
        handle(body)

    with pika_channel(port, name) as channel:
        if how == "callback":
            channel.basic_consume(name, on_message, auto_ack=True)
            channel.start_consuming()
        elif how == "iterate":
            try:
                for _, _, body in channel.consume(name, auto_ack=True):
                    handle(body)
                    break
            finally:
                channel.cancel()
        else:
            try:
                handle(channel.basic_get(name, auto_ack=True)[2])
            finally:
                channel.close()


# aio-pika -----------------------------------------------------------------------------------------


async def produce_aio_pika(port: int, name: str, body: bytes) -> None:
    import aio_pika

    async with await aio_pika.connect(f"amqp://guest:guest@{HOST}:{port}/") as connection:
        channel = await connection.channel()
        await channel.declare_queue(name)
        await channel.default_exchange.publish(aio_pika.Message(body), routing_key=name)


def consume_aio_pika(port: int, name: str, handle: Handle, how: str) -> None:
    import aio_pika

    async def consume() -> None:
        async with await aio_pika.connect_robust(f"amqp://guest:guest@{HOST}:{port}/") as connection:
            queue = await (await connection.channel()).declare_queue(name)
            if how == "iterate":
                async with queue.iterator() as messages:
                    async for message in messages:
                        async with message.process():
                            handle(message.body)
                        break
            elif how == "get":
                async with (await queue.get()).process() as message:
                    handle(message.body)
            else:
                await handled_by_callback(queue)

    async def handled_by_callback(queue: Any) -> None:
        done = asyncio.get_running_loop().create_future()

        async def on_message(message: Any) -> None:
            try:
                async with message.process():
                    handle(message.body)
            except Exception as error:
                done.set_exception(error)
                # aio-pika logs what leaves a callback, and the loop's handler is told.
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
                raise
            else:
                done.set_result(None)

        await queue.consume(on_message)
        await done

    asyncio.run(consume())


WAYS = (
    *(Way("kafka", "kafka", produce_kafka_python, consume_kafka_python, how) for how in ("iterate", "poll")),
    *(
        Way("aiokafka", "kafka", produce_aiokafka, consume_aiokafka, how)
        for how in ("iterate", "getone", "getmany")
    ),
    *(
        Way("confluent_kafka", "kafka", produce_confluent, consume_confluent, how)
        for how in ("poll", "consume")
    ),
    *(Way("pika", "rabbitmq", produce_pika, consume_pika, how) for how in ("callback", "iterate", "get")),
    *(
        Way("aio_pika", "rabbitmq", produce_aio_pika, consume_aio_pika, how)
        for how in ("callback", "iterate", "get")
    ),
)
