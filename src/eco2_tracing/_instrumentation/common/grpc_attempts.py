"""gRPC calls: contrib injects into their metadata without knowing where the channel leads."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing.propagation._calls import lower_name

if TYPE_CHECKING:
    from types import ModuleType

_CHANNELS = ("insecure_channel", "secure_channel")
_KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
_METHODS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_SOCKETS = frozenset({"unix", "unix-abstract", "vsock"})
_SCHEMES = frozenset({"dns", "ipv4", "ipv6"})


def hosts_of(target: str) -> tuple[str, ...]:
    """Tell where a channel may lead (https://grpc.github.io/grpc/core/md_doc_naming.html).

    Args:
        target: ``host:port``, ``dns:///host:port``, ``ipv6:[address]:port``, ``unix:path`` and the like.

    Returns:
        The host, or all of a list of addresses; ``localhost`` for sockets of this machine.
    """
    scheme, colon, rest = target.partition(":")
    if colon and scheme in _SOCKETS:
        return ("localhost",)
    if "://" in target:
        target = urlsplit(target).path.lstrip("/")
    elif colon and scheme in _SCHEMES:
        target = rest
    return tuple(map(_without_port, target.split(",")))


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _patched(details: Any, hosts: tuple[str, ...]) -> Any:
    """Give a call's details with the metadata that its callee may have."""
    state, metadata = current.state, details.metadata
    if state is None or not metadata:
        return details
    try:
        strangers = (host for host in hosts if not state.propagation.is_internal_host(host))
        changes = state.propagation.calls.changes(metadata, next(strangers, hosts[0]))
        if not changes.removed and not changes.added:
            return details
        pairs = [pair for pair in metadata if lower_name(pair[0]) not in changes.removed]
        pairs += [(name.decode("ascii"), value.decode("latin-1")) for name, value in changes.added]
        if hasattr(details, "_replace"):
            return details._replace(metadata=tuple(pairs))
        changed = copy.copy(details)  # grpc.aio hands on whatever another interceptor made
        changed.metadata = tuple(pairs)
        return changed
    except Exception:  # noqa: BLE001 - the call must go out
        internal_failure("the metadata of an outgoing call")
        return details


def _interceptor(module: Any, kinds: tuple[str, ...], intercept: Any) -> Any:
    bases = tuple(getattr(module, f"{kind}ClientInterceptor") for kind in kinds)
    return type("HeaderInterceptor", bases, {f"intercept_{name}": intercept for name in _METHODS})()


def _patch_sync(grpc: ModuleType, original: Any) -> Any:
    @functools.wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        channel: Any = original(*args, **kwargs)
        try:
            hosts = hosts_of(args[0] if args else kwargs["target"])

            def intercept(self: Any, continuation: Any, details: Any, request: Any) -> Any:
                return continuation(_patched(details, hosts), request)

            return grpc.intercept_channel(channel, _interceptor(grpc, _KINDS, intercept))
        except Exception:  # noqa: BLE001 - the application must get its channel
            internal_failure("a channel of gRPC")
            return channel

    return make


def _patch_async(grpc: Any, original: Any) -> Any:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
            hosts = hosts_of(bound.arguments["target"])

            async def intercept(self: Any, continuation: Any, details: Any, request: Any) -> Any:
                return await continuation(_patched(details, hosts), request)

            # The last ones come after contrib's. An interceptor counts for one kind of calls alone.
            ours = [_interceptor(grpc.aio, (kind,), intercept) for kind in _KINDS]
            bound.arguments["interceptors"] = [*(bound.arguments.get("interceptors") or ()), *ours]
            args, kwargs = bound.args, bound.kwargs
        except Exception:  # noqa: BLE001 - the application must get its channel, or its own error
            internal_failure("a channel of gRPC")
        return original(*args, **kwargs)

    return make


def patch_channels(grpc: Any) -> None:
    """See to it that the calls of channels to come tell their callees no more than those may know.

    To be called once, before contrib's instrumentation wraps the same functions: what it injects is mended then.

    Args:
        grpc: The package ``grpc``.
    """
    for name in _CHANNELS:
        setattr(grpc, name, _patch_sync(grpc, getattr(grpc, name)))


def patch_aio_channels(grpc: Any) -> None:
    """Do the same for ``grpc.aio``.

    Args:
        grpc: The package ``grpc``.
    """
    for name in _CHANNELS:
        setattr(grpc.aio, name, _patch_async(grpc, getattr(grpc.aio, name)))
