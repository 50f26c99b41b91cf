"""The configuration: checked against the schema, completed with its defaults.

The schema (workflow/schemas/config.schema.yaml) is the one place where a setting is defined. What a
schema cannot say, such as whether a layer exists, `variscope.study.preflight` checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from variscope.designs import kinds
from variscope.errors import UserError
from variscope.indices.precision import Target, index_of
from variscope.space.grouping import variable_groups
from variscope.study.choosing import chosen, complete_analyses
from variscope.study.controls import selects, twins
from variscope.study.schema import completed_by, config_schema, fill, in_order
from variscope.vocabulary import HALVES

# What studies of images are made of. A configuration of tables alone has none of them.
STUDIES = ("dataset", "models", "variable_sets")


def complete(config: Mapping[str, Any], folder: Path = Path(".")) -> dict[str, Any]:
    """Check a configuration and return it with every default, in the schema's order.

    Args:
        config: as read from YAML.
        folder: what the paths of users' analyses start at.

    Raises:
        UserError: the first key that is wrong, what was found there, and what is allowed.

    Example:
        >>> config = complete({
        ...     "experiment": "flowers",
        ...     "dataset": {"kind": "photographs"},
        ...     "models": {"net": {"factory": "torchvision:resnet18"}},
        ...     "variable_sets": {"color": {"variables": ["hue"]}},
        ... })
        >>> config["designs"]
        {'cycle': {'blocks': 512}, 'replicates': 16, 'precision': None}
    """
    schema = config_schema()
    if config.get("tables") and not set(STUDIES) & set(config):
        config = {**config, "dataset": None, "models": {}, "variable_sets": {}}
        for key in STUDIES:  # there is nothing to check of what there is not
            del schema["properties"][key]
            schema["properties"][key] = {}
    else:
        schema["required"] = [*schema["required"], *STUDIES]
    completed = completed_by(schema, config)
    designs = completed["designs"]
    if not set(kinds.names()) & set(designs):
        designs[kinds.DEFAULT] = {}
        fill(designs, schema["properties"]["designs"])
    for kind in kinds.names():
        if kind in designs and designs[kind]["blocks"] < designs["replicates"]:
            raise UserError(
                f"designs.{kind}.blocks: found {designs[kind]['blocks']}; allowed: at least "
                f"designs.replicates ({designs['replicates']}), one block per replicate"
            )
    _check_precision(designs)
    for name, variable_set in completed["variable_sets"].items():
        try:
            groups_of(variable_set)
        except UserError as error:
            raise UserError(f"variable_sets.{name}.{error}") from error
    completed["analyses"] = complete_analyses(completed["analyses"], folder)
    _check_models(completed["models"])
    twins(completed)  # whose names are free
    for one in chosen(completed["analyses"], folder):
        if selects([one.analysis]) and designs["replicates"] < 2 * len(HALVES):
            raise UserError(
                f"designs.replicates: found {designs['replicates']}; allowed: at least "
                f"{2 * len(HALVES)}, since {one.analysis.name} selects units by half of them; or "
                f"analyses.{one.analysis.name}: false"
            )
    return in_order(completed, schema)


def _check_models(models: Mapping[str, Any]) -> None:
    """Raise a UserError where a model is neither a network nor responses, or both."""
    for name, model in models.items():
        if model["responses"] is None:
            if model["factory"] is None:
                raise UserError(
                    f"models.{name}.factory: this key is missing. What makes the nn.Module; or "
                    f"give models.{name}.responses, measured elsewhere"
                )
            continue
        if model["factory"] is not None:
            raise UserError(
                f"models.{name}: found a factory and responses; allowed: one of them, since "
                "responses are measured elsewhere"
            )
        for key, without in (("weights", "none"), ("twin", False)):
            if model[key] != without:
                raise UserError(
                    f"models.{name}.{key}: found {model[key]!r}; allowed: left out, since there is "
                    "no network behind responses"
                )
        try:
            model["responses"].format(set="", design="")
        except (KeyError, IndexError, ValueError):
            raise UserError(
                f"models.{name}.responses: found {model['responses']!r}; allowed: a path, with no "
                "more than {set} and {design} in braces"
            ) from None


def _check_precision(designs: Mapping[str, Any]) -> None:
    """Raise a UserError where what is asked of intervals is not what the designs can give."""
    asked, configured = designs["precision"], [kind for kind in kinds.names() if kind in designs]
    if asked is None:
        return
    for kind in configured:
        if asked["most_blocks"] < designs[kind]["blocks"]:
            raise UserError(
                f"designs.precision.most_blocks: found {asked['most_blocks']}; allowed: at least "
                f"designs.{kind}.blocks ({designs[kind]['blocks']})"
            )
    if len(configured) == 1:
        try:
            index_of(configured[0], asked["index"])
        except UserError as error:
            raise UserError(f"designs.precision.{error}") from error


def groups_of(variable_set: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the groups of a completed variable set, the built-in ones first: name -> variables.

    Raises:
        UserError: a group of the settings is wrong.
    """
    entries = variable_set["variables"]
    names = [entry if isinstance(entry, str) else entry["name"] for entry in entries]
    return variable_groups(names, variable_set["auxiliary"], variable_set["groups"])


def designs_of(config: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return blocks and replicates of each design of a completed configuration, by its kind."""
    replicates = config["designs"]["replicates"]
    return {
        kind: {"blocks": config["designs"][kind]["blocks"], "replicates": replicates}
        for kind in kinds.names()
        if kind in config["designs"]
    }


def targets_of(config: Mapping[str, Any]) -> dict[str, Target]:
    """Return what is asked of the intervals of each design of a completed configuration.

    Beside a cycle that is judged by its Shapley effects the star, which has none, is by its S1.
    """
    asked = config["designs"]["precision"]
    if asked is None:
        return {}
    targets = {}
    for kind in designs_of(config):
        has = asked["index"] in kinds.sums_of(kind).indices
        index = index_of(kind, asked["index"] if has else "auto")
        targets[kind] = Target(**{**asked, "index": index})
    return targets


def typed(value: Any) -> Any:
    """Read the texts inside a mapping or list as YAML does.

    Snakemake does so with a single value of ``--config key=value`` but not with what is nested: in
    ``--config 'designs={cycle: {blocks: 64}}'`` it leaves 64 a text.

    Example:
        >>> typed({"cycle": {"blocks": "64"}})
        {'cycle': {'blocks': 64}}
    """

    def read(inner: Any) -> Any:
        if not isinstance(inner, str):
            return typed(inner)
        try:
            return yaml.safe_load(inner)
        except yaml.YAMLError:
            return inner

    if isinstance(value, Mapping):
        return {key: read(inner) for key, inner in value.items()}
    return [read(inner) for inner in value] if isinstance(value, list) else value
