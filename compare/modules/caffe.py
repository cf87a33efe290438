"""Caffe: its registry of layers, and the solvers of pycaffe. Caffe ends the process where others raise."""

from __future__ import annotations

import functools
import tempfile
from typing import Any, Callable, Iterator

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from modules import _pictures
from modules._counting import STEPS, Trial, lowered, public
from modules._pictures import Transforms

CANNOT = {
    "models": "the models of Caffe's source tree are texts and weights beside it, and no part of what is installed"
}
NOTES = {
    "layers": "Caffe's layers in C++, by its registry; a user's Python layer is one of them.",
    "transforms": "What caffe.io has, picture by picture; Caffe's data layers transform while they read.",
}
TRIALS_APART = True

_NUMBERS = np.linspace(0.05, 0.95, 2 * 4 * 8 * 8, dtype=np.float32)
PICTURES, ROWS, CLASSES = (2, 4, 8, 8), (2, 4), (2,)
LSTM = {"num_output": 4, "weight_filler": {"type": "xavier"}}
FILLED = {"num_output": 4, "weight_filler": {"type": "xavier"}}
# What a layer is given: its parameters, and the shapes of its inputs if these are no pictures.
PARAMETERS: dict[str, dict[str, Any]] = {
    "BatchReindex": {"shapes": (PICTURES, CLASSES)},
    "Bias": {"shapes": (PICTURES, PICTURES)},
    "Convolution": {"convolution_param": {**FILLED, "kernel_size": 2}},
    "Crop": {"shapes": (PICTURES, (2, 4, 4, 4))},
    "Deconvolution": {"convolution_param": {**FILLED, "kernel_size": 2}},
    "Eltwise": {"shapes": (PICTURES, PICTURES)},
    "Embed": {"embed_param": {**FILLED, "input_dim": 4}, "shapes": (CLASSES,)},
    "Filter": {"shapes": (PICTURES, CLASSES)},
    "Im2col": {"convolution_param": {"kernel_size": 2}},
    "InnerProduct": {"inner_product_param": FILLED},
    "LSTM": {"recurrent_param": LSTM, "shapes": ((3, 2, 4), (3, 2))},
    "RNN": {"recurrent_param": LSTM, "shapes": ((3, 2, 4), (3, 2))},
    "LSTMUnit": {"shapes": ((1, 2, 4), (1, 2, 16), (1, 2))},
    "Pooling": {"pooling_param": {"kernel_size": 2}},
    "Python": {"python_param": {"module": __name__, "layer": "Doubled"}},
    "Reshape": {"reshape_param": {"shape": {"dim": [2, -1]}}},
    "Scale": {"shapes": (PICTURES, PICTURES)},
    "Slice": {"tops": 2},
    "SPP": {"spp_param": {"pyramid_height": 2}},
    "Accuracy": {"shapes": (ROWS, CLASSES)},
    "Parameter": {"parameter_param": {"shape": {"dim": [2, 4]}}, "shapes": ()},
    "DummyData": {"dummy_data_param": {"shape": [{"dim": [2, 4]}], "data_filler": [{"value": 1}]}, "shapes": ()},
    "Input": {"input_param": {"shape": [{"dim": [2, 4]}]}, "shapes": ()},
    "MemoryData": {
        "memory_data_param": {"batch_size": 2, "channels": 1, "height": 2, "width": 2},
        "shapes": (),
        "tops": 2,
    },
    "Silence": {"tops": 0},
    "Split": {"tops": 2},
    "Concat": {"shapes": (PICTURES, PICTURES)},
}
LOSSES: dict[str, dict[str, Any]] = {
    "ContrastiveLoss": {"shapes": (ROWS, ROWS, CLASSES)},
    "EuclideanLoss": {"shapes": (ROWS, ROWS)},
    "SigmoidCrossEntropyLoss": {"shapes": (ROWS, ROWS)},
}


class Doubled(caffe.Layer):
    """A layer in Python."""

    def setup(self, bottom: Any, top: Any) -> None: ...

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = 2 * bottom[0].data


# Labels of classes, signs, and what tells a recurrent layer that a sequence goes on.
ONES = (CLASSES, (3, 2), (1, 2))
# What a solver must be told, or must not.
GIVEN: dict[str, dict[str, Any]] = {
    "AdaGradSolver": {"type": "AdaGrad", "momentum": 0},
    "AdaDeltaSolver": {"type": "AdaDelta", "momentum": 0.95, "delta": 1e-6, "base_lr": 1},
    "AdamSolver": {"type": "Adam"},
    "NesterovSolver": {"type": "Nesterov"},
    "RMSPropSolver": {"type": "RMSProp", "momentum": 0, "rms_decay": 0.98},
}


