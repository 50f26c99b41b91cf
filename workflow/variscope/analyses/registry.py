"""The registry of analyses: what an entry says of itself, and how entries are found.

An analysis is a folder of this package with an entry in its ``__init__.py``, or a file of the
user's. Everything that the workflow needs to know of it stands in the entry: rules, the page,
Snakemake's own report, the documents and the plan are made from it. Importing entries is cheap:
what computes and draws is imported when it runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from variscope.errors import UserError
from variscope.inputs.user_files import load_file

Scope = Literal["study", "set", "model", "experiment"]
# What an analysis can be given: the indices of its studies; those of halves of their replicates,
# of the untrained twin, and of the rows that select units; the images; the network, with which
# come the images; the tables of the configuration, with their trained networks. Beside these
# "analysis:<name>", what another one made, and "analysis:<name>?", the same where that one is on.
# An entry that asks for more would silently be given nothing.
READS = ("indices", "halves", "twin", "selection", "images", "network", "tables")
_OF_ANOTHER = re.compile(r"analysis:([a-z][a-z0-9_]*)(\??)")

SCOPES: tuple[Scope, ...] = ("study", "set", "model", "experiment")

# Names of rules that are no analyses, and of folders beside those of models and sets.
RESERVED = ("accuracy", "all", "analyses", "default", "estimate", "evaluate", "export", "figures",
            "images", "indices", "page", "plan", "precision", "reached", "remove", "report",
            "presentations", "sums", "take_in", "tidy", "train")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: in the file's header.
        meaning: for the documents and the page, without a full stop.
        kind: ``"text"``, ``"integer"`` or ``"number"``.
        unit: of a number: ``"share"`` (of variance), ``"1"``, ``"s"`` and so on.
    """

    name: str
    meaning: str
    kind: Literal["text", "integer", "number"] = "number"
    unit: str = "1"


def text(name: str, meaning: str) -> Column:
    """Return a column of text."""
    return Column(name=name, meaning=meaning, kind="text")


def integer(name: str, meaning: str) -> Column:
    """Return a column of counts or numbers of things."""
    return Column(name=name, meaning=meaning, kind="integer")


def number(name: str, meaning: str, unit: str = "1") -> Column:
    """Return a column of numbers."""
    return Column(name=name, meaning=meaning, unit=unit)


def share(name: str, meaning: str) -> Column:
    """Return a column of shares of variance, 1 for all of it."""
    return number(name, meaning, "share")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of an analysis: tidy, one row per observation.

    Attributes:
        name: of the file, without ``.csv``.
        title: for people.
        columns: in the order of the file.
        path: below the folder of the analysis' scope, where it is not
            ``analyses/<analysis>/<name>.csv``.
        grid: columns whose values become the rows and the columns of the table on the page; its
            cells are then ``value [low, high]``.
        sheets: the column by whose values the page makes several tables of it.
        shown: rows on the page; the file holds all. 0: the table is not shown.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    path: str = ""
    grid: tuple[str, str] | None = None
    sheets: str = ""
    shown: int = 60


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of an analysis, or a series of them.

    Attributes:
        name: of the file or, for a series, of its folder.
        title: for people.
        caption: how it is to be read; ``{index}`` and ``{level}`` are filled in.
        of: ``"all"`` one picture of the scope; ``"layer"`` one for each layer of a study, ``"set"``
            one for each variable set.
        appendix: whether it stands in the page's appendix alone or, where the analysis has an
            answer, behind a click below it.
    """

    name: str
    title: str
    caption: str
    of: Literal["all", "layer", "set"] = "all"
    appendix: bool = False


class Planned(Protocol):
    """What a plan says of a study (`variscope.study.study_plan.StudyPlan`)."""

    @property
    def memory_mb(self) -> Mapping[str, int]:
        """MiB of one job of each stage."""

    @property
    def layers(self) -> Sequence[Any]:
        """Its layers, `variscope.inputs.axes.Layer`, in the order of the network."""

    @property
    def parameters(self) -> int:
        """The number of the network's parameters."""

    @property
    def outputs(self) -> int:
        """The number of outputs of all its modules, for one image."""

    @property
    def variable_set(self) -> str:
        """Name of its variable set."""

    @property
    def variables(self) -> Sequence[str]:
        """Names of its variables."""


def memory_of_indices(study: Planned) -> float:
    """Return MiB that the indices of all layers take, and what is drawn of them."""
    return study.memory_mb["analysis"]


