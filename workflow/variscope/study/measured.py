"""Models whose responses were measured elsewhere: their files, and what is checked of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variscope.designs.points import replicate_sizes
from variscope.errors import UserError
from variscope.inputs.axes import Layer
from variscope.inputs.scores import Answers
from variscope.study.config import designs_of
from variscope.study.findings import FoundModel

# What weights of such a model are called.
MEASURED = "measured"


def responses_of(model: Mapping[str, Any], variable_set: str, design: str) -> str:
    """Return the path of the responses to a set under a design; "" of a network."""
    template = model["responses"]
    return "" if template is None else str(template.format(set=variable_set, design=design))


def presented(blocks: int, replicates: int, rows: int, repeats: float) -> int:
    """Count the presentations of a design of so many rows a block, extra repeats among them."""
    sizes = replicate_sizes(blocks, replicates)
    return sum(size * rows + round(repeats * size * rows) for size in sizes)


def response_files(model: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return all files of a model's responses that are there, of a Zarr group those in it."""
    if model["responses"] is None:
        return []
    found = folder / model["responses"].format(set="*", design="*")
    pattern = found.relative_to(found.anchor).as_posix()
    paths = sorted(Path(found.anchor or ".").glob(pattern))
    return [
        file
        for path in paths
        for file in ([path] if path.is_file() else sorted(path.rglob("*")))
        if file.is_file()
    ]


def measured_model(
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    spaces: Mapping[str, Any],
    folder: Path,
) -> FoundModel:
    """Check all responses of a model against what was exported.

    Args:
        model: its part of the configuration.
        config: completed.
        spaces: of the variable sets, by name.
        folder: what relative paths start at.

    Returns:
        A layer for each region. Without layers where nothing has come back yet.

    Raises:
        UserError: a file is missing where others are there, or does not fit what was exported.
    """
    from variscope.designs import Design
    from variscope.responses.measured.presentations import presentations
    from variscope.responses.measured.reading import read_responses
    from variscope.responses.measured.sums import measured_sums

    wanted = {
        (name, kind): folder / responses_of(model, name, kind)
        for name in spaces
        for kind in designs_of(config)
    }
    missing = [path for path in wanted.values() if not path.exists()]
    notes = ["responses that were measured elsewhere: no analysis that runs a network is about it"]
    if len(missing) == len(wanted):
        notes.append(f"{missing[0]} is not there yet; snakemake export writes what to present")
        return _found((), notes)
    if missing:
        raise UserError(f"responses: {missing[0]} is missing, while others are there")
    if len(set(wanted.values())) < len(wanted):
        raise UserError(
            f"responses: found {model['responses']!r} for {len(wanted)} studies; allowed: a file "
            "for each, with {set} and {design} in its path"
        )
    sizes: dict[str, int] = {}
    for (name, kind), path in wanted.items():
        design = Design(kind, spaces[name].groups, **designs_of(config)[kind], seed=config["seed"])
        shown = presentations(design, spaces[name], config["export"]["repeats"])
        responses = read_responses(path, shown)
        found = {region: values.shape[1] for region, values in responses.regions.items()}
        if sizes and found != sizes:
            raise UserError(
                f"responses: {path} has {_described(found)}, and another file "
                f"{_described(sizes)}; allowed: the same in all"
            )
        sizes = found
        first = next(iter(responses.regions.values()))
        # One unit shows whether enough blocks are whole.
        dropped = measured_sums(first[:, :1], responses.present, shown, design).dropped
        if responses.missing:
            notes.append(
                f"{responses.missing:,} of {len(shown):,} presentations of {name}, {kind} are "
                f"missing, and {dropped:,} of {sum(design.sizes):,} blocks are left out for it"
            )
    return _found(tuple(Layer(name, (units,)) for name, units in sizes.items()), notes)


def _found(layers: tuple[Layer, ...], notes: list[str]) -> FoundModel:
    return FoundModel(
        layers=layers,
        positions=tuple(range(len(layers))),
        mean=[],
        std=[],
        memory="contiguous",
        parameters=0,
        outputs=0,
        largest_output=0,
        weights=MEASURED,
        answers=Answers(),
        notes=notes,
    )


def _described(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} of {units:,} units" for name, units in sizes.items())
