"""The report page: what it is made from, and how it is put together.

`build` turns plain data into one HTML page that needs nothing but itself: pictures are inlined,
there are no scripts, and nothing is loaded from elsewhere.
"""

import base64
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd
import xarray as xr
from markupsafe import Markup

from variscope.indices import wording
from variscope.indices.reading import confidence_percent, layers, main_index
from variscope.reporting import sentences, tables
from variscope.reporting.captions import caption
from variscope.stores.atomic import new_file
from variscope.vocabulary import INDEX_NAMES, PARTS

HERE = Path(__file__).parent
SIDES = (b"width", b"height")
LARGEST_SVG = 120_000  # bytes; beyond it the PNG is the lighter of the two
TITLES = {
    "summary": "Shares by layer",
    "depth": "Shares over depth",
    "comparison": "First-order, Shapley and total indices",
    "convergence": "How intervals shrink",
    "pairs": "Pairs of variables",
    "maps": "Maps",
    "pair_maps": "Maps of pairs",
    "moments": "Mean and variance",
    "specialised": "Most specialised units",
    "samples": "Sample images",
}
ORDER = tuple(TITLES)
UNIFORM = {
    "order": "all orders of the augmentations, equally likely",
    "class": "all classes, equally likely",
    "image": "the images of the class, equally likely",
    "part": "train or valid, equally likely",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture on disk: its kind (a key of TITLES, or one's own), files, and layer if it has one.

    One of `svg` and `png` may be missing. `title`, `caption` and `alt` are made from the kind where
    they are left empty.
    """

    kind: str
    svg: Path | None = None
    png: Path | None = None
    layer: str = ""
    title: str = ""
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Accuracy on images that are not altered: shares in [0, 1], `low` and `high` of `top1`."""

    top1: float
    low: float
    high: float
    images: int
    classes: int
    top5: float | None = None
    part: str = "valid"
    level: str = "95 %"


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """What a network answers to the unaltered images of one class of the data, as text."""

    name: str
    images: int
    answers: str


@dataclass(frozen=True, kw_only=True)
class AgreementRow:
    """The share of altered images, with bounds, whose answer is that of the unaltered one."""

    variable: str
    images: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What stands for accuracy where the data's classes are none of the network's `outputs`.

    The last row of `agreement` is of all augmentations together; `labelled` is whether the images
    have classes.
    """

    outputs: int
    classes: int
    answers: Sequence[AnswerRow]
    agreement: Sequence[AgreementRow]
    level: str = "95 %"
    labelled: bool = True


@dataclass(frozen=True, kw_only=True)
class VariableRow:
    """One variable of a set: its kind ("augmentation" or "auxiliary"), factors, bounds, switch."""

    name: str
    kind: str
    factors: int
    bounds: str
    apply: str


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """A class of the data and its number of images by part, such as {"train": 40, "valid": 40}."""

    name: str
    images: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Data:
    """The images: a name, a description in words, their size, the classes, and what to note."""

    name: str
    description: str
    image_size: str
    classes: Sequence[ClassCount]
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """What a study was planned to cost: evaluations, and rows beside them that need none."""

    study: str
    evaluations: int
    not_evaluated: int
    disk_bytes: float
    memory_bytes: float
    shards: int


@dataclass(frozen=True, kw_only=True)
class TimingRow:
    """What a stage did cost: wall-clock seconds, bytes that it left, images a second if it ran."""

    stage: str
    seconds: float
    bytes: float | None = None
    images_per_second: float | None = None
    study: str = ""


@dataclass(frozen=True, kw_only=True)
class Study:
    """One model with one variable set under one design, and its results."""

    model: str
    variable_set: str
    design: str
    tree: xr.DataTree
    variables: Sequence[VariableRow]
    pictures: Sequence[Picture] = ()
    accuracy: Accuracy | None = None
    answered: Answered | None = None
    model_description: str = ""
    specialised: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """The study's name for a reader: "convnet, spatial set, cycle design"."""
        return f"{self.model}, {self.variable_set} set, {self.design} design"


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report page is made from.

    `configuration` is YAML text, `versions` maps a package to its version, `digests` a thing to its
    digest, `commands` what a command does to the command, `citations` are lines of text.
    """

    experiment: str
    data: Data
    studies: Sequence[Study]
    configuration: str
    seed: int
    pictures: Sequence[Picture] = ()
    plan: Sequence[PlanRow] = ()
    timings: Sequence[TimingRow] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    citations: Sequence[str] = ()
    bibtex: str = ""
    intention: str = ""


def build(report: Report) -> str:
    """Return the report as one self-contained HTML page.

    Raises ValueError where the report has no studies or a picture names no file, and
    FileNotFoundError where a picture's file is missing.
    """
    if not report.studies:
        raise ValueError("a report needs one study at least, found none")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        share=wording.share_text,
        estimate=lambda share: wording.estimate_text(*share[1:]).partition(" ")[0],
        interval=lambda share: wording.estimate_text(*share[1:]).partition(" ")[2],
        prose=prose,
        drawn_from=drawn_from,
        full_stop=lambda text: text if not text or text[-1] in ".!?" else f"{text}.",
        bytes=wording.bytes_text,
        seconds=wording.seconds_text,
        label=wording.variable_label,
        capitalize_first=lambda text: text[:1].upper() + text[1:],
    )
    parts = sorted({part for row in report.data.classes for part in row.images}, key=_part_order)
    page = environment.get_template("report.html").render(
        report=report,
        style=Markup((HERE / "report.css").read_text("utf-8")),
        parts=parts,
        pictures=[shown(picture) for picture in report.pictures],
        studies=_unique(_view(study) for study in report.studies),
        index_names=INDEX_NAMES,
        accuracies={s.model: s.accuracy for s in report.studies if s.accuracy},
        variable_sets={s.variable_set: s.variables for s in report.studies},
        plan_total=tables.plan_total(report.plan),
        timing_total=tables.timing_total(report.timings),
    )
    return page


def write(report: Report, path: str | Path) -> Path:
    """Build the page and write it beside its place, then rename it: whole or absent."""
    target = Path(path)
    with new_file(target) as partial:
        partial.write_text(build(report), encoding="utf-8")
    return target


def drawn_from(row: VariableRow) -> str:
    """Say what a variable is drawn from, in words where no bounds are given."""
    without = "nothing to draw but whether it is applied" if row.factors else "no parameters"
    return row.bounds or UNIFORM.get(row.name, without if row.kind == "augmentation" else "")


def prose(text: str) -> str:
    """Keep intervals and percentages on one line, by spaces that do not break."""
    text = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
    return re.sub(r"\[(\S+), (\S+)\]", "[\\1,\N{NO-BREAK SPACE}\\2]", text)


def _part_order(part: str) -> tuple[int, str]:
    """Put train before valid before others."""
    return (PARTS.index(part) if part in PARTS else len(PARTS), part)


def shown(picture: Picture, *, index: str = "shapley", level: str = "95 %") -> dict[str, object]:
    """Return what the template shows of a picture, its file as a data URI.

    The SVG is taken unless it is large; raises ValueError for a picture without a file.
    """
    path = picture.svg
    if path is None or (picture.png is not None and path.stat().st_size > LARGEST_SVG):
        path = picture.png
    if path is None:
        raise ValueError(f"picture {picture.kind!r} names no file: give svg, png or both")
    content = path.read_bytes()
    kind = "image/svg+xml" if path.suffix == ".svg" else "image/png"
    title = picture.title or TITLES.get(picture.kind, picture.kind.replace("_", " "))
    width, height = _size(content, path.suffix)
    return {
        "kind": picture.kind,
        "layer": picture.layer,
        "title": title,
        "caption": picture.caption or caption(picture.kind, index=index, level=level),
        "alt": picture.alt or (f"{title}, layer {picture.layer}" if picture.layer else title),
        "source": f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}",
        "width": width,
        "height": height,
    }


def _size(content: bytes, suffix: str) -> tuple[int, int]:
    """Read a picture's width and height in CSS pixels, at 96 to the inch, or (0, 0)."""
    if suffix == ".png" and content[12:16] == b"IHDR":
        width, height = struct.unpack(">II", content[16:24])
        return round(width * 96 / 150), round(height * 96 / 150)
    head = re.search(rb"<svg\b[^>]*>", content)
    sides = [re.search(rb'\b%s="([\d.]+)pt"' % name, head[0]) if head else None for name in SIDES]
    if None in sides:
        return 0, 0
    width, height = (round(float(side[1]) * 96 / 72) for side in sides if side)
    return width, height


def _view(study: Study) -> dict[str, object]:
    """Return what the template shows of a study."""
    index = main_index(study.tree)
    found = layers(study.tree)
    level = confidence_percent(next(iter(found.values())))
    rank = {kind: place for place, kind in enumerate(ORDER)}
    pictures = sorted(study.pictures, key=lambda picture: rank.get(picture.kind, len(rank)))
    general = [shown(p, index=index, level=level) for p in pictures if not p.layer]
    by_layer = [
        (name, [shown(p, index=index, level=level) for p in pictures if p.layer == name])
        for name in found
    ]
    by_layer = [(name, entries) for name, entries in by_layer if entries]
    _refer_back(by_layer)
    return {
        "id": re.sub(r"[^a-z0-9]+", "-", study.name.lower()).strip("-"),
        "study": study,
        "level": level,
        "question": sentences.question(study.tree),
        "answer": sentences.answer(study.tree),
        "accuracy": _measured(study),
        "status": sentences.status_sentence(study.tree),
        "counts": tables.unit_table(study.tree),
        "index": index,
        "share_tables": tables.share_tables(study.tree),
        "specialised": tables.specialised_rows(study.specialised),
        "pictures": general,
        "layers": by_layer,
    }


def _measured(study: Study) -> str:
    """Say how often the model is right, or agrees with itself, or that neither is measured."""
    if study.answered is not None:
        together = study.answered.agreement[-1]
        return sentences.agreement_sentence(
            together.value,
            together.low,
            together.high,
            together.images,
            study.answered.outputs,
            study.answered.classes,
            study.answered.level,
            study.answered.labelled,
        )
    accuracy = study.accuracy
    if accuracy is None:
        return "Accuracy is not measured: the model's outputs are no scores of the data's classes."
    return sentences.accuracy_sentence(
        accuracy.top1,
        accuracy.low,
        accuracy.high,
        accuracy.images,
        accuracy.classes,
        accuracy.part,
        accuracy.level,
    )


def _refer_back(by_layer: list[tuple[str, list[dict[str, object]]]]) -> None:
    """Say once how a kind of picture is read, and refer to it where it comes again."""
    explained: dict[object, str] = {}
    for layer, entries in by_layer:
        for entry in entries:
            first = explained.setdefault(entry["caption"], layer)
            if first != layer and entry["caption"]:
                entry["caption"] = f"Read as for layer {first}."


def _unique(views: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Make the anchors of studies unique."""
    seen: Counter[object] = Counter()
    made = []
    for view in views:
        anchor = view["id"]
        seen[anchor] += 1
        made.append(view if seen[anchor] == 1 else {**view, "id": f"{anchor}-{seen[anchor]}"})
    return made
