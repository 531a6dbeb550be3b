import json

import pytest

from metalearn.config import Config, make_config
from metalearn.errors import OptionError, RunError

NONSENSE = [
    ({"shots": -1}, "--shots -1"),
    ({"ways": 0}, "--ways 0"),
    ({"ways": 1}, "--ways 1"),
    ({"queries": 0}, "--queries 0"),
    ({"algorithm": "mamml"}, "maml, fomaml"),
    ({"inner_steps": 0}, "--inner-steps 0"),
    ({"inner_lr": float("nan")}, "--inner-lr nan"),
    ({"inner_lr": -0.1}, "--inner-lr -0.1"),
    ({"meta_lr": float("inf")}, "--meta-lr inf"),
    ({"meta_lr": 0.0}, "--meta-lr"),
    ({"meta_batch": 0}, "--meta-batch"),
    ({"task_slice": 0}, "--task-slice"),
    ({"device": "gpu"}, "--device"),
    ({"iterations": 0}, "--iterations 0"),
    ({"minutes": 0.0}, "--minutes 0"),
    ({"minutes": float("nan")}, "--minutes nan"),
    ({"seed": -1}, "--seed"),
    ({"schedule": "square"}, "cosine, linear, constant"),
    ({"meta_lr_final": -1e-5}, "at least 0"),
    ({"remat": "some"}, "none, every, sqrt"),
    ({"batch_norm": "inductive"}, "transductive, support"),
    ({"model": "resnet"}, "mlp, conv4"),
    ({"filters": 0}, "--filters"),
    ({"model": "mlp", "hidden": ()}, "--hidden"),
    ({"model": "mlp", "batch_norm": "support"}, "no batch norm"),
    ({"channels": 2}, "--channels 2"),
    ({"channels": 3}, "grey"),
    ({"image_size": 4}, "--image-size"),
    ({"pooling": "mean"}, "--pooling"),
    ({"eval_steps": 0}, "--eval-steps"),
    ({"validate_every": 0}, "--validate-every"),
    ({"validation_episodes": 1}, "--validation-episodes"),
    ({"data": "/somewhere"}, "reads no files"),
]


@pytest.mark.parametrize(("given", "says"), NONSENSE, ids=lambda x: str(x)[:30])
def test_options_that_make_no_sense(given, says):
    with pytest.raises(OptionError) as caught:
        make_config("glyphs", given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_dataset():
    with pytest.raises(OptionError, match=r"glyphs, omniglot.*or a .csv or .npz file"):
        make_config("mnist", {})


@pytest.mark.parametrize("name", ["signs.npz", "marks.csv"])
def test_a_missing_file_is_told_as_such(tmp_path, name):
    with pytest.raises(OptionError, match=rf"{name}: no such file"):
        make_config(str(tmp_path / name), {})


def test_a_given_budget_replaces_the_default_one():
    assert make_config("omniglot", {}).iterations and make_config("omniglot", {}).minutes
    given = make_config("omniglot", {"iterations": 7})
    assert (given.iterations, given.minutes) == (7, None)
    given = make_config("omniglot", {"minutes": 7.0})
    assert (given.iterations, given.minutes) == (None, 7.0)


def test_a_folder_is_a_dataset(tmp_path):
    config = make_config(str(tmp_path), {})
    assert (config.dataset, config.data) == ("folder", str(tmp_path))
    with pytest.raises(OptionError, match="--data"):
        make_config(str(tmp_path), {"data": "elsewhere"})


@pytest.mark.parametrize("dataset", ["sinusoid", "omniglot", "glyphs"])
def test_defaults_survive_json(dataset):
    config = make_config(dataset, {"model": "mlp", "hidden": (3, 4)})
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("change", [{"ways": -1}, {"hidden": 3}, {"more": 1}])
def test_recorded_options_are_checked(change):
    with pytest.raises(RunError, match="recorded options"):
        Config.from_dict({**make_config("glyphs", {}).to_dict(), **change})


def test_defaults_are_those_of_what_the_data_turn_out_to_be(tmp_path):
    """Of the same kind of file, one is regression and another is not."""
    table, own = tmp_path / "data.csv", tmp_path / "mine.py"
    table.write_text("task,x,y\n")
    own.write_text("class Mine: ...\n")
    rates = {
        (dataset, regression): make_config(dataset, given, regression).inner_lr
        for dataset, given in ((str(table), {"target": "y"}), (f"{own}:Mine", {}))
        for regression in (True, False)
    }
    assert list(rates.values()) == [0.01, 0.1, 0.01, 1.0]
    for name, steps in (("imaml", 16), ("maml", 5)):
        given = {"target": "y", "algorithm": name}
        config = make_config(str(table), given, True)
        assert config.inner_steps == steps and config.inner_lr <= 0.01
    assert make_config(str(table), {"target": "y", "inner_lr": 0.2}, True).inner_lr == 0.2
