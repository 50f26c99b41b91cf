"""The schema of settings: checks, messages and defaults.

The schema (workflow/schemas/config.schema.yaml) is the one place where a setting is defined; an
analysis brings its own fragment.
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

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

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


def config_schema() -> dict[str, Any]:
    """Return the schema of a configuration."""
    return yaml.safe_load(SCHEMA.read_text())


def completed_by(
    schema: Mapping[str, Any], given: Mapping[str, Any], key: str = ""
) -> dict[str, Any]:
    """Check settings against a schema and return them with every default.

    Args:
        schema: a JSON schema of an object.
        given: the settings.
        key: where they stand, for messages.

    Raises:
        UserError: the first key that is wrong, what was found there, and what is allowed.
    """
    completed = copy.deepcopy(dict(given))
    errors = sorted(
        _Validator(schema).iter_errors(completed), key=lambda e: [str(p) for p in e.path]
    )
    if errors:
        raise UserError((f"{key}." if key else "") + _message(errors[0]))
    fill(completed, schema)
    return in_order(completed, schema)


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


def fill(instance: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Put the schema's defaults where settings are left out, in place."""
    for key, sub in schema.get("properties", {}).items():
        if key not in instance and "default" in sub:
            instance[key] = copy.deepcopy(sub["default"])
        if key in instance:
            if sub.get("type") == "integer":
                instance[key] = int(instance[key])  # the schema lets 1.0 pass as an integer
            elif isinstance(instance[key], dict):
                fill(instance[key], sub)
    named = schema.get("additionalProperties")
    if isinstance(named, dict):
        for value in instance.values():
            fill(value, named)


def in_order(instance: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put the keys in the schema's order: how a file is laid out must not count as a change."""
    known = schema.get("properties", {})
    named = schema.get("additionalProperties")
    keys = [key for key in known if key in instance] + [k for k in instance if k not in known]
    ordered = {}
    for key in keys:
        sub = known.get(key, named if isinstance(named, dict) else {})
        value = instance[key]
        ordered[key] = in_order(value, sub) if isinstance(value, dict) else value
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
