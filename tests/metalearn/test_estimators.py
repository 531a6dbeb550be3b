"""Runs as estimators: what they predict, what they take, and scikit-learn's own checks of them."""

import inspect
import pickle
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import autograd_core as ac
import metalearn
from autograd_core import random
from metalearn.adapted import AT_A_TIME, _filled
from metalearn.errors import OptionError, RunError
from metalearn.estimators import MetaClassifier, MetaRegressor, NotFittedError, load
from metalearn.inputs import InputError
from metalearn.runs import open_run
from metalearn.trained import load_trained
from metalearn.training import model_of

from .helpers import ROOT, SIDE, drawings, small_config, train


@pytest.fixture
def classifier(glyphs_run):
    return MetaClassifier(str(glyphs_run.path), compiled=False)


@pytest.fixture
def regressor(waves_run):
    return MetaRegressor(str(waves_run.path), compiled=False)


@pytest.fixture(scope="session")
def per_step_run(tmp_path_factory):
    """A run that normalises by running averages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metalearn.catalogue.GLYPHS", {"classes": 40, "samples": 12, "seed": 0})
        path = tmp_path_factory.mktemp("runs") / "averages"
        return train(path, small_config("glyphs", batch_norm="per_step"))


# What is predicted ----------------------------------------------------------------------------


def expected_logits(run, mode, support, query, ways, steps):
    """By the algorithm's own `predict`, without anything of estimators."""
    trained = load_trained(run, "best", mode)
    meta = trained.algorithm.with_ways(trained.params, ways)
    return np.asarray(
        trained.algorithm.predict(trained.learner, meta, support, query, steps), np.float64
    )


@pytest.mark.parametrize(
    ("run", "given", "mode"),
    [
        ("glyphs_run", None, "support"),
        ("glyphs_run", "transductive", "transductive"),
        ("per_step_run", None, "per_step"),
        ("per_step_run", "support", "support"),
    ],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_predictions_are_the_algorithms(request, run, given, mode, compiled):
    run = request.getfixturevalue(run)
    x, y = drawings(classes=4, each=3)
    x = x.astype(np.float32)[:, None]
    support, query = (x[::3], y[::3]), x[1::3]
    model = MetaClassifier(run.path, batch_norm=given, steps=3, compiled=compiled).fit(*support)
    logits = expected_logits(run, mode, support, query, 4, 3)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(query), odds, atol=1e-5)
    np.testing.assert_array_equal(model.predict(query), odds.argmax(axis=1))


def test_values_are_the_algorithms(waves_run, regressor):
    x = np.linspace(-5, 5, 12, dtype=np.float32)[:, None]
    y = np.sin(x)
    found = regressor.fit(x, y[:, 0]).predict(x)
    steps = waves_run.config.eval_steps
    expected = expected_logits(waves_run, "none", (x, y), x, 1, steps)
    np.testing.assert_allclose(found, expected[:, 0], atol=1e-5)
    assert found.shape == (12,)


def test_steps_settings_and_checkpoints_count(glyphs_run):
    x, y = drawings(classes=3, each=2)
    odds = [
        MetaClassifier(glyphs_run.path, compiled=False, **settings).fit(x, y).predict_proba(x[:4])
        for settings in ({}, {"steps": 0}, {"steps": 2}, {"batch_norm": "transductive"})
    ]
    assert not np.allclose(odds[0], odds[1])
    np.testing.assert_array_equal(odds[0], odds[2])  # what the run's validation used
    assert not np.allclose(odds[0], odds[3])
    last = MetaClassifier(glyphs_run.path, "last", compiled=False).fit(x, y)
    assert last.adapted_.about["checkpoint"] == "last"


