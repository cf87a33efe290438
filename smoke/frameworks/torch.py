"""PyTorch. What each function does: ``smoke.frameworks``."""

# The functions are documented once, in smoke.frameworks, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from smoke import data
from smoke.data import Digits, Lines, TextBatch
from smoke.frameworks._backends import torch as backend
from smoke.reference import Problem

CANNOT: dict[str, str] = {}
COMPILERS: tuple[str, ...] = ("inductor",)
WORKLOADS: tuple[str, ...] = ("torchvision", "torchtext")
SWITCHES: dict[str, tuple[str, ...]] = {
    "deterministic": ("CUBLAS_WORKSPACE_CONFIG=:4096:8", "use_deterministic_algorithms(True)"),
    "f32": ("backends.cuda.matmul.allow_tf32=False", "backends.cudnn.allow_tf32=False"),
    "tf32": ("backends.cuda.matmul.allow_tf32=True",),
}
TAKES_GPU = False
FIRST_LINES = """
import torch
from torch import nn

ones = torch.ones(3, requires_grad=True)
(ones * ones).sum().backward()
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(2):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(torch.ones(8, 3)), torch.full((8, 1), 3.0))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
torch.save(model.state_dict(), "model.pth")
again = nn.Linear(3, 1)
again.load_state_dict(torch.load("model.pth"))

import json
print(json.dumps({"sum": ones.sum().item(), "gradient": ones.grad.tolist(), "losses": losses,
                  "loaded": bool((again.weight == model.weight).all()), "device": str(model.weight.device)}))
"""

_DTYPES = {"f64": torch.float64, "fp16": torch.float16, "bf16": torch.bfloat16}
_LOSS_SCALE = 1024.0  # a power of two, so that it rounds nothing: it keeps small float16 gradients from vanishing
_device = torch.device("cpu")


def describe() -> dict[str, Any]:
    threads, cpu = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return {"name": "torch", **backend.describe(), "threads": threads, "cpu": cpu}


def be_deterministic() -> None:
    backend.be_deterministic()


def use_device(device: str) -> None:
    global _device  # noqa: PLW0603 -- torch itself has no setting that is not a fallback
    backend.use_device(device)
    _device = torch.device("cuda" if device == "gpu" else "cpu")


def matmul(a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision), torch.no_grad():
        return _numpy(_tensor(a, precision) @ _tensor(b, precision))


def conv2d(x: np.ndarray, w: np.ndarray, precision: str) -> np.ndarray:
    with backend.products(precision), torch.no_grad():
        return _numpy(F.conv2d(_tensor(x, precision), _tensor(w, precision)))


def train_parity(problem: Problem, precision: str, fault: str) -> dict[str, Any]:
    return _Parity(problem, precision, fault).train(problem.steps)


def train_compiled(problem: Problem, precision: str, compiler: str) -> dict[str, Any]:
    parity, before = _Parity(problem, precision, ""), backend.compiled()
    parity.loss = torch.compile(parity.loss, backend=compiler, fullgraph=True)  # type: ignore[method-assign]
    found = parity.train(problem.steps)
    return {**found, "compiled": backend.compiled() - before}


