"""PyTorch: libtorch in C++, and in C what AOTInductor's models are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import cpp_extension

from languages._program import Network, Program


def cpp(folder: Path, network: Network) -> Program:
    own = _made(network)
    rows = torch.from_numpy(network.rows)
    torch.jit.trace(own, rows).save(str(folder / "network.pt"))
    flags = [f"-I{path}" for path in cpp_extension.include_paths()]
    return Program(
        source="torch.cpp",
        python=own(rows).detach(),
        flags=(*flags, *_linked("torch", "torch_cpu", "c10")),
        arguments=(str(folder / "network.pt"),),
        interface="libtorch, with TorchScript",
    )


def c(folder: Path, network: Network) -> Any:
    """The weights are a file of floats."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7):
        return "libtorch has its functions for C, by which operators are called, from 2.7 on"
    (folder / "weights").write_bytes(b"".join(one.tobytes() for one in network[:4]))
    return Program(
        source="torch.c",
        python=_made(network)(torch.from_numpy(network.rows)).detach(),
        flags=_linked("torch", "torch_cpu", "c10"),
        arguments=(str(folder / "weights"),),
        interface="libtorch's stable functions for compiled models",
    )


def others() -> list[Path]:
    return [Path(torch.__file__).parent]


def _made(network: Network) -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    for layer, weights, bias in ((made[0], network.w1, network.b1), (made[2], network.w2, network.b2)):
        layer.weight.data, layer.bias.data = torch.from_numpy(weights.T.copy()), torch.from_numpy(bias)
    return made


def _linked(*names: str) -> tuple[str, ...]:
    """The libraries of the wheel, where they lie."""
    folder = cpp_extension.library_paths()[0]
    old = "" if torch.compiled_with_cxx11_abi() else "-D_GLIBCXX_USE_CXX11_ABI=0"
    return (
        *([old] if old else []),
        f"-L{folder}",
        f"-Wl,-rpath,{folder}",
        "-Wl,--no-as-needed",
        *(f"-l{one}" for one in names),
    )