def test_examples_are_judged_alone_unless_told_otherwise(classifier):
    x, y = drawings(classes=3, each=4)
    together = classifier.fit(x[::2], y[::2]).predict_proba(x)
    alone = np.concatenate([classifier.predict_proba(image[None]) for image in x])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    told = classifier.set_params(batch_norm="transductive").fit(x[::2], y[::2])
    assert not np.allclose(told.predict_proba(x)[:5], told.predict_proba(x[:5]), atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [
        ["wolf", "ant", "bee"],
        [30, -7, 4],
        [2.0, 1.0, 7.0],
        np.array(["wolf", "ant", "bee"], object),
    ],
    ids=["texts", "integers", "floats", "objects"],
)
def test_labels_of_any_kind(classifier, labels):
    x, y = drawings(classes=3, each=4)
    expected = classifier.fit(x, y).predict_proba(x)
    named = np.array(labels)[y]
    found = classifier.fit(x, named)
    np.testing.assert_array_equal(found.classes_, np.unique(labels))
    order = np.argsort(labels)
    # Another order of outputs, so other numbers; yet each image keeps its probabilities' sense.
    assert found.predict_proba(x).shape == expected.shape
    assert set(found.predict(x)) <= set(labels)
    assert found.classes_[np.argsort(order)].tolist() == list(labels)
    assert found.score(x, named) == np.mean(found.predict(x) == named)
    assert found.score(x, named, named == found.classes_[0]) == np.mean(
        (found.predict(x) == named)[named == found.classes_[0]]
    )


def test_images_in_all_their_shapes(classifier):
    x, y = drawings(classes=3, each=2)
    expected = classifier.fit(x, y).predict_proba(x)
    floats = x.astype(np.float64)
    for form in (
        *(floats, floats[:, None], floats[..., None], floats.reshape(len(x), -1)),
        *(x[:, None], (x * 255).astype(np.uint8), floats.tolist(), ac.asarray(floats)),
        np.asfortranarray(floats),
    ):
        np.testing.assert_array_equal(classifier.fit(form, y).predict_proba(form), expected)
    assert classifier.n_features_in_ == SIDE * SIDE


