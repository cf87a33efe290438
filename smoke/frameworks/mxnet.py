"""MXNet, through Gluon. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from smoke import data
from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks import DeviceMissing
from smoke.kit import programs
from smoke.reference import Problem

CANNOT: dict[str, str] = {
    "tf32": "MXNet 1.9 cannot be asked for tf32: its float32 products take it wherever the GPU has it, unless "
    "NVIDIA_TF32_OVERRIDE=0 forbids it to the whole process, as it must for float32 to be float32",
    "bf16": "MXNet 1.9 has bfloat16 on the CPU only, in oneDNN's operators; none of its GPU operators takes it",
}
COMPILERS: tuple[str, ...] = ("hybridize",)
WORKLOADS: tuple[str, ...] = ("kvstore", "capi")
SWITCHES: dict[str, tuple[str, ...]] = {
    "gpu": ("NVIDIA_TF32_OVERRIDE=0",),
    "deterministic": ("MXNET_ENFORCE_DETERMINISM=1", "MXNET_CUDNN_AUTOTUNE_DEFAULT=0"),
}
TAKES_GPU = False
FIRST_LINES = """
from mxnet import autograd, gluon, init, nd

ones = nd.ones(3)
ones.attach_grad()
with autograd.record():
    squares = (ones * ones).sum()
squares.backward()
model = gluon.nn.Dense(1)
model.initialize(init.Normal())
trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": 0.1})
l2 = gluon.loss.L2Loss()
losses = []
for _ in range(2):
    with autograd.record():
        loss = l2(model(nd.ones((8, 3))), nd.full((8, 1), 3.0))
    loss.backward()
    trainer.step(8)
    losses.append(loss.mean().asscalar().item())
model.save_parameters("model.params")
again = gluon.nn.Dense(1)
again.load_parameters("model.params")

import json
print(json.dumps({"sum": ones.sum().asscalar().item(), "gradient": ones.grad.asnumpy().tolist(), "losses": losses,
                  "loaded": bool((again.weight.data() == model.weight.data()).asnumpy().all()),
                  "device": str(ones.context)}))
"""

_DTYPES = {"f64": "float64", "fp16": "float16"}
_LOSS_SCALE = 1024.0  # a power of two, so that it rounds nothing: it keeps small float16 gradients from vanishing
_C_PROGRAM = Path(__file__).with_name("mxnet_capi.c")
_profiled_devices: dict[int, str] = {}  # what the profiler's process numbers stand for
_context = mx.cpu()


def describe() -> dict[str, Any]:
    """The wheel tells neither CUDA nor cuDNN that it was built for: these are the versions that are loaded."""
    features = mx.runtime.Features()
    told: dict[str, Any] = {
        "name": "mxnet",
        "version": mx.__version__,
        "cudnn": _cudnn() if features.is_enabled("CUDNN") else None,
        "features": sorted(name for name, one in features.items() if one.enabled),
    }
    if _context.device_type == "gpu":
        told["cuda"] = _cuda()
        told["gpus"] = mx.context.num_gpus()
    return told


def be_deterministic() -> None:
    os.environ["MXNET_ENFORCE_DETERMINISM"] = "1"  # both are read when an operator is first used
    os.environ["MXNET_CUDNN_AUTOTUNE_DEFAULT"] = "0"


def use_device(device: str) -> None:
    global _context  # noqa: PLW0603 -- MXNet's default context is per thread, and not heeded everywhere
    if device == "gpu":
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # read when cuBLAS and cuDNN start: see CANNOT
        try:
            nd.zeros(1, ctx=mx.gpu()).wait_to_read()
        except mx.MXNetError as why:
            raise DeviceMissing(str(why).strip().splitlines()[-1]) from why
    _context = mx.gpu() if device == "gpu" else mx.cpu()


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    return _numpy(nd.dot(_array(a, precision), _array(b, precision)))


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    return _numpy(_conv(_array(x, precision), _array(w, precision)))


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _Training(problem, precision, fault).train(problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    """The whole step's graph, planned ahead with its memory, as one cached operator."""
    training = _Training(problem, precision, "")
    getattr(training.parity, compiler)(static_alloc=True, static_shape=True)
    found = training.train(problem.steps)
    return {**found, "compiled": int(training.parity._cached_op is not None)}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    mx.random.seed(seed)
    network = _network()
    trainer = gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    return _classify(network, trainer, digits, seed)


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    mx.random.seed(seed)
    reader = _Reader(len(lines.alphabet))
    reader.initialize(mx.init.Xavier(), ctx=_context)
    trainer = gluon.Trainer(reader.collect_params(), "adam", {"learning_rate": 0.02})
    losses: list[float] = []
    start = time.perf_counter()
    for batch in lines.epoch(32, seed):
        count = float(batch.mask.sum())
        with autograd.record():
            loss = reader.nats(batch) / count
        loss.backward()
        gluon.utils.clip_global_norm([one.grad() for one in reader.collect_params().values()], 1.0)
        trainer.step(1)
        losses.append(float(loss.asscalar()))
    seconds = (time.perf_counter() - start) / len(losses)
    tests = lines.tests(64)
    nats = sum(float(reader.nats(batch).asscalar()) for batch in tests)
    bits = nats / sum(float(batch.mask.sum()) for batch in tests) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    return {"kvstore": _train_kvstore, "capi": _train_capi}[name](digits, seed)


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    training = _Training(problem, precision, "")
    training.train(steps)
    training.parity.save_parameters(f"{folder}/parity.params")
    training.trainer.save_states(f"{folder}/parity.states")
    Path(folder, "steps.json").write_text(json.dumps(steps))


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    training = _Training(problem, precision, "")
    training.parity.load_parameters(f"{folder}/parity.params", ctx=_context)
    training.trainer.load_states(f"{folder}/parity.states")
    return training.train(problem.steps - json.loads(Path(folder, "steps.json").read_text()))


