"""Theano, and Keras on it. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import theano
import theano.tensor as T
from theano.misc import pkl_utils

FORMATS: tuple[str, ...] = (
    "shared-pickle",
    "function-pickle",
    "graph-pickle",
    "stripped-pickle",
    "pkl-utils",
    "npz",
    "keras-h5",
    "keras-weights",
    "keras-json",
    "keras-yaml",
    "keras-pickle",
    "keras-checkpoint",
)
EXTENSIONS: tuple[str, ...] = ("c-op", "external-c-op")
CANNOT: dict[str, str] = {}

_FLOAT = theano.config.floatX
_INPUTS = (np.arange(12).reshape(4, 3) / 8).astype(_FLOAT)
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], _FLOAT)
_C_CODE = """
    Py_XDECREF(%(y)s);
    %(y)s = (PyArrayObject*)PyArray_SimpleNew(1, PyArray_DIMS(%(x)s), NPY_FLOAT64);
    if (%(y)s == NULL) { %(fail)s }
    for (npy_intp i = 0; i < PyArray_DIM(%(x)s, 0); i++) {
        *(double*)PyArray_GETPTR1(%(y)s, i) = 2 * *(double*)PyArray_GETPTR1(%(x)s, i) + 1;
    }
"""
_EXTERNAL = """#section support_code_apply

int APPLY_SPECIFIC(line)(PyArrayObject* x, PyArrayObject** y) {
    Py_XDECREF(*y);
    *y = (PyArrayObject*)PyArray_SimpleNew(1, PyArray_DIMS(x), TYPENUM_OUTPUT_0);
    if (*y == NULL) return 1;
    for (npy_intp i = 0; i < PyArray_DIM(x, 0); i++) {
        *(DTYPE_OUTPUT_0*)PyArray_GETPTR1(*y, i) = 2 * *(DTYPE_INPUT_0*)PyArray_GETPTR1(x, i) + 1;
    }
    return 0;
}
"""


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    """Theano compiles both where it compiles everything; of the second, the C code is a file of the user's."""
    if name == "external-c-op":
        Path(folder, "line.c").write_text(_EXTERNAL)
    x = T.dvector("x")
    function = theano.function([x], _external(folder)(x) if name == "external-c-op" else _Line()(x))
    return _floats(function(np.arange(4.0)))


class _Line(theano.Op):
    """2 x + 1 by C code alone: it has no ``perform`` in Python."""

    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return theano.Apply(self, [x], [x.type()])

    def c_code(self, node: Any, name: str, inputs: Any, outputs: Any, sub: Any) -> str:  # noqa: ARG002
        return _C_CODE % {"x": inputs[0], "y": outputs[0], "fail": sub["fail"]}

    def c_code_cache_version(self) -> tuple[int, ...]:
        return ()  # compiled anew in each process


def _external(folder: str) -> Any:
    class Line(theano.gof.COp):  # type: ignore[misc]
        __props__ = ()

        def __init__(self) -> None:
            super().__init__([str(Path(folder, "line.c"))], "APPLY_SPECIFIC(line)")

        def make_node(self, x: Any) -> Any:
            return theano.Apply(self, [x], [x.type()])

        def c_code_cache_version(self) -> tuple[int, ...]:
            return ()

    return Line()


def _floats(*arrays: Any) -> list[float]:
    return [float(one) for array in arrays for one in np.asarray(array).ravel()]


class _Training:
    """A small network, the momentum of its training, and a step."""

    def __init__(self) -> None:
        random = np.random.RandomState(1)
        self.w = theano.shared(random.standard_normal((3, 2)).astype(_FLOAT), name="w")
        self.b = theano.shared(np.zeros(2, _FLOAT), name="b")
        self.velocity = theano.shared(np.zeros((3, 2), _FLOAT), name="velocity")
        self.compile()

    def compile(self) -> None:
        x, y = T.matrix("x", _FLOAT), T.matrix("y", _FLOAT)
        self.graph = x, T.tanh(T.dot(x, self.w) + self.b)
        loss = T.mean((self.graph[1] - y) ** 2)
        w, b = T.grad(loss, [self.w, self.b])
        moved = np.float32(0.9) * self.velocity + w
        updates = [(self.velocity, moved), (self.w, self.w - moved), (self.b, self.b - b)]
        self.step = theano.function([x, y], loss, updates=updates)
        self.outputs = theano.function([x], self.graph[1])

    def shared(self) -> list[Any]:
        return [self.w, self.b, self.velocity]

    def train(self, steps: int) -> list[float]:
        """The outputs after so many steps."""
        for _ in range(steps):
            self.step(_INPUTS, _TARGETS)
        return _floats(self.outputs(_INPUTS))


def _dump(value: Any, file: Path) -> None:
    with file.open("wb") as opened:
        pickle.dump(value, opened, pickle.HIGHEST_PROTOCOL)


def _load(file: Path) -> Any:
    with file.open("rb") as opened:
        return pickle.load(opened)  # noqa: S301 -- written by this file


def _continued(shared: list[Any]) -> list[float]:
    """The outputs after a further step with what was loaded."""
    training = _Training()
    training.w, training.b, training.velocity = shared
    training.compile()
    return training.train(1)


def _write_shared_pickle(folder: Path) -> list[float]:
    training = _Training()
    training.train(3)
    _dump(training.shared(), folder / "shared.pkl")
    return training.train(1)


def _read_shared_pickle(folder: Path) -> list[float]:
    return _continued(_load(folder / "shared.pkl"))


