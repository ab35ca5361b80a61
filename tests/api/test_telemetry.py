"""A client's requests become spans, recorded by OpenTelemetry's in-memory exporter."""

import contextlib
import socket

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from photoanimer_async import AmbiguousSubmitError, InvalidRequestError, NotSentError
from photoanimer_async.api.telemetry import trace_config

from ..support.raw_server import fill_backlog
from ..support.stub_service import KEY, StubService, quick_client

PHOTO = "http://photos.example/grandma.jpg?sig=s3cret"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def config(exporter: InMemorySpanExporter) -> aiohttp.TraceConfig:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return trace_config(provider)


def attribute(span: ReadableSpan, *names: str) -> object:
    """The first attribute found; the conventions renamed some of them."""
    assert span.attributes is not None
    return next(span.attributes[name] for name in names if name in span.attributes)


async def test_each_request_is_a_client_span(
    stub: StubService, config: aiohttp.TraceConfig, exporter: InMemorySpanExporter
) -> None:
    async with quick_client(stub.base_url, trace_configs=[config]) as client:
        await client.wait(await client.submit(PHOTO))
    submit, poll = exporter.get_finished_spans()
    assert submit.kind is poll.kind is SpanKind.CLIENT
    for span, path in ((submit, "submitTaskByUrl"), (poll, "getTaskInfo")):
        url = attribute(span, "url.full", "http.url")
        assert url == f"{stub.base_url}/faceDriven/{path}"
        assert attribute(span, "http.response.status_code", "http.status_code") == 200


async def test_spans_contain_neither_photo_urls_nor_the_key(
    stub: StubService, config: aiohttp.TraceConfig, exporter: InMemorySpanExporter
) -> None:
    stub.submit_script = [lambda _: web.Response(status=504)]
    async with quick_client(stub.base_url, trace_configs=[config]) as client:
        with pytest.raises(AmbiguousSubmitError):
            await client.submit(PHOTO)
    (span,) = exporter.get_finished_spans()
    text = span.to_json()
    for secret in ("s3cret", "grandma", KEY):
        assert secret not in text


async def test_failed_requests_are_recorded_by_their_kind_alone(
    config: aiohttp.TraceConfig, exporter: InMemorySpanExporter
) -> None:
    with socket.socket() as silent, contextlib.ExitStack() as stack:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        fill_backlog(port, stack)
        base_url = f"http://127.0.0.1:{port}/api/v1"
        async with quick_client(base_url, trace_configs=[config], timeout=0.05) as client:
            with pytest.raises(NotSentError):
                await client.submit(PHOTO)
    spans = exporter.get_finished_spans()
    assert len(spans) == 3
    for span in spans:
        assert "ConnectionTimeoutError" in span.to_json()
        assert "s3cret" not in span.to_json()


async def test_trace_hooks_and_a_session_exclude_each_other(config: aiohttp.TraceConfig) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(InvalidRequestError, match="session"):
            quick_client("http://127.0.0.1:1/api/v1", session=session, trace_configs=[config])
