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
from typing import Any, Optional

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

from smoke import data
from smoke.data import Digits, Lines
from smoke.frameworks import Cannot, DeviceMissing
from smoke.kit import cupti, loader, programs
from smoke.reference import NAMES, Problem

CANNOT: dict[str, str] = {
    "f64": "pycaffe has Caffe's nets and solvers for float32 only; those for double are for programs in C++",
    "tf32": "Caffe has no switch for it: it asks cuBLAS and cuDNN for float32, and they keep to that",
    "fp16": "Caffe 1.0 computes in float32 and double only",
    "bf16": "Caffe 1.0 computes in float32 and double only",
    "sequence": "a Caffe net is a fixed graph of layers: its LSTM and RNN layers unroll to a number of steps that is "
    "written in the net, so no graph follows the data",
    "compile": "Caffe has no compiler: its layers are compiled already",
}
COMPILERS = ()
WORKLOADS = ("lmdb",)
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

_device = "cpu"
_seed = 1
_counter: Optional[cupti.Counter] = None


def describe() -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": "caffe",
        "version": metadata.version("caffe"),
        "cuda": _cuda_version(),
        "cudnn": _cudnn_version(),
        "blas": _blas().decode(),
    }
    if _device == "gpu":
        told["gpu"] = _gpu_name()
    return told


def be_deterministic() -> None:
    """Nothing to turn on: what is random has a seed, and of cuDNN's algorithms it takes the deterministic ones."""


