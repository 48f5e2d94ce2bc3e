"""The notebooks, executed: ``PORTER_UPDATE_GOLDEN=1 pytest tests/docs`` rewrites its output."""

from __future__ import annotations

import os
import shutil

import nbformat
import pytest

from tests.docs.likeness import differences

# Not ours: raised while the kernel is started and stopped.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.subprocess]


@pytest.fixture(params=["tutorial", "finetuning"])
def executed(root, tmp_path, monkeypatch, request):
    """The path of a notebook, it as it is, and as it is once it has run in a copy of a fresh clone."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not installed here")
    shutil.copytree(root / "fixtures", tmp_path / "fixtures")
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    path = root / "docs" / f"{request.param}.ipynb"
    shown, now = (nbformat.read(path, as_version=4) for _ in range(2))
    settings = {"metadata": {"path": tmp_path / "docs"}}
    nbclient.NotebookClient(now, timeout=120, kernel_name="python3", resources=settings, record_timing=False).execute()
    return path, shown, without_chatter(now)


def printed(notebook):
    """The text that each cell gave."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return "\n".join("".join(text(output) for output in cell.outputs) for cell in cells)


def text(output):
    return output.text if output.output_type == "stream" else f"{output.data['text/plain']}\n"


def without_chatter(notebook):
    """TensorFlow's lines on standard error are no part of what a cell gives."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def test_the_notebook_shows_what_happens(executed):
    path, shown, now = executed
    told = differences(printed(shown), printed(now))
    if told and os.environ.get("PORTER_UPDATE_GOLDEN"):
        now.metadata.pop("widgets", None)
        now.metadata.language_info = {"name": "python"}
        nbformat.write(now, path)
        return
    assert not told, f"{path.name} is out of date: PORTER_UPDATE_GOLDEN=1 pytest tests/docs\n{told}"
    assert {"tutorial": "activation.missing", "finetuning": "frozen.moved"}[path.stem] in printed(now)
