"""What a fitted scikit-learn model tells about its features: names, text or number, and plausible values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_PLAUSIBLE = (-3.0, 3.0)


@dataclass(slots=True)
class Feature:
    """One feature. `low` and `high` bound plausible numbers; `choices` are the categories it was fitted on."""

    name: str
    is_text: bool = False
    low: float = _PLAUSIBLE[0]
    high: float = _PLAUSIBLE[1]
    choices: tuple[Any, ...] = ()


def features_of(model: Any) -> list[Feature]:
    """Features in the order the model was fitted on; unnamed ones are called by their index."""
    count = int(getattr(model, "n_features_in_", 0))
    names = getattr(model, "feature_names_in_", range(count))
    features = [Feature(str(name)) for name in names]
    for chain, indices in _consumers(model, list(range(count))):
        _learn(chain, [features[index] for index in indices])
    return features


def has_names(model: Any) -> bool:
    """Was the model fitted on a DataFrame?"""
    return hasattr(model, "feature_names_in_")


def takes_columns(model: Any, features: list[Feature]) -> bool:
    """Is each named column an input of its own? Where columns are treated apart, or some are text."""
    return has_names(model) and (any(feature.is_text for feature in features) or _splits_columns(model))


def _splits_columns(model: Any) -> bool:
    return any(type(step).__name__ == "ColumnTransformer" for step in _steps(model)[:1])


def _steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline one after another (nested pipelines opened), or the estimator alone."""
    if not hasattr(estimator, "steps"):
        return [estimator]
    return [inner for _, step in estimator.steps if step not in (None, "passthrough") for inner in _steps(step)]


def _consumers(estimator: Any, indices: list[int]) -> Iterator[tuple[list[Any], list[int]]]:
    """Each chain of steps that works on raw features, with the features it gets."""
    steps = _steps(estimator)
    first: Any = steps[0] if steps else None
    if type(first).__name__ == "ColumnTransformer":
        taken = first._transformer_to_input_indices
        for name, part, _ in first.transformers_:
            if not isinstance(part, str):
                yield from _consumers(part, [indices[at] for at in taken.get(name, [])])
    elif type(first).__name__ == "FeatureUnion":
        for _, part in first.transformer_list:
            yield from _consumers(part, indices)
    elif steps:
        yield steps, indices


def _learn(chain: list[Any], features: list[Feature]) -> None:
    for step in reversed(chain):  # what stands nearest to the raw values has the last word
        for at, feature in enumerate(features):
            _learn_one(step, at, feature, len(features))


def _learn_one(step: Any, at: int, feature: Feature, count: int) -> None:
    if (categories := _at(step, "categories_", at, count)) is not None:
        known = [value for value in np.asarray(categories, dtype=object) if value is not None and value == value]
        feature.choices = tuple(known)
        feature.is_text = bool(known) and all(isinstance(value, str) for value in known)
    elif hasattr(step, "vocabulary_"):
        feature.is_text, feature.choices = True, tuple(list(step.vocabulary_)[:50])
    elif (middle := _at(step, "statistics_", at, count)) is not None:
        if isinstance(middle, str):
            feature.is_text = True
        elif (feature.low, feature.high) == _PLAUSIBLE and middle:
            feature.low, feature.high = sorted((float(middle) * 0.5, float(middle) * 1.5))
    elif (span := _span(step, at, count)) is not None:
        feature.low, feature.high = span


def _span(step: Any, at: int, count: int) -> tuple[float, float] | None:
    """Plausible values as scalers and trees know them."""
    if (mean := _at(step, "mean_", at, count)) is not None and (scale := _at(step, "scale_", at, count)) is not None:
        return float(mean - 3 * scale), float(mean + 3 * scale)
    if (low := _at(step, "data_min_", at, count)) is not None:
        return float(low), float(step.data_max_[at])
    trees = list(_trees(step))
    if not trees or getattr(step, "n_features_in_", count) != count:
        return None
    cuts = np.concatenate([tree.threshold[tree.feature == at] for tree in trees])
    if not len(cuts):
        return None
    margin = (cuts.max() - cuts.min()) * 0.1 + 0.1 * abs(float(cuts.mean())) + 1e-6
    return float(cuts.min() - margin), float(cuts.max() + margin)


def _trees(step: Any) -> Iterator[Any]:
    if hasattr(step, "tree_"):
        yield step.tree_
    members = getattr(step, "estimators_", None)
    if members is not None:
        for member in np.asarray(members, dtype=object).ravel():
            if hasattr(member, "tree_"):
                yield member.tree_


def _at(step: Any, attribute: str, at: int, count: int) -> Any:
    """The attribute's entry for one feature, or None unless it has one for each."""
    values: Any = getattr(step, attribute, None)
    return values[at] if hasattr(values, "__len__") and len(values) == count else None
