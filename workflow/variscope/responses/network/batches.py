"""How many images one forward pass has where the setting is auto; imports no torch."""

from __future__ import annotations

MIB = 2**20

# What a batch's outputs of all layers take at most, and the images. Altering images is many small
# operations, which keep a GPU busy where there are many images.
_BATCH_BYTES = {"cpu": 128 * MIB, "cuda": 1024 * MIB}
_LARGEST_BATCH = {"cpu": 256, "cuda": 1024}


def batch_size_for(units: int, device: str) -> int:
    """Return the images of one forward pass where the setting is auto.

    It follows from the units and the kind of the device, and not from the memory that is free:
    which rows make up a batch decides the last bits of the outputs. Where memory is short the
    evaluator halves it.
    """
    kind = device.partition(":")[0]
    return min(_LARGEST_BATCH[kind], max(1, _BATCH_BYTES[kind] // (4 * units)))
