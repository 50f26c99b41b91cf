"""Look before anything runs: open the images, build the models, probe layers, decode designs.

All that a schema cannot check is checked here, so that bad input ends with one message before the
first job. The Snakefile runs it as a process of its own, ``python -m variscope.study.preflight``:
it imports torch. What it found is kept for as long as nothing that it depends on changes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from variscope.errors import UserError
from variscope.inputs.axes import KINDS, Layer
from variscope.study.choosing import chosen
from variscope.study.config import designs_of
from variscope.study.controls import SELECTED_ON, selects
from variscope.study.findings import (
    NO_IMAGES,
    Findings,
    FoundBounds,
    FoundDataset,
    FoundDesign,
    FoundModel,
    FoundSet,
    FoundTable,
    FoundVariable,
)
from variscope.study.measured import measured_model

# Rows that are decoded to count those that repeat; more are extrapolated, and said to be.
_ROWS_COUNTED = 200_000


def preflight(config: Mapping[str, Any], folder: Path) -> Findings:
    """Check a completed configuration against what it names, and say what it amounts to.

    Args:
        config: from `variscope.study.config.complete`.
        folder: what relative paths start at.

    Raises:
        UserError: the first thing that is wrong, by its key.
    """
    import torch

    from variscope.inputs.images import open_images
    from variscope.inputs.opening import dataset_settings
    from variscope.responses.network.device import choose_device
    from variscope.space import augmentations

    with _naming("evaluation"):
        device = choose_device(config["evaluation"]["device"])
    tables = {name: _table(name, config["tables"][name], folder) for name in config["tables"]}
    if config["dataset"] is None:
        return Findings(NO_IMAGES, {}, {}, device, tables)
    if config["evaluation"]["compile"]:
        from variscope.responses.network.compiled import check_compiling

        check_compiling(device)
    analyses = [one.analysis for one in chosen(config["analyses"], folder)]
    dataset = dataset_settings(config, folder, selects(analyses))
    images = open_images(dataset, seed=config["seed"], folder=folder)
    with _naming("augmentations"):
        for file in config["augmentations"]:
            augmentations.load_file(folder / file)
    sets, spaces = {}, {}
    for name, variable_set in config["variable_sets"].items():
        with _naming(f"variable_sets.{name}"):
            sets[name], spaces[name] = _space(variable_set, config, images, folder)
    torch.set_num_threads(1)
    models = {}
    for name, model in config["models"].items():
        with _naming(f"models.{name}"):
            if model["responses"] is not None:
                models[name] = measured_model(model, config, spaces, folder)
                continue
            models[name], network = _model(
                model, config["seed"], images, folder, config["training"]
            )
            seconds = _seconds(network, models[name], spaces, images, device, config)
            models[name] = replace(models[name], seconds=seconds)
    return Findings(
        FoundDataset(dataset, images.summary(), images.skipped), models, sets, device, tables
    )


def _table(name: str, settings: Mapping[str, Any], folder: Path) -> FoundTable:
    from variscope.inputs.tables.opening import open_table

    table = open_table(name, settings, folder)
    return FoundTable(
        name=name,
        rows=len(table),
        columns=table.values.shape[1],
        features=tuple(feature.name for feature in table.features),
        target=table.target_name,
        classes=table.classes,
        notes=table.notes,
    )


def _space(
    variable_set: Mapping[str, Any], config: Mapping[str, Any], images: Any, folder: Path
) -> tuple[FoundSet, Any]:
    from variscope.inputs.spaces import make_space
    from variscope.inputs.values import images_to_look_at
    from variscope.space.trying import try_augmentation

    space = make_space(variable_set, images, config["augmentations"], folder)
    augmentations = {a.name: a for a in space.augmentations}
    some = images_to_look_at(images)
    for augmentation in space.augmentations:
        try_augmentation(augmentation, space.bounds(augmentation), some)
    variables = []
    for variable in space.variables:
        found = FoundVariable(variable.name, variable.kind, tuple(variable.factors))
        if variable.name in augmentations:
            augmentation = augmentations[variable.name]
            found = replace(
                found,
                description=augmentation.description,
                bounds=tuple(
                    FoundBounds(parameter.name, low, high, parameter.unit)
                    for parameter in augmentation.parameters
                    for low, high in [parameter.bounds(*space.size)]
                ),
                options={key: _plain(value) for key, value in augmentation.options.items()},
            )
        variables.append(found)
    designs = {
        kind: _count(space, kind, sizes, config["seed"])
        for kind, sizes in designs_of(config).items()
    }
    selectable = _holds_train(space)
    return FoundSet(tuple(variables), tuple(space.auxiliary), designs, selectable), space


def _holds_train(space: Any) -> bool:
    """Say whether a set can be studied on images of part train alone, and is not already."""
    if "part" not in space.auxiliary and space.part == SELECTED_ON:
        return False
    try:
        replace(space, hold=SELECTED_ON)
    except UserError:
        return False
    return True


def _count(space: Any, kind: str, sizes: Mapping[str, int], seed: int) -> FoundDesign:
    """Count the rows of a design that repeat an earlier row of their block."""
    from variscope.designs import Design

    replicates = sizes["replicates"]
    rows = Design(kind, space.groups, sizes["blocks"], replicates, seed).rows
    at_most = max(replicates, _ROWS_COUNTED // rows)
    counted = min(sizes["blocks"], at_most)
    design = Design(kind, space.groups, counted, replicates, seed)
    evaluations = 0
    for replicate in range(replicates):
        points = design.replicate(replicate).points
        recipes = space.decode(points.reshape(-1, points.shape[-1]))
        evaluations += len(recipes.repeats(len(points))[0])
    exact = counted == sizes["blocks"]
    total = evaluations if exact else round(evaluations / counted * sizes["blocks"])
    return FoundDesign(rows, total, exact)


def _model(
    model: Mapping[str, Any], seed: int, images: Any, folder: Path, training: Mapping[str, Any]
) -> tuple[FoundModel, Any]:
    import torch

    from variscope.inputs.answers import answers_of
    from variscope.inputs.layers import largest_output, outputs_of_all, positions, probe
    from variscope.inputs.models import build, categories, check_weights, resolve_weights
    from variscope.inputs.normalisation import normalisation
    from variscope.inputs.training import check_training, normalised
    from variscope.inputs.values import check_values, images_to_look_at

    classes = len(images.classes)
    shape = (images.channels, *images.size)
    weights = resolve_weights(model["weights"], model["factory"], folder)
    network = build(
        model["factory"],
        arguments=model["arguments"],
        classes=classes if weights.kind == "train" else None,
        channels=images.channels,
        folder=folder,
        seed=seed,
        image_shape=shape,
    )
    weights = check_weights(model["weights"], model["factory"], folder, model=network, load=True)
    normal = normalisation(model, network, folder, shape[0])
    layers = probe(network, model["layers"], shape, model["softmax"], model["axes"])
    notes = [str(normal), *weights.notes]
    bare = [replace(layer, softmax=False) for layer in layers]
    memory = check_values(network, bare, images_to_look_at(images), normal.mean, normal.std)
    if memory != "channels_last":
        notes.append("its memory is contiguous, since it does not take channels last")
    if weights.kind == "train":
        notes += check_training(
            network, images, normal.mean, normal.std, batch_size=training["batch_size"]
        )
    if weights.kind == "none":
        notes.append("the network is as its factory makes it")
    if weights.needs_download:
        notes.append(f"{weights.path} is not here yet and will be downloaded")
    for layer in layers:
        if layer.dims[0] == "unit_0":
            notes.append(
                f"axes: those of {layer.name}, {layer.output}, are not known and are numbered; "
                f'a line such as axes: {{"{layer.name}": "{_example(layer)}"}} names them'
            )
    two = normalised(images.load([0, min(1, len(images) - 1)]), normal.mean, normal.std)
    known = categories(model["factory"], model["weights"], folder)
    answers = answers_of(network, bare[-1], two, images.classes, known)
    with torch.no_grad():
        parameters = sum(p.numel() for p in network.parameters())
    found = FoundModel(
        layers=tuple(layers),
        positions=tuple(positions(network, layers, shape)),
        mean=normal.mean,
        std=normal.std,
        memory=memory,
        parameters=parameters,
        outputs=outputs_of_all(network, shape),
        largest_output=largest_output(network, shape),
        weights=weights.kind,
        answers=answers,
        notes=notes,
    )
    return found, network


def _seconds(
    network: Any,
    model: FoundModel,
    spaces: Mapping[str, Any],
    images: Any,
    device: str,
    config: Mapping[str, Any],
) -> dict[str, float]:
    """Time the evaluation of an image of each variable set, as its jobs do it."""
    import torch

    from variscope.designs import Design
    from variscope.responses.network.batches import batch_size_for
    from variscope.responses.network.evaluator import Evaluator

    batch_size = config["evaluation"]["batch_size"]
    found = {}
    torch.set_num_threads(config["evaluation"]["threads"])
    for name, space in spaces.items():
        evaluator = Evaluator(
            network,
            model.layers,
            space,
            images,
            mean=model.mean,
            std=model.std,
            batch_size=batch_size_for(model.outputs, device)
            if batch_size == "auto"
            else batch_size,
            device=device,
            precision=config["evaluation"]["precision"],
            memory=model.memory,
        )
        points = Design("cycle", space.groups, 64, 2, config["seed"]).replicate(0).points
        recipes = space.decode(points.reshape(-1, points.shape[-1]))
        found[name] = evaluator.seconds_per_image(recipes)
    torch.set_num_threads(1)
    return found


def _example(layer: Layer) -> str:
    fitting = [kind for kind in KINDS if len(kind) == len(layer.output)]
    return " ".join(fitting[0]) if fitting else "..."


@contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def main() -> int:
    """Read ``{"config": ..., "folder": ...}``, write ``{"found": ...}`` or ``{"error": ...}``."""
    request = json.load(sys.stdin)
    answer: dict[str, Any]
    # What a user's factory prints, be it in C, must not mix with the answer.
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        try:
            answer = {"found": preflight(request["config"], Path(request["folder"])).to_json()}
        except UserError as error:
            answer = {"error": str(error)}
        json.dump(answer, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
