"""A model's network as an analysis is given it: opened, on its device, with what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from variscope.inputs.axes import Layer
from variscope.inputs.images import ImageTable
from variscope.inputs.opening import open_network
from variscope.inputs.scores import Answers
from variscope.inputs.values import MEMORY_FORMATS
from variscope.responses.network.evaluator import Evaluator
from variscope.space.space import Space


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that is ready to run.

    Attributes:
        name: of the model.
        model: in eval mode, on ``device``, its parameters laid out as ``memory`` says.
        layers: that are studied, in the order of the network.
        mean, std: its normalisation, of each channel.
        batch_size: images of one forward pass.
        device: torch device.
        memory: ``"channels_last"`` or ``"contiguous"``.
        precision: what it computes in.
        threads: of torch on a CPU.
        answers: what can be measured of its answers.
    """

    name: str
    model: nn.Module
    layers: tuple[Layer, ...]
    mean: Sequence[float]
    std: Sequence[float]
    batch_size: int
    device: str = "cpu"
    memory: str = "channels_last"
    precision: str = "float32"
    threads: int = 1
    answers: Answers = field(default_factory=Answers)

    @property
    def scores(self) -> str | None:
        """The layer of class scores; None where none of the layers gives them."""
        return self.answers.scores

    @property
    def names(self) -> list[str] | None:
        """Names of the classes; None where they are not known."""
        return self.answers.names

    def evaluator(
        self, space: Space, images: ImageTable, layers: Sequence[Layer] | None = None
    ) -> Evaluator:
        """Return an evaluator of some of its layers, by default of all."""
        return Evaluator(
            self.model,
            self.layers if layers is None else layers,
            space,
            images,
            mean=self.mean,
            std=self.std,
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            memory=self.memory,
        )


def reopen_network(
    described: Mapping[str, Any], running: Mapping[str, Any], folder: Path, *, twin: bool = False
) -> Network:
    """Open the network of a model in a job of an analysis.

    Args:
        described: ``name``, ``model`` and, where there is one, ``twin`` (of
            `variscope.study.experiment.Experiment.network`), ``layers``, ``trained`` (the state
            dict of one that is trained here, or ""), ``classes`` of the data, ``image_shape``,
            ``answers``, ``precision`` and ``seed``.
        running: ``at_once``, ``device`` and ``threads``.
        folder: what relative paths start at.
        twin: the untrained twin instead.

    Raises:
        ValueError: there is no twin.
    """
    model = described["twin" if twin else "model"]
    if model is None:
        raise ValueError(f"the model {described['name']} has no untrained twin")
    trained = Path(described["trained"]) if described["trained"] and not twin else None
    network = open_network(
        model,
        described["classes"],
        folder,
        described["seed"],
        trained,
        image_shape=tuple(described["image_shape"]),
    )
    network.to(running["device"])
    volumes = any(parameter.ndim == 5 for parameter in network.parameters())
    # Channels last is of four dimensions.
    network.to(memory_format=MEMORY_FORMATS["contiguous" if volumes else model["memory"]])
    return Network(
        name=described["name"],
        model=network,
        layers=tuple(map(Layer.from_json, described["layers"])),
        mean=model["mean"],
        std=model["std"],
        batch_size=running["at_once"],
        device=running["device"],
        memory=model["memory"],
        precision=described["precision"],
        threads=running["threads"],
        answers=Answers(**described["answers"]),
    )
