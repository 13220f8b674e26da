"""The HTTP fields of the access lines of servers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter_ns, time

import orjson

from eco2_tracing._redaction import Redactor
from eco2_tracing.logs._json import LONGEST_VALUE, escape_surrogates
from eco2_tracing.logs._request import RequestState

UVICORN_ACCESS = "uvicorn.access"
_LONGEST_WORD = 64
_SERVER_ERROR = 500
_UVICORN_FORMAT = '%s - "%s %s HTTP/%s" %d'
_PLAIN_PATH = re.compile(r"(?:/[\w.~-]{0,15}){1,32}", re.ASCII)
_PLAIN_QUERY = re.compile(r"[\w.-]{1,32}=[\w.~-]{0,15}(?:&[\w.-]{1,32}=[\w.~-]{0,15}){0,15}", re.ASCII)
_QUERY_VALUE = re.compile(r"=[^&]*")
_SEPARATORS = str.maketrans("?=&", "///")
_OPAQUE_SAMPLE = "=Zx9Qk3Lm7Vt2Wp8"
_ADDRESS = re.compile(r"[0-9a-fA-F.:\[\]]{0,64}", re.ASCII)
_TOKENS = re.compile(r"[A-Z]{1,16} \d(?:\.\d)?", re.ASCII)
AccessFields = Callable[[logging.LogRecord, Redactor, RequestState | None], dict[str, object]]


def uvicorn_fields(
    record: logging.LogRecord, redactor: Redactor, request: RequestState | None
) -> dict[str, object]:
    """Return the fields of uvicorn's record, whose arguments are address, method, path, version and status."""
    args = record.args
    if not isinstance(args, tuple) or len(args) != 5:
        return {}
    address, method, target, version, status = args
    path, _, query = str(target).partition("?")
    fields = _http_fields(method, status, path, query, version, redactor)
    host, _, port = str(address).rpartition(":")
    _add_client(fields, host.strip("[]"), port)
    if request is not None and request.scope is not None:
        _add_from_scope(fields, request, redactor, record.created)
    return fields


def atoms_fields(
    record: logging.LogRecord, redactor: Redactor, request: RequestState | None
) -> dict[str, object]:
    """Return the fields of gunicorn's or hypercorn's record, whose arguments are a mapping of atoms."""
    atoms = record.args
    if not isinstance(atoms, Mapping) or "s" not in atoms:
        return {}
    version = str(atoms.get("H") or "").rpartition("/")[2]
    fields = _http_fields(
        atoms.get("m"), atoms["s"], str(atoms.get("U") or ""), str(atoms.get("q") or ""), version, redactor
    )
    _add_client(fields, str(atoms.get("h") or "").rpartition(":")[0] or str(atoms.get("h") or ""), "")
    agent = atoms.get("a")
    if agent and agent != "-":
        fields["user_agent.original"] = escape_surrogates(redactor.text(str(agent)))
    microseconds = atoms.get("D")
    if isinstance(microseconds, int):
        fields["event.duration"] = microseconds * 1000
    return fields


def usual_line(record: logging.LogRecord, redactor: Redactor) -> str | None:
    """Return the HTTP fields of a usual record of uvicorn as JSON members: plain path and query, without secrets.

    They take a third of the time that a dictionary takes, and the message of such a record needs no masking. ``None``
    stands for all other records.
    """
    args = record.args
    if type(args) is not tuple or len(args) != 5 or record.msg != _UVICORN_FORMAT:
        return None
    address, method, target, version, status = args
    if type(target) is not str or type(status) is not int:
        return None
    path, mark, query = target.partition("?")
    if _PLAIN_PATH.fullmatch(path) is None:
        return None
    words = path
    if mark:
        if _PLAIN_QUERY.fullmatch(query) is None:
            return None
        if not _has_plain_names(_QUERY_VALUE.sub(_OPAQUE_SAMPLE, query), redactor):
            return None
        words = target.translate(_SEPARATORS)
    if redactor.text(words) is not words:
        return None
    request, client = _request_members(method, version), _client_members(address)
    if request is None or client is None:
        return None
    code = f',"http.response.status_code":{status}' if status else ""
    url = f',"url.path":"{path}","url.query":"{query}"' if mark else f',"url.path":"{path}"'
    return f'{request[0]}{code}{url}{request[1]},"event.outcome":"{_outcome(status)}"{client}'


