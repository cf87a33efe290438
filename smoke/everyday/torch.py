"""PyTorch, from 2.3 on. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils import cpp_extension

FORMATS: tuple[str, ...] = (
    "state-dict",
    "state-dict-mapped",
    "checkpoint",
    "module",
    "legacy-file",
    "torchscript",
    "torchscript-trace",
    "export",
    "package",
    "aot-inductor",
    "onnx",
    "onnx-torchscript",
    "distributed-checkpoint",
    "tensorboard",
    "torchvision-png",
)
# Building by setuptools is the same compiler with the same headers, and takes another minute.
EXTENSIONS: tuple[str, ...] = ("inline", "operator")
CANNOT: dict[str, str] = {}

_INPUTS = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 8
_TARGETS = torch.tensor([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]])
_AUTOGRAD = """
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Line : torch::autograd::Function<Line> {
  static at::Tensor forward(AutogradContext*, at::Tensor x) { return 2 * x + 1; }
  static variable_list backward(AutogradContext*, variable_list gradients) { return {2 * gradients[0]}; }
};

at::Tensor line(at::Tensor x) { return Line::apply(x); }
"""
_OPERATOR = """
#include <ATen/ATen.h>
#include <torch/library.h>

static at::Tensor line(const at::Tensor& x) {
  at::Tensor y = at::empty_like(x.contiguous());
  const float* from = x.contiguous().data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); i++) y.data_ptr<float>()[i] = 2 * from[i] + 1;
  return y;
}

TORCH_LIBRARY(smoke, library) { library.def("line(Tensor x) -> Tensor"); }
TORCH_LIBRARY_IMPL(smoke, CPU, library) { library.impl("line", line); }
"""
# What a package holds: code that is there in no other way where it is read.
_PACKAGED = """
import torch


