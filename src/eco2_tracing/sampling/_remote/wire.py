"""Protobuf messages of ``jaeger.api_v2.SamplingManager``, without generated code."""

from __future__ import annotations

from eco2_tracing._protobuf import block, fields, nested


def encode_question(service_name: str) -> bytes:
    """Return a ``SamplingStrategyParameters`` message."""
    return block(b"\x0a", service_name.encode())


def decode_strategy(data: bytes) -> dict[str, object]:
    """Decode a ``SamplingStrategyResponse`` into the shape of its JSON form.

    Raises:
        ValueError: The bytes are no such message.
    """
    answer: dict[str, object] = {}
    for number, value in fields(data):
        if number == 2:
            answer["probabilisticSampling"] = _doubles(value, {1: "samplingRate"})
        elif number == 3:
            rates = [rate for field, rate in fields(nested(value)) if field == 1]
            answer["rateLimitingSampling"] = {"maxTracesPerSecond": rates[-1] if rates else 0}
        elif number == 4:
            answer["operationSampling"] = _operations(nested(value))
    return answer


def _operations(data: bytes) -> dict[str, object]:
    names = {1: "defaultSamplingProbability", 2: "defaultLowerBoundTracesPerSecond"}
    operations = _doubles(data, names)
    listed: list[dict[str, object]] = []
    for number, value in fields(data):
        if number == 3:
            operation = dict(fields(nested(value)))
            name = nested(operation.get(1, b"")).decode("utf-8", "replace")
            ratio = _doubles(operation.get(2, b""), {1: "samplingRate"})
            listed.append({"operation": name, "probabilisticSampling": ratio})
    return {**operations, "perOperationStrategies": listed}


def _doubles(data: object, names: dict[int, str]) -> dict[str, object]:
    return {names[number]: value for number, value in fields(nested(data)) if number in names}
