"""Which layers a folder of shards is of: ``layers.json`` beside them, written before the first."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from variscope.inputs.axes import Layer

_FILE = "layers.json"


def write_layers(shard: Path, layers: Sequence[Layer]) -> None:
    """Write the layers of a shard's folder, if they are not there yet.

    Args:
        shard: that is about to be written; several may begin together.
        layers: of all shards of the folder.
    """
    file = shard.parent / _FILE
    if file.is_file():
        return
    shard.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".partial.{shard.name}.{_FILE}")
    partial.write_text(json.dumps([layer.to_json() for layer in layers], indent=1))
    os.replace(partial, file)


def read_layers(folder: Path) -> tuple[Layer, ...] | None:
    """Return the layers that a folder of shards is of; None where nothing readable says so."""
    try:
        return tuple(map(Layer.from_json, json.loads((folder / _FILE).read_text())))
    except (OSError, ValueError, KeyError, TypeError):
        return None
