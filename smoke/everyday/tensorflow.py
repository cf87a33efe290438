"""TensorFlow, with the Keras that it brings. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from smoke.kit import programs

FORMATS: tuple[str, ...] = (
    "checkpoint",
    "checkpoint-manager",
    "saved-model",
    "keras",
    "keras-h5",
    "keras-weights",
    "keras-json",
    "keras-export",
    "graph-def",
    "graph-def-text",
    "v1-saver",
    "tflite",
    "tfrecord",
    "dataset",
    "tensor",
    "summary",
    "png",
)
EXTENSIONS: tuple[str, ...] = ("op",)
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], np.float32)
_OP = """
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

using namespace tensorflow;

REGISTER_OP("SmokeLine").Input("x: float").Output("y: float").SetShapeFn(shape_inference::UnchangedShape);

class SmokeLineOp : public OpKernel {
 public:
  explicit SmokeLineOp(OpKernelConstruction* context) : OpKernel(context) {}

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    const auto from = x.flat<float>();
    auto to = y->flat<float>();
    for (int i = 0; i < from.size(); i++) to(i) = 2 * from(i) + 1;
  }
};

REGISTER_KERNEL_BUILDER(Name("SmokeLine").Device(DEVICE_CPU), SmokeLineOp);
"""


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    """An operation with a kernel for the CPU, in a graph."""
    library, source = Path(folder, "line.so").resolve(), Path(folder, "line.cc")
    source.write_text(_OP)
    flags = tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags()
    programs.said(
        *(shutil.which("g++") or "g++", "-shared", "-fPIC", "-O1", source, "-o", library),
        *flags[0],
        *flags[1],
    )
    line = tf.load_op_library(str(library)).smoke_line
    return _floats(tf.function(line)(tf.range(4.0)))


def _floats(*arrays: Any) -> list[float]:
    return [float(one) for array in arrays for one in np.asarray(array).ravel()]


class _Line(tf.Module):
    """A small network with no Keras in it, and the momentum of its training."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.RandomState(1)
        self.w = tf.Variable(random.standard_normal((3, 2)).astype(np.float32))
        self.b = tf.Variable(tf.zeros(2))
        self.velocity = tf.Variable(tf.zeros((3, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    def outputs(self, x: Any) -> Any:
        return tf.tanh(x @ self.w + self.b)

    @tf.function(input_signature=[])
    def step(self) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.outputs(tf.constant(_INPUTS)) - _TARGETS) ** 2)
        w, b = tape.gradient(loss, [self.w, self.b])
        self.velocity.assign(0.9 * self.velocity + w)
        self.w.assign_sub(0.5 * self.velocity)
        self.b.assign_sub(0.5 * b)


def _stepped(line: Any, steps: int) -> list[float]:
    for _ in range(steps):
        line.step()
    return _floats(line.outputs(tf.constant(_INPUTS)))


def _dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices((_INPUTS, _TARGETS)).repeat().shuffle(4, seed=1).batch(2)


def _write_checkpoint(folder: Path) -> list[float]:
    """Variables, and where an iterator over data has come to."""
    line, batches = _Line(), iter(_dataset())
    _stepped(line, 3)
    for _ in range(3):
        next(batches)
    tf.train.Checkpoint(line=line, batches=batches).save(str(folder / "checkpoint"))
    return [*_stepped(line, 1), *_floats(*next(batches))]


def _read_checkpoint(folder: Path) -> list[float]:
    line, batches = _Line(), iter(_dataset())
    latest = tf.train.latest_checkpoint(str(folder))
    tf.train.Checkpoint(line=line, batches=batches).restore(latest).assert_consumed()
    return [*_stepped(line, 1), *_floats(*next(batches))]


def _write_checkpoint_manager(folder: Path) -> list[float]:
    """Keras's model and its optimizer, by the manager that keeps the newest checkpoint alone."""
    model = _model()
    manager = _manager(model, folder)
    manager.save()
    _fit(model, 2)
    manager.save()
    return _fit(model, 1)


def _read_checkpoint_manager(folder: Path) -> list[float]:
    model = _model()
    if not _manager(model, folder).restore_or_initialize():
        raise RuntimeError("the manager found no checkpoint")
    return _fit(model, 1)


def _manager(model: Any, folder: Path) -> Any:
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    return tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)


def _write_saved_model(folder: Path) -> list[float]:
    """With a function that trains, and a signature by which others serve it."""
    line = _Line()
    _stepped(line, 3)
    tf.saved_model.save(line, str(folder), signatures=line.outputs)
    return [*_stepped(line, 0), *_stepped(line, 1)]


