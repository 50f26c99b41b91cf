"""What an augmentation is: an operation on a batch, its random parameters and its options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.space.images import level

Operation = Callable[..., torch.Tensor]
Check = Callable[[Any], Any]

# Elements of the images that an operation sees at once on a CPU: its temporary arrays then stay in
# the cache, which is up to four times as fast for large images, and need little memory.
_CPU_BLOCK = 2**19


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One scalar parameter of an augmentation, drawn uniformly within its bounds.

    Args:
        name: the key by which a study overrides the bounds.
        low, high: the bounds. Where `scale` is not "none" they are fractions of the image's height,
            width or smaller side ("size"), so that one definition serves images of any size.
        unit: the unit of the value that the operation receives ("pixels", "degrees").
        scale: what `low` and `high` are fractions of.
        minimum, maximum: what the operation allows; bounds given by a user must stay within.
        integer: the value is one of the whole numbers within the bounds, each with the same
            probability.

    Raises:
        UserError: if the bounds are not finite, not in order, or not allowed.

    Example:
        >>> shift = Parameter(name="shift", low=0.0, high=0.25, unit="pixels", scale="width")
        >>> shift.bounds(height=32, width=64)
        (0.0, 16.0)
        >>> levels = Parameter(name="levels", low=2, high=5, integer=True)
        >>> levels.decode(np.array([0.0, 0.3, 0.999]), height=32, width=64)
        array([2., 3., 5.])
    """

    name: str
    low: float
    high: float
    unit: str = ""
    scale: Literal["none", "height", "width", "size"] = "none"
    minimum: float = -math.inf
    maximum: float = math.inf
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise UserError(f"a parameter is named {self.name!r}; allowed: a Python identifier")
        if self.scale not in ("none", "height", "width", "size"):
            raise UserError(
                f"parameter {self.name}: scale is {self.scale!r}; allowed: none, height, width, "
                "size"
            )
        self._check((self.low, self.high), f"parameter {self.name}", self.scale)

    def bounds(self, height: int, width: int) -> tuple[float, float]:
        """Return the lowest and highest value for images of `height` x `width` pixels, in `unit`.

        Of an integer they are whole numbers.
        """
        sides = {"none": 1, "height": height, "width": width, "size": min(height, width)}
        low, high = self.low * sides[self.scale], self.high * sides[self.scale]
        if not self.integer:
            return low, high
        first, last = _whole_numbers(low, high)
        if first > last:  # no whole number lies within: take the nearest one
            first = last = round((low + high) / 2)
        return float(first), float(last)

    def decode(self, u: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
        """Return the values of coordinates `u` in [0, 1), for images of `height` x `width` pixels.

        Uniform between the bounds; of an integer, low + floor(u * levels), so that equal levels
        are equal values, and the last is never exceeded.
        """
        low, high = self.bounds(height, width)
        if self.integer:
            return low + level(u, int(high - low) + 1).astype(np.float64)
        return low + u * (high - low)

    def with_bounds(self, bounds: Any, owner: str) -> Parameter:
        """Return this parameter with `bounds`, two numbers in `unit` that no longer scale.

        Raises:
            UserError: naming `owner` and the parameter, if `bounds` are not two finite numbers in
                ascending order within what the operation allows.
        """
        low, high = self._check(bounds, f"{owner}: {self.name}", "none")
        return replace(self, low=low, high=high, scale="none")

    def _check(self, bounds: Any, where: str, scale: str) -> tuple[float, float]:
        allowed = "two finite numbers, the lower one first" + _limits(self.minimum, self.maximum)
        if (
            not isinstance(bounds, Sequence)
            or isinstance(bounds, str)
            or len(bounds) != 2
            or not all(_is_finite_number(bound) for bound in bounds)
            or not self.minimum <= bounds[0] <= bounds[1] <= self.maximum
        ):
            raise UserError(f"{where} is {_shown(bounds)}; allowed: {allowed}")
        low, high = float(bounds[0]), float(bounds[1])
        if self.integer and scale == "none":
            first, last = _whole_numbers(low, high)
            if first > last:
                raise UserError(
                    f"{where} is {_shown(bounds)}; allowed: bounds with a whole number within"
                )
        return low, high


@dataclass(frozen=True)
class Augmentation:
    """An operation on a batch of images with one vector of parameters per image.

    Args:
        name: the name of the variable.
        operation: a pure function `(images, parameters, **options)`, image by image: what becomes
            of an image must not depend on the others in the batch.
        parameters: the random parameters, in the order of the columns of the parameter array.
        options: the settings that are the same for all images.
        description: one sentence for reports.
        checks: for each option that needs one, a function which returns the accepted value or
            raises a ValueError that says what is allowed.
        of_color: it means something on images of three channels only.

    Example:
        >>> scale = Augmentation("scale", torch.mul, (Parameter(name="factor", low=0, high=2),))
        >>> wider = scale.with_overrides({"factor": [0.5, 3.0]})
        >>> wider.parameters[0].bounds(height=32, width=32)
        (0.5, 3.0)
    """

    name: str
    operation: Operation
    parameters: tuple[Parameter, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    description: str = ""
    checks: Mapping[str, Check] = field(default_factory=dict, repr=False, compare=False)
    of_color: bool = False

    def __call__(self, images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        """Apply the operation.

        Args:
            images: `(n, C, H, W)`, C of 1 or 3, floating point, values in [0, 1]; never modified.
            parameters: `(n, k)` with one column for each of `self.parameters`, on the same device.

        Returns:
            New contiguous images of the same shape, the same dtype and device, clamped to [0, 1].

        Raises:
            TypeError: if the images are not of a floating point type.
            ValueError: if a shape is not as above, or the operation changes the shape or the dtype.
        """
        self._check_arrays(images, parameters)
        output = torch.empty(images.shape, dtype=images.dtype, device=images.device)
        if images.numel() == 0:
            return output
        parameters = parameters.to(images.dtype)
        block = len(images)
        if images.device.type == "cpu":
            block = max(1, _CPU_BLOCK // images[0].numel())
        with torch.no_grad():
            for start in range(0, len(images), block):
                part = slice(start, start + block)
                altered = self.operation(images[part], parameters[part], **self.options)
                if altered.shape != output[part].shape or altered.dtype != output.dtype:
                    raise ValueError(
                        f"augmentation {self.name} made {altered.dtype} {tuple(altered.shape)} of "
                        f"{output.dtype} {tuple(output[part].shape)}; it must keep both"
                    )
                torch.clamp(altered, 0.0, 1.0, out=output[part])
        return output

    def with_overrides(self, overrides: Mapping[str, Any]) -> Augmentation:
        """Return this augmentation with other bounds of parameters or other options.

        Args:
            overrides: parameter name to `[low, high]`, in the unit of the parameter at the study's
                own image size (pixels are pixels: nothing scales), or option name to its value.

        Raises:
            UserError: on an unknown name, or on a value that is not allowed.
        """
        parameters = {parameter.name: parameter for parameter in self.parameters}
        options = dict(self.options)
        for key, value in overrides.items():
            if key in parameters:
                parameters[key] = parameters[key].with_bounds(value, self.name)
            elif key in options:
                options[key] = self._checked_option(key, value)
            else:
                known = ", ".join([*parameters, *options]) or "none"
                raise UserError(f"{self.name}: unknown key {key!r}; known: {known}")
        return replace(self, parameters=tuple(parameters.values()), options=options)

    def _check_arrays(self, images: torch.Tensor, parameters: torch.Tensor) -> None:
        if not images.is_floating_point():
            raise TypeError(f"images are {images.dtype}; allowed: floating point in [0, 1]")
        if images.ndim != 4 or images.shape[1] not in ((3,) if self.of_color else (1, 3)):
            allowed = "(n, 3, H, W)" if self.of_color else "(n, C, H, W) with C of 1 or 3"
            raise ValueError(f"images have shape {tuple(images.shape)}; allowed: {allowed}")
        expected = (len(images), len(self.parameters))
        if tuple(parameters.shape) != expected:
            raise ValueError(
                f"parameters of {self.name} have shape {tuple(parameters.shape)}; allowed: "
                f"{expected}, one row per image and one column per parameter"
            )

    def _checked_option(self, key: str, value: Any) -> Any:
        check = self.checks.get(key, partial(_like_default, default=self.options[key]))
        try:
            return check(value)
        except (TypeError, ValueError) as error:
            shown = _shown(value)
            raise UserError(f"{self.name}: {key} is {shown}; allowed: {error}") from error


def finite_number(value: Any, *, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """Return `value` as a float; raise a ValueError unless it is finite and within the limits."""
    if not _is_finite_number(value) or not minimum <= value <= maximum:
        raise ValueError("a finite number" + _limits(minimum, maximum))
    return float(value)


def _like_default(value: Any, *, default: Any) -> Any:
    """Check an option that brings no check of its own against the kind of its default."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value
    if isinstance(default, Real):
        return finite_number(value)
    if default is not None and not isinstance(value, type(default)):
        raise ValueError(f"a value of type {type(default).__name__}")
    return value


def _is_finite_number(value: Any) -> bool:
    """Tell whether `value` is a number that the float32 of the images can hold."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return abs(float(value)) <= torch.finfo(torch.float32).max
    except OverflowError:  # an int beyond the range of a float
        return False


def _whole_numbers(low: float, high: float) -> tuple[int, int]:
    """Return the first and last whole number in [low, high], forgiving rounding of fractions."""
    return math.ceil(low - 1e-9), math.floor(high + 1e-9)


def _limits(minimum: float, maximum: float) -> str:
    if math.isfinite(minimum) and math.isfinite(maximum):
        return f" within [{minimum:g}, {maximum:g}]"
    if math.isfinite(minimum):
        return f", at least {minimum:g}"
    return f", at most {maximum:g}" if math.isfinite(maximum) else ""


def _shown(value: Any) -> str:
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
