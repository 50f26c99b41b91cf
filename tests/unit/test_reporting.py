"""The report page: its tables, its captions, and what it is safe against."""

import html.parser
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import synthetic
import xarray as xr
from variscope import figures, reporting
from variscope.analyses.specialised import specialised_units
from variscope.reporting import captions, page, sentences, tables

NAMES = ("erasing", "rolling", "class")
NAN = math.nan


def around(value: float, half: float = 0.02) -> tuple[float, float, float]:
    return value, value - half, value + half


def made(layers: dict[str, list[tuple[float, float, float]]], **more: Any) -> xr.DataTree:
    """A study of Shapley effects, given layer by layer."""
    return synthetic.layer_study({k: {"shapley": v} for k, v in layers.items()}, NAMES, **more)


# Captions and tables


@pytest.mark.parametrize("kind", sorted(page.TITLES))
def test_every_kind_of_picture_has_a_caption(kind):
    text = captions.caption(kind, index="ST", level="90 %")
    assert len(text) > 80 and "{" not in text


def test_tables_of_shares_have_a_row_a_layer_and_the_main_index_first():
    tree = made({"a": [around(0.3), (NAN, NAN, NAN), around(0.1)]})
    table, of_groups = tables.share_tables(tree)
    assert (table["index"], of_groups["index"]) == ("shapley", "shapley_group")
    assert table["variables"] == list(NAMES)
    assert table["rows"][0][1][0].value == 0.3 and table["rows"][0][1][1] is None
    found = tables.share_tables(synthetic.tree())
    assert [t["index"] for t in found] == ["shapley", "shapley_group", "S1", "ST"]
    assert found[1]["variables"] == ["all_augmentations", "image_identity"]
    assert [t["index"] for t in tables.share_tables(synthetic.tree(star=True))] == ["S1", "ST"]


def test_units_are_counted_with_their_shapes():
    rows = tables.unit_table(synthetic.study({"a": synthetic.dataset("a", size=(4, 3, 3))}))
    assert rows == [
        {
            "layer": "a",
            "shape": "4 * 3 * 3 (channel * y * x)".replace("*", "\N{MULTIPLICATION SIGN}"),
            "units": 36,
            "fine": 32,
            "constant": 4,
            "not_finite": 0,
        }
    ]


def test_a_table_of_units_read_back_as_text_gives_the_same_rows(tmp_path):
    table = specialised_units(synthetic.tree(variables=("erasing",)))
    table.loc[0, "S1"] = NAN
    table.to_csv(tmp_path / "units.csv", index=False)
    again = pd.read_csv(tmp_path / "units.csv", dtype=str, keep_default_na=False)
    rows, first = tables.specialised_rows(again), tables.specialised_rows(table)
    assert [row["share"] for row in rows] == [row["share"] for row in first]
    assert math.isnan(rows[0]["S1"]) and rows[1]["S1"] == pytest.approx(first[1]["S1"])


# The page


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> reporting.Report:
    """A report of one study with hostile names, and pictures of both kinds of file."""
    folder = tmp_path_factory.mktemp("pictures")
    tree = synthetic.study(
        {
            "conv1": synthetic.dataset("conv1", size=(4, 4, 4)),
            "conv2": synthetic.dataset("conv2", size=(4, 2, 2)),
        }
    )
    found = []
    for kind, layer_name, figure in (
        ("depth", "", figures.depth(tree)),
        ("moments", "conv1", figures.moments(tree["conv1"].to_dataset(), channels=2)),
        ("moments", "conv2", figures.moments(tree["conv2"].to_dataset(), channels=2)),
    ):
        svg, png, _ = figures.save(figure, folder / f"{kind}-{layer_name}")
        found.append(reporting.Picture(kind=kind, layer=layer_name, svg=svg, png=png))
    study = reporting.Study(
        model="net<script>alert(1)</script>",
        variable_set="spatial",
        design="cycle",
        tree=tree,
        variables=[
            reporting.VariableRow(
                name="erasing",
                kind="augmentation",
                factors=4,
                bounds="area < 0.33 & more",
                apply="always",
            )
        ],
        pictures=found,
        accuracy=reporting.Accuracy(top1=0.7, low=0.6, high=0.8, images=90, classes=10),
        specialised=specialised_units(tree),
    )
    return reporting.Report(
        experiment="a & b",
        seed=7,
        data=reporting.Data(
            name="folder",
            description="Photographs.",
            image_size="64 x 64 pixels",
            classes=[reporting.ClassCount(name="<b>cat</b>", images={"valid": 3, "train": 40})],
            notes=["1 image could not be read & was left out."],
        ),
        studies=[study],
        configuration="experiment: 'a & b'  # </pre><script>",
        plan=[
            reporting.PlanRow(
                study="net",
                evaluations=9216,
                not_evaluated=1200,
                disk_bytes=3.2e9,
                memory_bytes=1e9,
                shards=8,
            )
        ],
        timings=[
            reporting.TimingRow(stage="evaluate", seconds=63.0, bytes=3e9, images_per_second=145),
            reporting.TimingRow(stage="indices", seconds=12.0),
        ],
        versions={"variscope": "0.1.0"},
        digests={"estimators": "0f3a"},
        commands={"Again": "make run && echo 'done'"},
        bibtex="@software{variscope}",
    )


