"""What is said of the noise and drift of measured responses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import synthetic
import xarray as xr
from measured_cases import VARIABLES, noise_variance, noisy, session, truth
from numpy.testing import assert_allclose
from variscope import figures
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source
from variscope.analyses.tables import checked
from variscope.analyses.words import Words
from variscope.indices.measured import measured_dataset
from variscope.responses.measured.sums import measured_sums
from variscope.study.about import about

ENTRY = built_in()["noise"]


def made(responses: np.ndarray, repeats: float = 0.1, unlike: bool = False) -> Source:
    """A study of a region; ``unlike``: no stimulus is there twice."""
    one = session(repeats=repeats)
    shown = one.shown
    if unlike:
        shown = type(shown)(**{**vars(shown), "stimulus": np.arange(len(shown))})
    sums = measured_sums(responses, np.ones(len(shown), dtype=bool), shown, one.design)
    attributes = {"layer": "V1", "layer_number": 0, "model": "mouse"}
    data = measured_dataset(sums, VARIABLES, 0.95, attributes)
    return synthetic.source(xr.DataTree.from_dict({"V1": data}))


def found(source: Source) -> tuple[dict[str, pd.DataFrame], Words]:
    """Its tables and words."""
    computed = ENTRY.compute(source)
    tables = {table.name: checked(table, computed[table.name]) for table in ENTRY.tables}
    return tables, ENTRY.words(source, tables)


def test_the_noise_is_that_which_was_added_and_indices_are_given_with_it_and_without():
    tables, words = found(made(noisy(session())))
    level = noise_variance().sum() / (truth()["variance"] + noise_variance()).sum()
    region = tables["regions"].iloc[0]
    assert region["low"] < level < region["high"] and region["held"] == "taken off"
    share = noise_variance() / (truth()["variance"] + noise_variance())
    assert_allclose(tables["units"]["noise"], share, atol=0.1)
    inert = tables["indices"].query("variable == 'inert'").set_index("index")
    assert inert["measured_low"]["ST"] > 0.2  # the naive index of what does nothing
    assert inert["low"]["ST"] <= 0 <= inert["high"]["ST"]
    assert abs(inert["measured"]["S1"]) < 0.1
    assert "Noise is 0." in words.answer and "taken off" in words.answer
    assert any("total index" in sentence for sentence in words.more)
    assert any("Drift is little" in sentence for sentence in words.more)
    assert "does so for 0 of 5 shares." in words.control


def test_drift_is_said_where_it_is():
    one = session()
    course = np.linspace(-1, 1, len(one.shown))[:, None] * np.sqrt(truth()["variance"])
    _, words = found(made(one.clean + course))
    assert any("Responses drift" in sentence for sentence in words.more)


def test_without_repeats_it_is_said_that_the_indices_hold_the_noise():
    tables, words = found(made(noisy(session(repeats=0.0)), 0.0, unlike=True))
    assert "V, ST and the Shapley effects hold it" in words.answer
    assert tables["indices"]["value"].isna().all() and tables["indices"]["measured"].notna().all()


def test_constant_responses_and_networks_leave_little_to_say(tmp_path: Path):
    one = session()
    for source, answer in (
        (made(np.full_like(one.clean, 2.0)), "No unit varies"),
        (synthetic.source(synthetic.tree()), ""),
    ):
        tables, words = found(source)
        assert words.answer.startswith(answer)
        figures.save(ENTRY.draw(ENTRY.pictures[0], source, tables), tmp_path / "noise")
    assert words.answer == ""  # of a network


def test_it_is_about_measured_responses_alone():
    network, mouse = SimpleNamespace(responses=""), SimpleNamespace(responses="lab.npz")
    studies: Any = [network, mouse]
    assert about(ENTRY, built_in(), studies) == (mouse,)
    assert about(built_in()["segments"], built_in(), studies) == (network,)
    assert about(built_in()["summary"], built_in(), studies) == (network, mouse)
