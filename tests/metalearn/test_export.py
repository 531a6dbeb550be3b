"""Adapted models in one file: they predict the same elsewhere, and what is wrong is refused."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

import autograd_core as ac
import metalearn
from autograd_core import nn, random
from metalearn import checkpoints, onnx_export
from metalearn.adapted import Adapted
from metalearn.errors import OptionError, RunError
from metalearn.estimators import AdaptedClassifier, AdaptedRegressor, MetaClassifier, MetaRegressor
from metalearn.inputs import Inputs
from metalearn.models import Model, conv4, mlp, with_cosine_head
from metalearn.parts import with_outputs
from metalearn.saved import load_adapted, save_adapted
from metalearn.tasks import Preprocess
from metalearn.tasks.table_features import Category, Number, TablePreprocess

from .helpers import SIDE, command, contents, draw_folder, drawings, fails

IMAGES = Preprocess(SIDE, 1, "auto")
NETWORKS = {
    "strided": conv4(1, 16, 5, filters=6),
    "pooled": conv4(3, 20, 5, filters=3, pool=True),
    "without batch norm": conv4(1, 16, 5, filters=4, normalise=False),
    "layers": mlp(256, 5, (12, 7)),
    "one layer": mlp(256, 5, ()),
    "cosine head": with_cosine_head(conv4(1, 16, 5, filters=6), 7.5),
}


def adapted(model: Model, classes: int | None = 3, seed: int = 0) -> Adapted:
    """A model with random parameters and statistics, none of them 0 or 1."""
    rng = np.random.default_rng(seed)
    arguments = dict(model.arguments)
    params = model.init(random.key(seed))
    if classes is not None:
        params = with_outputs(params, classes)
    moved = ac.tree_map(lambda a: ac.asarray(a + rng.normal(0, 0.3, a.shape), "float32"), params)
    statistics = tuple(
        nn.Statistics(*(ac.asarray(rng.uniform(low, 2, channels), "float32") for low in (-2, 0.2)))
        for channels in model.normalised
    )
    if "size" in arguments:
        inputs = Inputs((arguments["channels"], arguments["size"], arguments["size"]))
    else:
        inputs = Inputs((arguments["inputs"],))
    labels = None if classes is None else np.array([f"class {i}" for i in range(classes)])
    return Adapted(model, moved, statistics, inputs, labels, {"run": "none", "steps": 3})


def examples(one: Adapted, count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, *one.inputs.shape), np.float32)


# safetensors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_predicts_the_same_to_the_bit(tmp_path, name):
    one = adapted(NETWORKS[name])
    save_adapted(tmp_path / "m.safetensors", one)
    again = load_adapted(tmp_path / "m.safetensors")
    x = examples(one, 7)
    np.testing.assert_array_equal(again.probabilities(x, False), one.probabilities(x, False))
    assert again.classes.tolist() == ["class 0", "class 1", "class 2"]
    assert (again.inputs, again.about) == (one.inputs, one.about)


@pytest.mark.parametrize(
    "labels", [["b", "ant", "çé"], [3, -1, 2**60], [0.5, 1.5, -2.0], [True, False]], ids=str
)
def test_labels_keep_their_type(tmp_path, labels):
    one = replace(adapted(NETWORKS["layers"], len(labels)), classes=np.array(labels))
    save_adapted(tmp_path / "m.safetensors", one)
    again = load_adapted(tmp_path / "m.safetensors").classes
    assert (again.tolist(), again.dtype) == (labels, np.array(labels).dtype)


def test_a_file_needs_no_run(tmp_path, glyphs_run, waves_run):
    x, y = drawings(classes=3, each=3)
    run = shutil.copytree(glyphs_run.path, tmp_path / "run")
    model = MetaClassifier(run, compiled=False).fit(x, np.array(["wolf", "ant", "bee"])[y])
    model.save(tmp_path / "m.safetensors")
    shutil.rmtree(run)
    again = metalearn.load(tmp_path / "m.safetensors")
    assert type(again) is AdaptedClassifier
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    np.testing.assert_allclose(again.predict_proba(x), model.predict_proba(x), atol=1e-5)
    assert again.classes_.tolist() == ["ant", "bee", "wolf"]
    assert again.score(x, model.predict(x)) == 1
    assert again.n_features_in_ == SIDE * SIDE and "wolf" in repr(again)
    copied = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(copied.predict_proba(x), again.predict_proba(x))
    again.save(tmp_path / "again.safetensors")
    arrays = [checkpoints.read(tmp_path / f"{n}.safetensors")[0] for n in ("m", "again")]
    assert checkpoints.digest(arrays[0]) == checkpoints.digest(arrays[1])

    xs = np.linspace(-4, 4, 9)[:, None]
    waves = MetaRegressor(waves_run.path, compiled=False).fit(xs, np.cos(xs[:, 0]))
    waves.save(tmp_path / "waves.safetensors")
    found = metalearn.load(tmp_path / "waves.safetensors")
    assert type(found) is AdaptedRegressor and "(1 feature)" in repr(found)
    np.testing.assert_allclose(found.predict(xs), waves.predict(xs), atol=1e-5)


def test_a_file_says_that_it_cannot_be_fitted(tmp_path, waves_run, glyphs_run):
    x, y = drawings(classes=3, each=3)
    MetaClassifier(glyphs_run.path, compiled=False).fit(x, y).save(tmp_path / "m.safetensors")
    xs = np.linspace(-4, 4, 9)[:, None]
    waves = MetaRegressor(waves_run.path, compiled=False).fit(xs, np.cos(xs[:, 0]))
    waves.save(tmp_path / "waves.safetensors")
    for name in ("m", "waves"):
        model = metalearn.load(tmp_path / f"{name}.safetensors")
        assert not hasattr(model, "fit") and not hasattr(model, "adapt")
        with pytest.raises(AttributeError, match=r"has no fit: .*metalearn\.load\(RUN\)\.fit"):
            model.fit(x, y)
        with pytest.raises(AttributeError, match="object has no attribute 'other'"):
            _ = model.other


def test_onnx_files_are_for_other_programs(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(OptionError, match=r"m\.onnx: an ONNX file .*\.safetensors"):
        metalearn.load(tmp_path / "m.onnx")
    with pytest.raises(RunError, match="no such run or file"):
        metalearn.load(tmp_path / "none.onnx")


def test_a_file_knows_how_images_were_made(tmp_path, glyphs_run):
    own = draw_folder(tmp_path / "own", classes=3, images=2)
    x, y = drawings(classes=3, each=3)
    MetaClassifier(glyphs_run.path, compiled=False).fit(x, y).save(tmp_path / "m.safetensors")
    inputs = metalearn.load(tmp_path / "m.safetensors").adapted_.inputs
    assert inputs.images == IMAGES
    assert inputs.read_images(own).shape == (6, 1, SIDE, SIDE)


def test_targets_of_tables_are_in_their_own_units(tmp_path):
    table = TablePreprocess(
        None, "price", "regression", (Number("size", 3.0, 2.0, False),), mean=100.0, scale=7.0
    )
    one = replace(adapted(mlp(1, 1, (5,)), None), inputs=Inputs((1,), table=table))
    save_adapted(tmp_path / "m.safetensors", one)
    again = load_adapted(tmp_path / "m.safetensors")
    x = examples(one, 4)
    np.testing.assert_array_equal(again.values(x, False), one.apply(x, False) * 7 + 100)
    targets = one.inputs.targets([107.0, 86.0], 1)
    np.testing.assert_allclose(targets, [[1.0], [-2.0]])


# Damaged and hostile files --------------------------------------------------------------------


def changed(path, tmp_path, change):
    """The same file with its arrays and its record changed, and whole in itself."""
    arrays, record = checkpoints.read(path)
    change(arrays, record)
    found = tmp_path / "changed.safetensors"
    about = {"format": 1, "sha256": checkpoints.digest(arrays), "record": record}
    found.write_bytes(checkpoints.to_bytes(arrays, {checkpoints.KEY: json.dumps(about)}))
    return found


def setting(*path, to):
    def change(arrays, record):
        del arrays
        place = record
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


CHANGES = {
    "another kind": setting("kind", to="checkpoint"),
    "a later format": setting("adapted_format", to=2),
    "no kind": lambda _, record: record.pop("kind"),
    "an unknown network": setting("network", "name", to="resnet"),
    "a network by module": setting("network", "name", to="os.system"),
    "an unknown argument": setting("network", "arguments", "colour", to=1),
    "filters beyond reason": setting("network", "arguments", "filters", to=10**12),
    "a negative size": setting("network", "arguments", "size", to=-16),
    "text for a size": setting("network", "arguments", "size", to="16"),
    "too small to pool": lambda _, record: record["network"]["arguments"].update(size=8, pool=True),
    "labels beyond 64 bits": setting("classes", to={"dtype": "<i8", "values": [1, 2, 10**30]}),
    "names within names": lambda arrays, _: arrays.update({"p" + ".p" * 9999: np.ones(1, "f4")}),
    "shapes beyond reason": setting("inputs", "shape", to=[1, 1 << 30, 1 << 30]),
    "no shape": setting("inputs", "shape", to=[]),
    "wrong preprocessing": setting("inputs", "images", to={"size": 10**9}),
    "fewer classes": setting("classes", "values", to=["a"]),
    "classes that are objects": setting("classes", to={"dtype": "O", "values": [["a"]] * 3}),
    "classes of a wild type": setting("classes", to={"dtype": "V8", "values": ["a"] * 3}),
    "no classes": setting("classes", to=None),
    "about nothing": setting("about", to=7),
    "a missing array": lambda arrays, _: arrays.pop("params.blocks.1.weight"),
    "a missing statistic": lambda arrays, _: arrays.pop("statistics.2.0"),
    "a misshapen array": lambda arrays, _: arrays.update(
        {"params.blocks.1.scale": np.ones(5, np.float32)}
    ),
    "whole numbers": lambda arrays, _: arrays.update({"params.head.bias": np.zeros(3, np.int32)}),
    "no arrays": lambda arrays, _: arrays.clear(),
}


@pytest.fixture
def file(tmp_path):
    one = replace(adapted(NETWORKS["strided"]), inputs=Inputs((1, SIDE, SIDE), IMAGES))
    save_adapted(tmp_path / "m.safetensors", one)
    return tmp_path / "m.safetensors"


def test_what_is_changed_in_nothing_is_taken(file, tmp_path):
    load_adapted(changed(file, tmp_path, lambda *_: None))


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_refused(file, tmp_path, name):
    path = changed(file, tmp_path, CHANGES[name])
    with pytest.raises(RunError, match=r"changed\.safetensors: not an adapted model"):
        metalearn.load(path)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_file_cut_off_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"m\.safetensors"):
        metalearn.load(file)


def test_other_files_are_refused(file, tmp_path, glyphs_run):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(RunError, match="sha256"):
        metalearn.load(file)
    (tmp_path / "pickled").write_bytes(pickle.dumps({"kind": "adapted model"}))
    with pytest.raises(RunError, match="pickled"):
        metalearn.load(tmp_path / "pickled")
    with pytest.raises(RunError, match="not an adapted model"):
        metalearn.load(glyphs_run.best)
    with pytest.raises(OptionError, match="settings are for runs"):
        metalearn.load(file, steps=3)


# Networks that files cannot describe ----------------------------------------------------------


def own_model() -> Model:
    """A user's own, linear."""

    def features(params, x, statistics):
        del params, statistics
        return ac.reshape(x, (x.shape[0], 256)), ()

    def apply(params, x, statistics):
        seen, used = features(params, x, statistics)
        return seen @ params["head"]["weight"], used

    def init(key):
        return {"head": {"weight": random.normal(key, (256, 3))}}

    return Model("mine", init, apply, features)