class Page(html.parser.HTMLParser):
    """Tags, links, anchors and text of a page; unbalanced tags are an error."""

    EMPTY = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def built(report) -> Page:
    return Page(reporting.build(report))


def test_names_and_texts_of_users_are_escaped(built):
    assert not any(tag in ("script", "b") and "cat" in str(attrs) for tag, attrs in built.tags)
    assert "script" not in {tag for tag, _ in built.tags}
    assert "net<script>alert(1)</script>" in built.text
    assert "<b>cat</b>" in built.text and "area < 0.33 & more" in built.text
    assert "experiment: 'a & b'  # </pre><script>" in built.text


def test_nothing_is_loaded_from_elsewhere(report, built):
    for tag, attrs in built.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            value = attrs.get(name)
            if value is None:
                continue
            allowed = ("data:",) if tag != "a" else ("#", "https://")
            assert value.startswith(allowed), (tag, name, value)
    style = (Path(page.__file__).parent / "report.css").read_text("utf-8")
    assert "url(" not in style and "@import" not in style


def test_every_link_within_the_page_has_its_anchor(built):
    anchors = [attrs["id"] for _, attrs in built.tags if "id" in attrs]
    assert len(anchors) == len(set(anchors))
    links = [attrs["href"] for tag, attrs in built.tags if tag == "a"]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside and inside <= set(anchors)
    assert {"short", "asked", "cost", "provenance", "words", "cite", "rerun"} <= inside


def test_two_studies_of_one_name_have_anchors_of_their_own(report):
    twice = Page(reporting.build(replace(report, studies=[report.studies[0]] * 2)))
    anchors = [attrs["id"] for _, attrs in twice.tags if "id" in attrs]
    assert len(anchors) == len(set(anchors))


