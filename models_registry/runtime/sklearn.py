"""scikit-learn models kept as `.skops`: opened, checked and run. Only ever imported in a model's child process."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skops.io
from sklearn.base import is_classifier, is_regressor

from models_registry import errors
from models_registry.runtime.signature import Signature, Tensors

#: Types beyond those skops trusts by itself that may be in a model. The tree types hold raw node tables, which
#: `check_trees` reads before the first prediction walks them.
ALLOWED = frozenset(
    [
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HuberLoss",
        "sklearn._loss.loss.PinballLoss",
    ]
)

VERSIONS = {"scikit-learn": sklearn.__version__, "skops": skops.__version__, "numpy": np.__version__}


def load(path: Path, signature: Signature) -> Callable[[Tensors], Tensors]:
    """The loader of native versions: from a checked file to the function that answers."""
    model, _ = open_model(path)
    return answering(model, signature)


def open_model(path: Path) -> tuple[Any, list[str]]:
    """Open a `.skops` file type by type; return the model and the warnings a person should read.

    Raises `FormatNotAllowed` for a type that is not allowed, `InvalidInput` for a damaged file or a broken tree.
    """
    content = path.read_bytes()
    try:
        found = set(skops.io.get_untrusted_types(data=content))
    except MemoryError:
        raise
    except Exception as error:
        raise errors.InvalidInput(f"the skops file cannot be read: {_sentence(error)}", field="file") from error
    foreign = sorted(found - ALLOWED)
    if foreign:
        raise errors.FormatNotAllowed(
            f"the file holds types that are not allowed here: {', '.join(foreign[:8])}. "
            "Build the model from scikit-learn's own classes, or export it to ONNX.",
            field="file",
        )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model = skops.io.loads(content, trusted=sorted(found & ALLOWED))
        except MemoryError:
            raise
        except Exception as error:
            raise errors.InvalidInput(f"the skops file cannot be loaded: {_sentence(error)}", field="file") from error
    check_trees(model)
    _use_one_thread(model)
    return model, sorted({f"{one.category.__name__}: {str(one.message).splitlines()[0]}" for one in told})


def answering(model: Any, signature: Signature) -> Callable[[Tensors], Tensors]:
    """The function from inputs to outputs, both by the signature's names."""
    frame = _frame_maker(model, signature)
    names = {spec.name for spec in signature.outputs}

    def answer(inputs: Tensors) -> Tensors:
        rows = frame(inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = {"label" if "label" in names else "value": plain(model.predict(rows))}
            if "probabilities" in names:
                outputs["probabilities"] = np.asarray(model.predict_proba(rows))
        return outputs

    return answer


def kind_of(model: Any) -> str:
    """`classifier`, `regressor` or `other` (clusters, outliers). Raises `InvalidInput` if it cannot predict."""
    if not hasattr(model, "predict"):
        raise errors.InvalidInput(f"a {type(model).__name__} has no predict: publish a fitted model", field="file")
    if is_classifier(model):
        return "classifier"
    return "regressor" if is_regressor(model) else "other"


def plain(values: Any) -> np.ndarray[Any, Any]:
    """Predictions as our arrays: text as objects of `str`, everything else as it is."""
    array = np.asarray(values)
    return array.astype(str).astype(object) if array.dtype.kind in "OUST" else array


def parts(model: Any) -> Iterator[Any]:
    """Everything reachable from the model, itself included."""
    return (part for _, part in _parts(model))


def check_trees(model: Any) -> None:
    """Refuse a tree whose node table leads outside itself or its features: prediction would read foreign memory."""
    for owner, part in _parts(model):
        kind = type(part).__name__
        if kind == "Tree":
            _check_tree(part, _features(owner, part.n_features))
        elif kind == "TreePredictor":
            _check_histogram_tree(part, _features(owner, 0))
        _check_members(part)


def _check_tree(tree: Any, features: int) -> None:
    left, right, count = tree.children_left, tree.children_right, tree.node_count
    inner = _check_children(left, right, left == -1, right == -1, count)
    if (tree.feature[inner] < 0).any() or (tree.feature[inner] >= min(features, tree.n_features)).any():
        raise errors.InvalidInput("a tree asks for a feature the model does not have", field="file")
    if len(tree.value) != count or len(left) != count:
        raise errors.InvalidInput("a tree's values do not fit its nodes", field="file")


def _check_histogram_tree(predictor: Any, features: int) -> None:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    inner = _check_children(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), leaf, leaf, len(nodes))
    if (nodes["feature_idx"][inner].astype(np.int64) >= features).any() or (nodes["feature_idx"][inner] < 0).any():
        raise errors.InvalidInput("a tree asks for a feature the model does not have", field="file")
    split_by_category = inner & nodes["is_categorical"].astype(bool)
    if (nodes["bitset_idx"][split_by_category].astype(np.int64) >= len(predictor.raw_left_cat_bitsets)).any():
        raise errors.InvalidInput("a tree asks for categories it does not have", field="file")


