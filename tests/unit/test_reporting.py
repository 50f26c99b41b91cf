"""The report page: its tables, what it holds, and what it is safe against."""

import html.parser
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import synthetic
from variscope import figures
from variscope.analyses.registry import Table, built_in, integer, share, text
from variscope.analyses.tables import checked
from variscope.indices.precision import Course, Precision, Stuck, Target, Widest
from variscope.reporting import measured, model, page
from variscope.reporting.sheets import sheets_of

NAN = math.nan

# Tables


def test_a_tidy_table_is_laid_out_as_a_grid_with_a_sheet_for_each_index():
    entry = built_in()["summary"].table("shares")
    found = built_in()["summary"].compute(synthetic.source(synthetic.tree()))["shares"]
    sheets = sheets_of(entry, checked(entry, found), "net/summary.csv")
    assert [sheet.caption.split(" (")[0].rsplit(": ")[1] for sheet in sheets] == [
        "shapley",
        "shapley_group",
        "S1",
        "ST",
    ]
    first = sheets[0]
    layers = ["conv1", "conv2", "conv3", "pool", "scores"]
    assert [row[0].text for row in first.rows] == layers
    assert first.header[:3] == ["layer", "erasing", "sharpness"]
    one = found[(found["index"] == "shapley") & (found["layer"] == "conv2")].iloc[1]
    cell = first.rows[1][2]
    assert float(cell.text) == pytest.approx(one["value"], abs=0.006)
    assert cell.small.startswith(f"[{one['low']:.2f}")
    assert "95 % interval over replicates" in first.caption and "n 8" in first.caption


def test_other_tables_hold_their_rows_with_one_column_for_the_interval():
    entry = Table(
        name="t",
        title="Things",
        shown=2,
        columns=(
            text("variable", "its name"),
            share("value", "how much"),
            share("low", "lower"),
            share("high", "upper"),
            integer("n", "how many"),
        ),
    )
    data = pd.DataFrame(
        {
            "variable": ["gaussian_blur", "hue", "hflip"],
            "value": [0.25, NAN, 0.1],
            "low": [0.2, NAN, 0.0],
            "high": [0.3, NAN, 0.2],
            "n": [4, 4, 4],
        }
    )
    (sheet,) = sheets_of(entry, data, "a.csv")
    assert sheet.header == ["variable", "value", "interval"] and sheet.caption == "Things (n 4)"
    rows = [[cell.text for cell in row] for row in sheet.rows]
    assert rows == [
        ["gaussian blur", "0.25", "[0.20, 0.30]"],
        ["hue", "\N{EN DASH}", "[no interval]"],
    ]
    assert (sheet.left, sheet.path) == (1, "a.csv")
    assert sheets_of(replace(entry, shown=0), data) == sheets_of(entry, data[:0]) == []


