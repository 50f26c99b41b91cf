"""What a finished study leaves: the results of the contract, its page, Snakemake's own report."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tiny_study import Study

VARIABLES = ["brightness", "hflip", "order", "class", "image", "part"]
UNITS = {"first": {"channel": 4, "y": 8, "x": 8}, "logits": {"neuron": 3}}


@pytest.mark.parametrize("layer", UNITS)
def test_a_layer_opens_with_xarray_without_a_warning(finished: Study, layer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xr.open_zarr(finished.indices / f"{layer}.zarr") as data:
            assert data["S1"].load().notnull().any()


@pytest.mark.parametrize("layer", UNITS)
def test_a_layer_holds_the_arrays_of_the_contract(finished: Study, layer: str) -> None:
    data = xr.open_zarr(finished.indices / f"{layer}.zarr").load()
    unit = UNITS[layer]
    assert list(data["variable"].values) == VARIABLES
    assert len(data["pair"]) == 15
    assert data["pair"].values[0] == "brightness:hflip"
    for name in ("S1", "ST", "shapley"):
        for bound in ("", "_low", "_high"):
            assert data[name + bound].sizes == {"variable": 6, **unit}
    for bound in ("", "_low", "_high"):
        assert data[f"S2{bound}"].sizes == {"pair": 15, **unit}
        assert data[f"S1_layer{bound}"].sizes == {"variable": 6}
    of = ["layer"] + ["channel"] * ("channel" in unit)
    assert data["group"].values.tolist() == ["all_augmentations", "image_identity"]
    assert data["shapley_group"].sizes == {"group": 2, **unit}
    for kept in of:
        sizes = {} if kept == "layer" else {"channel": unit["channel"]}
        assert data[f"shapley_group_{kept}_low"].sizes == {"group": 2, **sizes}
        for name, first in (("S1", "variable"), ("shapley_group", "group")):
            stored = data[f"numerator_{name}_{kept}"]
            assert stored.sizes == {"replicate": 4, first: data.sizes[first], **sizes}
        assert data[f"variance_{kept}"].sizes == {"replicate": 4, **sizes}
        pooled = data[f"numerator_S1_{kept}"].sum("replicate")
        pooled = pooled / data[f"variance_{kept}"].sum("replicate")
        np.testing.assert_allclose(pooled, data[f"S1_{kept}"])
    assert data["blocks_by_replicate"].sizes == {"replicate": 4}
    for name in ("mean", "variance", "status"):
        assert data[name].sizes == unit
    assert data["status"].dtype == np.int8
    assert ("S1_channel" in data) == ("channel" in unit)
    fine = data["status"] == 0
    assert json.loads(data.attrs["unit_counts"])["fine"] == int(fine.sum())
    for name in ("S1", "ST", "shapley"):
        # Where S1 is sparse, its interval is that of ST instead.
        value = data[name].where(fine & (data["S1_sparse"] == 0) if name == "S1" else fine)
        low, high = data[f"{name}_low"], data[f"{name}_high"]
        # An unbounded interval is [0, 1], and may leave an estimate out.
        inside = ((low <= value) & (value <= high)) | ((low == 0) & (high == 1))
        assert bool((inside | value.isnull()).all())
    total = data["shapley"].sum("variable").where(fine)
    np.testing.assert_allclose(total.values[fine.values], 1, rtol=1e-6)


@pytest.mark.parametrize("layer", UNITS)
def test_every_array_has_units_and_a_long_name(finished: Study, layer: str) -> None:
    data = xr.open_zarr(finished.indices / f"{layer}.zarr")
    for name, array in data.data_vars.items():
        assert array.attrs["long_name"], name
        assert array.attrs["units"], name
    assert data["ST"].attrs["units"] == "1"


@pytest.mark.parametrize("layer", UNITS)
def test_the_attributes_say_where_the_numbers_come_from(finished: Study, layer: str) -> None:
    attributes = xr.open_zarr(finished.indices / f"{layer}.zarr").attrs
    expected = {
        "experiment": "tiny",
        "model": "net",
        "variable_set": "small",
        "design": "cycle",
        "layer": layer,
        "confidence_level": 0.95,
        "replicates": 4,
        "blocks": 8,
        "rows": 8 * 12,
        "seed": 3,
        "apply": "always",
    }
    assert {key: attributes[key] for key in expected} == expected
    provenance = json.loads(attributes["provenance"])
    assert {"dataset", "model", "variable_set", "design", "code", "versions"} <= set(provenance)
    assert provenance["versions"]["torch"]
    assert provenance["devices"] == ["CPU"] and provenance["batch_size"] == 16
    assert provenance["model"]["factory"] == "net.py:tiny"


def test_the_summary_has_a_row_for_each_layer_variable_and_index(finished: Study) -> None:
    with (finished.results / "net" / "small" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["layer"] for row in rows} == set(UNITS)
    assert {row["index"] for row in rows} >= {"S1", "ST", "shapley", "S2"}
    wanted = {"layer", "variable", "index", "low", "high", "median"}
    assert wanted <= set(rows[0])
    one = next(r for r in rows if (r["layer"], r["variable"]) == ("logits", "class"))
    assert float(one["low"]) <= float(one["high"])


def test_the_images_are_listed_and_counted(finished: Study) -> None:
    with (finished.results / "inputs" / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    known = {"source": "images.npz 5", "class": "0", "part": "valid", "cluster": "5"}
    assert rows[5] == {"image": "5", **known}
    counted = json.loads((finished.results / "inputs" / "images.json").read_text())
    assert counted["images_per_part"] == {"train": 15, "valid": 9}


def test_every_figure_is_there_as_svg_png_and_pdf(finished: Study) -> None:
    folder = finished.results / "net" / "small" / "cycle" / "analyses"
    svg, png, pdf = (
        {path.relative_to(folder).with_suffix("") for path in folder.rglob(f"*.{kind}")}
        for kind in ("svg", "png", "pdf")
    )
    assert svg == png == pdf
    for name in ("summary/summary", "maps/maps/first", "specialised/specialised/logits"):
        assert Path(name) in svg
    assert (finished.results / "analyses" / "samples" / "samples" / "small.svg").is_file()


def test_nothing_is_left_of_the_writing(finished: Study) -> None:
    assert not [path for path in finished.folder.rglob(".partial*")]


def test_a_second_run_has_nothing_to_do(finished: Study) -> None:
    done = finished.run("--cores", "2")
    assert "Nothing to be done" in done.stdout + done.stderr


class _Page(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "xlink:href") and value:
                (self.links if tag == "a" else self.sources).append(value)
            if name in ("src", "srcset", "poster", "data") and value:
                self.sources.append(value)


@pytest.fixture(scope="module")
def page(finished: Study) -> _Page:
    parsed = _Page()
    parsed.feed((finished.results / "report.html").read_text())
    return parsed


def test_the_page_needs_nothing_but_itself(finished: Study, page: _Page) -> None:
    assert page.sources
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    text = (finished.results / "report.html").read_text()
    assert not re.search(r"@import|url\((?![\"']?(data:|#))", text)


def test_links_within_the_page_lead_somewhere(page: _Page) -> None:
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert inside
    assert set(inside) <= page.ids


def _chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome")
         if (found := shutil.which(name))),
        None,
    )  # fmt: skip
    if browser is None:
        pytest.skip("no Chromium is installed: the page was not opened in a browser")
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --enable-logging=stderr --v=0"
    )
    return subprocess.run(
        [browser, *quiet.split(), f"--user-data-dir={tmp_path / 'profile'}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_a_browser_shows_the_page_without_complaint(finished: Study, tmp_path: Path) -> None:
    # A script at the end of a copy writes down what the browser made of the page.
    probe = """<script>window.addEventListener("load", () => {
      const bad = [...document.images].filter(i => !(i.complete && i.naturalWidth > 0));
      const lost = [...document.querySelectorAll('a[href^="#"]')].filter(
        a => a.hash.length > 1 && !document.getElementById(decodeURIComponent(a.hash.slice(1))));
      const note = document.createElement("output");
      note.id = "probe";
      note.textContent = JSON.stringify({
        images: document.images.length, drawings: document.querySelectorAll("svg").length,
        bad: bad.length, lost: lost.map(a => a.hash),
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth});
      document.body.append(note);
    });</script>"""
    copy = tmp_path / "report.html"
    text = (finished.results / "report.html").read_text()
    assert text.count("</body>") == 1
    copy.write_text(text.replace("</body>", probe + "</body>"))
    done = _chromium(
        tmp_path, "--window-size=1200,2000", "--virtual-time-budget=5000", "--dump-dom",
        copy.as_uri(),
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    match = re.search(r'<output id="probe">(.*?)</output>', done.stdout)
    assert match is not None
    seen = json.loads(match[1])
    assert seen["images"] + seen["drawings"] > 5
    assert (seen["bad"], seen["lost"]) == (0, [])
    assert seen["wide"] <= 0, "the page is wider than its window"


def test_snakemakes_own_report_has_the_pictures_with_captions(
    finished: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    done = subprocess.run(
        study.command("--report", "report.html"),
        cwd=study.folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    if done.returncode and re.search("Connection|resolve|Max retries|URL", output):
        pytest.skip("Snakemake's report fetches its scripts, and there is no network")
    assert done.returncode == 0, output
    report = (study.folder / "report.html").read_text()
    for words in ("summary.svg", "The most specialised units", "Sample images"):
        assert words in report
