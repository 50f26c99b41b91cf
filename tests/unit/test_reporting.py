"""Sentences made from numbers, and the page that holds them."""

import html.parser
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic
import xarray as xr
from variscope import figures, reporting
from variscope.analyses import specialised_units
from variscope.reporting import captions, page, sentences, tables

NAMES = ("erasing", "rolling", "class")
NAN = math.nan


def around(value: float, half: float = 0.02) -> tuple[float, float, float]:
    return value, value - half, value + half


def made(layers: dict[str, list[tuple[float, float, float]]], **more: object) -> xr.DataTree:
    """A study of Shapley effects, given layer by layer."""
    return synthetic.layer_study({k: {"shapley": v} for k, v in layers.items()}, NAMES, **more)


def layer(*shares: tuple[float, float, float]) -> xr.Dataset:
    return made({"conv1": list(shares)})["conv1"].to_dataset()


# Sentences


def test_a_clear_lead_is_called_the_most():
    data = layer(around(0.2), around(0.7), around(0.1))
    assert sentences.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 rolling accounts for 0.70 [0.68, 0.72] of the variance, the most; next "
        "comes erasing with 0.20 [0.18, 0.22]."
    )


def test_two_whose_intervals_overlap_cannot_be_told_apart():
    data = layer(around(0.43), around(0.45), around(0.1))
    assert sentences.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 rolling with 0.45 [0.43, 0.47] and erasing with 0.43 [0.41, 0.45] come "
        "first; their intervals overlap, so they cannot be told apart."
    )


def test_where_all_intervals_overlap_none_is_singled_out():
    data = layer(around(0.33, 0.1), around(0.34, 0.1), around(0.32, 0.1))
    said = sentences.layer_sentence("conv1", data, "shapley")
    assert "no variable can be told apart from the largest, rolling with 0.34" in said


def test_touching_intervals_overlap_and_separate_ones_do_not():
    first = sentences.Share("a", 0.3, 0.2, 0.4)
    assert sentences.overlap(first, sentences.Share("b", 0.5, 0.4, 0.6))
    assert not sentences.overlap(first, sentences.Share("b", 0.5, 0.41, 0.6))
    assert sentences.overlap(first, sentences.Share("b", 0.9, NAN, NAN))


def test_a_layer_without_indices_is_said_to_be_undefined():
    data = layer(*[(NAN, NAN, NAN)] * 3)
    assert sentences.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 no share is defined."
    )


def test_undefined_variables_are_left_out_of_comparisons():
    data = layer((NAN, NAN, NAN), around(0.7), around(0.3))
    said = sentences.layer_sentence("conv1", data, "shapley")
    assert "erasing" not in said and "next comes the class with 0.30" in said


def test_comparisons_can_be_restricted_to_augmentations():
    data = layer(around(0.1), around(0.2), around(0.7))
    said = sentences.layer_sentence("conv1", data, "shapley", among=["erasing", "rolling"])
    assert said.startswith("Among the augmentations, in layer conv1 rolling accounts for 0.20")
    assert "class" not in said


def test_a_single_variable_is_said_as_it_is():
    tree = synthetic.layer_study({"fc": {"shapley": [(1.0, 1.0, 1.0)]}}, ("erasing",))
    assert sentences.answer(tree)[0] == (
        "In layer fc erasing accounts for 1.00 [1.00, 1.00] of the variance."
    )


def test_a_change_over_depth_is_one_whose_intervals_leave_each_other_out():
    tree = made(
        {
            "conv1": [around(0.5), around(0.30), around(0.2)],
            "fc": [around(0.1), around(0.33), around(0.57)],
        }
    )
    assert sentences.trend_sentences(tree, "shapley") == [
        "From conv1 to fc the share of erasing falls from 0.50 [0.48, 0.52] to 0.10 [0.08, 0.12].",
        "From conv1 to fc the share of the class rises from 0.20 [0.18, 0.22] to 0.57 [0.55, "
        "0.59].",
    ]


def test_no_change_over_depth_is_said_once():
    tree = made(
        {
            "conv1": [around(0.5), around(0.3), around(0.2)],
            "fc": [around(0.51), around(0.3), around(0.19)],
        }
    )
    (said,) = sentences.trend_sentences(tree, "shapley")
    assert "no variable's share changes beyond its interval" in said


def test_a_peak_in_between_is_named_only_when_clear_of_both_ends():
    tree = made(
        {
            "conv1": [around(0.1), around(0.3), around(0.6)],
            "conv2": [around(0.8), around(0.1), around(0.1)],
            "fc": [around(0.3), around(0.3), around(0.4)],
        }
    )
    said = sentences.trend_sentences(tree, "shapley")
    assert said[0].endswith(
        "rises from 0.10 [0.08, 0.12] to 0.30 [0.28, 0.32], with its largest value in between, "
        "0.80 [0.78, 0.82] at conv2."
    )
    assert "between" not in said[1]


def test_trends_leave_layers_without_indices_out_and_need_two():
    gone = [(NAN, NAN, NAN)] * 3
    there = [around(0.5), around(0.3), around(0.2)]
    assert sentences.trend_sentences(made({"a": gone, "b": there}), "shapley") == []
    said = sentences.trend_sentences(made({"a": gone, "b": there, "c": there}), "shapley")
    assert said[0].startswith("From b to c")


