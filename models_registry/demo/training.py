"""Train the demo models. Runs in a child process: the server never imports scikit-learn."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PENGUINS = Path(__file__).with_name("penguins.csv")
_PENGUIN_FEATURES = ("island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex")


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model as the bytes of a `.skops` file, and the rows it learned from as CSV."""

    model: bytes
    sample: bytes


def train(name: str) -> Trained:
    """Train one of `MODELS`."""
    from models_registry.runtime import sklearn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, header, rows = _TRAINERS[name]()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return Trained(sklearn.dump(model), text.getvalue().encode())


def challenger() -> Trained:
    """Another model of iris, less sure of itself: a second version to compare with."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from models_registry.runtime import sklearn

    rows, species = _named(load_iris(as_frame=True))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000)).fit(rows, species)
    return Trained(sklearn.dump(model), b"")


def _iris() -> tuple[Any, Any, Any]:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, species = _named(load_iris(as_frame=True))
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(rows, species), *_sample(rows)


def _breast_cancer() -> tuple[Any, Any, Any]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    rows, diagnoses = _named(load_breast_cancer(as_frame=True))
    return RandomForestClassifier(100, random_state=0).fit(rows, diagnoses), *_sample(rows)


def _diabetes() -> tuple[Any, Any, Any]:
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    rows, progression = _named(load_diabetes(as_frame=True))
    return GradientBoostingRegressor(random_state=0).fit(rows, progression), *_sample(rows)


def _named(data: Any) -> tuple[Any, Any]:
    """Features with names to search by (`sepal_length`), and classes as the words people use (`setosa`)."""
    rows = data.frame[data.feature_names]
    rows.columns = [name.removesuffix(" (cm)").replace(" ", "_") for name in data.feature_names]
    return rows, data.target_names[data.target] if "target_names" in data else data.target


def _sample(rows: Any) -> tuple[Any, Any]:
    return list(rows.columns), rows.to_numpy()


def _penguins() -> tuple[Any, Any, Any]:
    import pandas
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pandas.read_csv(_PENGUINS)
    features = table[list(_PENGUIN_FEATURES)]
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("text", text, ["island", "sex"]), ("numbers", numbers, list(_PENGUIN_FEATURES[1:5]))])
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(features, table["species"])
    return model, _PENGUIN_FEATURES, features.fillna("").to_numpy(dtype=object)


_TRAINERS: Mapping[str, Callable[[], tuple[Any, Any, Any]]] = {
    "iris": _iris,
    "breast_cancer": _breast_cancer,
    "diabetes": _diabetes,
    "penguins": _penguins,
}

#: Name → what it is, in words for the registry.
MODELS: Mapping[str, str] = {
    "iris": "Species of an iris from four lengths: StandardScaler and LogisticRegression.",
    "breast_cancer": "Malignant (0) or benign (1) from thirty measurements: a random forest of 100 trees.",
    "diabetes": "Progression of diabetes after a year from ten measurements: gradient boosting.",
    "penguins": "Species of a penguin from text and numbers, some of them missing: a ColumnTransformer.",
}
