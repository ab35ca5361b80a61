"""A service with metrics, and its metrics and health."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Running, Start

Metrics = dict[tuple[str, str], float]


async def metrics(service: Running) -> Metrics:
    """The values, by name and by labels as `name=value` with spaces between."""
    async with service.session.get(f"{service.service.operations_url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    return {
        (
            sample.name,
            " ".join(f"{name}={value}" for name, value in sorted(sample.labels.items())),
        ): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def health(service: Running) -> tuple[int, str]:
    async with service.session.get(f"{service.service.operations_url}/healthz") as answer:
        status: str = (await answer.json())["status"]
        return answer.status, status


@pytest.fixture(autouse=True)
def health_is_checked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoanimer_async.service.http.health._VALID_SECONDS", -1.0)


@pytest.fixture
async def measured(start: Start) -> Running:
    return await start(metrics_address="0", workers=1)
