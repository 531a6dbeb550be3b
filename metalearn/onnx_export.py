"""Adapted models as ONNX graphs, which run without this program, in onnxruntime for one.

The graph is built from the network's arguments, layer by layer; its input "x" is (n, …) float32 as
`Inputs` says, with n free, its output "probabilities" (n, ways), or "y" (n, outputs) in regression.
Images of a run that was trained on dark ink on light are inverted in the graph; others are to have
bright ink, where the metadata "inputs" say "auto".

Of a table whose columns are all numbers, "x" is (n, columns) float64 as in the table, NaN where no
value is, and standardising is part of the graph. Categories and dates are texts, which do not fit
beside numbers: there "x" is (n, width) float32 after the preprocessing, which the metadata "inputs"
holds (columns in order: (value − mean) / scale, of a date with the days since the "first" as value,
then 1 where it is missing; a 1 for each category's value). The metadata "preprocessing" says which:
"in the graph", "before the graph" or "none".

Before it is written, onnx's own reference runs it on a few inputs, and it has to agree.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metalearn.adapted import Adapted
from metalearn.checkpoints import write_atomically
from metalearn.errors import OptionError
from metalearn.models import BLOCKS, COSINE, NORM_OFFSET, unit
from metalearn.parts import head_of
from metalearn.runs import to_json
from metalearn.saved import TOLERANCE, check_described, check_frozen
from metalearn.tasks import TablePreprocess
from metalearn.tasks.table_features import Number

OPSET, IR_VERSION = 17, 8
"""Of 2022, which every runtime in use knows."""
EPSILON = 1e-5  # of `nn.batch_norm`


def save_onnx(path: Path, adapted: Adapted) -> None:
    """Write an adapted model as an ONNX file.

    Raises `OptionError` where the package `onnx` is missing, for a network that is none of ours,
    or one that normalises by whatever is predicted together; `RunError` when writing fails.
    """
    write_atomically(path, to_onnx(adapted).SerializeToString())


def to_onnx(adapted: Adapted) -> Any:
    """An adapted model as an `onnx.ModelProto`. Raises `OptionError`, as `save_onnx` says."""
    onnx = _onnx()
    check_frozen(adapted)
    name, arguments = adapted.model.name, dict(adapted.model.arguments)
    check_described(adapted)
    if name not in TRANSLATIONS:
        raise OptionError(
            f"the network {name!r} has no translation to ONNX; expected one of "
            f"{', '.join(TRANSLATIONS)}: save it as .safetensors"
        )
    graph = _Graph(onnx)
    fed = _fed(graph, adapted)
    outputs = TRANSLATIONS[name](graph, fed, adapted, arguments)
    if adapted.classes is not None:
        result = graph.add("Softmax", outputs, named="probabilities", axis=1)
    elif adapted.inputs.table is not None:
        table = adapted.inputs.table
        scaled = graph.add("Mul", outputs, graph.constant(np.float32(table.scale)))
        result = graph.add("Add", scaled, graph.constant(np.float32(table.mean)), named="y")
    else:
        result = graph.add("Identity", outputs, named="y")
    shape = (adapted.inputs.features,) if takes_columns(adapted) else adapted.inputs.shape
    kind = np.float64 if takes_columns(adapted) else np.float32
    model = graph.model(shape, kind, result, adapted.outputs, _metadata(adapted))
    onnx.checker.check_model(model, full_check=True)
    _check_agrees(onnx, model, adapted)
    return model


def _onnx() -> Any:
    try:
        import onnx
        import onnx.reference
    except ImportError as error:
        raise OptionError(
            f"ONNX files need the package onnx ({error}); pip install 'metagrad[onnx]', or save "
            "as .safetensors"
        ) from error
    return onnx


class _Graph:
    """Nodes and constants in the order in which they are computed."""

    def __init__(self, onnx: Any):
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, kind: str, *inputs: str, named: str | None = None, **attributes: Any) -> str:
        """The name of the result of an operation on results and constants, by name."""
        name = named or f"{kind.lower()}{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self._nodes.append(node)
        return name

    def constant(self, array: Any, kind: Any = np.float32) -> str:
        """The name of an array of numbers, as float32 or of another kind."""
        name = f"constant{len(self._constants)}"
        value = np.asarray(np.asarray(array), kind)
        self._constants.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def model(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        result: str,
        outputs: int,
        metadata: Mapping[str, str],
    ) -> Any:
        """The model of the input "x" (n, *shape) of a dtype and one result (n, outputs) float32."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        fed = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        graph = helper.make_graph(
            self._nodes,
            "adapted",
            [helper.make_tensor_value_info("x", fed, ["n", *shape])],
            [helper.make_tensor_value_info(result, kind, ["n", outputs])],
            self._constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="metagrad"
        )
        helper.set_model_props(model, dict(metadata))
        return model


Arguments = Mapping[str, Any]


def takes_columns(adapted: Adapted) -> bool:
    """Whether the graph takes a table's own columns: where all of them are numbers."""
    table = adapted.inputs.table
    return table is not None and all(isinstance(f, Number) for f in table.features)


def _fed(graph: _Graph, adapted: Adapted) -> str:
    """The name of what the network is fed, made of "x"."""
    if takes_columns(adapted):
        return _standardised(graph, adapted.inputs.table)
    if adapted.inputs.ink == "dark":
        return graph.add("Sub", graph.constant(1), "x")
    return "x"


