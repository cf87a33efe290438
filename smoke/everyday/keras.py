"""Keras 3, on whichever backend KERAS_BACKEND names. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from smoke import plan
from smoke.frameworks import Cannot

FORMATS: tuple[str, ...] = (
    "keras",
    "keras-folder",
    "h5",
    "weights-h5",
    "weights-shards",
    "json",
    "config",
    "model-checkpoint",
    "backup-and-restore",
    "export-saved-model",
    "export-archive",
    "export-onnx",
    "export-litert",
    "export-torch",
)
EXTENSIONS: tuple[str, ...] = ()
CANNOT: dict[str, str] = {
    "files.export-saved-model.torch": "Keras does it by torch_xla, whose last release is for PyTorch 2.9",
    "files.export-archive.torch": "Keras does it by torch_xla, whose last release is for PyTorch 2.9",
    "files.export-onnx.tensorflow": "Keras leaves it to tf2onnx, which neither Keras nor TensorFlow requires",
    "files.export-onnx.jax": "Keras leaves it to jax2onnx, which neither Keras nor JAX requires",
    "files.export-litert.jax": "LiteRT export requires TensorFlow or PyTorch backend (keras.Model.export)",
    "files.export-litert.torch": "Keras leaves it to litert-torch, which neither Keras nor PyTorch requires",
    "files.export-torch.tensorflow": "Torch export requires PyTorch backend (keras.Model.export)",
    "files.export-torch.jax": "Torch export requires PyTorch backend (keras.Model.export)",
}

_INPUTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], np.float32)


def write(name: str, folder: str) -> list[float]:
    _refuse(name)
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    _refuse(name)
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    raise Cannot("Keras has nothing to compile against: its backends have")


def _refuse(name: str) -> None:
    reason = CANNOT.get(f"files.{name}.{plan.chosen_backend('keras')}")
    if reason:
        raise Cannot(reason)


def _floats(*arrays: Any) -> list[float]:
    return [float(one) for array in arrays for one in np.asarray(array).ravel()]


@keras.saving.register_keras_serializable("smoke")
class _Scaled(layers.Layer):
    """A layer of a user's own, with a weight and a setting."""

    def __init__(self, start: float, **options: Any) -> None:
        super().__init__(**options)
        self.start = start

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(self.start))

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


def _model() -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = layers.BatchNormalization()(layers.Dense(5, activation="tanh")(inputs))
    joined = _Scaled(0.5)(layers.Concatenate()([hidden, inputs]))
    model = keras.Model(inputs, layers.Dense(2)(joined))
    model.compile(keras.optimizers.Adam(0.05), keras.losses.MeanSquaredError())
    return model


def _fit(model: Any, steps: int) -> list[float]:
    """The outputs after so many steps of training."""
    for _ in range(steps):
        model.train_on_batch(_INPUTS, _TARGETS)
    return _floats(model.predict(_INPUTS, verbose=0))


def _whole() -> Any:
    """A model of small integers: its sums are exact in whatever order another program makes them."""
    model = keras.Sequential([keras.Input((3,), name="data"), layers.Dense(5, activation="relu"), layers.Dense(2)])
    shapes = [weights.shape for weights in model.get_weights()]
    model.set_weights([np.arange(np.prod(one)).reshape(one) % 5 - 1 - place % 2 for place, one in enumerate(shapes)])
    return model


def _write_model(file: Path, **options: Any) -> list[float]:
    """The whole model with its optimizer, whose state a further step shows."""
    model = _model()
    before = _fit(model, 3)
    keras.saving.save_model(model, file, **options)
    return [*before, *_fit(model, 1)]


def _read_model(file: Path) -> list[float]:
    model = keras.saving.load_model(file)
    return [*_fit(model, 0), *_fit(model, 1)]


def _write_keras(folder: Path) -> list[float]:
    return _write_model(folder / "model.keras")


def _read_keras(folder: Path) -> list[float]:
    return _read_model(folder / "model.keras")


def _write_keras_folder(folder: Path) -> list[float]:
    return _write_model(folder / "model", zipped=False)


def _read_keras_folder(folder: Path) -> list[float]:
    return _read_model(folder / "model")


def _write_h5(folder: Path) -> list[float]:
    """The format of Keras 2; of the optimizer Keras 3 loads from it nothing that could be trained with."""
    model = _model()
    found = _fit(model, 3)
    model.save(folder / "model.h5")
    return found


def _read_h5(folder: Path) -> list[float]:
    return _fit(keras.saving.load_model(folder / "model.h5"), 0)


def _write_weights_h5(folder: Path) -> list[float]:
    model = _model()
    found = _fit(model, 3)
    model.save_weights(folder / "model.weights.h5")
    return found


def _read_weights_h5(folder: Path) -> list[float]:
    model = _model()
    model.load_weights(folder / "model.weights.h5")
    return _fit(model, 0)


def _write_weights_shards(folder: Path) -> list[float]:
    """In several files, and one that lists them. The size is in gigabytes."""
    model = _large()
    model.save_weights(folder / "model.weights.json", max_shard_size=2e-5)
    if len(list(folder.glob("*.weights.h5"))) < 2:
        raise RuntimeError("the weights are in one file")
    return _fit(model, 0)


