"""The OpenAPI description: complete, and true for real requests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from photoanimer_async.service import ServiceSettings, create_app
from photoanimer_async.service.error_codes import TABLE, Place
from photoanimer_async.service.http.envelope import ended_event
from photoanimer_async.service.http.openapi import describe
from photoanimer_async.service.http.parameters import SUBMIT_PARAMETERS
from photoanimer_async.service.tasks import Task, TaskStatus
from photoanimer_async.testing import PhotoAnimerServer

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
KNOWN_RESULT = """
[[operations]]
include-operation-id = "result"
[operations.parameters]
"path.name" = "{name}"
"""


@pytest.fixture
def server() -> Iterator[PhotoAnimerServer]:
    with PhotoAnimerServer() as server:
        server.script("task every 3: fail; task every 2: takes 1 poll", must_be_used=False)
        yield server
        server.check()


def origin(server: PhotoAnimerServer) -> str:
    return server.base_url.removesuffix("/api/v1")


def call(server: PhotoAnimerServer, path: str, **query: object) -> Any:
    headers = {"APIKEY": server.api_key}
    url = f"{server.base_url}/{path}"
    return requests.get(url, params=query, headers=headers, timeout=10).json()["data"]  # type: ignore[arg-type] # numbers are turned into texts


def description(server: PhotoAnimerServer) -> Any:
    return requests.get(f"{origin(server)}/openapi.json", timeout=10).json()


def schemathesis(server: PhotoAnimerServer, described: object, folder: Path, *more: str) -> str:
    """The findings of schemathesis; empty if there are none."""
    task_id = call(
        server, "faceDriven/submitTaskByUrl", imageUrl="https://example.com/me.jpg", templateId=1
    )
    result_url = call(server, "faceDriven/getTaskInfo", taskId=task_id)["resultUrl"]
    config = KNOWN_RESULT.format(name=result_url.rpartition("/")[2])
    (folder / "schemathesis.toml").write_text(config)
    (folder / "openapi.json").write_text(json.dumps(described))
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json"]
    command += ["--url", origin(server), "--header", f"APIKEY: {server.api_key}"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", "25", "--seed", "1", "--no-color"]
    done = subprocess.run(
        [*command, *more], check=False, cwd=folder, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_all_answers_are_as_described(server: PhotoAnimerServer, tmp_path: Path) -> None:
    assert schemathesis(server, description(server), tmp_path) == ""
    codes = {request.envelope.get("code") for request in server.ledger.requests}
    assert codes >= {0, 4003, 40001, 40002, 40003, 40004, 40405}
    found = {(request.envelope.get("data") or {}).get("status") for request in server.ledger.polls}
    assert found >= {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["code", "field"])
def test_an_answer_that_is_not_described_is_found(
    server: PhotoAnimerServer, tmp_path: Path, forgotten: str
) -> None:
    described = description(server)
    schemas = described["components"]["schemas"]
    if forgotten == "code":
        schemas["Error200"]["properties"]["code"]["enum"].remove(40001)
    else:
        balance = schemas["Balance"]["properties"]["data"]
        balance["required"].remove("videoBalance")
        del balance["properties"]["videoBalance"]
    found = schemathesis(server, described, tmp_path, "--phases=coverage,fuzzing", "--no-shrink")
    assert "Response violates schema" in found


def test_a_malformed_request_is_answered_as_described(server: PhotoAnimerServer) -> None:
    answer = requests.get(f"{server.base_url}/mySubscription?{'x' * 33_000}", timeout=10)
    assert answer.status_code == 400
    [described] = description(server)["paths"]["/api/v1/mySubscription"]["get"]["responses"]["400"][
        "content"
    ]
    assert answer.headers["Content-Type"].startswith(described)


def test_exactly_the_routes_are_described(tmp_path: Path) -> None:
    app = create_app(ServiceSettings(data_dir=tmp_path))
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and "{_" not in route.resource.canonical
    }
    described = {
        (method, path)
        for path, methods in describe("/api/v1")["paths"].items()
        for method in methods
    }
    assert routes == described


def references(part: object) -> Iterator[str]:
    match part:
        case {"$ref": str(name)}:
            yield name
        case dict():
            for each in part.values():
                yield from references(each)
        case list() | tuple():
            for each in part:
                yield from references(each)
        case _:
            pass


def test_nothing_is_described_that_is_not_used() -> None:
    described = describe("/api/v1")
    used = set(references(described))
    assert used == {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    operations = [
        operation
        for path in (*described["paths"].values(), *described["webhooks"].values())
        for operation in path.values()
    ]
    tags = {tag for operation in operations for tag in operation["tags"]}
    assert all(len(operation["tags"]) == 1 for operation in operations)
    assert tags == {tag["name"] for tag in described["tags"]}


def test_the_licence_and_the_sdks_parameter_are_described() -> None:
    described = describe("/api/v1")
    assert described["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    [submit] = described["paths"]["/api/v1/faceDriven/submitTaskByUrl"].values()
    assert {parameter["name"] for parameter in submit["parameters"]} == SUBMIT_PARAMETERS


def test_every_code_is_described() -> None:
    schemas = describe("/api/v1")["components"]["schemas"]
    in_envelopes = {
        number
        for name, schema in schemas.items()
        if name.startswith("Error")
        for number in schema["properties"]["code"]["enum"]
    }
    in_tasks = set(schemas["Failed"]["properties"]["failCode"]["enum"])
    no_such_method = 40405
    assert in_envelopes | in_tasks | {no_such_method} == {code.number for code in TABLE}
    assert in_tasks == {code.number for code in TABLE if code.place is not Place.ENVELOPE}


def test_retry_after_is_described_for_429() -> None:
    [submit] = describe("/api/v1")["paths"]["/api/v1/faceDriven/submitTaskByUrl"].values()
    assert "Retry-After" in submit["responses"]["429"]["headers"]


@pytest.mark.parametrize(("status", "described"), [(1, 0), (2, 1)])
def test_notifications_are_described(status: int, described: int) -> None:
    task = Task(
        task_id=471367831765061,
        template=1,
        gif=False,
        voice=False,
        token="t",
        origin="http://x",
        status=TaskStatus(status),
    )
    event: Any = ended_event(task)
    schema = describe("/api/v1")["components"]["schemas"]["Ended"]["properties"]
    assert event.keys() == schema.keys()
    assert event["eventName"] == schema["eventName"]["const"]
    data = schema["eventData"]["oneOf"][described]
    assert event["eventData"].keys() == data["properties"].keys()
