"""The notebook on jobs' page, run by a kernel of Jupyter against the double."""

import os
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from photoanimer_async.engine.samples import PORTRAITS
from photoanimer_async.testing.server import PhotoAnimerServer

from .support.pages import page


@pytest.mark.slow
def test_a_notebook_shows_videos_and_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Imported here: it takes seconds.
    import nbformat  # noqa: PLC0415
    from nbclient import NotebookClient  # noqa: PLC0415

    (tmp_path / "photos").mkdir()
    for portrait in PORTRAITS:
        (tmp_path / "photos" / portrait.name).write_bytes(portrait.read_bytes())
    (tmp_path / "grandma.jpg").write_bytes(PORTRAITS[0].read_bytes())
    blocks = [b for b in page("jobs/README.md").blocks("python") if "test_notebooks" in b.not_run]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(block.text) for block in blocks]
    )
    with PhotoAnimerServer() as double:
        monkeypatch.setenv("PHOTOANIMER_API_KEY", double.api_key)
        monkeypatch.setenv("PHOTOANIMER_BASE_URL", double.base_url)
        monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH") or str(Path.cwd()))
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
        client.execute()

    one, many = ([*cell.outputs] for cell in notebook.cells)
    assert video_in(one[-1].data["text/html"]) == (tmp_path / "out/grandma.mp4").read_bytes()
    saved = {
        (tmp_path / "out" / name).read_bytes() for name in ("astronaut.mp4", "grace_hopper.mp4")
    }
    assert video_in(many[-1].data["text/html"]) in saved
    [bar] = widget_outputs(notebook)
    assert "photos" in bar
    assert "100%" in bar
    assert not any(output.output_type in {"stream", "error"} for output in (*one, *many))


def widget_outputs(notebook: Any) -> list[str]:
    """What was printed into widgets, as HTML."""
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    outputs = [shown for widget in state.values() for shown in widget.state.get("outputs", [])]
    return [str(shown.data.get("text/html", "")) for shown in outputs if "data" in shown]


def video_in(html: str) -> bytes:
    found = re.fullmatch(r'<video controls loop src="data:video/mp4;base64,([^"]+)"></video>', html)
    assert found is not None
    return b64decode(found[1])