def _read_weights_shards(folder: Path) -> list[float]:
    model = _large()
    model.set_weights([0 * weights for weights in model.get_weights()])
    model.load_weights(folder / "model.weights.json")
    return _fit(model, 0)


def _large() -> Any:
    """Two layers that do not go into one shard."""
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), layers.Dense(1000, activation="tanh"), layers.Dense(4)])


def _write_json(folder: Path) -> list[float]:
    model = _model()
    (folder / "model.json").write_text(model.to_json())
    return _fit(model, 0)


def _read_json(folder: Path) -> list[float]:
    return _with_weights(keras.models.model_from_json((folder / "model.json").read_text()))


def _write_config(folder: Path) -> list[float]:
    """Any object of Keras as JSON."""
    model = _model()
    (folder / "config.json").write_text(json.dumps(keras.saving.serialize_keras_object(model)))
    return _fit(model, 0)


def _read_config(folder: Path) -> list[float]:
    return _with_weights(keras.saving.deserialize_keras_object(json.loads((folder / "config.json").read_text())))


def _with_weights(model: Any) -> list[float]:
    """The outputs of a model whose layers alone were saved, with the weights that ``_model`` has."""
    model.set_weights(_model().get_weights())
    return _fit(model, 0)


def _write_model_checkpoint(folder: Path) -> list[float]:
    """The callback that saves while a model trains."""
    model = _model()
    saved = keras.callbacks.ModelCheckpoint(str(folder / "{epoch:02d}.keras"))
    model.fit(_INPUTS, _TARGETS, epochs=2, verbose=0, callbacks=[saved])
    return [*_fit(model, 0), *_fit(model, 1)]


def _read_model_checkpoint(folder: Path) -> list[float]:
    return _read_model(folder / "02.keras")


class _Cut(keras.callbacks.Callback):
    """Ends a training before its time, as what kills a process does."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 -- Keras's signature
        if epoch == 2:
            raise KeyboardInterrupt


def _write_backup_and_restore(folder: Path) -> list[float]:
    """The callback that goes on with a training that was cut off: in another process here."""
    try:
        _trained(folder / "backup", 4, [_Cut()])
    except KeyboardInterrupt:
        return _trained(folder / "whole", 4, [])
    raise RuntimeError("the training was not cut off")


def _read_backup_and_restore(folder: Path) -> list[float]:
    return _trained(folder / "backup", 2, [])


def _trained(folder: Path, epochs: int, more: list[Any]) -> list[float]:
    """The outputs after four epochs, of which so many are trained here."""
    model = _model()
    restored = keras.callbacks.BackupAndRestore(str(folder))
    options = {"batch_size": 4, "epochs": 4, "verbose": 0, "shuffle": False, "callbacks": [restored, *more]}
    history = model.fit(_INPUTS, _TARGETS, **options)
    if len(history.epoch) != epochs:
        raise RuntimeError(f"trained in the epochs {history.epoch}")
    return _fit(model, 0)


def _write_export_saved_model(folder: Path) -> list[float]:
    model = _whole()
    model.export(folder / "model", verbose=False)
    return _floats(model.predict(_INPUTS * 8, verbose=0))


def _read_export_saved_model(folder: Path) -> list[float]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "model"))
    return _floats(loaded.serve(tf.constant(_INPUTS * 8)))


def _write_export_archive(folder: Path) -> list[float]:
    """An endpoint of a name and a signature of its own."""
    model = _whole()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("scores", model.call, input_signature=[keras.InputSpec(shape=(None, 3), dtype="float32")])
    archive.write_out(folder / "model", verbose=False)
    return _floats(model.predict(_INPUTS * 8, verbose=0))


def _read_export_archive(folder: Path) -> list[float]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "model"))
    return _floats(loaded.scores(tf.constant(_INPUTS * 8)))


def _write_export_onnx(folder: Path) -> list[float]:
    """A model that was never called is refused."""
    model = _whole()
    found = _floats(model.predict(_INPUTS * 8, verbose=0))
    model.export(folder / "model.onnx", format="onnx", verbose=False)
    return found


def _read_export_onnx(folder: Path) -> list[float]:
    """Keras reads no ONNX; onnx's own evaluator does."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(str(folder / "model.onnx"))
    onnx.checker.check_model(model)
    (found,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: _INPUTS * 8})
    return _floats(found)


def _write_export_litert(folder: Path) -> list[float]:
    model = _whole()
    model.export(folder / "model.tflite", format="litert", verbose=False)
    return _floats(model.predict(_INPUTS * 8, verbose=0))


def _read_export_litert(folder: Path) -> list[float]:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(folder / "model.tflite"))
    taken, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(taken, _INPUTS.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken, _INPUTS * 8)
    interpreter.invoke()
    return _floats(interpreter.get_tensor(given))


def _write_export_torch(folder: Path) -> list[float]:
    import torch

    model = _whole()
    rows = {0: torch.export.Dim("rows", min=1, max=64)}
    model.export(folder / "model.pt2", format="torch", verbose=False, dynamic_shapes=rows)
    return _floats(model.predict(_INPUTS * 8, verbose=0))


def _read_export_torch(folder: Path) -> list[float]:
    import torch

    module = torch.export.load(folder / "model.pt2").module()
    weights = next(iter(module.state_dict().values()))
    with torch.no_grad():
        return _floats(module(torch.as_tensor(_INPUTS * 8, device=weights.device)).cpu())


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
