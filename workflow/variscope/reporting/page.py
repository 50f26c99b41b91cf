"""The report page: one HTML page that needs nothing but itself.

Pictures are inlined, there are no scripts, and nothing is loaded from elsewhere.
"""

import base64
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from variscope.indices import wording
from variscope.reporting.measured import accuracy_sentence, agreement_sentence
from variscope.reporting.model import Picture, PlanRow, Report, Study, TimingRow, VariableRow
from variscope.stores.atomic import new_file
from variscope.vocabulary import PARTS

HERE = Path(__file__).parent
TEMPLATE, STYLE = "report.html", "report.css"
SIDES = (b"width", b"height")
LARGEST_SVG = 120_000  # bytes; beyond it the PNG is the lighter of the two
TALL = 1.1  # heights of a picture to its width; beyond it the picture is opened by a click
UNIFORM = {
    "order": "all orders of the augmentations, equally likely",
    "class": "all classes, equally likely",
    "image": "the images of the class, equally likely",
    "part": "train or valid, equally likely",
}


def build(report: Report) -> str:
    """Return the report as one self-contained HTML page.

    Raises:
        ValueError: the report has no studies, or a picture names no file.
        FileNotFoundError: a picture's file is missing.
    """
    if not report.studies and not report.sections:
        raise ValueError("a report needs one study or section at least, found none")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        prose=prose,
        shown=shown,
        is_tall=is_tall,
        drawn_from=drawn_from,
        measured=measured,
        full_stop=lambda text: text if not text or text[-1] in ".!?" else f"{text}.",
        bytes=wording.bytes_text,
        seconds=wording.seconds_text,
        label=wording.variable_label,
    )
    classes = report.data.classes if report.data else []
    parts = sorted({part for row in classes for part in row.images}, key=_part_order)
    return environment.get_template(TEMPLATE).render(
        report=report,
        style=Markup((HERE / STYLE).read_text("utf-8")),
        parts=parts,
        models={study.model: study for study in report.studies},
        variable_sets={s.variable_set: s.variables for s in report.studies},
        plan_total=plan_total(report.plan),
        timing_total=timing_total(report.timings),
    )


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


def is_tall(picture: Picture) -> bool:
    """Say whether a picture, in the width of the page, is taller than a screen."""
    path = _file(picture)
    width, height = _size(path.read_bytes(), path.suffix)
    return bool(width and height and height > TALL * width)


def _file(picture: Picture) -> Path:
    path = picture.svg
    if path is None or (picture.png is not None and path.stat().st_size > LARGEST_SVG):
        path = picture.png
    if path is None:
        raise ValueError(f"picture {picture.kind!r} names no file: give svg, png or both")
    return path


def shown(picture: Picture) -> dict[str, object]:
    """Return what the template shows of a picture, its file as a data URI.

    The SVG is taken unless it is large.

    Raises:
        ValueError: the picture has no file.
    """
    path = _file(picture)
    content = path.read_bytes()
    kind = "image/svg+xml" if path.suffix == ".svg" else "image/png"
    width, height = _size(content, path.suffix)
    return {
        "title": picture.title,
        "of": picture.of,
        "caption": picture.caption,
        "alt": f"{picture.title}, {picture.of}" if picture.of else picture.title,
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


def measured(study: Study) -> str:
    """Say how often the model is right, or agrees with itself, or that neither is measured."""
    if study.answered is not None:
        together = study.answered.agreement[-1]
        return agreement_sentence(
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
    return accuracy_sentence(
        accuracy.top1,
        accuracy.low,
        accuracy.high,
        accuracy.images,
        accuracy.classes,
        accuracy.part,
        accuracy.level,
    )


def plan_total(rows: Sequence[PlanRow]) -> dict[str, float]:
    """Sum the evaluations, repeats, shards and disk of a plan; memory is the largest."""
    return {
        "evaluations": sum(row.evaluations for row in rows),
        "not_evaluated": sum(row.not_evaluated for row in rows),
        "shards": sum(row.shards for row in rows),
        "disk_bytes": sum(row.disk_bytes for row in rows),
        "memory_bytes": max((row.memory_bytes for row in rows), default=0),
    }


def timing_total(rows: Sequence[TimingRow]) -> dict[str, float]:
    """Sum the seconds and bytes of all stages."""
    return {
        "seconds": sum(row.seconds for row in rows),
        "bytes": sum(row.bytes or 0 for row in rows),
    }