def load_batches(count: int, workers: int) -> list[float]:
    # A batch an item: three workers, and three batches that wait, are half of the default /dev/shm.
    loader = gluon.data.DataLoader(
        _Batches(count), batch_size=1, num_workers=workers, prefetch=workers, batchify_fn=_shared, timeout=60
    )
    return [float(batch.as_in_context(_context).sum().asscalar()) for batch in loader]


def device_evidence(device: str) -> dict[str, Any]:
    where = mx.gpu() if device == "gpu" else mx.cpu()
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile.json")
        mx.profiler.set_config(profile_imperative=True, profile_memory=True, filename=str(profile))
        mx.profiler.set_state("run")
        a = nd.ones((256, 256), ctx=where)
        result = _conv(nd.dot(a, a).reshape((1, 1, 256, 256)), nd.ones((1, 1, 3, 3), ctx=where))
        nd.waitall()
        mx.profiler.set_state("stop")
        mx.profiler.dump(finished=False)
        kernels, allocated = _profiled(profile.read_text(), "gpu/0")
    return {"device": _kind(result), "name": str(result.context), "bytes": allocated, "kernels": kernels}


def _profiled(part: str, device: str) -> tuple[int, int]:
    """The operators that a profile shows on a device, and the most bytes that were allocated there at a time.

    MXNet's profiler shows no single kernels; an operator of a GPU is one at least. It finishes one profile a process:
    what it writes is the next part of that one, and the first alone opens the list and names the devices.
    """
    events = json.loads("[" + (part.partition('"traceEvents": [')[2] or part).strip().strip(",") + "]")
    named = (one for one in events if one["ph"] == "M" and one["name"] == "process_name")
    _profiled_devices.update({one["pid"]: one["args"]["name"] for one in named})
    memory = [value for one in events if one["name"] == "Memory: " + device for value in one["args"].values()]
    operators = sum(one["ph"] == "B" and _profiled_devices.get(one["pid"]) == device for one in events)
    return operators, max((int(value) for value in memory), default=0)


def _cuda() -> str:
    """The CUDA runtime that MXNet's library has brought into the process."""
    number = ctypes.c_int(0)
    mx.base._LIB.cudaRuntimeGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _cudnn() -> int:
    call = mx.base._LIB.cudnnGetVersion
    call.restype = ctypes.c_size_t
    return int(call())


def _kind(array: Any) -> str:
    return str(array.context.device_type)


def _numpy(array: Any) -> np.ndarray:
    return np.asarray(array.asnumpy(), np.float64)


def _array(value: np.ndarray, precision: str) -> Any:
    return nd.array(value, ctx=_context, dtype=_DTYPES.get(precision, "float32"))


def _conv(x: Any, w: Any) -> Any:
    return nd.Convolution(x, w, kernel=w.shape[2:], num_filter=w.shape[0], no_bias=True)


