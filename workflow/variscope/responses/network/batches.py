"""How many images one forward pass has where the setting is auto; imports no torch."""

from __future__ import annotations

from variscope.designs.cells import largest_power

MIB = 2**20

# What the outputs of all modules of a batch take together. At any moment a few of them are there,
# and those of the chosen layers, which are a twentieth of all where layers are auto. Altering
# images is many small operations, which keep a GPU busy where there are many images.
_BATCH_BYTES = {"cpu": 2560 * MIB, "cuda": 20480 * MIB}
_LARGEST_BATCH = {"cpu": 256, "cuda": 1024}


def batch_size_for(outputs: int, device: str) -> int:
    """Return the images of one forward pass where the setting is auto.

    It follows from the network, the images' size and the kind of the device, and neither from the
    memory that is free nor from the layers that are chosen: which rows make up a batch decides the
    last bits of the outputs. Where memory is short the evaluator halves it.

    Args:
        outputs: of all modules for one image, `variscope.inputs.layers.outputs_of_all`.
        device: "cpu", "cuda" or "cuda:N".
    """
    kind = device.partition(":")[0]
    return min(_LARGEST_BATCH[kind], max(1, _BATCH_BYTES[kind] // (4 * outputs)))


def blocks_at_once(batch_size: int, rows: int) -> int:
    """Return how many blocks of this many rows a batch holds: a power of two, at least one."""
    return largest_power(max(1, batch_size // rows))
