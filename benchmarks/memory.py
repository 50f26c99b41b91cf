"""Peak memory of the estimators beside other libraries, on the same activations.

Run it by ``python -m benchmarks.memory``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.measuring import Row, arguments, peak_bytes, write
from benchmarks.rivals import VARIABLES, Floats, Method, activations, methods

NOTES = """
By how much the resident memory of a process rises above the float32 activations of a star, D =
{variables}, {blocks} blocks, which it is given; each in a process of its own, compiled before.
`rearranged` includes the layout and precision that the method wants, `estimated` is the estimate
alone. Bytes per unit can be compared across methods; `of the activations` divides by the {values:,}
float32 values of a unit. Small numbers of units hide a constant part, so `units` differ as
stated.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    blocks, units = (16, 256) if options.quick else (1024, 4096)
    outputs = activations(blocks, units)
    values = outputs.shape[0] * outputs.shape[1]
    rows: list[Row] = []
    for method in methods():
        if method.name == "read":
            continue
        method.prepare(np.ascontiguousarray(outputs[:16, :, :4]))()  # compiles and imports
        count = max(2, int(units * min(1.0, 10 * method.share)))
        part = np.ascontiguousarray(outputs[..., :count])
        whole = peak_bytes(partial(_prepare_and_run, method, part))
        run = method.prepare(part)
        alone = peak_bytes(run)
        rows.append(
            {
                "method": method.name,
                "gives": method.gives,
                "units": count,
                "rearranged, bytes per unit": whole / count,
                "estimated, bytes per unit": alone / count,
                "of the activations": whole / count / (4 * values),
            }
        )
        del run
    notes = NOTES.format(variables=VARIABLES, blocks=blocks, values=values)
    write("memory", "Peak memory of the estimators", notes, rows, options)
    return rows


def _prepare_and_run(method: Method, outputs: Floats) -> None:
    method.prepare(outputs)()


if __name__ == "__main__":
    main()
