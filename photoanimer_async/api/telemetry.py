"""OpenTelemetry spans for a client's requests, by aiohttp's own trace hooks.

Needs the extra `telemetry`. A session of one's own takes the same hooks itself.
"""

import aiohttp
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.trace import TracerProvider
from yarl import URL


def trace_config(tracer_provider: TracerProvider | None = None) -> aiohttp.TraceConfig:
    """Hooks for `PhotoAnimerClient(trace_configs=[...])`: a client span for each request.

    The attributes are those of OpenTelemetry's conventions for HTTP. URLs come without user
    and query: photos' URLs stand there, and what signs a result's link.

    Args:
        tracer_provider: where spans go; by default the one that is set for the process.
    """
    return create_trace_config(url_filter=_without_secrets, tracer_provider=tracer_provider)


def _without_secrets(url: URL) -> str:
    return str(url.with_user(None).with_query(None).with_fragment(None))
