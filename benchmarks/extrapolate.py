"""The published series, extrapolated from the rates that `benchmarks.evaluation` measured.

Run it by ``python -m benchmarks.extrapolate``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from variscope.estimators import Layout
from variscope.study.study_plan import GIB, STORED_BYTES

from benchmarks.measuring import RESULTS, Row, arguments, write
from benchmarks.networks import paper

# Of arXiv 2503.03283 for all of its networks, sets and statistics.
PUBLISHED_DAYS, PUBLISHED_TB = 1782, 77
DAY = 86_400

NOTES = """
Extrapolated, not run: the milliseconds an evaluated image of `evaluation.csv` ({device}) times
the evaluations of config/paper, 2048 blocks of the cycle for each network and set. Days are of
one core; no GPU was there. `published sizes` are the evaluations of Saltelli's table (with S2)
and of nested sampling (3.93 million) at the same rates: what is left of the saving there is the
code's, the rest is the estimators'. `moments` and `indices` are what remains on the disk at most,
as the plan counts it.

{summary}

The published {days:,} machine-days and {terabytes} TB are of all networks and statistics, the
paired statistics among them, on other machines; the paired design is not part of this
extrapolation. So the ratio says an order of magnitude, not more.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    rates = (options.output or RESULTS) / "evaluation.csv"
    if not rates.is_file():
        rates = RESULTS / "evaluation.csv"
    rows = [_study(rate) for rate in _read(rates)]
    days = sum(row["days of one core"] for row in rows)
    sizes = sum(row["days at published sizes"] for row in rows)
    disk = sum(row["moments, GiB"] + row["indices, GiB"] for row in rows)
    summary = (
        f"In all {days:.1f} days of one core and {disk:.0f} GiB, against {PUBLISHED_DAYS:,} "
        f"machine-days and {PUBLISHED_TB} TB: {PUBLISHED_DAYS / days:,.0f} and "
        f"{PUBLISHED_TB * 1e12 / GIB / disk:,.0f} times less. At the published sizes it would be "
        f"{sizes:,.0f} days, {PUBLISHED_DAYS / sizes:.1f} times less."
    )
    notes = NOTES.format(
        device="CPU, one thread", summary=summary, days=PUBLISHED_DAYS, terabytes=PUBLISHED_TB
    )
    write("extrapolate", "The published series", notes, rows, options)
    return rows


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _study(rate: dict[str, str]) -> Row:
    """Return what a network and set would take."""
    network, variable_set = rate["network"], rate["set"]
    config = paper(network)
    chosen = config["variable_sets"][variable_set]
    variables = len(chosen["variables"]) + len(chosen["auxiliary"])
    layout = Layout("cycle", variables)
    units, milliseconds = int(rate["units"]), float(rate["with moments, ms"])
    designed = config["designs"]["cycle"]["blocks"] * layout.rows
    evaluations = round(designed * int(rate["evaluations"]) / int(rate["rows"]))
    published = config["published"]["evaluations"][variable_set]
    sums = layout.sum_rows * config["designs"]["replicates"]
    estimates = len(layout.indices) * variables + len(layout.pairs)
    return {
        "network": network,
        "set": variable_set,
        "units": units,
        "rows": designed,
        "evaluations": evaluations,
        "ms an evaluation": milliseconds,
        "days of one core": evaluations * milliseconds / 1e3 / DAY,
        "evaluations at published sizes": published,
        "days at published sizes": published * milliseconds / 1e3 / DAY,
        "moments, GiB": STORED_BYTES * sums * units / GIB,
        "indices, GiB": STORED_BYTES * (3 * estimates + 3) * units / GIB,
    }


if __name__ == "__main__":
    main()
