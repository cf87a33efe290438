"""MXNet: its wheel has the headers of its C API, which C and C++ programs call; its C++ package is not in there."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
from mxnet import gluon, nd

from languages._program import Network, Program

NOTES = {
    "cpp": "MXNet's C++ package is no part of the wheel: the program calls the C API.",
    "others": "Bindings for Scala, Clojure, Java, Julia, Perl and R are in the source tree and no part of the wheel.",
}


def c(folder: Path, network: Network) -> Program:
    return _predicts("mxnet.c", folder, network)


def cpp(folder: Path, network: Network) -> Program:
    return _predicts("mxnet.cpp", folder, network)


def others() -> list[Path]:
    return [Path(mx.__file__).parent]


def _predicts(source: str, folder: Path, network: Network) -> Program:
    own = gluon.nn.HybridSequential()
    own.add(gluon.nn.Dense(5, "tanh", in_units=3), gluon.nn.Dense(2, in_units=5))
    own.initialize()
    for layer, weights, bias in ((own[0], network.w1, network.b1), (own[1], network.w2, network.b2)):
        layer.weight.set_data(nd.array(weights.T))
        layer.bias.set_data(nd.array(bias))
    own.hybridize()
    python = own(nd.array(network.rows)).asnumpy()
    own.export(str(folder / "network"))
    library = Path(mx.libinfo.find_lib_path()[0])
    return Program(
        source=source,
        python=python,
        flags=(f"-I{mx.libinfo.find_include_path()}", str(library), f"-Wl,-rpath,{library.parent}"),
        arguments=(str(folder / "network-symbol.json"), str(folder / "network-0000.params")),
        interface="MXNet's C API for prediction",
    )
