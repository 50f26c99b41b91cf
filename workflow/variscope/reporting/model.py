"""What a report page is made from: plain data, read from the results by `gather`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture on disk: its files, title, caption, and layer or set if it is one of a series.

    One of `svg` and `png` may be missing.
    """

    kind: str
    title: str
    caption: str = ""
    svg: Path | None = None
    png: Path | None = None
    of: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table: its text, and below it in small type an interval."""

    text: str
    small: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as the page shows it.

    Attributes:
        caption: what it is, with what holds for all of its rows.
        header: titles of its columns.
        rows: its cells; the first of a row is its heading.
        words: which columns are words, and not numbers.
        left: rows of the file beyond those shown.
        path: of the file, below the experiment's folder.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: Sequence[bool]
    left: int = 0
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an analysis found of one study, set or model; of the experiment it has no name."""

    name: str = ""
    headline: str = ""
    answer: str = ""
    more: Sequence[str] = ()
    control: str = ""
    note: str = ""
    pictures: Sequence[Picture] = ()
    further: Sequence[Picture] = ()  # that are opened by a click
    sheets: Sequence[Sheet] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """An analysis on the page: what was asked, and what was found."""

    name: str
    title: str
    question: str
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The pictures of a study's layers, layer by layer: for the appendix."""

    study: str
    layers: Sequence[tuple[str, Sequence[Picture]]]


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
    """One model with one variable set under one design.

    Attributes:
        model, variable_set, design: their names.
        variables: of the set.
        layers: their names.
        accuracy, answered: how often the model is right or, where its classes are others, agrees
            with itself.
        model_description: in words.
        target: how narrow intervals were asked for and became, where that was asked.
    """

    model: str
    variable_set: str
    design: str
    variables: Sequence[VariableRow]
    layers: Sequence[str] = ()
    accuracy: Accuracy | None = None
    answered: Answered | None = None
    model_description: str = ""
    target: str = ""

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
    data: Data | None
    studies: Sequence[Study]
    sections: Sequence[Section] = ()
    layers: Sequence[Layers] = ()
    appendix: Sequence[Section] = ()
    configuration: str = ""
    seed: int = 1
    plan: Sequence[PlanRow] = ()
    timings: Sequence[TimingRow] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    citations: Sequence[str] = ()
    bibtex: str = ""
