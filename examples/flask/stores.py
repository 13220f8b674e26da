"""MySQL, Redis and Kafka of the service. A store whose variable is not set is left out.

MYSQL_ADDRESS, REDIS_URL, KAFKA_SERVERS. No line of this module concerns tracing.
"""

from __future__ import annotations

import json
import os
from functools import cache as once
from typing import Any

import pymysql
import pymysql.cursors
import redis
from kafka import KafkaProducer

Order = dict[str, Any]
_TABLE = "CREATE TABLE IF NOT EXISTS orders.orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(80), quantity INT)"


def _connect(database: str | None = "orders") -> pymysql.Connection | None:
    """A connection for one request, because connections are not shared by threads."""
    if "MYSQL_ADDRESS" not in os.environ:
        return None
    host, _, port = os.environ["MYSQL_ADDRESS"].partition(":")
    return pymysql.connect(
        host=host,
        port=int(port or 3306),
        user=os.environ.get("MYSQL_USER", "root"),
        password=os.environ.get("MYSQL_PASSWORD", ""),
        database=database,
        autocommit=True,
        connect_timeout=5,
        cursorclass=pymysql.cursors.DictCursor,
    )


def create_table() -> None:
    """Create what the service needs; run once at deployment."""
    if (connection := _connect(database=None)) is not None:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS orders")
            cursor.execute(_TABLE)


def insert(order: Order) -> int:
    """Store an order; return its id."""
    if (connection := _connect()) is None:
        return 1
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders (item, quantity) VALUES (%s, %s)", (order["item"], order["quantity"])
        )
        return int(cursor.lastrowid)


def select(order_id: int) -> Order | None:
    if (connection := _connect()) is None:
        return None
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, item, quantity FROM orders WHERE id = %s", (order_id,))
        return cursor.fetchone()


@once
def _redis() -> redis.Redis | None:
    url = os.environ.get("REDIS_URL")
    return redis.Redis.from_url(url) if url else None


def cache(order: Order) -> None:
    if (client := _redis()) is not None:
        client.set(f"order:{order['id']}", json.dumps(order), ex=300)


def cached(order_id: int) -> Order | None:
    client = _redis()
    found = None if client is None else client.get(f"order:{order_id}")
    return None if found is None else json.loads(found)


@once
def _producer() -> KafkaProducer | None:
    servers = os.environ.get("KAFKA_SERVERS")
    return KafkaProducer(bootstrap_servers=servers.split(",")) if servers else None


def announce(order: Order) -> None:
    """Publish an order on the topic `orders`."""
    if (producer := _producer()) is not None:
        producer.send("orders", json.dumps(order).encode()).get(timeout=10)
