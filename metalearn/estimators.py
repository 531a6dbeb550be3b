"""Trained runs in scikit-learn's conventions: `fit` adapts to a few examples, `predict` answers.

    model = metalearn.load("runs/omniglot").fit(x, y)
    model.predict(more), model.predict_proba(more)

scikit-learn need not be installed; where it is, its tools take these estimators (`clone`,
`cross_val_score`, pipelines, …).

**Batch norm.** Runs normalise transductively by default: queries by the statistics of all queries
together. An estimator may be asked for one prediction at a time, so it uses the statistics of the
support set instead, unless it is told `batch_norm="transductive"`; what it predicts of an example
then does not depend on the others. Runs trained with running averages use those.

**Inputs.** What the network saw in training, see `inputs`: images (n, C, H, W), (n, H, W), or flat
(n, features), as uint8 in 0…255, bool or floats in [0, 1]; else numbers (n, features). Of a run
that was trained on a CSV table, that table's own columns, numbers and texts, but for those of the
task and the target: (n, columns) in the table's order, or a data frame, a structured array or a
mapping, whose columns are taken by name. They are treated as `metalearn adapt` treats a file, and
targets are in their own units.
"""

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

import autograd_core as ac
from metalearn.adapted import Adapted, adapt_to
from metalearn.checkpoints import named_arrays
from metalearn.config import CHECKS, Config
from metalearn.errors import MetalearnError, OptionError, RunError
from metalearn.inputs import InputError, inputs_of
from metalearn.runs import open_run
from metalearn.saved import from_state, load_adapted, save_adapted, state_of
from metalearn.tasks.errors import amount
from metalearn.tasks.placing import chosen_device
from metalearn.trained import Trained, load_trained

SUFFIXES = (".safetensors", ".onnx")


def load(path: str | Path, **settings: Any) -> Any:
    """A run as an estimator, or an adapted model that was saved.

    Args:
        path: the folder of a run, or a file that `save` or `metalearn export` wrote.
        settings: of the estimator, for a run: see `MetaEstimator`.

    Returns:
        `MetaClassifier` or `MetaRegressor`, to `fit`; of a file `AdaptedClassifier` or
        `AdaptedRegressor`, which predict.

    Raises:
        RunError: there is no such run or file, or it is damaged.
        OptionError: settings that make no sense.
    """
    where = Path(path)
    if where.is_dir():
        run = open_run(where)
        made = MetaRegressor if run.config.is_regression else MetaClassifier
        unknown = sorted(settings.keys() - set(made._settings()))
        if unknown:
            raise OptionError(
                f"{unknown[0]!r} is no setting; expected one of {', '.join(made._settings()[1:])}"
            )
        estimator = made(run=str(path), **settings)
        estimator._learned()  # what cannot be loaded is told now
        return estimator
    if not where.exists():
        raise RunError(
            f"{where}: no such run or file; expected the folder that `metalearn train` made, or a "
            ".safetensors file"
        )
    if where.suffix.lower() == ".onnx":
        raise OptionError(
            f"{where}: an ONNX file is for other programs, such as onnxruntime; expected the "
            "folder of a run or a .safetensors file: save the model as .safetensors too, to load "
            "it here"
        )
    if settings:
        raise OptionError(f"{sorted(settings)[0]!r}: {where} is no run; settings are for runs")
    adapted = load_adapted(where)
    return (AdaptedRegressor if adapted.classes is None else AdaptedClassifier)(adapted)


class _Predicting:
    """What everything that predicts has in common: `adapted_`, once there is one."""

    adapted_: Adapted
    compiled: bool

    @property
    def n_features_in_(self) -> int:
        """Numbers, or columns of a table, of an example. Raises `AttributeError` before `fit`, as
        scikit-learn's do."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no n_features_in_ before fit")
        return self.adapted_.inputs.features

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of a table's columns, in the order expected of examples without names. Raises
        `AttributeError` before `fit`, and for what was not trained on a table."""
        columns = self.adapted_.inputs.columns if self.__sklearn_is_fitted__() else None
        if columns is None:
            raise AttributeError(f"{type(self).__name__} has no feature_names_in_: see its docs")
        return np.array(columns, object)

    def save(self, path: str | Path) -> None:
        """Write the adapted model as one file, from which it predicts without its run: .safetensors
        for `metalearn.load`, or .onnx for other programs (needs the package onnx).

        Raises:
            OptionError: another ending; batch norm is transductive; `onnx` is missing.
            RunError: the file cannot be written.
        """
        save_model(Path(path), self._adapted())

    def __sklearn_is_fitted__(self) -> bool:
        return "adapted_" in vars(self)

    def _adapted(self) -> Adapted:
        if not self.__sklearn_is_fitted__():
            raise _not_fitted(
                f"This {type(self).__name__} instance is not fitted yet; call fit(X, y) first"
            )
        return self.adapted_

    def _inputs(self, x: Any) -> np.ndarray:
        return self._adapted().inputs.arrays(x, type(self).__name__)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if "adapted_" in state:
            record, tree = state_of(state["adapted_"])
            state["adapted_"] = record, named_arrays(tree)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "adapted_" in state:
            state = {**state, "adapted_": from_state(*state["adapted_"])}
        vars(self).update(state)


