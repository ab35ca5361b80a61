"""The package's public names: complete, listed, and loaded only when used."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from pydoc import render_doc

import pytest

import photoanimer_async

PACKAGE = Path(photoanimer_async.__file__).parent


def modules_after(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_submodule() -> None:
    loaded = modules_after("import photoanimer_async")
    assert {name for name in loaded if name.startswith("photoanimer_async.")} == set()
    assert {"aiohttp", "attrs", "cattrs", "backoff"} & loaded == set()


def test_a_name_loads_only_what_it_needs() -> None:
    assert "aiohttp" not in modules_after("from photoanimer_async import NoAnswerError, TaskInfo")
    assert "aiohttp" in modules_after("from photoanimer_async import PhotoAnimerClient")


def test_every_public_name_exists_and_is_listed() -> None:
    assert len(photoanimer_async.__all__) == len(set(photoanimer_async.__all__))
    for name in photoanimer_async.__all__:
        assert getattr(photoanimer_async, name) is not None
    assert set(photoanimer_async.__all__) <= set(dir(photoanimer_async))
    assert "PhotoAnimerClient" in render_doc(photoanimer_async)


def test_an_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"photoanimer_async.*'PhotoAnimer'"):
        _ = photoanimer_async.PhotoAnimer  # type: ignore[attr-defined] # it does not exist
    with pytest.raises(ImportError, match="PhotoAnimer"):
        from photoanimer_async import PhotoAnimer  # type: ignore[attr-defined] # noqa: F401, PLC0415


def test_the_root_of_the_package_stays_small() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(rooms | modules) <= 16


def test_the_page_for_contributors_draws_every_room_and_module_of_the_root() -> None:
    page = (PACKAGE / "README.md").read_text(encoding="utf-8")
    tree = page.split("## The tree")[1].split("```")[1]
    drawn = set(re.findall(r"^  (\w+(?:/|\.py)) ", tree, flags=re.MULTILINE))
    modules = {path.name for path in PACKAGE.glob("*.py")}
    assert drawn == modules | {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}


def test_modules_on_the_page_for_contributors_exist() -> None:
    page = (PACKAGE / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/])((?!tests/|benchmarks/)\w+/[\w/]+\.py)\b", page):
        assert (PACKAGE / name).is_file(), name


@pytest.mark.parametrize(
    "room", ["api", "jobs", "notifications", "photos", "polling", "service", "storage", "testing"]
)
def test_a_room_s_page_names_each_of_its_modules(room: str) -> None:
    page = (PACKAGE / room / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[`\[/](\w+)(?:\.py)?[`\]]", page))
    modules = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
    assert modules <= named


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.stem for path in PACKAGE.rglob("*.py"))
    del names["__init__"]
    assert [name for name, count in names.items() if count > 1] == []