def test_inert_small_and_unseen_variables_are_told_apart():
    tree = made(
        {
            "conv1": [(0.0, 0.0, 0.0), (0.001, -0.002, 0.004), (0.02, -0.03, 0.07)],
            "fc": [(0.0, 0.0, 0.0), (0.003, 0.001, 0.0054), (0.01, -0.04, 0.06)],
        }
    )
    assert sentences.negligible_sentence(tree, "shapley") == (
        "Erasing changes nothing: exactly 0 in every layer. "
        "Rolling (upper bounds up to 0.005) stays below 0.01 in every layer. "
        "The class (upper bounds up to 0.07) cannot be told from 0 in any layer."
    )


def test_a_variable_that_matters_in_one_layer_is_not_negligible():
    tree = made(
        {
            "conv1": [around(0.5), around(0.4), (0.0, 0.0, 0.0)],
            "fc": [around(0.5), around(0.4), around(0.1)],
        }
    )
    assert sentences.negligible_sentence(tree, "shapley") == ""


def both(first: tuple[float, float, float], total: tuple[float, float, float]) -> xr.DataTree:
    quiet = (0.1, 0.05, 0.15)
    return synthetic.layer_study(
        {"fc": {"S1": [first, quiet, quiet], "ST": [total, quiet, quiet]}}, NAMES
    )


def test_interaction_is_a_total_index_clear_of_the_first_order_index():
    said = sentences.interaction_sentence(both(around(0.1), around(0.6)))
    assert said == (
        "Variables act together the most in layer fc, where erasing by itself accounts for 0.10 "
        "[0.08, 0.12] (S1) and, with what it does jointly with others, for 0.60 [0.58, 0.62] (ST)."
    )


def test_no_interaction_is_claimed_where_intervals_overlap():
    said = sentences.interaction_sentence(both(around(0.1, 0.3), around(0.6, 0.3)))
    assert said.startswith("Nowhere can the total index ST be told from")


def test_interaction_is_silent_without_both_indices():
    assert sentences.interaction_sentence(made({"fc": [around(0.3)] * 3})) == ""


def test_units_without_indices_are_counted():
    tree = made(
        {"a": [around(0.3)] * 3, "b": [around(0.3)] * 3},
        counts={
            "a": {"fine": 1000, "constant": 200, "not_finite": 0},
            "b": {"fine": 9, "constant": 0, "not_finite": 1},
        },
    )
    assert sentences.status_sentence(tree) == (
        "Of 1,210 units in 2 layers, 200 never change (constant) and 1 gives values that are not "
        "finite; they have no indices and are left out of every aggregate."
    )
    assert sentences.status_sentence(made({"a": [around(0.3)] * 3})) == (
        "All 4 units in 1 layer have defined indices."
    )


def test_accuracy_is_held_against_chance():
    good = sentences.accuracy_sentence(0.712, 0.66, 0.758, 400, 10, "valid")
    assert good == (
        "On 400 images of the valid part, not altered, the model is right in 71.2 % [66.0, 75.8] "
        "(95 % interval); guessing among 10 classes gives 10.0 %."
    )
    poor = sentences.accuracy_sentence(0.12, 0.08, 0.18, 100, 10, "valid")
    assert "from which this cannot be told apart" in poor


def test_the_widest_interval_is_named():
    tree = made({"a": [around(0.3), around(0.3, 0.07), around(0.3)]})
    said = sentences.precision_sentence(tree, "shapley")
    assert said.endswith(
        "the widest of a layer's shares is \N{PLUS-MINUS SIGN}0.07, of rolling in a."
    )
    gone = made({"a": [(NAN, NAN, NAN)] * 3})
    assert sentences.precision_sentence(gone, "shapley") == "No layer's share has an interval."


def test_the_answer_has_an_interval_at_every_share():
    for tree in (synthetic.tree(), synthetic.tree(star=True)):
        said = re.sub(r"\(upper bounds up to [\d.]+\)", "", " ".join(sentences.answer(tree)))
        shares = re.findall(r"(?:for|with|from|to|between,) (\S?\d\.\d+)(.{2})", said)
        assert shares and all(after == " [" for _, after in shares), shares


def test_the_answer_of_undefined_layers_is_still_an_answer():
    tree = made({"a": [(NAN, NAN, NAN)] * 3, "b": [(NAN, NAN, NAN)] * 3})
    assert sentences.answer(tree) == [
        "In layer a no share is defined.",
        "In layer b no share is defined.",
        "No layer's share has an interval.",
    ]


# Captions and tables


@pytest.mark.parametrize("kind", sorted(page.TITLES))
def test_every_kind_of_picture_has_a_caption(kind):
    text = captions.caption(kind, index="ST", level="90 %")
    assert len(text) > 80 and "{" not in text


def test_tables_of_shares_have_a_row_a_layer_and_the_main_index_first():
    tree = made({"a": [around(0.3), (NAN, NAN, NAN), around(0.1)]})
    (table,) = tables.share_tables(tree)
    assert table["variables"] == list(NAMES)
    assert table["rows"][0][1][0].value == 0.3 and table["rows"][0][1][1] is None
    assert [t["index"] for t in tables.share_tables(synthetic.tree())] == ["shapley", "S1", "ST"]
    assert [t["index"] for t in tables.share_tables(synthetic.tree(star=True))] == ["S1", "ST"]


def test_units_are_counted_with_their_shapes():
    rows = tables.unit_table(synthetic.study({"a": synthetic.dataset("a", size=(4, 3, 3))}))
    assert rows == [
        {
            "layer": "a",
            "shape": "4 \N{MULTIPLICATION SIGN} 3 \N{MULTIPLICATION SIGN} 3",
            "units": 36,
            "fine": 32,
            "constant": 4,
            "not_finite": 0,
        }
    ]


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
        svg, png = figures.save(figure, folder / f"{kind}-{layer_name}")
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
        "9,216 evaluations of the networks were planned; 1,200 of them repeat",
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
