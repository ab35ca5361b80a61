"""The package's public names: complete, listed, and loaded only when used."""

import subprocess
import sys
from pydoc import render_doc

import pytest

import photoanimer_async


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
        _ = photoanimer_async.PhotoAnimer  # type: ignore[attr-defined] # it is not there
    with pytest.raises(ImportError, match="PhotoAnimer"):
        from photoanimer_async import PhotoAnimer  # type: ignore[attr-defined] # noqa: F401, PLC0415
