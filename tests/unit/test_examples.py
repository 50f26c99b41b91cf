"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import variscope

PACKAGE = Path(variscope.__file__).parent
EXAMPLES = [file for file in sorted(PACKAGE.rglob("*.py")) if "    >>> " in file.read_text("utf-8")]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_examples_give_what_they_say(file: Path):
    module = importlib.import_module(
        ".".join(("variscope", *file.relative_to(PACKAGE).with_suffix("").parts))
    )
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted and not found.failed


def test_what_users_call_first_has_an_example():
    assert {"decomposition.py", "indices/differences.py", "stores/results.py"} <= {
        str(file.relative_to(PACKAGE)) for file in EXAMPLES
    }
