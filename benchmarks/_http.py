"""A bare HTTP/1.1 client and the memory of a process, for benchmarks that share two cores with servers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Connection:
    """One connection that is kept alive.

    Args:
        url: Where the server is.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a GET request; give status, headers by lower-case name, and body.

        Args:
            path: Path and query.
            headers: More header lines.
        """
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        lines = [f"GET {path} HTTP/1.1", "host: shop", *headers, "", ""]
        self._writer.write("\r\n".join(lines).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {}
        for line in head[1:]:
            name, _, value = line.partition(": ")
            found[name.lower()] = value
        body = await self._reader.readexactly(int(found.get("content-length", "0")))
        status = int(head[0].split(" ")[1])
        # Behind an exception uvicorn closes the connection without a word.
        if status == 500 or found.get("connection") == "close":
            await self.close()
        return status, found, body

    async def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            await writer.wait_closed()


async def get_once(url: str, path: str) -> bytes:
    """Send one GET request; give the body of its answer."""
    connection = Connection(url)
    _, _, body = await connection.get(path)
    await connection.close()
    return body


def resident(pid: int) -> int:
    """Give the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
