"""Fit the models; run by each peer that loads scikit-learn, with the scikit-learn it has: `train.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def cancer() -> tuple[Any, Any]:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def models() -> list[tuple[str, Any, Any]]:
    """(name, fitted model, rows)"""
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    flowers, species = load_iris(return_X_y=True)
    rows, kinds = cancer()
    return [
        ("iris", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(flowers, species), flowers),
        ("forest", RandomForestClassifier(100, random_state=0).fit(rows, kinds), rows),
        ("wide", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(rows, kinds), rows),
    ]


if __name__ == "__main__":
    import joblib

    for name, fitted, _ in models():
        joblib.dump(fitted, Path(sys.argv[1]) / f"{name}.joblib")