class _Parity(gluon.HybridBlock):
    """The parity problem's network with its loss. In float16 the inputs of products are cast, as MXNet's AMP does it;
    AMP itself would change every operator of the process, for good.
    """

    def __init__(self, problem: Problem, precision: str, fault: str) -> None:
        super().__init__(prefix="")
        self._half, self._rounded = precision == "fp16", fault == "inputs-tf32"
        filters, _, *kernel = problem.weights["conv.w"].shape
        self._convolution = {"kernel": tuple(kernel), "num_filter": filters, "no_bias": True}
        dtype = "float64" if precision == "f64" else "float32"
        for name, value in problem.weights.items():
            parameter = self.params.get(_plain(name), shape=value.shape, dtype=dtype)
            parameter.initialize(ctx=_context)
            parameter.set_data(nd.array(value, dtype=dtype))
            setattr(self, _plain(name), parameter)

    def hybrid_forward(self, F: Any, images: Any, labels: Any, **w: Any) -> Any:
        x = self._product(F, F.Convolution, images, w["conv_w"], **self._convolution)
        x = F.tanh(F.broadcast_add(x, F.reshape(w["conv_b"], (1, -1, 1, 1))))
        x = F.flatten(F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg"))
        x = F.tanh(F.broadcast_add(self._product(F, F.dot, x, w["dense1_w"]), F.expand_dims(w["dense1_b"], 0)))
        x = F.broadcast_add(self._product(F, F.dot, x, w["dense2_w"]), F.expand_dims(w["dense2_b"], 0))
        return -F.mean(F.pick(F.log_softmax(x), labels))

    def _product(self, F: Any, operator: Any, a: Any, b: Any, **options: Any) -> Any:
        if self._rounded:
            a, b = _rounded(F, a), _rounded(F, b)
        if self._half:
            return F.cast(operator(F.cast(a, "float16"), F.cast(b, "float16"), **options), "float32")
        return operator(a, b, **options)


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _rounded(F: Any, x: Any) -> Any:
    """x rounded to tf32's eleven bits, by Veltkamp's splitting; the gradient passes as if it were not."""
    large = x * (2.0**13 + 1)
    return x + F.BlockGrad(large - (large - x) - x)


class _Training:
    """Trains the parity problem with Gluon's Trainer."""

    def __init__(self, problem: Problem, precision: str, fault: str) -> None:
        self.parity = _Parity(problem, precision, fault)
        self.parameters = {name: getattr(self.parity, _plain(name)) for name in problem.weights}
        self.images = _array(problem.images, "f64" if precision == "f64" else "f32")
        self.labels = nd.array(problem.labels, ctx=_context)
        self.scale = _LOSS_SCALE if precision == "fp16" else 1.0
        self.fault = fault
        sgd = _Sgd64 if precision == "f64" else mx.optimizer.SGD
        optimizer = sgd(learning_rate=problem.lr, momentum=problem.momentum)
        self.trainer = gluon.Trainer(self.parity.collect_params(), optimizer)

    def train(self, steps: int) -> dict[str, Any]:
        losses: list[float] = []
        first: dict[str, np.ndarray] = {}
        for step in range(steps):
            with autograd.record():
                loss = self.parity(self.images, self.labels)
                scaled = loss * self.scale
            scaled.backward()
            if self.fault == "bias-gradient-dropped":
                self.parameters["conv.b"].grad()[:] = 0
            losses.append(float(loss.asscalar()))
            if step == 0:
                first = {name: _numpy(one.grad()) / self.scale for name, one in self.parameters.items()}
            self.trainer.step(self.scale)
        return {
            "losses": losses,
            "gradients": first,
            "weights": {name: _numpy(one.data()) for name, one in self.parameters.items()},
            "device": _kind(self.parameters["conv.w"].data()),
        }


class _Sgd64(mx.optimizer.Optimizer):
    """SGD with momentum in NDArray's own arithmetic: the built-in one holds its momentum as float32, always."""

    def __init__(self, momentum: float, **options: Any) -> None:
        super().__init__(**options)
        self.momentum = momentum

    def create_state(self, _index: int, weight: Any) -> Any:
        return nd.zeros_like(weight)

    def update(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        state[:] = self.momentum * state + grad * self.rescale_grad
        weight[:] -= self._get_lr(index) * state


def _network(contexts: Any = None) -> gluon.HybridBlock:
    network = gluon.nn.HybridSequential()
    network.add(
        gluon.nn.Conv2D(16, 3, padding=1, activation="relu"),
        gluon.nn.MaxPool2D(2),
        gluon.nn.Conv2D(32, 3, padding=1, activation="relu"),
        gluon.nn.Flatten(),
        gluon.nn.Dense(10),
    )
    network.initialize(mx.init.MSRAPrelu(), ctx=contexts or _context)
    network.hybridize()
    return network


def _classify(network: gluon.Block, trainer: gluon.Trainer, digits: Digits, seed: int) -> dict[str, Any]:
    """Trains on as many contexts as the network is on, each with its share of the batch."""
    contexts = next(iter(network.collect_params().values())).list_ctx()
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(8):
        for batch in digits.epoch(32, seed + epoch):
            images, labels = (gluon.utils.split_and_load(one, contexts) for one in batch)
            with autograd.record():
                parts = [cross_entropy(network(x), y).sum() for x, y in zip(images, labels)]
            autograd.backward(parts)
            trainer.step(32)
            losses.append(sum(float(one.asscalar()) for one in parts) / 32)
    seconds = (time.perf_counter() - start) / len(losses)
    predictions = network(nd.array(digits.test_images, ctx=contexts[0])).argmax(1).asnumpy().astype(np.int64)
    return {"predictions": predictions, "losses": losses, "seconds_per_step": seconds}


class _Reader(gluon.Block):
    """A GRU's cell, unrolled anew for each batch over as many characters as its longest line has."""

    def __init__(self, alphabet: int) -> None:
        super().__init__()
        self.embedding = gluon.nn.Embedding(alphabet, 32)
        self.cell = gluon.rnn.GRUCell(96, input_size=32)
        self.output = gluon.nn.Dense(alphabet, flatten=False, in_units=96)
        self.cell.hybridize()

    def nats(self, batch: TextBatch) -> Any:
        """The summed cross-entropy of a batch."""
        inputs, targets, mask = (nd.array(one, ctx=_context) for one in (batch.inputs, batch.targets, batch.mask))
        read, _ = self.cell.unroll(inputs.shape[1], self.embedding(inputs), layout="NTC", merge_outputs=True)
        return -(nd.pick(nd.log_softmax(self.output(read)), targets) * mask).sum()


class _Batches(gluon.data.Dataset):
    """The loader's batches, made in its workers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        return data.batch(index)


def _shared(items: list[np.ndarray]) -> Any:
    return nd.array(items[0], ctx=mx.Context("cpu_shared", 0))


def _train_kvstore(digits: Digits, seed: int) -> dict[str, Any]:
    """Data parallel through a key-value store: it sums the gradients of all contexts, and holds the optimizer."""
    mx.random.seed(seed)
    network = _network([mx.cpu(0), mx.cpu(1)] if _context.device_type == "cpu" else [_context])
    store = mx.kvstore.create("device" if _context.device_type == "gpu" else "local")
    trainer = gluon.Trainer(
        network.collect_params(),
        "sgd",
        {"learning_rate": 0.1, "momentum": 0.9},
        kvstore=store,
        update_on_kvstore=True,
    )
    found = _classify(network, trainer, digits, seed)
    weight = network[0].weight.data()
    held = nd.zeros_like(weight)
    store.pull(trainer._param2idx[network[0].weight.name], out=held)
    if not np.array_equal(held.asnumpy(), weight.asnumpy()):
        raise RuntimeError("the key-value store does not hold the weights that were trained")
    return found


def _train_capi(digits: Digits, seed: int) -> dict[str, Any]:
    """A C program, compiled here against the headers and the library of the wheel, trains through the C API alone."""
    package = Path(mx.__file__).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "digits"
        programs.said(
            *(shutil.which("gcc") or "gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"),
            *("-o", program, _C_PROGRAM, f"-isystem{package}/include", package / "libmxnet.so"),
            # What the library itself needs is found when the program runs.
            *(f"-Wl,-rpath,{package}", "-Wl,--allow-shlib-undefined", "-lm"),
        )
        for part, images, labels in (
            ("train", digits.train_images, digits.train_labels),
            ("test", digits.test_images, digits.test_labels),
        ):
            (folder / part).write_bytes(images.astype("<f4").tobytes() + labels.astype("<f4").tobytes())
        counts = [len(digits.train_labels), len(digits.test_labels)]
        files = (folder / name for name in ("train", "test", "found"))
        programs.said(program, _context.device_type, *counts, seed, *files)
        found = json.loads((folder / "found").read_text())
    return {**found, "predictions": np.array(found["predictions"], np.int64)}