def memory_of_network(study: Planned) -> float:
    """Return MiB of a job that runs the network, by batches, as the evaluation does."""
    return max(study.memory_mb["evaluate"], study.memory_mb["analysis"])


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An analysis: an entry of the registry.

    Attributes:
        name: of the folder, the target, and the key of the configuration.
        title: for people.
        question: what it asks, one sentence, for the page.
        scope: of what one run of it is: a study (a model with a set under a design), a set of a
            model, a model, or the whole experiment.
        reads: what it needs, of `READS`.
        tables: that its `compute` gives, by name.
        pictures: that its ``draw_<name>`` functions draw.
        settings: its fragment of the schema: properties under ``analyses.<name>``.
        shards: the names of the jobs that run the network, from the settings and the studies of one
            scope, or the tables (`variscope.study.findings.FoundTable`); each calls
            ``shard(source, name, folder)`` of the module ``shard``, which writes what it likes
            into a new folder. None: no network is run.
        passes: how many images pass through the network, or through the rest of it behind a mask,
            in all shards of one scope: from the settings, the studies and the summary of the images
            (`variscope.inputs.table.ImageTable.summary`, and ``twin``: whether the model has an
            untrained one); for the plan.
        per_layer: whether ``layer(source, name)`` of the module ``layer`` makes a dataset of each
            layer of the scope's studies, ``analyses/<analysis>/<layer>.zarr``.
        completes: whether ``complete(source, name)`` of the module ``complete`` makes these
            datasets from what ``layer`` made of all layers, ``source.layer_datasets``: for what
            follows from all of them, such as p-values adjusted for all tests.
        memory: MiB of a job on a study, or on a table; one on several holds all of them.
        shard_memory: MiB of a job that runs the network.
        held: MiB that what the shards wrote takes where it is read, by a later step or by an
            analysis that reads this one: from the same as `passes`.
        by_model: the settings whose keys are names of models, which have to be there.
        check_settings: raises a `UserError` where the settings are wrong in a way that the schema
            cannot say, before the first job: from the settings and the folder that relative paths
            start at. It imports no torch.
        check_tables: the same of an analysis of tables, from the settings and the tables as they
            were read (`variscope.study.findings.FoundTable`).
        files: the user's files that the settings name, relative to that folder: where one of them
            changes, the analysis is made again.
        about: which studies it is about: all, or those of responses that were measured elsewhere.
        place: where the page shows it; lower numbers come first.
        file: of the module that holds everything, for an analysis of the user's.
    """

    name: str
    title: str
    question: str = ""
    scope: Scope = "study"
    reads: tuple[str, ...] = ("indices",)
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    shards: Callable[[Mapping[str, Any], Sequence[Planned]], Sequence[str]] | None = None
    passes: Callable[[Mapping[str, Any], Sequence[Planned], Mapping[str, Any]], int] | None = None
    per_layer: bool = False
    completes: bool = False
    memory: Callable[[Planned], float] = memory_of_indices
    shard_memory: Callable[[Planned], float] = memory_of_network
    held: Callable[[Mapping[str, Any], Sequence[Planned], Mapping[str, Any]], float] | None = None
    by_model: tuple[str, ...] = ()
    check_settings: Callable[[Mapping[str, Any], Path], None] | None = None
    check_tables: Callable[[Mapping[str, Any], Sequence[Any]], None] | None = None
    files: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    about: Literal["all", "measured"] = "all"
    place: int = 100
    file: Path | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or keyword.iskeyword(self.name):
            raise ValueError(
                f"name: found {self.name!r}; allowed: small letters, digits and _, beginning with "
                "a letter"
            )
        if self.name in RESERVED:
            raise ValueError(f"name: found {self.name!r}, which the workflow itself uses")
        if self.scope not in SCOPES:
            raise ValueError(f"scope: found {self.scope!r}; allowed: {', '.join(SCOPES)}")
        for what, entries in (("tables", self.tables), ("pictures", self.pictures)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: found two of one name: {', '.join(names)}")
        for read in self.reads:
            if read not in READS and not _OF_ANOTHER.fullmatch(read):
                raise ValueError(
                    f"reads: found {read!r}; allowed: {', '.join(READS)}, or analysis:<name>"
                )
        if "network" in self.reads and self.scope == "experiment":
            raise ValueError("reads: the network is of a model, and the scope is the experiment")
        if self.shards is not None and not {"network", "tables"} & set(self.reads):
            raise ValueError("shards: they run the network, which is not among what is read")
        if self.of_tables and (
            self.scope != "experiment" or len(self.reads) > 1 + len(self.others)
        ):
            raise ValueError("reads: tables are of the experiment, and nothing else is read by it")
        for table in self.tables:
            _check_layout(table)
        for picture in self.pictures:
            try:
                picture.caption.format(index="", level="")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"the caption of {picture.name} has braces around something else than index "
                    f"and level ({error})"
                ) from error
        if self.scope != "study" and any(picture.of == "layer" for picture in self.pictures):
            raise ValueError("pictures: one for each layer needs the scope study")

    @property
    def called(self) -> str:
        """Return how messages call it: by the user's file, where it is one."""
        return f"analyses.{self.name}" + (f" ({self.file.name})" if self.file else "")

    @property
    def default(self) -> bool:
        """Whether it is on where nobody names it: those that need no run of the network."""
        return not {"network", "selection"} & set(self.reads) and all(
            optional for _, optional in self.others
        )

    @property
    def others(self) -> list[tuple[str, bool]]:
        """The analyses that it reads, by name, and whether it does so only where they are on."""
        found = map(_OF_ANOTHER.fullmatch, self.reads)
        return [(match[1], bool(match[2])) for match in found if match]

    @property
    def of_tables(self) -> bool:
        """Whether it is about the tables of the configuration, and not about studies of images."""
        return "tables" in self.reads

    @property
    def opens_images(self) -> bool:
        """Whether it is given the images."""
        return bool({"images", "network"} & set(self.reads))

    @property
    def has_words(self) -> bool:
        """Whether it says something in sentences; asked by Snakemake, which imports no torch."""
        if self.file is not None:
            return self._find("words", "words") is not None
        return (Path(__file__).parent / self.name / "words.py").is_file()

    def columns(self, table: str) -> list[str]:
        """Name the columns of a table, in order."""
        return [column.name for column in self.table(table).columns]

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        return next(table for table in self.tables if table.name == name)

    def table_path(self, table: Table) -> str:
        """Return where a table stands, below the folder of the scope."""
        return table.path or f"analyses/{self.name}/{table.name}.csv"

    def picture_path(self, picture: Picture) -> str:
        """Return where a picture stands, without its suffix; of a series, its folder."""
        return f"analyses/{self.name}/{picture.name}"

    @property
    def words_path(self) -> str:
        """Return where its sentences stand, below the folder of the scope."""
        return f"analyses/{self.name}/words.json"

    def compute(self, source: Any) -> Mapping[str, Any]:
        """Return the tables, by name, as `pandas.DataFrame`."""
        found = self._call("compute", "compute", source)
        wanted = [table.name for table in self.tables]
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            got = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
            raise UserError(
                f"{self.called}: compute gave {got or 'nothing'}; its entry asks for a mapping "
                f"with the tables {', '.join(wanted)}"
            )
        return found

    def draw(self, picture: Picture, *arguments: Any) -> Any:
        """Draw a picture, or one of a series.

        Args:
            picture: one of `pictures`.
            arguments: the source and the tables; of a series before these the layer's dataset, or
                the set's name.

        Returns:
            A matplotlib figure; of a series None where there is nothing to show.
        """
        drawn = self._call("figures", f"draw_{picture.name}", *arguments)
        if not hasattr(drawn, "savefig") and not (drawn is None and picture.of != "all"):
            raise UserError(
                f"{self.called}: draw_{picture.name} gave {type(drawn).__name__}; allowed: a "
                "matplotlib Figure"
            )
        return drawn

    def words(self, *arguments: Any) -> Any:
        """Return what was found in sentences, `variscope.analyses.words.Words`."""
        found = self._call("words", "words", *arguments)
        if not hasattr(found, "answer"):
            raise UserError(
                f"{self.called}: words gave {type(found).__name__}; allowed: Words(answer=...)"
            )
        return found

    def shard(self, source: Any, name: str, folder: Path) -> None:
        """Run the network for one of the shards, and write what comes of it into a folder."""
        self._call("shard", "shard", source, name, folder)

    def layer(self, source: Any, name: str) -> Any:
        """Return the dataset of a layer, as `xarray.Dataset`."""
        return self._dataset("layer", source, name)

    def complete(self, source: Any, name: str) -> Any:
        """Return the dataset of a layer, as `xarray.Dataset`, from those of all layers."""
        return self._dataset("complete", source, name)

    def _dataset(self, step: str, source: Any, name: str) -> Any:
        found = self._call(step, step, source, name)
        if not hasattr(found, "data_vars"):
            raise UserError(
                f"{self.called}: {step} gave {type(found).__name__}; allowed: an xarray Dataset"
            )
        return found

    def shard_folder(self, name: str) -> str:
        """Return where a shard stands, below the folder of the scope."""
        return f"analyses/{self.name}/shards/{name}"

    def layer_path(self, file_name: str, step: str = "complete") -> str:
        """Return where the dataset of a layer stands, below the folder of the scope.

        That of the step ``"layer"`` stands apart where another step completes it.
        """
        inside = "layers/" if self.completes and step == "layer" else ""
        return f"analyses/{self.name}/{inside}{file_name}.zarr"

    @property
    def entry_file(self) -> Path:
        """Return the file of the entry."""
        return self.file or Path(__file__).parent / self.name / "__init__.py"

    def modules(self, step: str) -> tuple[Path, ...]:
        """Return the files that a step runs: shard, layer, complete, compute or present."""
        if self.file is not None:
            return (self.file,)
        folder = Path(__file__).parent / self.name
        parts = ("figures", "words") if step == "present" else (step,)
        return tuple(path for part in parts if (path := folder / f"{part}.py").is_file())

    def check(self) -> None:
        """Raise a ValueError where a function is missing that the entry promises."""
        wanted = [("compute", "compute")] if self.tables else []
        wanted += [("shard", "shard")] if self.shards else []
        wanted += [("layer", "layer")] if self.per_layer else []
        wanted += [("complete", "complete")] if self.completes else []
        wanted += [("figures", f"draw_{picture.name}") for picture in self.pictures]
        for part, name in wanted:
            if self._find(part, name) is None:
                raise ValueError(f"there is no function {name}, which its entry promises")

    def _call(self, part: str, name: str, *arguments: Any) -> Any:
        function = self._find(part, name)
        if function is None:
            raise ValueError(f"analysis {self.name} has no function {name}")
        return function(*arguments)

    def _find(self, part: str, name: str) -> Callable[..., Any] | None:
        if self.file is not None:
            return getattr(load_file(self.file), name, None)
        module = f"{__package__}.{self.name}.{part}"
        if importlib.util.find_spec(module) is None:
            return None
        return getattr(importlib.import_module(module), name, None)