class _Classifying(_Predicting):
    """Predictions of classes."""

    _estimator_type = "classifier"

    @property
    def classes_(self) -> np.ndarray:
        """The labels that `fit` was given, sorted: (ways,)."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no classes_ before fit")
        found = self.adapted_.classes
        assert found is not None
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each example: (n,)."""
        return self.classes_of(self.predict_proba(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each of `classes_`: (n, ways) float64."""
        adapted = self._adapted()
        return adapted.probabilities(self._inputs(X), self.compiled)

    def classes_of(self, probabilities: np.ndarray) -> np.ndarray:
        """The labels of rows of probabilities (n, ways): (n,)."""
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of examples whose label is predicted."""
        right = self.predict(X) == np.asarray(y)
        return float(np.average(right, weights=sample_weight))


class _Regressing(_Predicting):
    """Predictions of numbers."""

    _estimator_type = "regressor"

    def predict(self, X: Any) -> np.ndarray:
        """The number predicted of each example, (n,) float64; (n, outputs) where there are more."""
        adapted = self._adapted()
        found = adapted.values(self._inputs(X), self.compiled)
        return found[:, 0] if adapted.outputs == 1 else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R², the share of the variance that is explained; 1 at best, below 0 when it is worse
        than the mean."""
        found = self.predict(X)
        y = np.asarray(y, np.float64).reshape(found.shape)
        mean = functools.partial(np.average, weights=sample_weight, axis=0)
        left, all_ = mean((y - found) ** 2), mean((y - mean(y)) ** 2)
        return float(np.mean(1 - left / np.where(all_ > 0, all_, np.finfo(np.float64).tiny)))


# Adapted models from files --------------------------------------------------------------------


class _FromFile(_Predicting):
    """A model adapted before, whose file has not what it was adapted from."""

    def __getattr__(self, name: str) -> Any:
        # No method `fit` that raises: tools that look for one would take it for an estimator.
        if name in ("fit", "adapt"):
            raise AttributeError(
                f"{type(self).__name__} has no {name}: a saved model is adapted already, and "
                "cannot be adapted again without its run; use metalearn.load(RUN).fit(X, y), with "
                "the folder that `metalearn train` made"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class AdaptedClassifier(_FromFile, _Classifying):
    """A classifier adapted before, from a file; it has no `fit`."""

    def __init__(self, adapted: Adapted, compiled: bool = True):
        self.adapted_, self.compiled = adapted, compiled

    def __repr__(self) -> str:
        return f"{type(self).__name__}(classes={self.classes_.tolist()})"


class AdaptedRegressor(_FromFile, _Regressing):
    """A regressor adapted before, from a file; it has no `fit`."""

    def __init__(self, adapted: Adapted, compiled: bool = True):
        self.adapted_, self.compiled = adapted, compiled

    def __repr__(self) -> str:
        return f"{type(self).__name__}({amount(self.adapted_.inputs.features, 'feature')})"


def save_model(path: Path, adapted: Adapted) -> None:
    """Write an adapted model in the format that the file's ending names. Raises `OptionError`,
    `RunError`."""
    if path.suffix == ".onnx":
        from metalearn.onnx_export import save_onnx

        save_onnx(path, adapted)
    elif path.suffix == ".safetensors":
        save_adapted(path, adapted)
    else:
        raise OptionError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")


# Runs -----------------------------------------------------------------------------------------


class MetaEstimator(_Predicting):
    """A run that is adapted by `fit`.

    Args:
        run: its folder.
        checkpoint: "best" in validation, or "last".
        steps: inner steps. None is what did best in the run's validation, or, where `--eval-steps`
            was given in training, that.
        batch_norm: a mode of `normalisation.MODES` that the run can have. None is the mode trained
            with, but "support" in place of "transductive": queries are not normalised by each
            other.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1".
        compiled: compile programs for the shapes at hand. The first fit and the first prediction
            then take seconds (less in later processes: machine code is kept), all others
            milliseconds. False suits a single task.
    """

    adapted_: Adapted

    def __init__(
        self,
        run: str | Path,
        checkpoint: str = "best",
        steps: int | None = None,
        batch_norm: str | None = None,
        device: str = "auto",
        compiled: bool = True,
    ):
        self.run = run
        self.checkpoint = checkpoint
        self.steps = steps
        self.batch_norm = batch_norm
        self.device = device
        self.compiled = compiled

    def adapt(self, X: Any, y: Any) -> Self:
        """The same as `fit`."""
        return self.fit(X, y)

    def fit(self, X: Any, y: Any) -> Self:
        """Adapt to labelled examples, whatever was fitted before.

        Args:
            X: (n, …), see the module.
            y: a label each, strings or numbers, of at most as many classes as the run's ways; of a
                table whose tasks share their classes, labels as there; for a run on regression, a
                number each, in the target's own units.

        Raises:
            InputError: examples or labels that cannot be used; a `ValueError`.
            OptionError: settings that make no sense.
            RunError: the run cannot be read.
        """
        trained = self._learned()
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        inputs = inputs_of(trained.run)
        x = inputs.arrays(X, type(self).__name__)
        labels = self._targets(y, len(x))
        targets, classes = self._encoded(trained, labels)
        self.adapted_ = adapt_to(trained, (x, targets), classes, self.steps, self.compiled)
        return self

    def _encoded(
        self, trained: Trained, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Targets as the model knows them, and the classes they stand for."""
        raise NotImplementedError

    def _targets(self, y: Any, count: int) -> np.ndarray:
        """y (count,) or (count, outputs), checked. Raises `InputError`."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            _warn_of_column()
            y = y[:, 0]
        if y.ndim == 0 or len(y) != count:
            raise InputError(
                f"Found input variables with inconsistent numbers of samples: X has {count}, and y "
                f"has the shape {y.shape}; expected ({count},)"
            )
        return y

    def _learned(self) -> Trained:
        """The run's initialisation, read once for each state of its files."""
        if self.checkpoint not in ("best", "last"):
            raise OptionError(f"checkpoint={self.checkpoint!r}; expected 'best' or 'last'")
        if self.steps is not None and (type(self.steps) is not int or self.steps < 0):
            raise OptionError(f"steps={self.steps!r}; expected a whole number, or None")
        wrong = CHECKS["device"](str(self.device))
        if wrong:
            raise OptionError(f"device={self.device!r}: {wrong}")
        path = Path(self.run)
        files = ("config.json", f"checkpoints/{self.checkpoint}.safetensors")
        stamp = tuple(_stamp(path / name) for name in files)
        try:
            device = chosen_device(self.device)
        except ac.DeviceError as error:
            raise OptionError(f"device={self.device!r}: {error}") from error
        found = _trained(os.path.abspath(path), self.checkpoint, self.batch_norm, device, stamp)
        if found.run.config.is_regression != isinstance(self, _Regressing):
            other = "MetaRegressor" if found.run.config.is_regression else "MetaClassifier"
            raise OptionError(f"run={self.run}: its tasks are for {other}")
        return found

    # scikit-learn's conventions ---------------------------------------------------------------

    @classmethod
    def _settings(cls) -> list[str]:
        return list(inspect.signature(cls.__init__).parameters)[1:]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        del deep
        return {name: getattr(self, name) for name in self._settings()}

    def set_params(self, **settings: Any) -> Self:
        """Change settings, for the next `fit`. Raises `InputError` for unknown ones."""
        known = self._settings()
        for name in settings:
            if name not in known:
                raise InputError(
                    f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: "
                    f"{known}."
                )
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only it calls this."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classifies = isinstance(self, _Classifying)
        # A run knows tasks like those it was trained on, and need not do well on others.
        return Tags(
            estimator_type="classifier" if classifies else "regressor",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(poor_score=True) if classifies else None,
            regressor_tags=None if classifies else RegressorTags(poor_score=True),
            input_tags=InputTags(three_d_array=True),
        )


class MetaClassifier(_Classifying, MetaEstimator):
    """A run on classes as a classifier: see `MetaEstimator`.

    After `fit`: `classes_`, and `n_features_in_`.
    """

    def _encoded(
        self, trained: Trained, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        found = inputs_of(trained.run).labelled(labels, trained.run.config.output_count)
        return found[1], found[0]


class MetaRegressor(_Regressing, MetaEstimator):
    """A run on regression as a regressor: see `MetaEstimator`. After `fit`: `n_features_in_`."""

    def _encoded(
        self, trained: Trained, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return inputs_of(trained.run).targets(labels, trained.run.config.output_count), None


@functools.lru_cache(maxsize=8)
def _trained(
    path: str, checkpoint: str, batch_norm: str | None, device: str, stamp: Sequence[Any]
) -> Trained:
    """A run's initialisation on a device; read again when the stamp of its files changes."""
    del stamp
    run = open_run(Path(path))
    return load_trained(run, checkpoint, batch_norm or mode_alone(run.config)).on(device)


def mode_alone(config: Config) -> str:
    """The mode of batch norm in which a run predicts examples one by one: that of training, but
    the support set's statistics where queries would see each other."""
    return "support" if config.batch_norm == "transductive" else config.batch_norm


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _warn_of_column() -> None:
    exceptions = sys.modules.get("sklearn.exceptions")
    category = UserWarning if exceptions is None else exceptions.DataConversionWarning
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples,), for example using ravel().",
        category,
        stacklevel=4,
    )


class NotFittedError(MetalearnError, ValueError, AttributeError):
    """A prediction was asked for before `fit`."""


def _not_fitted(message: str) -> Exception:
    """scikit-learn's own error where it is in use, so that what catches that catches this."""
    exceptions = sys.modules.get("sklearn.exceptions")
    return NotFittedError(message) if exceptions is None else exceptions.NotFittedError(message)