def _read_saved_model(folder: Path) -> list[float]:
    line = tf.saved_model.load(str(folder))
    (served,) = line.signatures["serving_default"](tf.constant(_INPUTS)).values()
    return [*_floats(served), *_stepped(line, 1)]


def _model() -> Any:
    keras = tf.keras
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5, activation="tanh")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([hidden, inputs])))
    model.compile(keras.optimizers.Adam(0.05), keras.losses.MeanSquaredError())
    _fit(model, 1)  # the optimizer makes its variables
    return model


def _fit(model: Any, steps: int) -> list[float]:
    """The outputs after so many steps of training."""
    for _ in range(steps):
        model.train_on_batch(_INPUTS, _TARGETS)
    return _floats(model(_INPUTS, training=False))


def _write_keras(folder: Path) -> list[float]:
    """The whole model with its optimizer, whose state a further step shows."""
    model = _model()
    before = _fit(model, 2)
    model.save(str(folder / "model.keras"))
    return [*before, *_fit(model, 1)]


def _read_keras(folder: Path) -> list[float]:
    model = tf.keras.models.load_model(str(folder / "model.keras"))
    return [*_fit(model, 0), *_fit(model, 1)]


def _write_keras_h5(folder: Path) -> list[float]:
    """The format of Keras 2; of the optimizer Keras 3 loads from it nothing that could be trained with."""
    model = _model()
    found = _fit(model, 2)
    model.save(str(folder / "model.h5"))
    return found


def _read_keras_h5(folder: Path) -> list[float]:
    return _fit(tf.keras.models.load_model(str(folder / "model.h5")), 0)


def _write_keras_weights(folder: Path) -> list[float]:
    model = _model()
    found = _fit(model, 2)
    model.save_weights(str(folder / "model.weights.h5"))
    return found


def _read_keras_weights(folder: Path) -> list[float]:
    model = _model()
    model.load_weights(str(folder / "model.weights.h5"))
    return _fit(model, 0)


def _write_keras_json(folder: Path) -> list[float]:
    model = _model()
    (folder / "model.json").write_text(model.to_json())
    return _fit(model, 0)


def _read_keras_json(folder: Path) -> list[float]:
    """The layers alone: the weights are those that the model has in each process."""
    model = tf.keras.models.model_from_json((folder / "model.json").read_text())
    model.set_weights(_model().get_weights())
    return _fit(model, 0)


def _whole() -> Any:
    """A model of small integers: its sums are exact in whatever order another program makes them."""
    keras = tf.keras
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(2)])
    shapes = [weights.shape for weights in model.get_weights()]
    model.set_weights([np.arange(np.prod(one)).reshape(one) % 5 - 1 - place % 2 for place, one in enumerate(shapes)])
    return model


def _write_keras_export(folder: Path) -> list[float]:
    model = _whole()
    model.export(str(folder / "model"), verbose=False)
    return _floats(model(_INPUTS * 8)) * 2


def _read_keras_export(folder: Path) -> list[float]:
    """As TensorFlow serves it, and as a layer of another model."""
    loaded = tf.saved_model.load(str(folder / "model"))
    layer = tf.keras.layers.TFSMLayer(str(folder / "model"), call_endpoint="serve")
    return _floats(loaded.serve(tf.constant(_INPUTS * 8)), layer(tf.constant(_INPUTS * 8)))


def _frozen() -> Any:
    """A function of small integers, whose variables have become constants: TensorFlow fuses what it imports."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    w = tf.Variable(np.arange(6, dtype=np.float32).reshape(3, 2) - 2)
    line = tf.function(lambda x: tf.nn.relu(x @ w + 1), input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    return convert_variables_to_constants_v2(line.get_concrete_function())


def _write_graph_def(folder: Path, file: str = "line.pb") -> list[float]:
    frozen = _frozen()
    tf.io.write_graph(frozen.graph.as_graph_def(), str(folder), file, as_text=file.endswith(".pbtxt"))
    (folder / "names.txt").write_text(f"{frozen.inputs[0].name} {frozen.outputs[0].name}")
    return _floats(frozen(tf.constant(_INPUTS * 8))[0])


def _read_graph_def(folder: Path) -> list[float]:
    return _imported(tf.compat.v1.GraphDef.FromString((folder / "line.pb").read_bytes()), folder)


def _imported(graph: Any, folder: Path) -> list[float]:
    taken, given = (folder / "names.txt").read_text().split()
    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    return _floats(wrapped.prune(taken, given)(tf.constant(_INPUTS * 8)))


def _write_graph_def_text(folder: Path) -> list[float]:
    return _write_graph_def(folder, "line.pbtxt")


def _read_graph_def_text(folder: Path) -> list[float]:
    graph = text_format.Parse((folder / "line.pbtxt").read_text(), tf.compat.v1.GraphDef())
    return _imported(graph, folder)


def _write_v1_saver(folder: Path) -> list[float]:
    """A session's variables, as programs for TensorFlow 1 save them."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x, y, saver = _v1()
        session.run(tf.compat.v1.global_variables_initializer())
        saver.save(session, str(folder / "model"), global_step=3)
        return _floats(session.run(y, {x: _INPUTS}))