# The page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> model.Report:
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
        caption = f"How {kind} is read."
        found.append(
            model.Picture(kind=kind, title=kind, caption=caption, of=layer_name, svg=svg, png=png)
        )
    study = model.Study(
        model="net<script>alert(1)</script>",
        variable_set="spatial",
        design="cycle",
        layers=["conv1", "conv2"],
        variables=[
            model.VariableRow(
                name="erasing",
                kind="augmentation",
                factors=4,
                bounds="area < 0.33 & more",
                apply="always",
            )
        ],
        accuracy=model.Accuracy(top1=0.7, low=0.6, high=0.8, images=90, classes=10),
    )
    entry = built_in()["summary"]
    tables = {
        name: checked(entry.table(name), data)
        for name, data in entry.compute(synthetic.source(tree)).items()
    }
    words = entry.words(synthetic.source(tree), tables)
    part = model.Part(
        name="net, spatial set",
        headline=words.headline,
        answer=words.answer,
        more=words.more,
        control=words.control,
        pictures=found[:1],
        sheets=[
            sheet for name, data in tables.items() for sheet in sheets_of(entry.table(name), data)
        ],
    )
    again = replace(part, name="net, color set", headline="")
    return model.Report(
        experiment="a & b",
        seed=7,
        data=model.Data(
            name="folder",
            description="Photographs.",
            image_size="64 x 64 pixels",
            classes=[model.ClassCount(name="<b>cat</b>", images={"valid": 3, "train": 40})],
            notes=["1 image could not be read & was left out."],
        ),
        studies=[study],
        sections=[
            model.Section(
                name="summary", title="What layers do", question="What?", parts=[part, again]
            )
        ],
        layers=[
            model.Layers(study=study.name, layers=[("conv1", found[1:2]), ("conv2", found[2:])])
        ],
        configuration="experiment: 'a & b'  # </pre><script>",
        plan=[
            model.PlanRow(
                study="net",
                evaluations=9216,
                not_evaluated=1200,
                disk_bytes=3.2e9,
                memory_bytes=1e9,
                shards=8,
            )
        ],
        timings=[
            model.TimingRow(stage="evaluate", seconds=63.0, bytes=3e9, images_per_second=145),
            model.TimingRow(stage="indices", seconds=12.0),
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
    return Page(page.build(report))


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
    assert {
        "short",
        "summary",
        "layers-1",
        "cost",
        "provenance",
        "words",
        "cite",
        "rerun",
    } <= inside


def test_pictures_are_inlined_with_words_for_those_who_cannot_see_them(built):
    shown = [attrs for tag, attrs in built.tags if tag == "img"]
    assert len(shown) == 4
    for attrs in shown:
        assert attrs["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        assert attrs["alt"] and int(attrs["width"]) == pytest.approx(672, abs=1)
        assert int(attrs["height"]) > 0


def test_how_to_read_a_kind_of_picture_is_said_once(built):
    assert built.text.count("How depth is read.") == 1
    assert built.text.count("How moments is read.") == 1


def test_the_first_screen_answers_before_anything_else(report, built):
    headline = report.sections[0].parts[0].headline
    assert headline
    text = re.sub(r"\s+", " ", built.text)
    assert text.index(headline) < text.index("What?")
    assert text.count(headline) == 2  # the second study of this fixture has the same answer


def test_the_page_holds_what_a_reader_needs(report, built):
    text = re.sub(r"\s+", " ", built.text)
    for words in (
        *(page.prose(sentence) for sentence in report.sections[0].parts[0].more),
        page.prose(report.sections[0].parts[0].control),
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


def test_the_smallest_report_can_be_built():
    study = model.Study(model="m", variable_set="s", design="cycle", variables=[])
    data = model.Data(name="d", description="", image_size="8 x 8 pixels", classes=[])
    small = model.Report(experiment="e", seed=0, data=data, studies=[study])
    assert "Nothing was recorded." in Page(page.build(small)).text


def test_a_report_of_nothing_is_refused(report):
    with pytest.raises(ValueError, match="a report needs one study or section at least"):
        page.build(replace(report, studies=[], sections=[]))


def test_a_report_of_tables_alone_has_its_sections_and_says_nothing_of_images(report):
    text = page.build(replace(report, studies=[], data=None, plan=[], layers=[]))
    assert report.sections[0].title in text
    assert "Images are" not in text and "altered images" not in text


def test_a_picture_without_files_is_refused_by_its_kind():
    with pytest.raises(ValueError, match="picture 'maps' names no file"):
        page.shown(model.Picture(kind="maps", title="Maps"))


def test_the_lighter_of_two_files_is_taken(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    png.write_bytes(b"small")
    svg.write_text("<svg/>")
    both = model.Picture(kind="maps", title="Maps", svg=svg, png=png)
    assert str(page.shown(both)["source"]).startswith("data:image/svg")
    svg.write_text("<svg>" + " " * page.LARGEST_SVG + "</svg>")
    assert str(page.shown(both)["source"]).startswith("data:image/png")
    alone = model.Picture(kind="maps", title="Maps", svg=svg)
    assert str(page.shown(alone)["source"]).startswith("data:image/svg")


def test_what_a_variable_is_drawn_from_is_always_said():
    def row(name: str, kind: str, bounds: str = "") -> model.VariableRow:
        return model.VariableRow(name=name, kind=kind, factors=1, bounds=bounds, apply="")

    assert page.drawn_from(row("hue", "augmentation", "factor 0 to 1")) == "factor 0 to 1"
    assert page.drawn_from(row("hflip", "augmentation")).startswith("nothing to draw but whether")
    assert page.drawn_from(row("part", "auxiliary")) == "train or valid, equally likely"


def test_intervals_and_percentages_do_not_break_over_lines():
    blank = "\N{NO-BREAK SPACE}"
    assert (
        page.prose("0.3 [0.2, 0.4] at 95 % of all") == f"0.3 [0.2,{blank}0.4] at 95{blank}% of all"
    )


def test_writing_is_whole_or_absent_and_repeatable(report, tmp_path):
    first = page.write(report, tmp_path / "deep" / "report.html").read_bytes()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]
    assert page.write(report, tmp_path / "deep" / "report.html").read_bytes() == first


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the page with")
def test_the_page_never_scrolls_sideways(report, tmp_path):
    page.write(report, tmp_path / "report.html")
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


def test_what_was_asked_of_the_intervals_and_what_was_reached_is_said():
    target = Target(half_width=0.01, index="shapley", of="channels", most_blocks=2048)
    wide = Widest("conv", 3, "gaussian_blur", 0.0234)
    stuck = (Stuck("fc", "not_varied", ("order",), ()), Stuck("conv", "constant", (), (1, 2)))
    course = Course(target, (Precision(1024, 20, 4, 12, wide, stuck),))
    said = measured.target_sentence(course)
    assert said == (
        "Asked for were intervals of the Shapley effect of channels of at most \N{PLUS-MINUS SIGN}"
        "0.01: not reached with 1,024 blocks, 2,048 being the most that were allowed (12 of 16 "
        "intervals narrow enough, the widest \N{PLUS-MINUS SIGN}0.023, of gaussian blur in conv, "
        "channel 3). Intervals that cannot narrow: the order in fc (are not varied in this "
        "sample); all variables in conv, 2 channels (never vary)."
    )
    narrow = Course(target, (Precision(1024, 16, 0, 16, None, ()),))
    assert (
        "reached with 1,024 blocks (16 of 16 intervals narrow enough)."
        in measured.target_sentence(narrow)
    )