def test_a_users_own_model_is_refused_in_words(tmp_path):
    model = own_model()
    labels = np.array(["a", "b", "c"])
    one = Adapted(model, model.init(random.key(0)), (), Inputs((256,)), labels, {})
    assert one.probabilities(examples(one, 2)).shape == (2, 3)
    for name in ("m.safetensors", "m.onnx"):
        if name == "m.onnx":
            pytest.importorskip("onnx", reason="pip install 'metagrad[onnx]'")
        with pytest.raises(OptionError, match="'mine' cannot be described"):
            metalearn.estimators.save_model(tmp_path / name, one)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["strided", "layers"])
def test_a_network_with_another_last_layer_is_refused(tmp_path, name):
    """As algorithms make them: the arguments still describe the network before."""
    one = adapted(NETWORKS[name])
    before = one.model
    model = before._replace(
        apply=lambda p, x, s: (ac.tanh(before.apply(p, x, s)[0]), before.apply(p, x, s)[1])
    )
    with pytest.raises(OptionError, match="not the"):
        save_adapted(tmp_path / "m.safetensors", replace(one, model=model))
    with pytest.raises(OptionError, match="not the"):
        pickle.dumps(AdaptedClassifier(replace(one, model=model)))


def test_what_cannot_be_saved(tmp_path, glyphs_run):
    x, y = drawings(classes=3, each=2)
    model = MetaClassifier(glyphs_run.path, compiled=False)
    with pytest.raises(ValueError, match="not fitted"):
        model.save(tmp_path / "m.safetensors")
    model.fit(x, y)
    with pytest.raises(OptionError, match=r"\.safetensors or \.onnx"):
        model.save(tmp_path / "m.pkl")
    with pytest.raises(RunError, match="nowhere"):
        model.save(tmp_path / "nowhere" / "m.safetensors")
    model.set_params(batch_norm="transductive").fit(x, y)
    with pytest.raises(OptionError, match="support set's statistics"):
        model.save(tmp_path / "m.safetensors")
    one = replace(adapted(NETWORKS["layers"], 2), classes=np.array([b"a", (1, 2)], object))
    with pytest.raises(OptionError, match="classes of bytes, tuple"):
        save_adapted(tmp_path / "m.safetensors", one)
    assert not list(tmp_path.iterdir())


