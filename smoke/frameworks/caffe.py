"""Caffe. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: ARG001, ARG002, D103
from __future__ import annotations

import ctypes
import re
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Optional

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

from smoke import data
from smoke.data import Digits, Lines
from smoke.frameworks import Cannot, DeviceMissing
from smoke.installed import versions
from smoke.kit import cudart, cupti, loader, programs, tf32
from smoke.reference import Problem

CANNOT: dict[str, str] = {
    "f64": "pycaffe has Caffe's nets and solvers for float32 only; those for double are for programs in C++",
    "tf32": "Caffe has no switch for it: it asks cuBLAS and cuDNN for float32, and they keep to that",
    "fp16": "Caffe 1.0 computes in float32 and double only",
    "bf16": "Caffe 1.0 computes in float32 and double only",
    "sequence": "a Caffe net is a fixed graph of layers: its LSTM and RNN layers unroll to a number of steps that is "
    "written in the net, so no graph follows the data",
    "compile": "Caffe has no compiler: its layers are compiled already",
}
COMPILERS: tuple[str, ...] = ()
WORKLOADS: tuple[str, ...] = ("lmdb",)
SWITCHES: dict[str, tuple[str, ...]] = {"gpu": ("CUPTI, which counts kernels",)}
TAKES_GPU = False
# Caffe tells nobody its mode. It is the CPU's until a program asks for the GPU's, and this one does not.
FIRST_LINES = """
import caffe
from caffe import layers as L

def written(name, spec, head=""):
    with open(name, "w") as file:
        file.write(head + str(spec.to_proto()))
    return name

squares = caffe.NetSpec()
squares.data, squares.zero = L.Input(shape=dict(dim=[1, 3])), L.Input(shape=dict(dim=[1, 3]))
squares.sum = L.Reduction(squares.data)
squares.loss = L.EuclideanLoss(squares.data, squares.zero, loss_weight=2)
net = caffe.Net(written("squares.prototxt", squares, "force_backward: true "), caffe.TRAIN)
net.blobs["data"].data[...] = 1
net.forward()
net.backward()

line = caffe.NetSpec()
line.data, line.target = L.Input(shape=dict(dim=[8, 3])), L.Input(shape=dict(dim=[8, 1]))
line.score = L.InnerProduct(line.data, num_output=1, weight_filler=dict(type="xavier"))
line.loss = L.EuclideanLoss(line.score, line.target)
with open("solver.prototxt", "w") as file:
    file.write('train_net: "%s" base_lr: 0.1 lr_policy: "fixed"' % written("line.prototxt", line))
solver = caffe.SGDSolver("solver.prototxt")
solver.net.blobs["data"].data[...] = 1
solver.net.blobs["target"].data[...] = 3
losses = []
for _ in range(2):
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data))
solver.net.save("line.caffemodel")
again = caffe.Net("line.prototxt", caffe.TEST, weights="line.caffemodel")

import json
loaded = (again.params["score"][0].data == solver.net.params["score"][0].data).all()
print(json.dumps({"sum": float(net.blobs["sum"].data), "gradient": net.blobs["data"].diff[0].tolist(),
                  "losses": losses, "loaded": bool(loaded), "device": "cpu: no other mode was set"}))
"""

# libcaffe has loaded these already, by the names that it knows them by.
_CUDART, _CUDNN, _BLAS = (ctypes.CDLL(f"lib{name}") for name in ("cudart.so.11.0", "cudnn.so.8", "openblas.so.0"))
_CUDNN.cudnnGetVersion.restype = ctypes.c_size_t
_BLAS.openblas_get_config.restype = ctypes.c_char_p

_runtime = cudart.Runtime(_CUDART)
_device = "cpu"
_counter: Optional[cupti.Counter] = None


def describe() -> dict[str, Any]:
    # CUDA 11's runtime does not tell its version where there is no driver; then its package does.
    cuda = versions.versions("libcudart.so", _CUDART)[1]
    gpu = {"gpu": _runtime.gpu_name()} if _device == "gpu" else {}
    return {
        "name": "caffe",
        "version": metadata.version("caffe"),
        "cuda": cuda or ".".join(metadata.version("nvidia-cuda-runtime-cu11").split(".")[:2]),
        "cudnn": _CUDNN.cudnnGetVersion(),
        "blas": _BLAS.openblas_get_config().decode(),
        **gpu,
    }


def be_deterministic() -> None:
    """Nothing to turn on: what is random has a seed, and of cuDNN's algorithms it takes the deterministic ones."""