def layers() -> Iterator[Trial]:
    for name in caffe.layer_type_list():
        if not name.endswith("Loss"):
            yield Trial(name, functools.partial(_forward, name, PARAMETERS.get(name, {})))


def losses() -> Iterator[Trial]:
    for name in caffe.layer_type_list():
        if name.endswith("Loss"):
            yield Trial(name, functools.partial(_loss, name, LOSSES.get(name, {"shapes": (ROWS, CLASSES)})))


def optimizers() -> Iterator[Trial]:
    for name, one in public(caffe, caffe._caffe.Solver):
        yield Trial(name, functools.partial(_optimized, one))


def transforms() -> Transforms:
    side = _pictures.SMALLER
    transformer = caffe.io.Transformer({"data": (1, 3, _pictures.SIDE, _pictures.SIDE)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", np.array(_pictures.MEAN))
    transformer.set_input_scale("data", 1 / _pictures.DEVIATION)
    middle, flipped = 4, 5  # of the ten that oversample makes of each picture: corners, middle, and these flipped
    whole, cut = (_pictures.SIDE,) * 2, (_pictures.CROPPED,) * 2
    own: dict[str, Callable[[Any], Any]] = {
        "resize": lambda images: np.array([caffe.io.resize_image(one, (side, side)) for one in images]),
        "crop": lambda images: caffe.io.oversample(images, cut)[middle::10],
        "flip": lambda images: caffe.io.oversample(images, whole)[flipped::10],
        "normalize": lambda images: np.array([transformer.preprocess("data", one) for one in images]).transpose(
            0, 2, 3, 1
        ),
    }
    return Transforms(lambda images: images, lambda images: images, own)


def _from_file(spec: Any, make: Callable[..., Any], *more: Any) -> Any:
    """Nets and solvers are made of files."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(spec))
        file.flush()
        return make(file.name, *more)


def _net(name: str, given: dict[str, Any], phase: int) -> Any:
    """A net of one layer with inputs before it, which are filled."""
    rest = {key: value for key, value in given.items() if key not in ("shapes", "tops", "backward")}
    shapes, tops = given.get("shapes", (PICTURES,)), given.get("tops", 1)
    bottoms = [f"input{number}" for number in range(len(shapes))]
    spec = caffe_pb2.NetParameter(name="tried", force_backward=phase == caffe.TRAIN)
    for bottom, shape in zip(bottoms, shapes):
        spec.layer.add(name=bottom, type="Input", top=[bottom], input_param={"shape": [{"dim": shape}]})
    outputs = [f"output{number}" for number in range(tops)]
    spec.layer.add(name="tried", type=name, bottom=bottoms, top=outputs, **rest)
    net = _from_file(spec, caffe.Net, phase)
    for bottom in bottoms:
        blob = net.blobs[bottom].data
        blob[...] = 1 if blob.shape in ONES else _NUMBERS[: blob.size].reshape(blob.shape)
    return net


def _forward(name: str, given: dict[str, Any]) -> Any:
    net = _net(name, given, caffe.TEST)
    if name == "MemoryData":
        net.set_input_arrays(_NUMBERS[:8].reshape(2, 1, 2, 2), np.ones(2, np.float32))
    net.forward()
    return [np.array(blob.data) for name, blob in net.blobs.items() if given.get("tops") == 0 or "output" in name]


def _loss(name: str, given: dict[str, Any]) -> Any:
    """Its value, and the gradient of the scores."""
    net = _net(name, given, caffe.TRAIN)
    net.blobs["output0"].diff[...] = 1
    net.forward()
    net.backward()
    gradient = np.array(net.blobs["input0"].diff)
    if not gradient.any():
        raise ArithmeticError("the gradient is zero")
    return np.array(net.blobs["output0"].data), gradient


def _optimized(solver: type) -> list[float]:
    spec = caffe_pb2.NetParameter()
    for name, shape in (("data", (8, 3)), ("target", (8, 2))):
        spec.layer.add(name=name, type="Input", top=[name], input_param={"shape": [{"dim": shape}]})
    product = {"num_output": 2, "bias_term": False}
    spec.layer.add(name="scores", type="InnerProduct", bottom=["data"], top=["scores"], inner_product_param=product)
    spec.layer.add(name="loss", type="EuclideanLoss", bottom=["scores", "target"], top=["loss"])
    given = {"base_lr": 0.01, "momentum": 0.9, **GIVEN.get(solver.__name__, {})}
    recipe = caffe_pb2.SolverParameter(lr_policy="fixed", train_net_param=spec, **given)
    trains = _from_file(recipe, solver)
    for name in ("data", "target"):
        blob = trains.net.blobs[name].data
        blob[...] = _NUMBERS[: blob.size].reshape(blob.shape)
    losses = []
    for _ in range(STEPS + 1):
        trains.step(1)
        losses.append(float(trains.net.blobs["loss"].data))
    return lowered(losses)