# ONNX -----------------------------------------------------------------------------------------


@pytest.fixture
def runtime():
    pytest.importorskip("onnx", reason="pip install 'metagrad[onnx]'")
    return pytest.importorskip("onnxruntime", reason="pip install onnxruntime")


def session(runtime, path):
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_predicts_the_same(runtime, tmp_path, name):
    one = adapted(NETWORKS[name])
    onnx_export.save_onnx(tmp_path / "m.onnx", one)
    running = session(runtime, tmp_path / "m.onnx")
    for count in (1, 2, 9):
        x = examples(one, count)
        (found,) = running.run(["probabilities"], {"x": x})
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, one.probabilities(x, False), atol=1e-5)
    metadata = running.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == one.classes.tolist()
    assert Inputs.from_dict(json.loads(metadata["inputs"])) == one.inputs
    assert json.loads(metadata["about"]) == one.about


@pytest.mark.parametrize("units", [False, True])
def test_onnx_of_regression(runtime, tmp_path, units):
    table = TablePreprocess(
        None, "y", "regression", (Number("x", 0.0, 1.0, False),), None, 9.0, 3.0
    )
    one = adapted(mlp(1, 1, (20, 20)), None)
    one = replace(one, inputs=Inputs((1,), table=table if units else None))
    onnx_export.save_onnx(tmp_path / "m.onnx", one)
    x = examples(one, 6)
    fed = x.astype(np.float64) if units else x  # a table's own column
    (found,) = session(runtime, tmp_path / "m.onnx").run(["y"], {"x": fed})
    np.testing.assert_allclose(found, one.values(x, False), rtol=1e-5, atol=1e-5)


