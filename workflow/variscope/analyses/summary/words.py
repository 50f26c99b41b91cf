"""A study's answer in sentences, made from the aggregates of its layers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.comparisons import (
    comparison_sentence,
    layer_sentence,
    robustness_sentence,
    shares,
)
from variscope.analyses.sentences import (
    guard_sentence,
    negligible_sentence,
    precision_sentence,
    status_sentence,
)
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.reading import layers


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say what holds most of the variance of the first layer and of the last, and how sure it is.

    The headline: whether alterations or image identity hold more of the last layer's variance, and
    which alteration is the strongest.
    """
    tree, index = source.tree, source.index
    found = layers(tree)
    names = list(found)
    compared = any(len(shares(data, index)) > 1 for data in found.values())
    last = layer_sentence(names[-1], found[names[-1]], index)
    headline = robustness_sentence(names[-1], found[names[-1]], index) or last
    more = [layer_sentence(names[0], found[names[0]], index)]
    if len(names) > 1:
        more.append(last)
    more += [negligible_sentence(tree, index), status_sentence(tree)]
    return Words(
        headline=headline,
        answer=headline,
        more=[sentence for sentence in more if sentence and sentence != headline],
        control=f"{precision_sentence(tree, index)} {guard_sentence(tree)}".strip(),
        note=comparison_sentence(tree, index) if compared else "",
    )
