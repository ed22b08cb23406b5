"""Small scikit-learn models for the publishing tests, trained in a sandbox and returned as skops bytes."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any

import numpy as np


def train(kind: str) -> bytes:
    from models_registry.runtime import sklearn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sklearn.dump(globals()[f"_{kind}"]())


def train_broken_tree(what: str) -> bytes:
    """A decision tree whose node table was tampered with: to a loop, out of the table, or to a foreign feature."""
    tree = _decision_tree()
    state = tree.tree_.__getstate__()
    nodes = state["nodes"]
    {
        "loop": lambda: nodes["left_child"].__setitem__(0, 0),
        "outside": lambda: nodes["right_child"].__setitem__(0, 1_000_000),
        "feature": lambda: nodes["feature"].__setitem__(0, 1_000_000),
        "one child": lambda: nodes["right_child"].__setitem__(0, -1),
    }[what]()
    tree.tree_.__setstate__(state)
    from models_registry.runtime import sklearn

    return sklearn.dump(tree)


def with_foreign_type() -> bytes:
    """A skops file whose schema names a class of another library's."""
    content = train("iris")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"
    entries["schema.json"] = json.dumps(schema).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return file.getvalue()


def _rows() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_iris

    rows, labels = load_iris(return_X_y=True)
    return rows, labels


def _iris() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*_rows())


def _far() -> Any:
    """Far from zero about a whole number: float32 has the distance from it, and not sums of what such numbers weigh."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    apart = np.random.default_rng(0).integers(1, 32, (200, 4)).astype(float)
    rows = np.concatenate([2.0**16 + apart, 2.0**16 - apart])
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > rows[:, 1])


def _text_labels() -> Any:
    from sklearn.linear_model import LogisticRegression

    rows, labels = _rows()
    return LogisticRegression(max_iter=1000).fit(rows, np.array(["setosa", "versicolor", "virginica"])[labels])


def _decision_tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=4, random_state=0).fit(*_rows())


def _histogram() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, labels = _rows()
    rows = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    return HistGradientBoostingClassifier(max_iter=10).fit(rows, labels)


def _frame() -> Any:
    """Fitted on a DataFrame of numbers alone: one tensor whose columns have names."""
    import pandas
    from sklearn.linear_model import LinearRegression

    rows, labels = _rows()
    return LinearRegression().fit(pandas.DataFrame(rows, columns=["a", "b", "c", "d"]), labels)


def _mixed() -> Any:
    """Text and numbers, some of them missing, and a column name with a space."""
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    chance = np.random.default_rng(0)
    size = np.where(chance.random(300) < 0.1, np.nan, chance.normal(40, 5, 300))
    frame = pandas.DataFrame({"island": chance.choice(["north", "south", None], 300), "bill length": size})
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("text", text, ["island"]), ("numbers", numbers, ["bill length"])])
    return make_pipeline(columns, LogisticRegression()).fit(frame, np.where(np.nan_to_num(size) > 40, "big", "small"))


def _uncompilable() -> Any:
    """skl2onnx has no converter for it."""
    from sklearn.neighbors import NearestCentroid

    return NearestCentroid().fit(*_rows())


def _disagreeing() -> Any:
    """Compiles and answers otherwise: a missing category means one thing natively and another in the graph."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer
    from sklearn.tree import DecisionTreeClassifier

    rows = np.random.default_rng(0).normal(0, 1, (400, 1)) * 1e-6 + 1.0
    labels = (rows[:, 0] > 1.0).astype(int)
    return make_pipeline(KBinsDiscretizer(8, encode="ordinal"), DecisionTreeClassifier()).fit(rows, labels)


def _transformer() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(_rows()[0])
