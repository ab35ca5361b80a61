"""Data goes one way: who may import whom."""

import ast
from pathlib import Path

import photoanimer_async

ROOT = Path(photoanimer_async.__file__).parent
LAYERS = [
    ["picture_format"],
    ["redaction", "picture_header"],
    ["picture_metadata"],
    ["errors"],
    ["models"],
    ["core", "object_store", "uninterrupted", "holdings"],
    [
        "transport",
        "retrying",
        "rates",
        "learned",
        "progress",
        "photos",
        "voices",
        "results",
        "journal",
        "submit_gate",
        "worker_pool",
        "picture_conversion",
        "notifications",
        "shared_rate",
    ],
    [
        "downloads",
        "hosting",
        "scheduler",
        "planning",
        "preparation",
        "url_check",
    ],
    ["intake"],
    ["journey"],
    ["submission"],
    ["batch", "api"],
    ["account"],
    ["pipeline"],
    ["deduplication"],
    ["batch_run", "pending"],
    ["client"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def part(module: str) -> str:
    return module.removeprefix("photoanimer_async").lstrip(".").split(".")[0]


def imports(path: Path) -> set[str]:
    """What a module imports when it runs; imports for type checkers alone do not count."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def edges() -> set[tuple[str, str]]:
    """(part, imported part) of all modules below the package's own `__init__`."""
    return {
        (
            part(".".join(("photoanimer_async", *path.relative_to(ROOT).with_suffix("").parts))),
            part(name),
        )
        for path in ROOT.rglob("*.py")
        if path != ROOT / "__init__.py"
        for name in imports(path)
        if name.startswith("photoanimer_async.")
    }


def test_the_sdk_imports_downwards_only() -> None:
    upward = {
        (here, there)
        for here, there in edges()
        if here in RANK and here != there and RANK.get(there, len(LAYERS)) >= RANK[here]
    }
    assert upward == set()


def test_every_module_of_the_sdk_has_its_place() -> None:
    others = {"engine", "service", "samples", "cli", "studio", "testing", "pytest_plugin", "py"}
    assert {here for here, _ in edges()} - set(RANK) - others == set()


def test_the_engine_knows_nothing_of_the_rest() -> None:
    assert {there for here, there in edges() if here == "engine"} <= {"engine"}


def test_the_service_shares_no_codec_with_the_client() -> None:
    assert {there for here, there in edges() if here == "service"} <= {
        "service",
        "engine",
        "redaction",
        "picture_header",
    }


def test_nothing_imports_the_double() -> None:
    assert {here for here, there in edges() if there == "testing"} <= {"testing", "pytest_plugin"}


def test_nothing_but_the_command_line_needs_the_studio() -> None:
    assert {here for here, there in edges() if there == "studio"} <= {"studio", "cli"}


def test_the_core_is_pure() -> None:
    impure = {"asyncio", "aiohttp", "time", "pathlib", "os", "io", "socket"}
    imported = {
        name.split(".")[0] for path in (ROOT / "core").glob("*.py") for name in imports(path)
    }
    assert imported & impure == set()