def _read_v1_saver(folder: Path) -> list[float]:
    """Into the same graph, and into that which was saved beside the variables."""
    latest = tf.train.latest_checkpoint(str(folder))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x, y, saver = _v1()
        saver.restore(session, latest)
        found = _floats(session.run(y, {x: _INPUTS}))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.import_meta_graph(latest + ".meta").restore(session, latest)
        if _floats(session.run("y:0", {"x:0": _INPUTS})) != found:
            raise ValueError("the graph that was saved computes something else")
    return found


def _v1() -> tuple[Any, Any, Any]:
    x = tf.compat.v1.placeholder(tf.float32, (None, 3), name="x")
    w = tf.compat.v1.get_variable("w", (3, 2), initializer=tf.compat.v1.random_normal_initializer(seed=1))
    return x, tf.tanh(x @ w, name="y"), tf.compat.v1.train.Saver()


def _write_tflite(folder: Path) -> list[float]:
    model = _whole()
    (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return _floats(model(_INPUTS * 8))


def _read_tflite(folder: Path) -> list[float]:
    interpreter = tf.lite.Interpreter(model_path=str(folder / "model.tflite"))
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(taken, _INPUTS.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken, _INPUTS * 8)
    interpreter.invoke()
    return _floats(interpreter.get_tensor(given))


_FEATURES = {
    "inputs": tf.io.FixedLenFeature((3,), tf.float32),
    "raw": tf.io.FixedLenFeature((), tf.string),
    "number": tf.io.FixedLenFeature((), tf.int64),
}


def _write_tfrecord(folder: Path) -> list[float]:
    """Examples, compressed."""
    with tf.io.TFRecordWriter(str(folder / "examples.tfrecord"), "GZIP") as writer:
        for number, (inputs, targets) in enumerate(zip(_INPUTS, _TARGETS)):
            values = {
                "inputs": tf.train.Feature(float_list=tf.train.FloatList(value=inputs)),
                "raw": tf.train.Feature(bytes_list=tf.train.BytesList(value=[targets.tobytes()])),
                "number": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString())
    return _floats(_INPUTS, _TARGETS, np.arange(4))


def _read_tfrecord(folder: Path) -> list[float]:
    records = tf.data.TFRecordDataset(str(folder / "examples.tfrecord"), "GZIP")
    found = list(records.map(lambda one: tf.io.parse_single_example(one, _FEATURES)))
    targets = [tf.io.decode_raw(one["raw"], tf.float32) for one in found]
    return _floats([one["inputs"] for one in found], targets, [one["number"] for one in found])


def _write_dataset(folder: Path) -> list[float]:
    batches = tf.data.Dataset.from_tensor_slices((_INPUTS, _TARGETS)).batch(2)
    batches.save(str(folder / "dataset"))
    return _floats(*(one for batch in batches for one in batch))


def _read_dataset(folder: Path) -> list[float]:
    return _floats(*(one for batch in tf.data.Dataset.load(str(folder / "dataset")) for one in batch))


def _write_tensor(folder: Path) -> list[float]:
    tensor = tf.cast(_INPUTS, tf.bfloat16) / 3
    tf.io.write_file(str(folder / "tensor.bin"), tf.io.serialize_tensor(tensor))
    return _floats(tf.cast(tensor, tf.float32))


def _read_tensor(folder: Path) -> list[float]:
    tensor = tf.io.parse_tensor(tf.io.read_file(str(folder / "tensor.bin")), tf.bfloat16)
    return _floats(tf.cast(tensor, tf.float32))


def _write_summary(folder: Path) -> list[float]:
    """What TensorBoard shows."""
    found = _stepped(_Line(), 3)
    with tf.summary.create_file_writer(str(folder)).as_default():
        for step, one in enumerate(found):
            tf.summary.scalar("output", one, step)
    return found


def _read_summary(folder: Path) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return _floats(*(tf.make_ndarray(one.tensor_proto) for one in events.Tensors("output")))


def _write_png(folder: Path) -> list[float]:
    picture = (np.arange(5 * 7 * 3) * 7 % 256).astype(np.uint8).reshape(5, 7, 3)
    tf.io.write_file(str(folder / "picture.png"), tf.io.encode_png(picture))
    return _floats(picture)


def _read_png(folder: Path) -> list[float]:
    return _floats(tf.io.decode_png(tf.io.read_file(str(folder / "picture.png"))))


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