def test_many_are_predicted_in_parts(classifier):
    x, y = drawings(classes=3, each=AT_A_TIME // 2)
    model = classifier.fit(x[:: AT_A_TIME // 4], y[:: AT_A_TIME // 4])
    model.compiled = True
    assert len(x) > AT_A_TIME
    found = model.predict_proba(x)
    np.testing.assert_allclose(found[-5:], model.predict_proba(x[-5:]), atol=1e-5)


def test_few_programs_serve_all_numbers_of_examples():
    sizes = [len(_filled(np.zeros((n, 1)))) for n in range(1, AT_A_TIME + 1)]
    assert all(n <= size <= 1.25 * n for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) <= 28
    np.testing.assert_array_equal(_filled(np.arange(9)), [*range(9), 8])


def test_a_run_that_goes_on_is_read_again(glyphs_run, tmp_path):
    run = shutil.copytree(glyphs_run.path, tmp_path / "run")
    model = load(run, compiled=False)
    x, y = drawings(classes=3, each=2)
    before = model.fit(x, y).predict_proba(x)
    shutil.copy(run / "checkpoints" / "best.safetensors", tmp_path / "kept")
    (run / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(RunError, match="no best checkpoint"):
        model.fit(x, y)
    np.testing.assert_array_equal(model.predict_proba(x), before)
    shutil.move(tmp_path / "kept", run / "checkpoints" / "best.safetensors")
    np.testing.assert_array_equal(model.fit(x, y).predict_proba(x), before)


# Loading --------------------------------------------------------------------------------------


def test_load_gives_what_suits_the_run(glyphs_run, waves_run):
    assert type(metalearn.load(glyphs_run.path)) is metalearn.MetaClassifier
    model = metalearn.load(str(waves_run.path), steps=4)
    assert type(model) is metalearn.MetaRegressor
    assert model.get_params()["steps"] == 4
    assert repr(model) == f"MetaRegressor(run={str(waves_run.path)!r}, steps=4)"
    assert model.adapt([[0.0], [1.0]], [0.0, 1.0]) is model


def test_importing_the_package_is_light():
    code = (
        "import sys, metalearn; assert not {'numpy', 'numba', 'autograd_core', 'sklearn'} & "
        "set(sys.modules); metalearn.load; assert 'sklearn' not in sys.modules; "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    with pytest.raises(AttributeError, match="nothing"):
        metalearn.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"checkpoint": "first"}, "'best' or 'last'"),
        ({"steps": -1}, "whole number"),
        ({"steps": 1.5}, "whole number"),
        ({"batch_norm": "running"}, "trained with transductive"),
        ({"batch_norm": "bogus"}, "bogus"),
        ({"device": "tpu"}, "auto, cpu"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"colour": 1}, "checkpoint, steps"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(glyphs_run, settings, says):
    with pytest.raises(OptionError, match=says):
        load(glyphs_run.path, **settings)


def test_what_is_no_run(tmp_path, glyphs_run, waves_run):
    with pytest.raises(RunError, match="no such"):
        load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="not a run"):
        load(tmp_path)
    with pytest.raises(OptionError, match="MetaRegressor"):
        MetaClassifier(waves_run.path).fit([[0.0]], [0])
    with pytest.raises(OptionError, match="MetaClassifier"):
        MetaRegressor(glyphs_run.path).fit([[0.0]], [0])


# What cannot be used --------------------------------------------------------------------------


def bad_examples():
    x, y = drawings(classes=3, each=2)
    f = x.astype(np.float64)
    hole = f.copy()
    hole[0, 0, 0] = np.nan
    return {
        "six classes": (np.concatenate([f, f]), np.arange(12) % 6, "5-way.*at most 5"),
        "one class": (f, np.zeros(6, int), "one class"),
        "continuous labels": (f, y + 0.5, "Unknown label type"),
        "two columns of labels": (f, np.stack([y, y], 1), "Unknown label type"),
        "too few labels": (f, y[:-1], "inconsistent numbers of samples"),
        "no labels": (f, None, "requires y"),
        "labels not finite": (f, np.array([np.nan, *y[1:]]), "y contains NaN"),
        "mixed labels": (f, np.array(["a", 1, 1, "a", 2, 2], object), "several types"),
        "other size": (f[:, :-1], y, r"expecting 256 features.*\(n, 1, 16, 16\)"),
        "one image": (f[0, 0], y, "Expected 2D array"),
        "no image": (f[:0], y[:0], "0 sample"),
        "NaN": (hole, y, "X contains NaN"),
        "0 to 255": (f * 255, y, r"0 to 255; expected uint8"),
        "integers": (f.astype(int), y, "int64 from 0 to 1; expected uint8"),
        "texts": (np.full((6, 256), "a"), y, "expected numbers"),
        "complex": (f * 1j, y, "Complex"),
    }


@pytest.mark.parametrize("name", bad_examples())
def test_examples_that_cannot_be_used(classifier, name):
    x, y, says = bad_examples()[name]
    with pytest.raises(InputError, match=says) as found:
        classifier.fit(x, y)
    assert isinstance(found.value, ValueError)
    assert not classifier.__sklearn_is_fitted__()


def test_targets_that_cannot_be_used(regressor):
    x = np.zeros((3, 1))
    for y, says in (
        ([1.0, np.inf, 0.0], "y contains infinity"),
        (np.zeros((3, 2)), r"expected \(n, 1\)"),
        (["a", "b", "c"], "expected numbers"),
    ):
        with pytest.raises(InputError, match=says):
            regressor.fit(x, y)
    with pytest.raises(InputError, match="X contains infinity"):
        regressor.fit(np.full((3, 1), 1e300), np.zeros(3))


def test_one_query_is_not_normalised_by_itself(classifier):
    x, y = drawings(classes=3, each=2)
    model = classifier.set_params(batch_norm="transductive").fit(x, y)
    with pytest.raises(OptionError, match="normalised by itself"):
        model.predict(x[:1])


def test_before_fit(classifier):
    for name in ("classes_", "n_features_in_"):
        assert not hasattr(classifier, name)
    x, _ = drawings(classes=1, each=1)
    with pytest.raises((NotFittedError, ValueError), match="not fitted yet"):
        classifier.predict(x)
    with pytest.raises(InputError, match="colour"):
        classifier.set_params(colour=1)


def test_pickling_keeps_the_predictions(classifier, regressor):
    x, y = drawings(classes=3, each=2)
    classifier.set_params(batch_norm="transductive").fit(x, y)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    assert again.get_params() == classifier.get_params()
    assert not pickle.loads(pickle.dumps(regressor)).__sklearn_is_fitted__()


# scikit-learn ---------------------------------------------------------------------------------

try:
    from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
except ImportError:
    sklearn_missing = True
else:
    sklearn_missing = False

# scikit-learn says so of every estimator that does not inherit from its own base class.
not_inherited = pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning")
needs_sklearn = pytest.mark.skipif(sklearn_missing, reason="scikit-learn is not installed")


class AnyWidth:
    """An estimator whose run's network is replaced by an untrained one, as wide as the examples:
    scikit-learn's checks come with from 1 to 20 features."""

    def fit(self, X, y):
        shape = np.asarray(X).shape
        self._width = shape[1] if len(shape) == 2 and shape[1] else 1
        return super().fit(X, y)

    def _learned(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            found = super()._learned()
        outputs = 5 if isinstance(self, MetaClassifier) else 1
        config = replace(
            found.run.config,
            model="mlp",
            hidden=(40, 40),
            batch_norm="none",
            inputs=(getattr(self, "_width", 1),),
            outputs=outputs,
        )
        model = model_of(config)
        return found._replace(
            run=replace(found.run, config=config),
            learner=replace(found.learner, model=model, mode="none", averages=None),
            params=model.init(random.key(0)),
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        for one in (tags.classifier_tags, tags.regressor_tags):
            if one is not None:
                one.poor_score = False  # by many steps it has to do well
        return tags


class AnyClassifier(AnyWidth, MetaClassifier):
    pass


class AnyRegressor(AnyWidth, MetaRegressor):
    pass


@pytest.fixture(scope="session")
def where_runs_are(glyphs_run, waves_run):
    """The runs of `RUNS`, which are named before there are fixtures."""
    RUNS.update(classifier=str(glyphs_run.path), regressor=str(waves_run.path))
    yield
    RUNS.clear()


RUNS: dict[str, str] = {}


class AtFixture:
    """The name of a run, that says where it is when it is asked; the same object for `clone`."""

    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return RUNS[self.name]

    def __repr__(self):
        return self.name


ROUNDING = {
    "check_methods_subset_invariance": "compares to 1e-7, and networks compute in float32: "
    "products of other sizes differ in the last bit"
}


def scikit_learns_checks():
    """A parametrisation by its checks; where it is missing, one that is skipped."""
    if sklearn_missing:
        return pytest.mark.skip("scikit-learn is not installed (pip install scikit-learn)")
    estimators = [
        AnyClassifier(AtFixture("classifier"), steps=30, compiled=False),
        AnyRegressor(AtFixture("regressor"), steps=100, compiled=False),
    ]
    with warnings.catch_warnings(action="ignore"):  # of estimators without its base class
        mark = parametrize_with_checks(estimators, expected_failed_checks=lambda _: ROUNDING).mark
        checks = list(mark.args[1])
    return pytest.mark.parametrize(mark.args[0], checks, **mark.kwargs)


@not_inherited
@scikit_learns_checks()
def test_scikit_learns_checks(where_runs_are, estimator, check):
    check(estimator)


OTHER_FEATURES = {
    *("check_fit_score_takes_y", "check_estimators_overwrite_params"),
    *("check_dont_overwrite_parameters", "check_estimators_fit_returns_self"),
    *("check_readonly_memmap_input", "check_n_features_in_after_fitting"),
    *("check_positive_only_tag_during_fit", "check_estimators_dtypes", "check_dtype_object"),
    *("check_pipeline_consistency", "check_estimators_nan_inf", "check_estimators_pickle"),
    *("check_f_contiguous_array_estimator", "check_classifier_data_not_an_array"),
    *("check_classifiers_one_label", "check_classifiers_classes", "check_classifiers_train"),
    *("check_classifiers_regression_target", "check_supervised_y_2d"),
    *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    *("check_fit2d_1sample", "check_fit2d_1feature", "check_dict_unchanged"),
    *("check_fit_idempotent", "check_fit_check_is_fitted", "check_n_features_in"),
    *("check_array_api_input", "check_fit2d_predict1d"),
    *("check_regressors_train", "check_regressor_data_not_an_array"),
    *("check_regressors_no_decision_function", "check_regressors_int"),
}
"""Checks that fit examples of a number of features of their own choice; the network of a run has
one. All of them pass in the test above."""


@needs_sklearn
@not_inherited
@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_scikit_learns_checks_of_real_runs(request, name):
    """Those that ask nothing of the examples pass; the others fail for the features alone."""
    estimator = request.getfixturevalue(name)
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    assert failed <= OTHER_FEATURES
    assert len(results) - len(failed) > 20
    direct = [r["exception"] for r in results if isinstance(r["exception"], InputError)]
    assert len(direct) > 20
    for error in direct:
        assert "features, but" in str(error)


@needs_sklearn
def test_scikit_learns_tools(classifier, regressor):
    from sklearn.base import clone, is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError as SklearnsNotFittedError
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    assert is_classifier(classifier) and is_regressor(regressor)
    x, y = drawings(classes=3, each=6)
    flat = x.reshape(len(x), -1).astype(np.float64)
    with pytest.raises(SklearnsNotFittedError):
        classifier.predict(x)
    assert clone(classifier.fit(x, y)).get_params() == classifier.get_params()
    assert not clone(classifier).__sklearn_is_fitted__()
    assert classifier.score(x, y) == accuracy_score(y, classifier.predict(x))
    scores = cross_val_score(make_pipeline(FunctionTransformer(np.abs), classifier), flat, y, cv=3)
    assert scores.shape == (3,) and (scores >= 0).all()
    search = GridSearchCV(classifier, {"steps": [0, 2]}, cv=2).fit(flat, y)
    assert search.best_params_["steps"] in (0, 2)
    xs = np.linspace(-5, 5, 20)[:, None]
    ys, weights = np.sin(xs[:, 0]), np.arange(20.0)
    found = regressor.fit(xs, ys)
    for given in (None, weights):
        expected = r2_score(ys, found.predict(xs), sample_weight=given)
        assert found.score(xs, ys, given) == pytest.approx(expected)


def test_without_scikit_learn(glyphs_run):
    code = (
        "import sys; sys.modules['sklearn'] = None; import metalearn, numpy as np\n"
        f"model = metalearn.load({str(glyphs_run.path)!r}, compiled=False)\n"
        "x = np.random.default_rng(0).random((3, 16, 16))\n"
        "try: model.predict(x)\n"
        "except ValueError as error: assert 'not fitted' in str(error), error\n"
        "else: raise SystemExit('predicted')\n"
        "print(model.fit(x, ['a', 'b', 'c']).predict_proba(x).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(3, 3)\n"


def test_settings_are_documented():
    doc = inspect.getdoc(metalearn.estimators.MetaEstimator)
    for name in MetaClassifier._settings():
        assert f"    {name}: " in doc


def test_open_run_stays_as_it_was(glyphs_run, classifier):
    """Using a run changes nothing in it."""
    before = sorted(p.name for p in glyphs_run.path.rglob("*"))
    x, y = drawings(classes=3, each=2)
    classifier.fit(x, y).predict(x)
    assert sorted(p.name for p in glyphs_run.path.rglob("*")) == before
    assert open_run(glyphs_run.path).config == glyphs_run.config