def _write_function_pickle(folder: Path) -> list[float]:
    """Compiled functions, with the variables that they share: read, they are compiled again."""
    training = _Training()
    training.train(3)
    _dump((training.step, training.outputs), folder / "functions.pkl")
    return [*training.train(0), *training.train(1)]


def _read_function_pickle(folder: Path) -> list[float]:
    step, outputs = _load(folder / "functions.pkl")
    before = _floats(outputs(_INPUTS))
    step(_INPUTS, _TARGETS)
    return [*before, *_floats(outputs(_INPUTS))]


def _write_graph_pickle(folder: Path) -> list[float]:
    """A graph that is not compiled yet."""
    training = _Training()
    found = training.train(3)
    _dump(training.graph, folder / "graph.pkl")
    return found


def _read_graph_pickle(folder: Path) -> list[float]:
    x, y = _load(folder / "graph.pkl")
    return _floats(theano.function([x], y)(_INPUTS))


def _write_stripped_pickle(folder: Path) -> list[float]:
    """Without the comments and traces that Theano keeps for its messages."""
    training = _Training()
    found = training.train(3)
    with (folder / "graph.pkl").open("wb") as file:
        pkl_utils.StripPickler(file, protocol=2).dump(training.graph)
    return found


_read_stripped_pickle = _read_graph_pickle


def _write_pkl_utils(folder: Path) -> list[float]:
    training = _Training()
    training.train(3)
    with (folder / "shared.zip").open("wb") as file:
        pkl_utils.dump(tuple(training.shared()), file)
    return training.train(1)


def _read_pkl_utils(folder: Path) -> list[float]:
    with (folder / "shared.zip").open("rb") as file:
        return _continued(list(pkl_utils.load(file)))


def _write_npz(folder: Path) -> list[float]:
    """The values alone, as the tutorial has it for what shall be read much later."""
    training = _Training()
    training.train(3)
    np.savez(folder / "values.npz", **{one.name: one.get_value() for one in training.shared()})
    return training.train(1)


def _read_npz(folder: Path) -> list[float]:
    training = _Training()
    with np.load(folder / "values.npz") as values:
        for one in training.shared():
            one.set_value(values[one.name])
    return training.train(1)


def _keras() -> Any:
    import keras  # takes seconds, and only its formats need it

    if keras.backend.backend() != "theano":
        raise RuntimeError(f"Keras is on {keras.backend.backend()}: set KERAS_BACKEND=theano")
    return keras


def _model() -> Any:
    keras = _keras()
    inputs = keras.layers.Input((3,))
    hidden = keras.layers.Dense(5, activation="tanh")(inputs)
    joined = keras.layers.concatenate([keras.layers.BatchNormalization()(hidden), inputs])
    model = keras.models.Model(inputs, keras.layers.Dense(2)(joined))
    random = np.random.RandomState(1)
    model.set_weights([random.uniform(0.1, 1, one.shape) for one in model.get_weights()])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


def _fit(model: Any, steps: int) -> list[float]:
    for _ in range(steps):
        model.train_on_batch(_INPUTS, _TARGETS)
    return _floats(model.predict(_INPUTS))


def _write_keras_h5(folder: Path) -> list[float]:
    """The whole model with its optimizer, whose state a further step shows."""
    model = _model()
    before = _fit(model, 3)
    model.save(str(folder / "model.h5"))
    return [*before, *_fit(model, 1)]


def _read_keras_h5(folder: Path) -> list[float]:
    model = _keras().models.load_model(str(folder / "model.h5"))
    return [*_fit(model, 0), *_fit(model, 1)]


def _write_keras_weights(folder: Path) -> list[float]:
    model = _model()
    found = _fit(model, 3)
    model.save_weights(str(folder / "weights.h5"))
    return found


def _read_keras_weights(folder: Path) -> list[float]:
    model = _model()
    model.load_weights(str(folder / "weights.h5"))
    return _fit(model, 0)


def _write_keras_json(folder: Path) -> list[float]:
    model = _model()
    (folder / "model.json").write_text(model.to_json())
    return _fit(model, 0)


def _read_keras_json(folder: Path) -> list[float]:
    return _with_weights(_keras().models.model_from_json((folder / "model.json").read_text()))


def _write_keras_yaml(folder: Path) -> list[float]:
    model = _model()
    (folder / "model.yaml").write_text(model.to_yaml())
    return _fit(model, 0)


def _read_keras_yaml(folder: Path) -> list[float]:
    return _with_weights(_keras().models.model_from_yaml((folder / "model.yaml").read_text()))


def _with_weights(model: Any) -> list[float]:
    """The outputs of a model whose layers alone were saved, with the weights that ``_model`` has."""
    model.set_weights(_model().get_weights())
    return _fit(model, 0)


def _write_keras_pickle(folder: Path) -> list[float]:
    model = _model()
    before = _fit(model, 3)
    _dump(model, folder / "model.pkl")
    return [*before, *_fit(model, 1)]


def _read_keras_pickle(folder: Path) -> list[float]:
    model = _load(folder / "model.pkl")
    return [*_fit(model, 0), *_fit(model, 1)]


def _write_keras_checkpoint(folder: Path) -> list[float]:
    """The callback that saves while a model trains."""
    model = _model()
    saved = _keras().callbacks.ModelCheckpoint(str(folder / "{epoch:02d}.h5"), save_weights_only=True)
    model.fit(_INPUTS, _TARGETS, epochs=2, verbose=0, callbacks=[saved])
    return _fit(model, 0)


def _read_keras_checkpoint(folder: Path) -> list[float]:
    model = _model()
    model.load_weights(str(folder / "02.h5"))
    return _fit(model, 0)


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