def test_onnx_standardises_columns_of_numbers(runtime, tmp_path):
    features = (Number("a", 1e9, 2.0, True), Number("b", -5.0, 0.1, False), Number("c", 1, 3, True))
    table = TablePreprocess(None, "y", "regression", features, None, 9.0, 3.0)
    one = replace(adapted(mlp(5, 1, (20,)), None), inputs=Inputs((5,), table=table))
    onnx_export.save_onnx(tmp_path / "m.onnx", one)
    x = np.random.default_rng(0).normal(size=(6, 3)) * [2, 0.1, 3] + [1e9, -5, 1]
    x[1, 0] = x[4, 2] = np.nan
    running = session(runtime, tmp_path / "m.onnx")
    (found,) = running.run(["y"], {"x": x})
    np.testing.assert_allclose(found, one.values(one.inputs.arrays(x), False), rtol=1e-5)
    metadata = running.get_modelmeta().custom_metadata_map
    assert metadata["preprocessing"] == "in the graph"
    assert json.loads(metadata["columns"]) == ["a", "b", "c"]


def test_onnx_of_a_table_with_texts_takes_what_they_become(runtime, tmp_path):
    features = (Number("a", 1.0, 2.0, False), Category("b", ("no", "yes"), False))
    table = TablePreprocess(None, "y", "classification", features, ("u", "v", "w"))
    one = replace(adapted(mlp(3, 3, (20,))), inputs=Inputs((3,), table=table))
    onnx_export.save_onnx(tmp_path / "m.onnx", one)
    x = one.inputs.arrays([[3.0, "yes"], [1.0, "no"]])
    np.testing.assert_array_equal(x, [[1, 0, 1], [0, 1, 0]])
    running = session(runtime, tmp_path / "m.onnx")
    (found,) = running.run(None, {"x": x})
    np.testing.assert_allclose(found, one.probabilities(x, False), atol=1e-5)
    metadata = running.get_modelmeta().custom_metadata_map
    assert metadata["preprocessing"] == "before the graph"