def test_pictures_are_inlined_with_words_for_those_who_cannot_see_them(built):
    shown = [attrs for tag, attrs in built.tags if tag == "img"]
    assert len(shown) == 3
    for attrs in shown:
        assert attrs["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        assert attrs["alt"] and int(attrs["width"]) == pytest.approx(672, abs=1)
        assert int(attrs["height"]) > 0


def test_how_to_read_a_kind_of_picture_is_said_once(built):
    assert built.text.count("since a mean near 0 makes it arbitrarily large") == 1
    assert built.text.count("Read as for layer conv1.") == 1


def test_the_page_holds_what_a_reader_needs(report, built):
    text = re.sub(r"\s+", " ", built.text)
    for words in (
        *(page.prose(sentence) for sentence in sentences.answer(report.studies[0].tree)),
        "9,216 evaluations of the networks were planned. 1,200 further rows of the designs repeat",
        "1 min 15 s",
        "3.2 GB",
        "145",
        "seed 7",
        "make run && echo 'done'",
        "0f3a",
        "@software{variscope}",
        "1 image could not be read & was left out.",
        "The share of the variance that a variable accounts for by itself",
    ):
        assert re.sub(r"\s+", " ", words) in text, words


def test_every_specialised_unit_is_in_the_table_with_its_reason(report, built):
    text = re.sub(r"\s+", " ", built.text)
    for reason in report.studies[0].specialised["reason"]:
        assert re.sub(r"\s+", " ", page.prose(reason)) in text


def test_the_smallest_report_can_be_built():
    tree = made({"a": [(NAN, NAN, NAN)] * 3})
    study = reporting.Study(model="m", variable_set="s", design="cycle", tree=tree, variables=[])
    data = reporting.Data(name="d", description="", image_size="8 x 8 pixels", classes=[])
    small = reporting.Report(
        experiment="e", seed=0, data=data, studies=[study], configuration="seed: 0"
    )
    built = Page(reporting.build(small))
    assert "Nothing was recorded." in built.text and "undefined" in built.text


def test_a_report_without_studies_is_refused(report):
    with pytest.raises(ValueError, match="a report needs one study at least"):
        reporting.build(replace(report, studies=[]))


def test_a_picture_without_files_is_refused_by_its_kind():
    with pytest.raises(ValueError, match="picture 'maps' names no file"):
        page.shown(reporting.Picture(kind="maps"))


def test_the_lighter_of_two_files_is_taken(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    png.write_bytes(b"small")
    svg.write_text("<svg/>")
    both = reporting.Picture(kind="maps", svg=svg, png=png)
    assert str(page.shown(both)["source"]).startswith("data:image/svg")
    svg.write_text("<svg>" + " " * page.LARGEST_SVG + "</svg>")
    assert str(page.shown(both)["source"]).startswith("data:image/png")
    alone = reporting.Picture(kind="maps", svg=svg)
    assert str(page.shown(alone)["source"]).startswith("data:image/svg")


def test_what_a_variable_is_drawn_from_is_always_said():
    def row(name: str, kind: str, bounds: str = "") -> reporting.VariableRow:
        return reporting.VariableRow(name=name, kind=kind, factors=1, bounds=bounds, apply="")

    assert page.drawn_from(row("hue", "augmentation", "factor 0 to 1")) == "factor 0 to 1"
    assert page.drawn_from(row("hflip", "augmentation")).startswith("nothing to draw but whether")
    assert page.drawn_from(row("part", "auxiliary")) == "train or valid, equally likely"


def test_intervals_and_percentages_do_not_break_over_lines():
    blank = "\N{NO-BREAK SPACE}"
    assert (
        page.prose("0.3 [0.2, 0.4] at 95 % of all") == f"0.3 [0.2,{blank}0.4] at 95{blank}% of all"
    )


def test_writing_is_whole_or_absent_and_repeatable(report, tmp_path):
    first = reporting.write(report, tmp_path / "deep" / "report.html").read_bytes()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]
    assert reporting.write(report, tmp_path / "deep" / "report.html").read_bytes() == first


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the page with")
def test_the_page_never_scrolls_sideways(report, tmp_path):
    reporting.write(report, tmp_path / "report.html")
    widths = (400, 700, 1100, 1400)
    frames = "".join(
        f'<iframe width="{w}" height="900" src="report.html"></iframe>' for w in widths
    )
    script = """
      onload = () => {
        const frames = [...document.querySelectorAll("iframe")];
        const wide = frames.map(f => f.contentDocument.documentElement.scrollWidth);
        const broken = frames.map(f => [...f.contentDocument.images]
          .filter(i => !i.complete || !i.naturalWidth).length);
        document.title = JSON.stringify([wide, broken]);
      };
    """
    (tmp_path / "frames.html").write_text(
        f"<!DOCTYPE html><title></title><style>iframe {{ border: 0 }}</style>{frames}"
        f"<script>{script}</script>"
    )
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--allow-file-access-from-files", "--virtual-time-budget=5000"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
        (tmp_path / "frames.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<title>\[\[([\d,]+)\],\[([\d,]+)\]\]</title>", done.stdout)
    assert found, done.stderr[-2000:]
    for width, needed in zip(widths, map(int, found[1].split(",")), strict=True):
        assert needed <= width
    assert set(found[2].split(",")) == {"0"}  # every picture was decoded
    assert "CONSOLE" not in done.stderr