def use_device(device: str) -> None:
    global _device, _counter  # noqa: PLW0603 -- Caffe's mode is global too
    if device == "gpu":
        # Caffe ends the process where there is none.
        count = ctypes.c_int()
        code = _cudart().cudaGetDeviceCount(ctypes.byref(count))
        if code or not count.value:
            raise DeviceMissing(_error(code) if code else "the CUDA runtime counts no GPU")
        _counter = _counter or cupti.Counter(cupti.library(Path(caffe.__file__).parents[1]))
        caffe.set_device(0)
        caffe.set_mode_gpu()
    else:
        caffe.set_mode_cpu()
    _device = device


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    spec = caffe.NetSpec()
    spec.data = L.Input(shape={"dim": list(a.shape)})
    spec.product = L.InnerProduct(spec.data, num_output=b.shape[1], bias_term=False)
    return _applied(spec, a, b.T)


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    spec = caffe.NetSpec()
    spec.data = L.Input(shape={"dim": list(x.shape)})
    spec.product = L.Convolution(spec.data, num_output=w.shape[0], kernel_size=w.shape[2], bias_term=False)
    return _applied(spec, x, w)


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _Parity(problem, fault).train(problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    raise Cannot(CANNOT["compile"])


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    size, epochs = 32, 8
    spec = caffe.NetSpec()
    spec.data = L.Input(shape={"dim": [size, *digits.test_images.shape[1:]]})
    spec.label = L.Input(shape={"dim": [size]})
    _classify(spec)
    solver = _solver(spec, lr=0.1, momentum=0.9, seed=seed)
    net = solver.net
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(epochs):
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
        return {"lmdb": _train_lmdb}[name](digits, seed, Path(folder))


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
    sums: list[float] = []
    net = None
    for batch in loader.batches(count, workers):
        if net is None:
            spec = caffe.NetSpec()
            spec.data = L.Input(shape={"dim": list(batch.shape)})
            spec.sum = L.Reduction(spec.data, operation=P.Reduction.SUM)
            net = _net(spec)
        net.blobs["data"].data[...] = batch
        net.forward()
        sums.append(float(net.blobs["sum"].data))
    return sums


def device_evidence(device: str) -> dict[str, Any]:
    # Caffe's blobs do not tell where they are. The driver does: what was allocated, and which kernels ran.
    asked = _device
    _set_mode(device)
    kernels, free = _kernels(), _free()
    matmul(np.ones((256, 256)), np.ones((256, 256)), "f32")
    kernels, used = _kernels() - kernels, free - _free()
    _set_mode(asked)
    return {
        "device": _where(kernels),
        "name": _gpu_name() if device == "gpu" else "cpu",
        "bytes": used,
        "kernels": kernels,
    }


def _set_mode(device: str) -> None:
    (caffe.set_mode_gpu if device == "gpu" else caffe.set_mode_cpu)()


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


def _run_solver(folder: Path, seed: int, steps: int, *options: Any) -> str:
    """What `caffe train` logs until it has done that many steps, tested and saved its weights."""
    solver = caffe_pb2.SolverParameter(
        train_net=str(folder / "train.prototxt"),
        test_net=[str(folder / "test.prototxt")],
        test_iter=[1],
        test_interval=steps,
        base_lr=0.1,
        lr_policy="inv",
        gamma=1e-3,
        power=0.75,
        momentum=0.9,
        weight_decay=5e-4,
        max_iter=steps,
        display=20,
        snapshot_prefix=str(folder / "digits"),
        solver_mode=caffe_pb2.SolverParameter.GPU if _device == "gpu" else caffe_pb2.SolverParameter.CPU,
        random_seed=seed,
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
        self.solver = _solver(_parity_net(problem, fault), problem.lr, problem.momentum, _seed, folder)
        self.net = self.solver.net
        self.net.blobs["data"].data[...] = problem.images
        self.net.blobs["label"].data[...] = problem.labels
        self.weights = {name: self._blob(name) for name in NAMES}
        for name, value in problem.weights.items():
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

    def _blob(self, name: str) -> Any:
        layer, _, part = name.partition(".")
        return self.net.params[layer]["wb".index(part)]

    def _before_forward(self) -> None:
        if self.fault == "inputs-tf32":
            for name, blob in self.weights.items():
                if name.endswith(".w"):
                    self.masters[name] = np.array(blob.data)
                    blob.data[...] = _rounded(blob.data)

    def _after_backward(self) -> None:
        for name, value in self.masters.items():
            self.weights[name].data[...] = value
        if self.fault == "bias-gradient-dropped":
            self.weights["conv.b"].diff[...] = 0
        self.gradients = {name: _turned(blob.diff).astype(np.float64) for name, blob in self.weights.items()}


def _parity_net(problem: Problem, fault: str) -> Any:
    rounded = _rounding_layer if fault == "inputs-tf32" else _as_is
    outputs = {name: len(problem.weights[f"{name}.b"]) for name in ("conv", "dense1", "dense2")}
    spec = caffe.NetSpec()
    spec.data = L.Input(shape={"dim": list(problem.images.shape)})
    spec.label = L.Input(shape={"dim": list(problem.labels.shape)})
    spec.conv = L.Convolution(rounded(spec.data), num_output=outputs["conv"], kernel_size=3)
    x = L.Pooling(L.TanH(spec.conv), pool=P.Pooling.AVE, kernel_size=2, stride=2)
    spec.dense1 = L.InnerProduct(rounded(x), num_output=outputs["dense1"])
    spec.dense2 = L.InnerProduct(rounded(L.TanH(spec.dense1)), num_output=outputs["dense2"])
    spec.loss = L.SoftmaxWithLoss(spec.dense2, spec.label)
    return spec


def _turned(value: np.ndarray) -> np.ndarray:
    """Caffe's dense weights are (out, in), the reference's (in, out); everything else is the same."""
    return np.array(value.T if value.ndim == 2 else value)


def _as_is(x: Any) -> Any:
    return x


def _rounding_layer(x: Any) -> Any:
    return L.Python(x, module=__name__, layer="Rounded")


def _rounded(x: np.ndarray) -> np.ndarray:
    """x rounded to tf32's eleven bits, by masking."""
    bits = np.ascontiguousarray(x, np.float32).view(np.int32)
    return ((bits + 0x1000) & -0x2000).view(np.float32)


class Rounded(caffe.Layer):
    """A layer that rounds its input to tf32's bits; the gradient passes as if it did not."""

    def setup(self, bottom: Any, top: Any) -> None:
        """There are no parameters."""

    def reshape(self, bottom: Any, top: Any) -> None:
        """The output is as large as the input."""
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom: Any, top: Any) -> None:
        """Round."""
        top[0].data[...] = _rounded(bottom[0].data)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Hand the gradient down."""
        bottom[0].diff[...] = top[0].diff


def _applied(spec: Any, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    net = _net(spec)
    net.params["product"][0].data[...] = w
    net.blobs["data"].data[...] = x
    net.forward()
    return np.array(net.blobs["product"].data, np.float64)


def _net(spec: Any) -> Any:
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(spec.to_proto()))
        file.flush()
        return caffe.Net(file.name, caffe.TEST)


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
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(parameters))
        file.flush()
        return caffe.get_solver(file.name)


# What libcaffe has loaded already, by the names that it knows them by.


def _cudart() -> Any:
    return ctypes.CDLL("libcudart.so.11.0")


def _blas() -> bytes:
    library: Any = ctypes.CDLL("libopenblas.so.0")
    library.openblas_get_config.restype = ctypes.c_char_p
    return bytes(library.openblas_get_config())


def _cuda_version() -> str:
    """The runtime's own answer; where there is no driver CUDA 11's gives none, and its package tells."""
    version = ctypes.c_int()
    if _cudart().cudaRuntimeGetVersion(ctypes.byref(version)):
        return ".".join(metadata.version("nvidia-cuda-runtime-cu11").split(".")[:2])
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _cudnn_version() -> int:
    library: Any = ctypes.CDLL("libcudnn.so.8")
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return int(library.cudnnGetVersion())


def _error(code: int) -> str:
    library = _cudart()
    library.cudaGetErrorString.restype = ctypes.c_char_p
    return bytes(library.cudaGetErrorString(code)).decode()


def _gpu_name() -> str:
    properties = ctypes.create_string_buffer(1 << 14)  # cudaDeviceProp begins with the name
    code = _cudart().cudaGetDeviceProperties(properties, 0)
    return _error(code) if code else properties.value.decode()


def _free() -> int:
    """The free bytes on the GPU; on the CPU there is none to ask."""
    if _device != "gpu":
        return 0
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _cudart().cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    return free.value


def _kernels() -> int:
    if _counter is None:
        return 0
    _cudart().cudaDeviceSynchronize()
    return _counter.count()


def _where(kernels: int) -> str:
    return "gpu" if kernels else "cpu"