def _check_children(left: Any, right: Any, left_ends: Any, right_ends: Any, count: int) -> Any:
    """Both or neither child, each behind its parent and within the table; return which nodes are inner ones."""
    own = np.arange(count)
    inner = ~left_ends
    if count == 0 or len(left) != count or (left_ends != right_ends).any():
        raise errors.InvalidInput("a tree has a node with one child, or no node", field="file")
    for child in (left[inner], right[inner]):
        if (child <= own[inner]).any() or (child >= count).any():
            raise errors.InvalidInput("a tree's node leads backwards or outside the tree", field="file")
    return inner


def _check_members(part: Any) -> None:
    """Forests and boosting check the features once for all their trees: each must expect as many."""
    members = getattr(part, "estimators_", None)
    if members is None or type(part).__module__ not in ("sklearn.ensemble._forest", "sklearn.ensemble._gb"):
        return
    for member in np.asarray(members, dtype=object).ravel():
        if getattr(member, "n_features_in_", None) != part.n_features_in_:
            raise errors.InvalidInput("a tree of the ensemble expects other features than the ensemble", field="file")


def _features(owner: Any, otherwise: int) -> int:
    return int(getattr(owner, "n_features_in_", otherwise))


def _parts(model: Any) -> Iterator[tuple[Any, Any]]:
    """Everything reachable from the model, each with the nearest estimator that holds it."""
    seen: set[int] = set()
    waiting: list[tuple[Any, Any]] = [(model, model)]
    while waiting:
        owner, part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type | None):
            continue
        seen.add(id(part))
        yield owner, part
        inside = part if hasattr(part, "n_features_in_") else owner
        waiting.extend((inside, member) for member in _members(part))


def _members(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, np.ndarray):
        return list(part.ravel()) if part.dtype == object else []
    return list(getattr(part, "__dict__", {}).values())


def _use_one_thread(model: Any) -> None:
    for _, part in _parts(model):
        if hasattr(part, "n_jobs"):
            part.n_jobs = 1


def _frame_maker(model: Any, signature: Signature) -> Callable[[Tensors], Any]:
    """How inputs become what the model was fitted on: an array, or a DataFrame with its columns by name."""
    if not signature.by_column:
        name, columns = signature.inputs[0].name, list(signature.inputs[0].columns)
        if not hasattr(model, "feature_names_in_"):
            return lambda inputs: _texts(inputs[name])
        import pandas

        return lambda inputs: pandas.DataFrame(inputs[name], columns=columns)
    if not hasattr(model, "feature_names_in_"):
        return lambda inputs: _texts(np.concatenate([inputs[spec.name] for spec in signature.inputs], axis=1))
    import pandas

    return lambda inputs: pandas.DataFrame(
        {spec.name: _texts(inputs[spec.name].reshape(-1)) for spec in signature.inputs}
    )


def _texts(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Missing text as scikit-learn knows it: NaN, not None."""
    if values.dtype != object:
        return values
    replaced = np.array([np.nan if text is None else text for text in values.ravel()], dtype=object)
    return replaced.reshape(values.shape)


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def dump(model: Any) -> bytes:
    """A model as the bytes of a `.skops` file."""
    file = io.BytesIO()
    skops.io.dump(model, file)
    return file.getvalue()
