"""A fake MongoDB server that answers every command with ok, by the legacy and the current protocol."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HEADER = struct.Struct("<iiii")
_LEGACY, _REPLY, _MESSAGE = 2004, 1, 2013


def _answer() -> bytes:
    """A BSON document: ``ok`` and the highest protocol version needed."""
    fields = b"\x01ok\x00" + struct.pack("<d", 1.0)
    fields += b"\x08isWritablePrimary\x00\x01" + b"\x08helloOk\x00\x01"
    for name, value in (
        (b"minWireVersion", 0),
        (b"maxWireVersion", 25),
        (b"maxBsonObjectSize", 16777216),
        (b"n", 1),
    ):
        fields += b"\x10" + name + b"\x00" + struct.pack("<i", value)
    return struct.pack("<i", len(fields) + 5) + fields + b"\x00"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while len(header := self.rfile.read(_HEADER.size)) == _HEADER.size:
            length, request, _, code = _HEADER.unpack(header)
            self.rfile.read(length - _HEADER.size)
            if code == _LEGACY:
                kind, body = _REPLY, struct.pack("<iqii", 8, 0, 0, 1) + _answer()
            else:
                kind, body = _MESSAGE, struct.pack("<iB", 0, 0) + _answer()
            self.wfile.write(_HEADER.pack(_HEADER.size + len(body), 0, request, kind) + body)


@contextmanager
def stand_in() -> Iterator[int]:
    """Run it on a free port until the block ends.

    Yields:
        The port.
    """
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(30)
