"""The site of the documents: its pages, its reference, and the notebook, run again."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.figure
import pytest
import torch
import variscope

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
PROSE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown"]
INTERVAL = re.compile(r"-?\d\.\d\d \[-?\d\.\d\d, -?\d\.\d\d\]")


def printed(cell: dict[str, Any]) -> str:
    """What a cell has printed."""
    return "".join(text for output in cell["outputs"] for text in output.get("text", ()))


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """The settings of the site; they need no Sphinx."""
    spec = importlib.util.spec_from_file_location("site_conf", ROOT / "docs" / "conf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# the notebook


def test_the_notebook_was_run_once_from_top_to_bottom_and_ends_with_a_figure():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    kinds = [output["output_type"] for cell in CODE for output in cell["outputs"]]
    assert "error" not in kinds
    assert "image/png" in CODE[-1]["outputs"][-1]["data"]
    assert not any("stderr" in output.get("name", "") for c in CODE for output in c["outputs"])


def test_numbers_of_its_prose_are_those_that_it_prints():
    told = {number for cell in PROSE for number in INTERVAL.findall("".join(cell["source"]))}
    assert len(told) == 2
    assert told <= set(INTERVAL.findall("".join(map(printed, CODE))))


def test_the_notebook_gives_the_same_numbers_again():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    names: dict[str, Any] = {}
    try:
        torch.set_num_threads(1)
        for cell in CODE:
            # Magic commands are Jupyter's; what a cell ends with is shown and not printed.
            lines = [line for line in "".join(cell["source"]).splitlines() if line[:1] != "%"]
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec("\n".join(lines), names)
            found, kept = out.getvalue(), printed(cell)
            assert re.sub(r"-?\d\.\d\d", "#", found) == re.sub(r"-?\d\.\d\d", "#", kept)
            numbers = [[float(n) for n in re.findall(r"-?\d\.\d\d", t)] for t in (found, kept)]
            # Another processor rounds otherwise, and a training makes more of it.
            assert numbers[0] == pytest.approx(numbers[1], abs=0.05)
        assert isinstance(names["summary"](names["study"]), matplotlib.figure.Figure)
    finally:
        torch.random.set_rng_state(state)
        torch.set_num_threads(threads)


# the site


def test_the_reference_has_the_public_face_and_every_room_in_the_order_of_the_map():
    text = (ROOT / "docs" / "reference.md").read_text()
    face, rooms = (
        re.findall(r"^   (\w+)$", part, re.MULTILINE) for part in text.split("## The rooms")
    )
    assert sorted(face) == sorted(set(variscope.__all__) - {"__version__"})
    map_of_rooms = (ROOT / "CONTRIBUTING.md").read_text().split("```text\n")[1].split("```")[0]
    known = re.findall(r"^(\w+)(?:/|\.py)", map_of_rooms, re.MULTILINE)
    # What stands at the top is not said twice.
    assert rooms == [room for room in known if room not in ("errors", "version", "__init__")]


def test_every_document_is_in_the_sidebar(conf: ModuleType):
    listed = {page for pages in conf.PAGES.values() for page in pages}
    pages = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for pattern in ("*.md", "docs/*.md", "docs/*.ipynb", "[a-z]*/README.md")
        for path in ROOT.glob(pattern)
    }
    assert listed == pages - {conf.root_doc}


def test_a_page_that_loads_from_elsewhere_is_found(conf: ModuleType):
    bad = ['<link rel="stylesheet" href="https://fonts.org/a.css">', "<script src='//cdn/x.js'>"]
    good = ['<a href="https://arxiv.org">', '<img src="docs/summary.png">', '<link href="a.css"/>']
    assert conf.loads_from_elsewhere("".join(bad + good)) == bad


def test_a_picture_that_is_not_there_is_found(conf: ModuleType, tmp_path: Path):
    (tmp_path / "a.png").touch()
    page = '<img src="a.png"><img alt="x" src="b.png"><img src="data:image/png;base64,AA">'
    assert conf.missing_pictures(page, tmp_path) == ["b.png"]


def test_docstrings_are_read_as_they_are_meant(conf: ModuleType):
    lines = [
        "Of |e| and (n, *unit), ``(n, *unit)`` as in `variscope.space`:",
        "",
        "    D = |e| * 2",
        "",
        "Args:",
        "    x: with *emphasis*, |x|.",
        "",
        "- an item",
        "",
        "    that goes on",
    ]
    conf.as_markup(None, "function", "f", None, None, lines)
    assert lines == [
        r"Of \|e\| and (n, \*unit), ``(n, *unit)`` as in :py:obj:`variscope.space`:",
        "",
        "::",
        "",
        "    D = |e| * 2",
        "",
        "Args:",
        r"    x: with *emphasis*, \|x\|.",
        "",
        "- an item",
        "",
        "    that goes on",
    ]


def test_only_entries_of_analyses_are_in_the_reference(conf: ModuleType):
    found = conf.modules_of("variscope.analyses")
    assert "variscope.analyses.registry" in found and "variscope.analyses.masking" in found
    assert not any(name.startswith("variscope.analyses.masking.") for name in found)
    assert "variscope.inputs.datasets.arrays" in conf.modules_of("variscope.inputs")