@lru_cache(256)
def _has_plain_names(query: str, redactor: Redactor) -> bool:
    """Return whether a query with opaque values contains no name whose value is masked."""
    line = f"GET /?{query} HTTP/1.1"
    return redactor.query(query) == query and redactor.text(line) == line


def request_members(record: logging.LogRecord, redactor: Redactor, request: RequestState | None) -> str:
    """Return user agent and duration of a request as JSON members."""
    if request is None or request.scope is None:
        return ""
    fields: dict[str, object] = {}
    _add_from_scope(fields, request, redactor, record.created)
    return _members(fields)


def _members(fields: Mapping[str, object]) -> str:
    return f",{orjson.dumps(fields).decode()[1:-1]}" if fields else ""


@lru_cache(256)
def _request_members(method: object, version: object) -> tuple[str, str] | None:
    """Return the members of method and version; ``None`` unless both are short tokens."""
    if not (
        isinstance(method, str) and isinstance(version, str) and _TOKENS.fullmatch(f"{method} {version}")
    ):
        return None
    return f',"http.request.method":"{method}"', f',"http.version":"{version}"'


@lru_cache(1024)
def _client_members(address: object) -> str | None:
    """Return the members of the client's address; ``None`` for one that is no IP address and port."""
    if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
        return None
    host, _, port = address.rpartition(":")
    fields: dict[str, object] = {}
    _add_client(fields, host.strip("[]"), port)
    return _members(fields)


ACCESS: Mapping[str, AccessFields] = {
    UVICORN_ACCESS: uvicorn_fields,
    **dict.fromkeys(("gunicorn.access", "hypercorn.access"), atoms_fields),
}
"""The functions that read access records, by logger."""


def _http_fields(
    method: object, status: object, path: str, query: str, version: object, redactor: Redactor
) -> dict[str, object]:
    fields: dict[str, object] = {"http.request.method": escape_surrogates(str(method)[:_LONGEST_WORD])}
    code = int(status) if isinstance(status, int) or str(status).isdecimal() else 0  # type: ignore[call-overload]
    if code:
        fields["http.response.status_code"] = code
    fields["url.path"] = escape_surrogates(redactor.url(path[:LONGEST_VALUE]))
    if query and query != "-":
        fields["url.query"] = escape_surrogates(redactor.query(query[:LONGEST_VALUE]))
    if version:
        fields["http.version"] = escape_surrogates(str(version)[:_LONGEST_WORD])
    fields["event.outcome"] = _outcome(code)
    return fields


def _outcome(code: int) -> str:
    """Return ``event.outcome``. As for the span's status, a response of 4xx is no failure of the server."""
    return "failure" if code >= _SERVER_ERROR else "success" if code else "unknown"


def _add_client(fields: dict[str, object], host: str, port: str) -> None:
    if host and _is_ip(host[:64]):
        fields["client.ip"] = host
    if port.isdecimal() and port.isascii():
        fields["client.port"] = int(port)


@lru_cache(1024)
def _is_ip(host: str) -> bool:
    """Return True for an IP address. Elasticsearch rejects a line with another `client.ip`."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(256)
def _agent(redactor: Redactor, value: bytes) -> str:
    """Return a ``User-Agent`` with masked secrets. Clients repeat it, and masking takes longer than the look-up."""
    return redactor.text(value.decode("latin-1"))


def _add_from_scope(
    fields: dict[str, object], request: RequestState, redactor: Redactor, logged: float
) -> None:
    for name, value in request.scope.get("headers", ()) if request.scope else ():
        if name == b"user-agent":
            fields["user_agent.original"] = _agent(redactor, value[:LONGEST_VALUE])
            break
    waited = max(0.0, time() - logged)  # the time that the record spent in a queue or buffer
    fields["event.duration"] = max(0, perf_counter_ns() - request.started - int(waited * 1e9))
