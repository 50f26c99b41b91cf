"""The configuration: checked against the schema, completed with its defaults.

The schema (workflow/schemas/config.schema.yaml) is the one place where a setting is defined. What a
schema cannot say, such as whether a layer exists, `variscope.study.preflight` checks.
"""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from variscope.errors import UserError
from variscope.space.grouping import variable_groups

# YAML knows .nan and .inf, which no setting allows.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "number",
        lambda checker, value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    ),
)

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a configuration and return it with every default, in the schema's order.

    Args:
        config: as read from YAML.

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
        {'cycle': {'blocks': 512}, 'replicates': 16}
    """
    schema = yaml.safe_load(SCHEMA.read_text())
    completed = copy.deepcopy(dict(config))
    errors = sorted(
        _Validator(schema).iter_errors(completed), key=lambda e: [str(p) for p in e.path]
    )
    if errors:
        raise UserError(_message(errors[0]))
    _fill(completed, schema)
    designs = completed["designs"]
    if not {"cycle", "star"} & set(designs):
        designs["cycle"] = {}
        _fill(designs, schema["properties"]["designs"])
    for kind in ("cycle", "star"):
        if kind in designs and designs[kind]["blocks"] < designs["replicates"]:
            raise UserError(
                f"designs.{kind}.blocks: found {designs[kind]['blocks']}; allowed: at least "
                f"designs.replicates ({designs['replicates']}), one block per replicate"
            )
    for name, variable_set in completed["variable_sets"].items():
        try:
            groups_of(variable_set)
        except UserError as error:
            raise UserError(f"variable_sets.{name}.{error}") from error
    return _in_order(completed, schema)


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
        for kind in ("cycle", "star")
        if kind in config["designs"]
    }


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


def settings(
    schema: Mapping[str, Any] | None = None, prefix: str = ""
) -> dict[str, dict[str, Any]]:
    """Return every setting of the schema by its dotted key; ``*`` stands for a user's name."""
    schema = yaml.safe_load(SCHEMA.read_text()) if schema is None else schema
    found: dict[str, dict[str, Any]] = {}
    for key, sub in schema.get("properties", {}).items():
        found[prefix + key] = sub
        found |= settings(sub, f"{prefix}{key}.")
    named = schema.get("additionalProperties")
    if isinstance(named, dict):
        found |= settings(named, f"{prefix}*.")
    return found


def _fill(instance: dict[str, Any], schema: Mapping[str, Any]) -> None:
    for key, sub in schema.get("properties", {}).items():
        if key not in instance and "default" in sub:
            instance[key] = copy.deepcopy(sub["default"])
        if key in instance:
            if sub.get("type") == "integer":
                instance[key] = int(instance[key])  # the schema lets 1.0 pass as an integer
            elif isinstance(instance[key], dict):
                _fill(instance[key], sub)
    named = schema.get("additionalProperties")
    if isinstance(named, dict):
        for value in instance.values():
            _fill(value, named)


def _in_order(instance: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put the keys in the schema's order: how a file is laid out must not count as a change."""
    known = schema.get("properties", {})
    named = schema.get("additionalProperties")
    keys = [key for key in known if key in instance] + [k for k in instance if k not in known]
    ordered = {}
    for key in keys:
        sub = known.get(key, named if isinstance(named, dict) else {})
        value = instance[key]
        ordered[key] = _in_order(value, sub) if isinstance(value, dict) else value
    return ordered


def _message(error: ValidationError) -> str:
    schema: dict[str, Any] = error.schema  # type: ignore[assignment]
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        unknown = next(name for name in error.instance if name not in known)  # type: ignore[union-attr]
        full = f"{key}.{unknown}" if key else str(unknown)
        return f"{full}: unknown key{_meant(str(unknown), known)}; allowed: {', '.join(known)}"
    if error.validator == "required":
        missing = next(name for name in schema["required"] if name not in error.instance)  # type: ignore[operator]
        full = f"{key}.{missing}" if key else missing
        description = schema["properties"][missing].get("description", "")
        return f"{full}: this key is missing. {description}"
    if "propertyNames" in error.absolute_schema_path:
        return f"{key}: found the name {error.instance!r}; allowed: {schema['allowed']}"
    found = repr(error.instance)
    found = found if len(found) < 80 else found[:77] + "..."
    meant = ""
    if "enum" in schema and isinstance(error.instance, str):
        meant = _meant(error.instance, schema["enum"])
    return f"{key or 'configuration'}: found {found}{meant}; allowed: {_allowed(schema)}"


def _allowed(schema: Mapping[str, Any]) -> str:
    if "allowed" in schema:
        return str(schema["allowed"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    types = schema.get("type", "value")
    types = [types] if isinstance(types, str) else types
    words = {"array": "a list", "integer": "an integer", "object": "a mapping"}
    words |= {"number": "a number", "string": "a text", "boolean": "true or false"}
    text = " or ".join(words.get(name, name) for name in types if name != "null")
    limits = []
    for keyword, phrase in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    ):
        if keyword in schema:
            of = "of " if phrase == "at least" else ""
            limits.append(f"{of}{phrase} {schema[keyword]}")
    if "minItems" in schema:
        least, same = schema["minItems"], schema["minItems"] == schema.get("maxItems")
        entries = "entry" if least == 1 else "entries"
        limits.append(f"of {'' if same else 'at least '}{least} {entries}")
    if "minProperties" in schema:
        limits.append(f"with at least {schema['minProperties']} entry")
    if schema.get("uniqueItems"):
        limits.append("without repeats")
    text = f"{text} {' and '.join(limits)}".strip()
    return f"{text}, or null" if "null" in types else text


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
