"""What the preflight found, typed: written by it, kept as JSON, read by the plan and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from variscope.inputs.axes import Layer
from variscope.inputs.scores import Answers


@dataclass(frozen=True)
class FoundDataset:
    """The images: settings as resolved, a summary, and what was skipped as (file, why)."""

    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    skipped: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class FoundModel:
    """A model as it was built and probed.

    Attributes:
        layers: that are studied.
        positions: of each layer in the network's own order.
        mean, std: of each channel, its normalisation.
        memory: ``"channels_last"`` or ``"contiguous"``.
        parameters: how many it has.
        outputs: of all its modules for one image.
        largest_output: of one of its modules for one image.
        weights: kind of its weights.
        answers: what can be measured of its answers.
        notes: what is worth knowing, in sentences.
        seconds: that evaluating one image took when this was found, by variable set. No job may
            depend on it.
    """

    layers: tuple[Layer, ...]
    positions: tuple[int, ...]
    mean: list[float]
    std: list[float]
    memory: str
    parameters: int
    outputs: int
    largest_output: int
    weights: str
    answers: Answers
    notes: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def position(self, layer: str) -> int:
        """Return where a layer stands in the network."""
        return self.positions[[one.name for one in self.layers].index(layer)]


@dataclass(frozen=True)
class FoundBounds:
    """What a parameter of an augmentation is drawn between, in its unit."""

    name: str
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class FoundVariable:
    """A variable of a set: its kind, its factors and, of an augmentation, what it is drawn from."""

    name: str
    kind: str
    factors: tuple[str, ...]
    description: str = ""
    bounds: tuple[FoundBounds, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundDesign:
    """Rows of a block, evaluations of the whole design, and whether these were counted in full."""

    rows_per_block: int
    evaluations: int
    exact: bool


@dataclass(frozen=True)
class FoundSet:
    """A variable set: its variables, the auxiliary ones by name, and what each design asks.

    Attributes:
        variables, auxiliary: of the set.
        designs: by kind.
        selects: whether units can be selected on images of part train, and those are not what is
            studied in any case.
    """

    variables: tuple[FoundVariable, ...]
    auxiliary: tuple[str, ...]
    designs: Mapping[str, FoundDesign]
    selects: bool = False


@dataclass(frozen=True)
class FoundTable:
    """A table as it was read.

    Attributes:
        name: by which the configuration calls it.
        rows, columns: of the network's inputs.
        features: names of the features.
        target: name of the column that is predicted.
        classes: names of the classes; none of a regression.
        notes: rules that were applied, in sentences.
    """

    name: str
    rows: int
    columns: int
    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def memory_mb(self) -> dict[str, int]:
        """MiB of a job: one that runs the network, and one that reads what came of it."""
        held = 20 * 8 * self.rows * self.columns // 2**20
        return {"evaluate": 600 + held, "analysis": 450 + held}


# What stands for the images where there are none.
NO_IMAGES = FoundDataset(
    {},
    {
        "images": 0,
        "classes": [],
        "labelled": False,
        "parts": "none",
        "clusters": 0,
        "channels": 0,
        "size": [0, 0],
        "images_per_class": {},
    },
    (),
)


@dataclass(frozen=True)
class Findings:
    """All that the preflight found.

    Attributes:
        dataset: the images; `NO_IMAGES` where there are tables alone.
        models, variable_sets: by their names.
        device: where jobs compute on this machine.
        tables: by their names.
    """

    dataset: FoundDataset
    models: Mapping[str, FoundModel]
    variable_sets: Mapping[str, FoundSet]
    device: str
    tables: Mapping[str, FoundTable] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold, and `of` reads."""
        found = asdict(self)
        for name, model in self.models.items():
            found["models"][name]["layers"] = [layer.to_json() for layer in model.layers]
        return found

    def settled(self) -> dict[str, Any]:
        """Return what `to_json` does, without what is measured anew each time: the seconds."""
        found = self.to_json()
        for model in found["models"].values():
            del model["seconds"]
        return found

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Findings:
        """Return what `to_json` wrote.

        Raises:
            KeyError, TypeError: it is of another version.
        """
        models = {
            name: FoundModel(
                **{
                    **model,
                    "layers": tuple(map(Layer.from_json, model["layers"])),
                    "positions": tuple(model["positions"]),
                    "answers": Answers(**model["answers"]),
                }
            )
            for name, model in found["models"].items()
        }
        sets = {
            name: FoundSet(
                tuple(map(_variable, one["variables"])),
                tuple(one["auxiliary"]),
                {kind: FoundDesign(**design) for kind, design in one["designs"].items()},
                one["selects"],
            )
            for name, one in found["variable_sets"].items()
        }
        dataset = found["dataset"]
        skipped = tuple((file, why) for file, why in dataset["skipped"])
        return cls(
            FoundDataset(dataset["settings"], dataset["summary"], skipped),
            models,
            sets,
            found["device"],
            {name: _table(table) for name, table in found["tables"].items()},
        )


def _table(found: Mapping[str, Any]) -> FoundTable:
    texts = {key: tuple(found[key]) for key in ("features", "classes", "notes")}
    return FoundTable(**{**found, **texts})


def _variable(found: Mapping[str, Any]) -> FoundVariable:
    bounds = tuple(FoundBounds(**one) for one in found["bounds"])
    return FoundVariable(**{**found, "factors": tuple(found["factors"]), "bounds": bounds})
