"""OpenTelemetry spans for a client's requests. Requires the extra `telemetry`.

The spans are made by OpenTelemetry's own instrumentation of aiohttp; this module keeps secrets out
of them. A session that the user creates takes the same `TraceConfig` itself.
"""

import aiohttp
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.trace import TracerProvider
from yarl import URL


def trace_config(tracer_provider: TracerProvider | None = None) -> aiohttp.TraceConfig:
    """Return the trace hooks that make a client span for each request.

        client = PhotoAnimerClient(trace_configs=[trace_config()])

    The attributes follow OpenTelemetry's conventions for HTTP. URLs are recorded without user,
    query and fragment, since queries contain photos' URLs and signatures.

    Args:
        tracer_provider: receives the spans; by default the global provider.
    """
    return create_trace_config(url_filter=_without_secrets, tracer_provider=tracer_provider)


def _without_secrets(url: URL) -> str:
    return str(url.with_user(None).with_query(None).with_fragment(None))