class Line(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return 2 * self.network(x) + 1
"""


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    return {"inline": _inline, "operator": _operator}[name](Path(folder).resolve())


def _inline(folder: Path) -> list[float]:
    """Functions in C++ with a derivative of their own."""
    module = cpp_extension.load_inline("smoke_inline", _AUTOGRAD, functions=["line"], build_directory=str(folder))
    x = torch.arange(4.0, requires_grad=True)
    y = module.line(x)
    y.sum().backward()
    if x.grad.tolist() != [2.0] * 4:
        raise RuntimeError(f"the derivative is {x.grad.tolist()}")
    return _floats(y)


def _operator(folder: Path) -> list[float]:
    """An operator of torch.ops, without any Python in it."""
    (folder / "operator.cpp").write_text(_OPERATOR)
    sources = [str(folder / "operator.cpp")]
    cpp_extension.load("smoke_operator", sources, build_directory=str(folder), is_python_module=False)
    return _floats(torch.ops.smoke.line(torch.arange(4.0)))


def _floats(*tensors: Any) -> list[float]:
    return [float(one) for tensor in tensors for one in np.asarray(torch.as_tensor(tensor).detach()).ravel()]


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 5)
        self.norm = nn.BatchNorm1d(5)
        self.scores = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(torch.tanh(self.norm(self.hidden(x))))


def _network() -> nn.Module:
    torch.manual_seed(1)
    return _Network()


def _optimizer(network: nn.Module) -> Any:
    return torch.optim.AdamW(network.parameters(), lr=0.05)


def _train(network: nn.Module, optimizer: Any, steps: int) -> None:
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(_INPUTS), _TARGETS).backward()
        optimizer.step()
    network.eval()


def _trained() -> nn.Module:
    network = _network()
    _train(network, _optimizer(network), 3)
    return network


def _outputs(network: Any) -> list[float]:
    with torch.no_grad():
        return _floats(network(_INPUTS))


def _whole() -> nn.Module:
    """A network of small integers: its sums are exact in whatever order another program makes them."""
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    with torch.no_grad():
        for number, weights in enumerate(network.parameters()):
            weights.copy_(torch.arange(weights.numel()).reshape(weights.shape) % 5 - 1 - number % 2)
    return network


def _write_state_dict(folder: Path) -> list[float]:
    network = _trained()
    torch.save(network.state_dict(), folder / "network.pt")
    return _outputs(network)


def _read_state_dict(folder: Path, **options: Any) -> list[float]:
    network = _network().eval()
    network.load_state_dict(torch.load(folder / "network.pt", weights_only=True, **options))
    return _outputs(network)


_write_state_dict_mapped = _write_state_dict


def _read_state_dict_mapped(folder: Path) -> list[float]:
    return _read_state_dict(folder, mmap=True, map_location="cpu")


def _write_checkpoint(folder: Path) -> list[float]:
    """The optimizer's state and the generator's too: a further step with noise shows them."""
    network = _network()
    optimizer = _optimizer(network)
    _train(network, optimizer, 3)
    states = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
    torch.save({"step": 3, **states}, folder / "checkpoint.pt")
    return _continued(network, optimizer)


def _read_checkpoint(folder: Path) -> list[float]:
    states = torch.load(folder / "checkpoint.pt", weights_only=True)
    network = _network()
    optimizer = _optimizer(network)
    network.load_state_dict(states["network"])
    optimizer.load_state_dict(states["optimizer"])
    torch.set_rng_state(states["random"])
    return _continued(network, optimizer)


def _continued(network: nn.Module, optimizer: Any) -> list[float]:
    _train(network, optimizer, 1)
    return [*_outputs(network), *_floats(torch.randn(4))]


def _write_module(folder: Path) -> list[float]:
    """The module as an object, and its optimizer, which shares its weights."""
    network = _network()
    optimizer = _optimizer(network)
    _train(network, optimizer, 3)
    torch.save((network, optimizer), folder / "module.pt")
    _train(network, optimizer, 1)
    return _outputs(network)


def _read_module(folder: Path) -> list[float]:
    network, optimizer = torch.load(folder / "module.pt", weights_only=False)
    _train(network, optimizer, 1)
    return _outputs(network)


def _write_legacy_file(folder: Path) -> list[float]:
    """The format of before version 1.6, which is still written where it is asked for."""
    network = _trained()
    torch.save(network.state_dict(), folder / "network.pt", _use_new_zipfile_serialization=False)
    return _outputs(network)


_read_legacy_file = _read_state_dict


def _write_torchscript(folder: Path) -> list[float]:
    script = torch.jit.script(_trained())
    script.save(str(folder / "network.pt"))
    return _outputs(script)


def _read_torchscript(folder: Path) -> list[float]:
    return _outputs(torch.jit.load(str(folder / "network.pt")))


def _write_torchscript_trace(folder: Path) -> list[float]:
    """Frozen, as it is for use alone."""
    traced = torch.jit.freeze(torch.jit.trace(_trained(), _INPUTS))
    torch.jit.save(traced, str(folder / "network.pt"))
    return _read_torchscript(folder)


_read_torchscript_trace = _read_torchscript


def _write_export(folder: Path) -> list[float]:
    """A graph that takes any number of rows."""
    rows = torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(_trained(), (_INPUTS,), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "network.pt2")
    return [*_outputs(program.module()), *_floats(program.module()(_INPUTS[:3]))]


def _read_export(folder: Path) -> list[float]:
    program = torch.export.load(folder / "network.pt2")
    return [*_outputs(program.module()), *_floats(program.module()(_INPUTS[:3]))]


def _write_package(folder: Path) -> list[float]:
    """An object with its code, which is imported here from a file that the package is to take the place of."""
    source = folder / "source"
    source.mkdir()
    (source / "smoke_packaged.py").write_text(_PACKAGED)
    sys.path.insert(0, str(source))
    line = importlib.import_module("smoke_packaged").Line(_whole())
    with torch.package.PackageExporter(folder / "line.pt") as exporter:
        exporter.intern("smoke_packaged")
        exporter.extern("torch.**")
        exporter.save_pickle("line", "line.pkl", line)
    return _outputs(line)


def _read_package(folder: Path) -> list[float]:
    return _outputs(torch.package.PackageImporter(folder / "line.pt").load_pickle("line", "line.pkl"))


def _write_aot_inductor(folder: Path) -> list[float]:
    """A library of machine code, in a package where the version knows of such."""
    network = _whole()
    compiled = torch.export.export(network, (_INPUTS * 8,))
    inductor: Any = importlib.import_module("torch._inductor")
    if hasattr(inductor, "aoti_compile_and_package"):
        inductor.aoti_compile_and_package(compiled, package_path=str(folder / "network.pt2"))
    else:
        options = {"aot_inductor.output_path": str(folder / "network.so")}
        importlib.import_module("torch._export").aot_compile(network, (_INPUTS * 8,), options=options)
    return _floats(network(_INPUTS * 8))


def _read_aot_inductor(folder: Path) -> list[float]:
    inductor: Any = importlib.import_module("torch._inductor")
    if hasattr(inductor, "aoti_load_package"):
        compiled = inductor.aoti_load_package(str(folder / "network.pt2"))
    else:
        compiled = importlib.import_module("torch._export").aot_load(str(folder / "network.so"), "cpu")
    return _floats(compiled(_INPUTS * 8))


def _write_onnx(folder: Path, **options: Any) -> list[float]:
    """By the exporter that the version takes by itself."""
    network = _whole()
    torch.onnx.export(network, (_INPUTS * 8,), str(folder / "network.onnx"), input_names=["data"], **options)
    return _floats(network(_INPUTS * 8))


def _read_onnx(folder: Path) -> list[float]:
    """PyTorch reads no ONNX; onnx's own evaluator does."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(str(folder / "network.onnx"))
    (found,) = ReferenceEvaluator(str(folder / "network.onnx")).run(None, {"data": (_INPUTS * 8).numpy()})
    return _floats(found)


def _write_onnx_torchscript(folder: Path) -> list[float]:
    """By way of TorchScript, which is the only way of the older versions."""
    known = "dynamo" in inspect.signature(torch.onnx.export).parameters
    return _write_onnx(folder, **({"dynamo": False} if known else {}))


_read_onnx_torchscript = _read_onnx


def _states(network: nn.Module, optimizer: Any) -> dict[str, Any]:
    from torch.distributed.checkpoint import state_dict

    weights, moments = state_dict.get_state_dict(network, optimizer)
    return {"network": weights, "optimizer": moments}


def _write_distributed_checkpoint(folder: Path) -> list[float]:
    """By one process, which need not be one of a group."""
    from torch.distributed import checkpoint

    network = _network()
    optimizer = _optimizer(network)
    _train(network, optimizer, 3)
    checkpoint.save(_states(network, optimizer), checkpoint_id=str(folder))
    _train(network, optimizer, 1)
    return _outputs(network)


def _read_distributed_checkpoint(folder: Path) -> list[float]:
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint import state_dict

    network = _network()
    optimizer = _optimizer(network)
    states = _states(network, optimizer)
    checkpoint.load(states, checkpoint_id=str(folder))
    state_dict.set_state_dict(
        network, optimizer, model_state_dict=states["network"], optim_state_dict=states["optimizer"]
    )
    _train(network, optimizer, 1)
    return _outputs(network)


def _write_tensorboard(folder: Path) -> list[float]:
    from torch.utils.tensorboard import SummaryWriter

    found = _outputs(_trained())
    with SummaryWriter(str(folder)) as writer:
        for step, one in enumerate(found):
            writer.add_scalar("output", one, step)
        writer.add_histogram("inputs", _INPUTS, 0)
    return found


def _read_tensorboard(folder: Path) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [float(one.value) for one in events.Scalars("output")]


def _write_torchvision_png(folder: Path) -> list[float]:
    picture = (torch.arange(3 * 5 * 7) * 7 % 256).to(torch.uint8).reshape(3, 5, 7)
    torchvision.io.write_png(picture, str(folder / "picture.png"))
    return _floats(picture)


def _read_torchvision_png(folder: Path) -> list[float]:
    return _floats(torchvision.io.read_image(str(folder / "picture.png")))


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
