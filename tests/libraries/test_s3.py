"""boto3 against an S3 that listens on a port: moto's server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode

SECRETS = {
    "aws_access_key_id": "PLANTEDKEY",
    "aws_secret_access_key": "planted-secret",
    "aws_session_token": "planted-token",
}


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """The URL of a running S3."""
    server = pytest.importorskip("moto.server", reason="moto[s3] is not installed").ThreadedMotoServer(
        "127.0.0.1", 0, verbose=False
    )
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class Bucket:
    """A bucket, and what each call of S3 was sent with.

    Args:
        url: Where S3 listens.
    """

    def __init__(self, url):
        boto3 = pytest.importorskip("boto3")
        config = pytest.importorskip("botocore.config").Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}
        )
        session = boto3.session.Session(region_name="eu-west-1", **SECRETS)
        self.client = session.client("s3", endpoint_url=url, config=config)
        self.client.meta.events.register("before-send.s3", self._sent)
        self.headers = []
        self.client.create_bucket(
            Bucket="images", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def _sent(self, request, **_):
        self.headers.append({key.lower(): value for key, value in request.headers.items()})

    def presigned(self, key):
        """A URL that anybody can read an object with, for a while."""
        return self.client.generate_presigned_url("get_object", Params={"Bucket": "images", "Key": key})


@pytest.fixture
def bucket(s3_url, service):
    """A bucket of a service that traces. The spans of its creation are discarded."""
    pytest.importorskip("opentelemetry.instrumentation.botocore")
    bucket = Bucket(s3_url)
    service.captured.clear()
    yield bucket
    objects = bucket.client.list_objects_v2(Bucket="images").get("Contents", ())
    for found in objects:
        bucket.client.delete_object(Bucket="images", Key=found["Key"])
    bucket.client.delete_bucket(Bucket="images")


def calls(kept):
    """The spans of S3's operations."""
    return [span for span in kept if span.scope.startswith("opentelemetry.instrumentation.botocore")]


def assert_no_secret(kept):
    """No key, token or signature is anywhere in the spans."""
    for secret in (*SECRETS.values(), "AWS4-HMAC-SHA256 "):
        assert secret not in str(kept)


def test_a_failing_request_keeps_its_calls(service, bucket):
    """At 1 % the operations are client spans below the server span, without credentials or contents."""

    def work():
        bucket.client.put_object(
            Bucket="images", Key="one", Body=b"planted-contents", Metadata={"a": "planted-b"}
        )
        answer = bucket.client.get_object(Bucket="images", Key="one")
        assert answer["Body"].read() == b"planted-contents"

    kept = service.serve(work)
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    put, get = calls(kept)
    assert (put.name, get.name) == ("S3.PutObject", "S3.GetObject")
    assert {(span.kind, span.parent_span_id) for span in (put, get)} == {(SpanKind.CLIENT, server.span_id)}
    assert put.attributes["rpc.system"] == "aws-api"
    assert put.attributes["cloud.region"] == "eu-west-1"
    assert "planted" not in str(kept)
    assert_no_secret(kept)
    assert b"AWS4-HMAC-SHA256 " in bucket.headers[-1]["authorization"]
    assert not {"baggage", "x-request-id", "x-b3-traceid"} & bucket.headers[-1].keys()


def test_large_uploads_on_threads(service, bucket):
    """The parts of an upload, which boto3 sends from threads of its own, belong to the request."""

    def work():
        bucket.client.upload_fileobj(io.BytesIO(bytes(9_000_000)), "images", "large")

    kept = service.serve(work)
    (server,) = [span for span in kept if span.kind is SpanKind.SERVER]
    names = sorted(span.name for span in calls(kept))
    assert names == [
        "S3.CompleteMultipartUpload",
        "S3.CreateMultipartUpload",
        "S3.UploadPart",
        "S3.UploadPart",
    ]
    assert {span.parent_span_id for span in calls(kept)} == {server.span_id}


def test_an_answer_that_the_caller_is_to_blame_for(service, bucket):
    """An object that is not there is an error of the span, and does not keep a trace."""

    def work():
        with pytest.raises(bucket.client.exceptions.NoSuchKey):
            bucket.client.get_object(Bucket="images", Key="missing")

    assert service.serve(work, fails=False) == []


def test_a_server_that_is_not_there(service):
    """That is an error that does, told without the credentials."""
    pytest.importorskip("opentelemetry.instrumentation.botocore")
    exceptions = pytest.importorskip("botocore.exceptions")

    def work():
        with pytest.raises(exceptions.EndpointConnectionError):
            Bucket("http://127.0.0.1:1")

    kept = service.serve(work, fails=False)
    (span,) = calls(kept)
    assert span.status is StatusCode.ERROR
    assert_no_secret(kept)


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_presigned_urls(service, bucket, library):
    """Whoever has such a URL may read the object: the span of the call has neither signature nor token."""
    get = httpx.get if library == "httpx" else pytest.importorskip("requests").get
    if library == "requests":
        pytest.importorskip("opentelemetry.instrumentation.requests")
    bucket.client.put_object(Bucket="images", Key="one", Body=b"contents")
    url = bucket.presigned("one")
    signature = httpx.URL(url).params["X-Amz-Signature"]

    def work():
        assert get(url).content == b"contents"

    kept = service.serve(work)
    (span,) = [found for found in kept if "url.full" in found.attributes]
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.full"].startswith(url.partition("?")[0])
    assert signature not in str(kept)
    assert_no_secret(kept)


def test_aiobotocore(service, s3_url):
    """Its calls are traced by the same extra."""
    session = pytest.importorskip("aiobotocore.session").get_session()
    pytest.importorskip("opentelemetry.instrumentation.botocore")

    async def run():
        async with session.create_client(
            "s3", region_name="eu-west-1", endpoint_url=s3_url, **SECRETS
        ) as client:
            return await client.list_buckets()

    kept = service.serve(lambda: asyncio.run(run()))
    (call,) = calls(kept)
    assert (call.name, call.kind) == ("S3.ListBuckets", SpanKind.CLIENT)
    assert call.parent_span_id in {span.span_id for span in kept if span.kind is SpanKind.SERVER}
    assert_no_secret(kept)