def train_digits(digits: Digits, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 16, 10),
    ).to(_device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    return _classify(network, optimizer, digits, seed, epochs=8)


def train_sequence(lines: Lines, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    network = _Reader(len(lines.alphabet)).to(_device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses: list[float] = []
    start = time.perf_counter()
    for batch in lines.epoch(32, seed):
        optimizer.zero_grad()
        total, count = network.nats(batch)
        (total / count).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(total.detach()) / count)
    seconds = (time.perf_counter() - start) / len(losses)
    with torch.no_grad():
        found = [network.nats(batch) for batch in lines.tests(64)]
    bits = sum(float(total) for total, _ in found) / sum(count for _, count in found) / math.log(2)
    return {"bits": bits, "losses": losses, "seconds_per_step": seconds}


def train_workload(name: str, digits: Digits, seed: int) -> dict[str, Any]:
    if name == "torchtext":
        return _train_torchtext(seed)
    return _train_torchvision(digits, seed)


def save_checkpoint(problem: Problem, precision: str, steps: int, folder: str) -> None:
    parity = _Parity(problem, precision, "")
    parity.train(steps)
    state = {"steps": steps, "weights": parity.weights, "optimizer": parity.optimizer.state_dict()}
    torch.save(state, Path(folder, "checkpoint.pt"))


def continue_checkpoint(problem: Problem, precision: str, folder: str) -> dict[str, Any]:
    parity = _Parity(problem, precision, "")
    state = torch.load(Path(folder, "checkpoint.pt"), map_location=_device, weights_only=True)
    with torch.no_grad():
        for name, value in parity.weights.items():
            value.copy_(state["weights"][name])
    parity.optimizer.load_state_dict(state["optimizer"])
    return parity.train(problem.steps - state["steps"])


def load_batches(count: int, workers: int) -> list[float]:
    # Without a timeout, a worker that finds /dev/shm full drops its batch, and this process waits for it forever.
    loader = torch.utils.data.DataLoader(_Batches(count), batch_size=None, num_workers=workers, timeout=60)
    return [float(batch.to(_device).sum()) for batch in loader]


def device_evidence(device: str) -> dict[str, Any]:
    where = torch.device("cuda" if device == "gpu" else "cpu")
    with backend.counted() as kernels:
        a = torch.ones(256, 256, device=where)
        result = F.conv2d((a @ a)[None, None], torch.ones(1, 1, 3, 3, device=where))
    return {
        "device": backend.kind(result),
        "name": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "bytes": backend.allocated() if device == "gpu" else 0,
        "kernels": kernels[0],
    }


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    # float() before numpy(): NumPy has no bfloat16
    widened = tensor.detach().double() if tensor.dtype != torch.bfloat16 else tensor.detach().float().double()
    return np.array(widened.cpu().numpy())


def _tensor(value: np.ndarray, precision: str) -> torch.Tensor:
    return torch.tensor(np.asarray(value), dtype=_DTYPES.get(precision, torch.float32), device=_device)


class _Parity:
    """The parity problem as torch trains it; float16 and bfloat16 are mixed, through autocast, as users do it."""

    def __init__(self, problem: Problem, precision: str, fault: str) -> None:
        master = "f64" if precision == "f64" else "f32"
        self.precision, self.fault = precision, fault
        self.images = _tensor(problem.images, master)
        self.labels = torch.tensor(problem.labels, device=_device)
        self.weights = {name: _tensor(value, master).requires_grad_() for name, value in problem.weights.items()}
        self.optimizer = torch.optim.SGD(list(self.weights.values()), lr=problem.lr, momentum=problem.momentum)
        self.rounded = _rounded if fault == "inputs-tf32" else _as_is

    def loss(self) -> torch.Tensor:
        w, rounded = self.weights, self.rounded
        x = F.conv2d(rounded(self.images), rounded(w["conv.w"]), w["conv.b"])
        x = F.avg_pool2d(torch.tanh(x), 2).flatten(1)
        x = torch.tanh(rounded(x) @ rounded(w["dense1.w"]) + w["dense1.b"])
        x = rounded(x) @ rounded(w["dense2.w"]) + w["dense2.b"]
        return F.cross_entropy(x, self.labels)

    def train(self, steps: int) -> dict[str, Any]:
        losses: list[float] = []
        first: dict[str, np.ndarray] = {}
        for step in range(steps):
            losses.append(self.step())
            if step == 0:
                first = {name: _numpy(_gradient(value)) for name, value in self.weights.items()}
        return {
            "losses": losses,
            "gradients": first,
            "weights": {name: _numpy(value) for name, value in self.weights.items()},
            "device": backend.kind(self.weights["conv.w"]),
        }

    def step(self) -> float:
        self.optimizer.zero_grad()
        scale = _LOSS_SCALE if self.precision == "fp16" else 1.0
        with backend.products(self.precision):
            with _autocast(self.precision):
                loss = self.loss()
            (loss * scale).backward()
        for name, value in self.weights.items():
            _gradient(value).div_(scale)
            if self.fault == "bias-gradient-dropped" and name == "conv.b":
                _gradient(value).zero_()
        self.optimizer.step()
        return float(loss.detach())


def _gradient(value: torch.Tensor) -> torch.Tensor:
    assert value.grad is not None
    return value.grad


def _autocast(precision: str) -> Any:
    if precision not in ("fp16", "bf16"):
        return contextlib.nullcontext()
    return torch.autocast(_device.type, dtype=_DTYPES[precision])


def _as_is(x: torch.Tensor) -> torch.Tensor:
    return x


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """x rounded to tf32's eleven bits, by masking; the gradient passes as if it were not."""
    bits = (x.detach().view(torch.int32) + 0x1000) & -0x2000
    return x + (bits.view(torch.float32) - x).detach()


def _classify(
    network: nn.Module, optimizer: torch.optim.Optimizer, digits: Digits, seed: int, epochs: int
) -> dict[str, Any]:
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(epochs):
        for images, labels in digits.epoch(32, seed + epoch):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(torch.tensor(images).to(_device)), torch.tensor(labels).to(_device))
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    seconds = (time.perf_counter() - start) / len(losses)
    network.eval()
    with torch.no_grad():
        predictions = network(torch.tensor(digits.test_images).to(_device)).argmax(1)
    return {"predictions": predictions.cpu().numpy(), "losses": losses, "seconds_per_step": seconds}


class _Reader(nn.Module):
    """A GRU over lines of different lengths; packing drops each line from the batch at its end."""

    def __init__(self, alphabet: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, 32)
        self.recurrence = nn.GRU(32, 96, batch_first=True)
        self.output = nn.Linear(96, alphabet)

    def nats(self, batch: TextBatch) -> tuple[torch.Tensor, int]:
        """The summed cross-entropy of a batch, and its count of characters."""
        lengths = torch.tensor(batch.mask.sum(1).astype(np.int64))
        inputs, targets = (
            nn.utils.rnn.pack_padded_sequence(
                torch.tensor(one).to(_device), lengths, batch_first=True, enforce_sorted=False
            )
            for one in (batch.inputs, batch.targets)
        )
        read, _ = self.recurrence(inputs._replace(data=self.embedding(inputs.data)))
        total = F.cross_entropy(self.output(read.data), targets.data, reduction="sum")
        return total, int(lengths.sum())


class _Batches(torch.utils.data.Dataset):
    """The loader's batches, made in its workers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(data.batch(index))


def _train_torchvision(digits: Digits, seed: int) -> dict[str, Any]:
    """TorchVision's ResNet with one block a stage, on digits that its own transforms enlarge and vary."""
    from torchvision import models
    from torchvision.transforms import v2

    torch.manual_seed(seed)
    network = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10).to(_device)
    enlarge = v2.Compose([v2.Resize(32), v2.Normalize([0.5], [0.5]), v2.Lambda(_three_channels)])
    vary = v2.Compose([v2.RandomAffine(degrees=5, translate=(0.05, 0.05)), enlarge])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    losses: list[float] = []
    start = time.perf_counter()
    for images, labels in digits.epoch(16, seed):
        optimizer.zero_grad()
        x = vary(torch.tensor(images).to(_device))
        loss = F.cross_entropy(network(x), torch.tensor(labels).to(_device))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    seconds = (time.perf_counter() - start) / len(losses)
    network.eval()
    with torch.no_grad():
        predictions = network(enlarge(torch.tensor(digits.test_images).to(_device))).argmax(1)
    return {"predictions": predictions.cpu().numpy(), "losses": losses, "seconds_per_step": seconds}