def test_onnx_of_a_run(runtime, tmp_path, glyphs_run):
    x, y = drawings(classes=4, each=3)
    model = MetaClassifier(glyphs_run.path).fit(x[::3], y[::3])
    model.save(tmp_path / "m.onnx")
    fed = x.astype(np.float32)[:, None]
    (found,) = session(runtime, tmp_path / "m.onnx").run(None, {"x": fed})
    np.testing.assert_allclose(found, model.predict_proba(x), atol=1e-5)
    model.set_params(batch_norm="transductive").fit(x, y)
    with pytest.raises(OptionError, match="support set's statistics"):
        model.save(tmp_path / "other.onnx")


@pytest.mark.parametrize("mistake", ["epsilon", "order of blocks", "no relu"])
def test_a_wrong_graph_is_not_written(runtime, tmp_path, monkeypatch, mistake):
    one = adapted(NETWORKS["strided"])
    if mistake == "epsilon":
        monkeypatch.setattr(onnx_export, "EPSILON", 0.1)
    elif mistake == "order of blocks":
        monkeypatch.setattr(onnx_export, "BLOCKS", 3)
    else:
        add = onnx_export._Graph.add
        monkeypatch.setattr(
            onnx_export._Graph,
            "add",
            lambda graph, kind, *inputs, **more: add(
                graph, "Identity" if kind == "Relu" else kind, *inputs, **more
            ),
        )
    with pytest.raises(OptionError, match="does not compute what the model does"):
        onnx_export.save_onnx(tmp_path / "m.onnx", one)
    assert not (tmp_path / "m.onnx").exists()


def test_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(OptionError, match=r"pip install 'metagrad\[onnx\]'"):
        onnx_export.save_onnx(tmp_path / "m.onnx", adapted(NETWORKS["layers"]))


# metalearn export -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx"])
def test_the_command_writes_one_file(capsys, tmp_path, glyphs_run, name):
    if name == "m.onnx":
        pytest.importorskip("onnx", reason="pip install 'metagrad[onnx]'")
    own = draw_folder(tmp_path / "own", classes=3, images=2)
    before = contents(glyphs_run.path)
    arguments = ["export", glyphs_run.path, "--support", own, "--out", tmp_path / name]
    result = command(capsys, *arguments)
    assert result.code == 0, result.err
    assert "6 examples of class0, class1, class2" in result.out
    assert "batch norm: support" in result.out and str(tmp_path / name) in result.out
    assert contents(glyphs_run.path) == before
    fails(capsys, *arguments, code=2, says=("exists already", name))
    if name == "m.safetensors":
        model = metalearn.load(tmp_path / name)
        assert model.classes_.tolist() == ["class0", "class1", "class2"]
        images = model.adapted_.inputs.read_images(own)
        estimator = MetaClassifier(glyphs_run.path, compiled=False)
        estimator.fit(images, np.repeat(model.classes_, 2))
        np.testing.assert_allclose(
            model.predict_proba(images), estimator.predict_proba(images), atol=1e-5
        )


def test_the_command_refuses(capsys, tmp_path, glyphs_run, waves_run):
    own = draw_folder(tmp_path / "own", classes=3, images=2)
    export = ["export", glyphs_run.path, "--support", own, "--out"]
    fails(capsys, *export, tmp_path / "m.pkl", code=2, says=(".safetensors or .onnx",))
    out = tmp_path / "m.safetensors"
    fails(capsys, *export, out, "--batch-norm", "transductive", code=2, says=("support",))
    fails(capsys, *export, out, "--target", "y", code=2, says=("--target",))
    fails(capsys, *export, tmp_path / "nowhere" / "m.safetensors", says=("nowhere",))
    fails(capsys, "export", tmp_path, "--support", own, "--out", out, says=("not a run",))
    elsewhere = ["export", waves_run.path, "--support", own, "--out", out]
    fails(capsys, *elsewhere, code=2, says=("sinusoid",))
    assert not out.exists()