def use_device(device: str) -> None:
    global _device, _counter  # noqa: PLW0603 -- Caffe's mode is global too
    if device == "gpu":
        try:
            _runtime.require_gpu()  # Caffe itself ends the process where there is none
        except OSError as why:
            raise DeviceMissing(str(why)) from None
        _counter = _counter or cupti.Counter(cupti.library(Path(caffe.__file__).parents[1]))
        caffe.set_device(0)
    _set_mode(device)
    _device = device


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    return _product(L.InnerProduct, a, b.T, num_output=b.shape[1])


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    return _product(L.Convolution, x, w, num_output=w.shape[0], kernel_size=w.shape[2])


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _Parity(problem, fault).train(problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    raise Cannot(CANNOT["compile"])


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    size = 32
    spec = _inputs(data=(size, *digits.test_images.shape[1:]), label=(size,))
    _classify(spec)
    solver = _solver(spec, lr=0.1, momentum=0.9, seed=seed)
    net = solver.net
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(8):
        for images, labels in digits.epoch(size, seed + epoch):
            net.blobs["data"].data[...] = images
            net.blobs["label"].data[...] = labels
            solver.step(1)
            losses.append(float(net.blobs["loss"].data))
    seconds = (time.perf_counter() - start) / len(losses)
    scores = []
    for first in range(0, len(digits.test_images), size):
        images = digits.test_images[first : first + size]
        net.blobs["data"].data[: len(images)] = images
        net.forward(end="scores")
        scores.append(np.array(net.blobs["scores"].data[: len(images)]))
    return {"predictions": np.concatenate(scores).argmax(1), "losses": losses, "seconds_per_step": seconds}


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    raise Cannot(CANNOT["sequence"])


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return _train_lmdb(digits, seed, Path(folder))


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    """As Caffe does it: weights in a .caffemodel, the momentum and the count of steps in a .solverstate."""
    parity = _Parity(problem, "", folder)
    parity.train(steps)
    parity.solver.snapshot()


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    (state,) = Path(folder).glob("*.solverstate")
    parity = _Parity(problem, "", folder)
    parity.solver.restore(str(state))
    return parity.train(problem.steps - parity.solver.iter)


def load_batches(count: int, workers: int) -> list[float]:
    spec = _inputs(data=data.BATCH_SHAPE)
    spec.sum = L.Reduction(spec.data, operation=P.Reduction.SUM)
    net = _net(spec)
    return [float(_forward(net, batch, "sum")) for batch in loader.batches(count, workers)]


def device_evidence(device: str) -> dict[str, Any]:
    # Caffe's blobs do not tell where they are. The driver does: what was allocated, and which kernels ran.
    _set_mode(device)
    kernels, free = _kernels(), _free()
    matmul(np.ones((256, 256)), np.ones((256, 256)), "f32")
    kernels, used = _kernels() - kernels, free - _free()
    _set_mode(_device)
    name = _runtime.gpu_name() if device == "gpu" else "cpu"
    return {"device": _where(kernels), "name": name, "bytes": used, "kernels": kernels}


def _set_mode(device: str) -> None:
    (caffe.set_mode_gpu if device == "gpu" else caffe.set_mode_cpu)()


def _free() -> int:
    """The free bytes on the GPU; on the CPU there is none to ask."""
    return _runtime.free() if _device == "gpu" else 0


def _kernels() -> int:
    """The kernels that have ended on the GPU."""
    if _counter is None:
        return 0
    _runtime.wait()
    return _counter.count()


def _where(kernels: int) -> str:
    return "gpu" if kernels else "cpu"


def _inputs(**shapes: tuple[int, ...]) -> Any:
    """The beginning of a net: blobs that Python fills."""
    spec = caffe.NetSpec()
    for name, shape in shapes.items():
        setattr(spec, name, L.Input(shape={"dim": list(shape)}))
    return spec


def _product(layer: Callable[..., Any], x: np.ndarray, w: np.ndarray, **shape: int) -> np.ndarray:
    """What a net of one layer makes of x, with the weights w."""
    spec = _inputs(data=x.shape)
    spec.product = layer(spec.data, bias_term=False, **shape)
    net = _net(spec)
    net.params["product"][0].data[...] = w
    return _forward(net, x, "product")


def _forward(net: Any, x: np.ndarray, blob: str) -> np.ndarray:
    net.blobs["data"].data[...] = x
    net.forward()
    return np.array(net.blobs[blob].data, np.float64)


def _net(spec: Any) -> Any:
    return _from_file(caffe.Net, spec.to_proto(), caffe.TEST)


def _solver(spec: Any, lr: float, momentum: float, seed: int, folder: str = "") -> Any:
    parameters = caffe_pb2.SolverParameter(
        type="SGD",
        base_lr=lr,
        lr_policy="fixed",
        momentum=momentum,
        random_seed=seed,
        snapshot_prefix=str(Path(folder, "checkpoint")),
        snapshot_after_train=False,
    )
    parameters.train_net_param.CopyFrom(spec.to_proto())
    return _from_file(caffe.get_solver, parameters)


def _from_file(make: Callable[..., Any], message: Any, *more: Any) -> Any:
    """Nets and solvers are made of files."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(message))
        file.flush()
        return make(file.name, *more)


def _classify(spec: Any) -> None:
    """Puts a small CNN for digits, its scores and its loss, on top of a net's data and labels."""
    he = {"type": "msra"}
    x = L.ReLU(L.Convolution(spec.data, num_output=16, kernel_size=3, pad=1, weight_filler=he))
    x = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    x = L.ReLU(L.Convolution(x, num_output=32, kernel_size=3, pad=1, weight_filler=he))
    spec.scores = L.InnerProduct(x, num_output=10, weight_filler=he)
    spec.loss = L.SoftmaxWithLoss(spec.scores, spec.label)


def _train_lmdb(digits: Digits, seed: int, folder: Path) -> dict[str, Any]:
    """Trains as Caffe's users do, by its commands: pictures become databases, `caffe train` reads those and writes a
    snapshot, another `caffe train` goes on from it, and the weights that it leaves behind name the digits.
    """
    order = np.random.RandomState(seed).permutation(len(digits.train_labels))
    _write_lmdb(folder, "train", digits.train_images[order], digits.train_labels[order])
    _write_lmdb(folder, "test", digits.test_images, digits.test_labels)
    programs.said("compute_image_mean", folder / "train", folder / "mean.binaryproto")
    _write_net(folder, "train", 32)
    _write_net(folder, "test", len(digits.test_labels))
    half, steps = 180, 360
    start = time.perf_counter()
    log = _run_solver(folder, seed, half)
    log += _run_solver(folder, seed, steps, "-snapshot", folder / f"digits_iter_{half}.solverstate")
    seconds = (time.perf_counter() - start) / steps
    net = caffe.Net(str(folder / "test.prototxt"), str(folder / f"digits_iter_{steps}.caffemodel"), caffe.TEST)
    net.forward()
    predictions = net.blobs["scores"].data.argmax(1)
    told, found = float(_logged(": accuracy", log)[-1]), float(np.mean(predictions == digits.test_labels))
    if abs(told - found) > 1e-4:  # the log has six digits
        raise RuntimeError(f"caffe train found an accuracy of {told}, and what it saved has {found}")
    return {"predictions": predictions, "losses": _logged(", loss", log), "seconds_per_step": seconds}


def _write_lmdb(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Pictures and the list that names them, converted to a database of Caffe's Datums in the list's order."""
    pictures = folder / f"{name}-pictures"
    pictures.mkdir()
    for number, image in enumerate(images):
        (pictures / f"{number}.pgm").write_bytes(data.picture(image))
    listed = folder / f"{name}.txt"
    listed.write_text("".join(f"{number}.pgm {label}\n" for number, label in enumerate(labels)))
    programs.said("convert_imageset", "-gray", "-backend=lmdb", f"{pictures}/", listed, folder / name)


def _write_net(folder: Path, name: str, size: int) -> None:
    """A net that reads a database, and for tests tells its accuracy."""
    spec = caffe.NetSpec()
    spec.data, spec.label = L.Data(
        source=str(folder / name),
        backend=P.Data.LMDB,
        batch_size=size,
        transform_param={"mean_file": str(folder / "mean.binaryproto"), "scale": 1 / 16},
        ntop=2,
    )
    _classify(spec)
    if name == "test":
        spec.accuracy = L.Accuracy(spec.scores, spec.label)
    (folder / f"{name}.prototxt").write_text(str(spec.to_proto()))


# As in Caffe's example for handwritten digits, but in larger steps.
_RECIPE = {"base_lr": 0.1, "lr_policy": "inv", "gamma": 1e-3, "power": 0.75, "momentum": 0.9, "weight_decay": 5e-4}


def _run_solver(folder: Path, seed: int, steps: int, *options: Any) -> str:
    """What `caffe train` logs until it has done that many steps, tested and saved its weights."""
    solver = caffe_pb2.SolverParameter(
        train_net=str(folder / "train.prototxt"),
        test_net=[str(folder / "test.prototxt")],
        test_iter=[1],
        test_interval=steps,
        max_iter=steps,
        display=20,
        snapshot_prefix=str(folder / "digits"),
        solver_mode=caffe_pb2.SolverParameter.GPU if _device == "gpu" else caffe_pb2.SolverParameter.CPU,
        random_seed=seed,
        **_RECIPE,
    )
    (folder / "solver.prototxt").write_text(str(solver))
    return programs.said("caffe", "train", "-solver", folder / "solver.prototxt", *options)


def _logged(name: str, log: str) -> list[float]:
    """The values of a number in a solver's log; what stands before its name tells a step's loss from a test's."""
    return [float(value) for value in re.findall(rf"{name} = (\S+)", log)]


class _Parity:
    """The parity problem as a Caffe solver trains it, one full batch a step."""

    def __init__(self, problem: Problem, fault: str, folder: str = "") -> None:
        self.fault = fault
        self.solver = _solver(_parity_net(problem, fault), problem.lr, problem.momentum, seed=1, folder=folder)
        self.net = self.solver.net
        self.net.blobs["data"].data[...] = problem.images
        self.net.blobs["label"].data[...] = problem.labels
        self.weights: dict[str, Any] = {}
        for name, value in problem.weights.items():
            layer, _, part = name.partition(".")
            self.weights[name] = self.net.params[layer]["wb".index(part)]
            self.weights[name].data[...] = _turned(value)
        self.gradients: dict[str, np.ndarray] = {}
        self.masters: dict[str, np.ndarray] = {}
        self.solver.add_callback(self._before_forward, self._after_backward)

    def train(self, steps: int) -> dict[str, Any]:
        losses: list[float] = []
        first: dict[str, np.ndarray] = {}
        before = _kernels()
        for step in range(steps):
            self.solver.step(1)
            losses.append(float(self.net.blobs["loss"].data))
            first = self.gradients if step == 0 else first
        return {
            "losses": losses,
            "gradients": first,
            "weights": {name: _turned(blob.data).astype(np.float64) for name, blob in self.weights.items()},
            "device": _where(_kernels() - before),
        }

    def _before_forward(self) -> None:
        if self.fault == "inputs-tf32":
            self.masters = {name: np.array(blob.data) for name, blob in self.weights.items() if name.endswith(".w")}
        for name, value in self.masters.items():
            self.weights[name].data[...] = tf32.rounded(value)

    def _after_backward(self) -> None:
        for name, value in self.masters.items():
            self.weights[name].data[...] = value
        if self.fault == "bias-gradient-dropped":
            self.weights["conv.b"].diff[...] = 0
        self.gradients = {name: _turned(blob.diff).astype(np.float64) for name, blob in self.weights.items()}


def _parity_net(problem: Problem, fault: str) -> Any:
    outputs = {name: len(problem.weights[f"{name}.b"]) for name in ("conv", "dense1", "dense2")}
    spec = _inputs(data=problem.images.shape, label=problem.labels.shape)
    spec.conv = L.Convolution(_entering(spec.data, fault), num_output=outputs["conv"], kernel_size=3)
    x = L.Pooling(L.TanH(spec.conv), pool=P.Pooling.AVE, kernel_size=2, stride=2)
    spec.dense1 = L.InnerProduct(_entering(x, fault), num_output=outputs["dense1"])
    spec.dense2 = L.InnerProduct(_entering(L.TanH(spec.dense1), fault), num_output=outputs["dense2"])
    spec.loss = L.SoftmaxWithLoss(spec.dense2, spec.label)
    return spec


def _turned(value: np.ndarray) -> np.ndarray:
    """Caffe's dense weights are (out, in), the reference's (in, out); everything else is the same."""
    return np.array(value.T if value.ndim == 2 else value)


def _entering(x: Any, fault: str) -> Any:
    """What enters a product."""
    return L.Python(x, module=__name__, layer="Rounded") if fault == "inputs-tf32" else x


class Rounded(caffe.Layer):
    """A layer that rounds its input to tf32's bits; the gradient passes as if it did not."""

    def setup(self, bottom: Any, top: Any) -> None:
        """There are no parameters."""

    def reshape(self, bottom: Any, top: Any) -> None:
        """The output is as large as the input."""
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom: Any, top: Any) -> None:
        """Round."""
        top[0].data[...] = tf32.rounded(bottom[0].data)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Hand the gradient down."""
        bottom[0].diff[...] = top[0].diff