def _standardised(graph: _Graph, table: TablePreprocess | None) -> str:
    """The columns "x" of a table, (n, columns) float64, as the network is fed them."""
    assert table is not None
    features = [f for f in table.features if isinstance(f, Number)]
    means = graph.constant([f.mean for f in features], np.float64)
    scales = graph.constant([f.scale for f in features], np.float64)
    scaled = graph.add("Div", graph.add("Sub", "x", means), scales)
    x = graph.add("Cast", scaled, to=1)  # float32
    if not any(f.missing for f in features):
        return x
    may_lack = graph.constant([f.missing for f in features], np.bool_)
    lacks = graph.add("And", graph.add("IsNaN", "x"), may_lack)
    values = graph.add("Where", lacks, graph.constant(0), x)
    both = graph.add("Concat", values, graph.add("Cast", lacks, to=1), axis=1)
    # Each column, and after it, where it has one, that of what is missing.
    order = [
        place
        for i, f in enumerate(features)
        for place in ([i, len(features) + i] if f.missing else [i])
    ]
    return graph.add("Gather", both, graph.constant(order, np.int64), axis=1)


def _affine(graph: _Graph, x: str, layer: Mapping[str, Any]) -> str:
    return graph.add("Gemm", x, graph.constant(layer["weight"]), graph.constant(layer["bias"]))


def _head(graph: _Graph, x: str, layer: Mapping[str, Any], arguments: Arguments) -> str:
    """The last layer: linear, or `models.cosine`."""
    if COSINE not in arguments:
        return _affine(graph, x, layer)
    norm = graph.add("ReduceL2", x, axes=[1], keepdims=1)
    units = graph.add("Div", x, graph.add("Add", norm, graph.constant(NORM_OFFSET)))
    weight = arguments[COSINE] * np.asarray(unit(layer["weight"], axis=0))
    return graph.add("MatMul", units, graph.constant(weight))


def _mlp(graph: _Graph, x: str, adapted: Adapted, arguments: Arguments) -> str:
    x = graph.add("Flatten", x, axis=1)
    for layer in adapted.params[:-1]:
        x = graph.add("Relu", _affine(graph, x, layer))
    return _head(graph, x, head_of(adapted.params), arguments)


def _conv4(graph: _Graph, x: str, adapted: Adapted, arguments: Arguments) -> str:
    pool = arguments["pool"]
    stride = [1, 1] if pool else [2, 2]
    for i in range(BLOCKS):
        block = adapted.params["blocks"][i]
        parts = [graph.constant(block[name]) for name in ("weight", "bias") if name in block]
        x = graph.add("Conv", x, *parts, kernel_shape=[3, 3], strides=stride, pads=[1, 1, 1, 1])
        if arguments["normalise"]:
            mean, var = adapted.statistics[i]
            scales = [graph.constant(a) for a in (block["scale"], block["shift"], mean, var)]
            x = graph.add("BatchNormalization", x, *scales, epsilon=EPSILON)
        x = graph.add("Relu", x)
        if pool:
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    if not pool:
        x = graph.add("GlobalAveragePool", x)
    return _head(graph, graph.add("Flatten", x, axis=1), head_of(adapted.params), arguments)


TRANSLATIONS: Mapping[str, Callable[[_Graph, str, Adapted, Arguments], str]] = {
    "mlp": _mlp,
    "conv4": _conv4,
}
"""For each of `models.NETWORKS`, what adds it to a graph and returns the name of its outputs."""


def preprocessing(adapted: Adapted) -> str:
    """Where a table's columns become what the network is fed; "none" of what is no table."""
    if adapted.inputs.table is None:
        return "none"
    return "in the graph" if takes_columns(adapted) else "before the graph"


def _metadata(adapted: Adapted) -> dict[str, str]:
    classes = None if adapted.classes is None else adapted.classes.tolist()
    return {
        "classes": to_json(classes),
        "inputs": to_json(adapted.inputs.to_dict()),
        "columns": to_json(adapted.inputs.columns),
        "preprocessing": preprocessing(adapted),
        "about": json.dumps(dict(adapted.about), default=str),
    }


def _check_agrees(onnx: Any, model: Any, adapted: Adapted) -> None:
    """Raise `OptionError` where the graph computes something else, which would be our mistake."""
    x = np.random.default_rng(0).random((2, *adapted.inputs.shape), np.float32)
    given = x
    if takes_columns(adapted):
        given = _columns_like(x[:, : adapted.inputs.features], adapted.inputs.table)
        x = adapted.inputs.arrays(given)
    if adapted.inputs.ink == "dark":
        x = 1 - x
    (found,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": given})
    expected = (adapted.values if adapted.classes is None else adapted.probabilities)(x, False)
    if not np.allclose(found, expected, TOLERANCE, TOLERANCE * np.abs(expected).max()):
        raise OptionError(
            "the ONNX graph does not compute what the model does; save it as .safetensors, and "
            "please report this"
        )


def _columns_like(x: np.ndarray, table: TablePreprocess | None) -> np.ndarray:
    """Columns of a table, (n, columns) float64, with a value missing wherever one may."""
    assert table is not None
    features = [f for f in table.features if isinstance(f, Number)]
    means, scales = (np.array([getattr(f, of) for f in features]) for of in ("mean", "scale"))
    given = x * scales + means
    given[0, [f.missing for f in features]] = np.nan
    return given