def _check_layout(table: Table) -> None:
    """Raise a ValueError where a table names columns that it does not have."""
    names = [column.name for column in table.columns]
    named = [*(table.grid or ()), *([table.sheets] if table.sheets else [])]
    if table.grid:
        named += ["low", "high"]
    for name in named:
        if name not in names:
            raise ValueError(f"table {table.name} has no column {name!r}, which its layout names")
    if len(set(names)) < len(names):
        raise ValueError(f"table {table.name} has two columns of one name: {', '.join(names)}")


@cache
def built_in() -> dict[str, Analysis]:
    """Return the entries of this package's folders by name, in the order of the page."""
    found = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg:
            entry = importlib.import_module(f"{__package__}.{module.name}").ANALYSIS
            if entry.name != module.name:
                raise ValueError(f"analyses/{module.name} holds the entry of {entry.name}")
            found.append(entry)
    return {entry.name: entry for entry in sorted(found, key=lambda e: (e.place, e.name))}


def from_file(name: str, path: Path, shown: str = "") -> Analysis:
    """Return the analysis of a user's file.

    Args:
        name: by which the configuration calls it.
        path: of the file.
        shown: the path as the configuration has it.

    Raises:
        UserError: there is no such file, it cannot be run, or it holds no proper entry.
    """
    shown = shown or str(path)
    if not path.is_file():
        raise UserError(f"analyses.{name}.file: found {shown!r}, where there is no file")
    try:
        module = load_file(path)
    except Exception as error:
        raise UserError(
            f"analyses.{name}.file: {shown} cannot be run ({type(error).__name__}: {error})"
        ) from error
    entry = getattr(module, "ANALYSIS", None)
    if not isinstance(entry, Analysis):
        raise UserError(
            f"analyses.{name}.file: {shown} defines no ANALYSIS = Analysis(...); "
            "README.md shows one of twenty lines"
        )
    if entry.name != name:
        raise UserError(
            f"analyses.{name}.file: the entry in {shown} is named {entry.name!r}; use one name"
        )
    if entry.name in built_in():
        raise UserError(f"analyses.{name}.file: {name} is the name of a built-in analysis")
    made = Analysis(**{**vars(entry), "file": path})
    try:
        made.check()
    except ValueError as error:
        raise UserError(f"analyses.{name}.file: {shown}: {error}") from error
    return made
