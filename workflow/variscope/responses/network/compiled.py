"""A network that torch.compile has compiled, with its layers' outputs among what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FunctionType
from typing import Any

import torch
from torch import nn

from variscope.errors import UserError
from variscope.inputs.layers import Layer, place_of, reporter
from variscope.log import LOG

# Versions of a piece of code, above which torch would run it uncompiled and not say so. A network
# that compiles whole needs two; in one that falls into pieces, layers of a kind share their code.
_VERSIONS = 128

_UNCOMPILED = "evaluation.compile: false runs the network uncompiled"


class Compiled:
    """A network compiled once for all batch sizes, that returns its layers' outputs.

    Hooks that hand outputs out, as `variscope.inputs.layers.capture` has them, would end a compiled
    piece at every layer. Here they are part of what is compiled: each copies its layer's output,
    before a later layer works in place on it, and the copies are what the compiled code returns.

    Which compiled code a batch meets depends on its size alone, and never on the batches before:
    the number of images is dynamic from the first call on, and the code is made for the largest
    batch. Only a batch of one image has code of its own, as torch has it. So a shard gives the same
    bits wherever it starts.

    Args:
        model: in eval mode, on its device. The hooks stay on it.
        layers: in the order of what is returned.
        memory: layout of the images.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        memory: torch.memory_format = torch.channels_last,
    ) -> None:
        self._memory = memory
        self._layers = tuple(layer.name for layer in layers)
        self._ready: set[str] = set()
        self._compiled: Callable[[torch.Tensor], tuple[torch.Tensor, ...]] | None = None
        caught: dict[str, torch.Tensor] = {}

        def hook(layer: Layer) -> Callable[[nn.Module, Any, Any], None]:
            name, reported = layer.name, reporter(model, layer)

            def catch(module: nn.Module, inputs: Any, output: Any) -> None:
                # In the layout and precision that is handed on, so that the layer's own loop
                # writes it, and no other pass over the memory.
                caught[name] = reported(output).to(
                    torch.float32, memory_format=torch.contiguous_format, copy=True
                )

            return catch

        modules = dict(model.named_modules(remove_duplicate=False))
        for layer in layers:
            module, _ = place_of(model, layer.name)
            modules[module].register_forward_hook(hook(layer))

        def forward(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            # Empty before and after: to the compiler nothing outlives a call.
            caught.clear()
            model(images)
            outputs = tuple(caught[name] for name in self._layers)
            caught.clear()
            return outputs

        # Torch keeps compiled code by the code that it was made from: two networks share none.
        self._forward = FunctionType(
            forward.__code__.replace(), globals(), closure=forward.__closure__
        )

    def __call__(
        self, images: torch.Tensor, at_most: int, precision: str
    ) -> dict[str, torch.Tensor]:
        """Return each layer's outputs, ``(n, *unit)``, float32, contiguous and nobody else's.

        Args:
            images: ``(n, C, H, W)``, in that layout, made and run in inference mode.
            at_most: images of the largest batch.
            precision: that is on (`device.computing_in`). The first call in each compiles, which
                takes seconds to minutes.

        Raises:
            UserError: the network cannot be compiled.
            torch.OutOfMemoryError: the batch does not fit into the device's memory.
        """
        with _compiling():
            if precision not in self._ready:
                self._prepare(images, at_most)
                self._ready.add(precision)
            return dict(zip(self._layers, self._run(images), strict=True))

    def _prepare(self, images: torch.Tensor, at_most: int) -> None:
        """Compile for the largest batch, and see that another size needs nothing new."""
        from torch._dynamo.utils import counters

        start, graphs = monotonic(), counters["stats"]["unique_graphs"]
        breaks = sum(counters["graph_break"].values())
        # Where a network falls into pieces, the sizes of what passes between them become dynamic
        # with the second size only. The code for any size is then what torch tries first.
        for size in (at_most, (at_most + 1) // 2):
            self._run(images.new_zeros((size, *images.shape[1:])).to(memory_format=self._memory))
        graphs = counters["stats"]["unique_graphs"] - graphs
        if not graphs and not self._ready:
            raise UserError(
                "evaluation.compile: torch.compile compiles nothing of this network, or is "
                f"switched off by its environment variables; {_UNCOMPILED}"
            )
        breaks = sum(counters["graph_break"].values()) - breaks
        LOG.info(
            "compiled in %.1f s: %d graphs, %d breaks where Python runs between them",
            monotonic() - start, graphs, breaks,
        )  # fmt: skip

    def _run(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self._compiled is None:
            self._compiled = torch.compile(self._forward, options=_options())
        if len(images) > 1:  # torch has code of its own for one
            torch._dynamo.mark_dynamic(images, 0)
        return self._compiled(images)


def check_compiling(device: str) -> None:
    """Compile one line for a device, to see whether torch.compile works here at all.

    Raises:
        UserError: it does not; the message says what is missing.
    """
    with _compiling():
        torch.compile(lambda values: torch.relu(values + 1))(torch.ones(8, device=device))


def _options() -> dict[str, Any]:
    import torch._inductor

    # The number of threads is compiled in. It stands among the options so that it is part of the
    # key under which compiled code is kept on the disk.
    options: dict[str, Any] = {"cpp.threads": torch.get_num_threads()}
    # No choice between kernels by their timing, which would differ between runs. Not every torch
    # has this option.
    if "deterministic" in torch._inductor.list_options():
        options["deterministic"] = True
    return options


@contextmanager
def _compiling() -> Iterator[None]:
    """Let torch.compile fail aloud, and say what to do about it.

    It would otherwise run uncompiled what it has compiled too often, or cannot compile where an
    environment variable has it so.
    """
    import torch._dynamo
    import torch._inductor.config

    dynamo: Any = torch._dynamo.config
    inductor: Any = torch._inductor.config
    try:
        with (
            dynamo.patch(
                suppress_errors=False,
                fail_on_recompile_limit_hit=True,
                recompile_limit=_VERSIONS,
                # By default compiled code is thought to fit a module with other hooks, too.
                skip_nnmodule_hook_guards=False,
            ),
            # By default a process for every core of the machine, in each of a study's jobs.
            inductor.patch(compile_threads=torch.get_num_threads()),
        ):
            yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of dynamo, of the backend, of Triton: they share no class
        chain = list(_causes(error))
        for cause in chain:
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
        if any(type(cause).__name__ == "InvalidCxxCompiler" for cause in chain):
            problem = (
                "torch.compile needs a C++ compiler, and finds none that works; install g++, or "
                "name one in the environment variable CXX"
            )
        elif any(type(cause).__name__ == "ConstraintViolationError" for cause in chain):
            problem = (
                "the network's code depends on the number of images, so that torch.compile would "
                "compile it again for every batch size"
            )
        else:
            text = " ".join(str(error).split("\n\nSet TORCHDYNAMO")[0].split())
            problem = f"torch.compile fails: {type(error).__name__}: {text[:300]}"
        raise UserError(f"evaluation.compile: {problem}; {_UNCOMPILED}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
