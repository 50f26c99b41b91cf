"""A layer: its name, its output, what the output's axes are, and how they are reported.

Imports no torch: the plan, the stores and the pictures read it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any
from urllib.parse import quote

from variscope.errors import UserError

# The kinds of outputs for one image, each by its axes in the order in which they are reported.
KINDS = (
    ("unit",),
    ("neuron",),
    ("token", "feature"),
    ("channel", "y", "x"),
    ("channel", "z", "y", "x"),
)


@dataclass(frozen=True)
class Layer:
    """A module's output, from the probe to the pictures.

    Attributes:
        name: of the module, with the place in its output where that is a tuple or a mapping:
            ``"lstm[0]"``, ``"encoder[last_hidden_state]"``.
        output: shape of what the module gives for one image, without the batch dimension.
        axes: names of the output's axes in the order in which the network puts them out; empty
            where they are not known.
        prefix: what the first tokens are that are not patches, "class" or "register"; of tokens.
        grid: rows and columns of the patches that the other tokens are, row by row; of tokens.
        softmax: whether softmax over the classes is applied to the output.
    """

    name: str
    output: tuple[int, ...]
    axes: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    grid: tuple[int, int] | None = None
    softmax: bool = False

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the reported dimensions; numbered where the axes are not known."""
        if len(self.output) < 2:
            return ("neuron",) if self.output else ("unit",)
        for kind in KINDS:
            if self.axes and sorted(kind) == sorted(self.axes):
                return kind
        return tuple(f"unit_{axis}" for axis in range(len(self.output)))

    @property
    def order(self) -> tuple[int, ...]:
        """The output's axis that each reported dimension is."""
        if len(self.output) < 2 or not self.axes:
            return tuple(range(len(self.output)))
        return tuple(self.axes.index(dim) for dim in self.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the units as reported, ``(*unit)``."""
        return tuple(self.output[axis] for axis in self.order) if self.output else (1,)

    @property
    def units(self) -> int:
        """The number of units, scalar outputs."""
        return prod(self.output)

    @property
    def aggregates(self) -> int:
        """The number of channels, or of tokens and features, that have aggregates of their own."""
        kept = {"channel": self.shape[:1], "token": self.shape}
        return sum(kept.get(self.dims[0], ())) if len(self.dims) > 1 else 0

    @property
    def tokens(self) -> tuple[str, ...]:
        """What each token is: "class", "register", "patch", or "token" where it is not known."""
        if self.dims != ("token", "feature"):
            return ()
        others = self.shape[0] - len(self.prefix)
        return self.prefix + ("patch" if self.grid else "token",) * others

    @property
    def in_plane(self) -> bool:
        """Whether the units lie in the plane of the image, channels or patches, at some places."""
        if self.dims == ("channel", "y", "x"):
            return self.shape[1] * self.shape[2] > 1
        return self.grid is not None and self.grid[0] * self.grid[1] > 1

    def arranged(self, output: Any) -> Any:
        """Return an output tensor ``(n, *output)`` as it is reported, ``(n, *unit)``; a view."""
        if not self.output:
            return output[:, None]
        if self.order == tuple(range(len(self.output))):
            return output
        return output.permute(0, *(axis + 1 for axis in self.order))

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_json` reads it."""
        return {
            "name": self.name,
            "output": list(self.output),
            "axes": list(self.axes),
            "prefix": list(self.prefix),
            "grid": list(self.grid) if self.grid else None,
            "softmax": self.softmax,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Layer:
        """Return the layer that `to_json` wrote."""
        grid = content["grid"]
        return cls(
            content["name"],
            tuple(content["output"]),
            tuple(content["axes"]),
            tuple(content["prefix"]),
            (int(grid[0]), int(grid[1])) if grid else None,
            content["softmax"],
        )


def file_name(layer: str) -> str:
    """Return a layer's name as files and directories bear it.

    Letters, digits, ``_``, ``.``, ``-`` and ``~`` stay; brackets, slashes and others are
    percent-encoded (RFC 3986), so that different layers have different files in one folder.

    Example:
        >>> file_name("stage1.0"), file_name("lstm[0]")
        ('stage1.0', 'lstm%5B0%5D')
    """
    return quote(layer, safe="")


def given_axes(name: str, text: str, output: tuple[int, ...]) -> tuple[str, ...]:
    """Return the axes of an output as the settings say them, such as "y x channel".

    Raises:
        UserError: another number of axes than the output has, or axes that no kind of output has.

    Example:
        >>> given_axes("patches", "feature token", (64, 17))
        ('feature', 'token')
    """
    axes = tuple(text.replace(",", " ").split())
    allowed = [kind for kind in KINDS if len(kind) == max(1, len(output))]
    if any(sorted(axes) == sorted(kind) for kind in allowed):
        return axes
    problem = ""
    if len(axes) != max(1, len(output)):
        problem = f", {len(axes)} axes for an output of {len(output)}"
    words = " or ".join(repr(" ".join(kind)) for kind in allowed)
    order = ", in the order of the output" if len(output) > 1 else ""
    raise UserError(
        f"axes: {name}: found {text!r}{problem}; its output for one image has the shape "
        f"{output}; allowed: {words + order if words else 'nothing, its axes are numbered'}"
    )
