"""OpenTelemetry spans for a client's requests. Requires the extra `telemetry`.

The spans are made by OpenTelemetry's own instrumentation of aiohttp; this module keeps secrets out
of them. A session that the user creates takes the same `TraceConfig` itself.
"""

from types import SimpleNamespace

import aiohttp
from attrs import evolve
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.trace import TracerProvider
from yarl import URL

from photoanimer_async.redaction import shown_error


def trace_config(tracer_provider: TracerProvider | None = None) -> aiohttp.TraceConfig:
    """Return the trace hooks that make a client span for each request.

        client = PhotoAnimerClient(trace_configs=[trace_config()])

    The attributes follow OpenTelemetry's conventions for HTTP. URLs are recorded without user,
    query and fragment, since queries contain photos' URLs and signatures.

    Args:
        tracer_provider: receives the spans; by default the global provider.
    """
    hooks = create_trace_config(url_filter=_without_secrets, tracer_provider=tracer_provider)
    record = hooks.on_request_exception[0]

    async def record_kind(
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        await record(session, context, evolve(params, exception=shown_error(params.exception)))

    hooks.on_request_exception[0] = record_kind
    return hooks


def _without_secrets(url: URL) -> str:
    return str(url.with_user(None).with_query(None).with_fragment(None))
