"""Tables that tests of networks of tables and of feature reduction are made on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from variscope.inputs.tables.table import Feature, Table


def table(
    values: np.ndarray, target: np.ndarray, classes: Sequence[str] = (), name: str = "t"
) -> Table:
    """A table with a feature for each column, f0, f1, ..."""
    return Table(
        name=name,
        features=tuple(
            Feature(name=f"f{number}", columns=(number,)) for number in range(values.shape[1])
        ),
        values=np.asarray(values, dtype=np.float64),
        target=np.asarray(target, dtype=np.int64 if classes else np.float64),
        target_name="target",
        classes=tuple(classes),
    )


def settings(**network: Any) -> dict[str, Any]:
    """Settings of a table, as far as its network needs them."""
    of_network = {"hidden": [16], "epochs": 300, "learning_rate": 0.02, "weight_decay": 3.0}
    return {"network": of_network | network, "test_fraction": 0.2}


def bundled(name: str) -> Table:
    """One of the tables that scikit-learn carries."""
    from sklearn.datasets import load_breast_cancer, load_diabetes

    data = (load_breast_cancer if name == "breast_cancer" else load_diabetes)()
    classes = [str(c) for c in data.target_names] if name == "breast_cancer" else []
    return table(data.data, data.target, classes, name)