def _three_channels(x: torch.Tensor) -> torch.Tensor:
    return x.expand(-1, 3, -1, -1)


def _train_torchtext(seed: int) -> dict[str, Any]:
    """TorchText's vocabulary, transforms and data pipes, and a bag of embeddings that tells two plays apart."""
    import torchtext
    from torchdata.datapipes.iter import IterableWrapper

    torchtext.disable_torchtext_deprecation_warning()
    from torchtext import transforms
    from torchtext.data.utils import get_tokenizer
    from torchtext.vocab import build_vocab_from_iterator

    torch.manual_seed(seed)
    speeches = data.speeches()
    words = get_tokenizer("basic_english")
    vocabulary = build_vocab_from_iterator(map(words, speeches.train_texts), min_freq=2, specials=["<pad>", "<unk>"])
    vocabulary.set_default_index(vocabulary["<unk>"])
    numbers = transforms.Sequential(
        transforms.VocabTransform(vocabulary), transforms.Truncate(200), transforms.ToTensor(vocabulary["<pad>"])
    )
    labelled = IterableWrapper(list(zip(speeches.train_texts, speeches.train_labels.tolist())))
    batches = labelled.shuffle().map(words, input_col=0).batch(32).rows2columnar(["words", "label"])
    network = nn.Sequential(
        nn.EmbeddingBag(len(vocabulary), 32, padding_idx=vocabulary["<pad>"]), nn.Dropout(0.5), nn.Linear(32, 2)
    ).to(_device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses: list[float] = []
    start = time.perf_counter()
    for _ in range(15):
        for batch in batches:
            optimizer.zero_grad()
            found = network(numbers(batch["words"]).to(_device))
            loss = F.cross_entropy(found, torch.tensor(batch["label"]).to(_device))
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    seconds = (time.perf_counter() - start) / len(losses)
    network.eval()
    with torch.no_grad():
        predictions = network(numbers([words(one) for one in speeches.test_texts]).to(_device)).argmax(1)
    return {
        "data": "speeches",
        "predictions": predictions.cpu().numpy(),
        "losses": losses,
        "seconds_per_step": seconds,
    }
