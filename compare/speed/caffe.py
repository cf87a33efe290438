"""The timed networks in Caffe: nets of layers, written with NetSpec, and its SGD solver.

A blob that Python fills is copied into the net at each step: Caffe knows no other way from an array.
"""

from __future__ import annotations

import tempfile
from typing import Any

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

from speed._networks import EPSILON, HIDDEN, KEPT, LEARNING_RATE, MOMENTUM, STAGES, TIME, Problem, Program

NO_PRODUCT = "Caffe has no layer that multiplies two blobs as matrices, which attention does"
NO_SETTING = "on the CPU Caffe has no setting for speed beside the number of OpenBLAS's threads"
NO_COMPILER = "Caffe has no compiler: its layers are compiled already"
CANNOT = {
    "mlp/32/tuned": NO_SETTING,
    "mlp/32/compiled": NO_COMPILER,
    "cnn/32/tuned": NO_SETTING,
    "cnn/32/compiled": NO_COMPILER,
    "resnet/8/tuned": NO_SETTING,
    "resnet/8/compiled": NO_COMPILER,
    "gru/32/tuned": NO_SETTING,
    "gru/32/compiled": NO_COMPILER,
    "transformer/1/written": NO_PRODUCT,
    "transformer/32/written": NO_PRODUCT,
    "transformer/256/written": NO_PRODUCT,
    "transformer/32/tuned": NO_PRODUCT,
    "transformer/32/compiled": NO_PRODUCT,
}
SCAFFOLD = ("hand_over",)


def mlp(problem: Problem) -> Program:
    net = begun(problem)
    x = L.ReLU(named(net, "dense1", L.InnerProduct(net.data, num_output=512)), in_place=True)
    x = L.ReLU(named(net, "dense2", L.InnerProduct(x, num_output=256)), in_place=True)
    net.scores = L.InnerProduct(x, num_output=10, name="dense3")
    return trained(net, problem)


def cnn(problem: Problem) -> Program:
    net = begun(problem)
    x = L.ReLU(named(net, "conv1", L.Convolution(net.data, num_output=16, kernel_size=3, pad=1)), in_place=True)
    x = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    x = L.ReLU(named(net, "conv2", L.Convolution(x, num_output=32, kernel_size=3, pad=1)), in_place=True)
    net.scores = L.InnerProduct(x, num_output=10, name="dense")
    return trained(net, problem)


def normed(net: Any, name: str, x: Any, outputs: int, kernel: int = 3, stride: int = 1) -> Any:
    """A convolution, its batch normalization, and the scale and bias, which are a layer of their own."""
    shape = {"num_output": outputs, "kernel_size": kernel, "stride": stride, "pad": kernel // 2, "bias_term": False}
    x = named(net, f"{name}.conv", L.Convolution(x, **shape))
    x = L.BatchNorm(x, eps=EPSILON, moving_average_fraction=KEPT, param=[{"lr_mult": 0}] * 3)
    return named(net, f"{name}.norm", L.Scale(x, bias_term=True))


def resnet(problem: Problem) -> Program:
    net = begun(problem)
    x = L.ReLU(normed(net, "stem", net.data, STAGES[0]), in_place=True)
    for number, outputs in enumerate(STAGES, 1):
        name, stride = f"block{number}", 1 if number == 1 else 2
        short = normed(net, f"{name}.short", x, outputs, 1, stride) if stride == 2 else x
        y = L.ReLU(normed(net, f"{name}.first", x, outputs, stride=stride), in_place=True)
        x = L.ReLU(L.Eltwise(short, normed(net, f"{name}.second", y, outputs)), in_place=True)
    x = L.Pooling(x, pool=P.Pooling.AVE, global_pooling=True)
    net.scores = L.InnerProduct(x, num_output=10, name="dense")
    return trained(net, problem)


def gru(problem: Problem) -> Program:
    """Caffe has an LSTM and a plain recurrent layer: a GRU is written out, step by step, with shared weights."""
    net = begun(problem)
    reads = L.InnerProduct(net.data, num_output=3 * HIDDEN, axis=2, name="gru.x")
    read = L.Slice(reads, ntop=TIME, axis=1)
    state = L.DummyData(shape={"dim": [len(problem.batches[0].labels), HIDDEN]}, data_filler={"type": "constant"})
    shared = [{"name": "gru.wh"}, {"name": "gru.bh"}]
    for step in range(TIME):
        name = "gru.h" if step == 0 else f"gru.h{step}"
        held = L.InnerProduct(state, num_output=3 * HIDDEN, param=shared, name=name)
        hr, hz, hn = L.Slice(held, ntop=3, axis=1)
        xr, xz, xn = L.Slice(L.Flatten(read[step]), ntop=3, axis=1)
        r, z = L.Sigmoid(L.Eltwise(xr, hr)), L.Sigmoid(L.Eltwise(xz, hz))
        n = L.TanH(L.Eltwise(xn, L.Eltwise(r, hn, operation=P.Eltwise.PROD)))
        more = L.Eltwise(z, L.Eltwise(state, n, coeff=[1, -1]), operation=P.Eltwise.PROD)
        state = L.Eltwise(n, more)
    net.scores = L.InnerProduct(state, num_output=10, name="dense")
    return trained(net, problem)


def begun(problem: Problem) -> Any:
    net = caffe.NetSpec()
    batch = problem.batches[0]
    net.data = L.Input(shape={"dim": list(batch.inputs.shape)})
    net.label = L.Input(shape={"dim": list(batch.labels.shape)})
    return net


def named(net: Any, name: str, top: Any) -> Any:
    """The layer's name is that of its blob."""
    net[name] = top
    return top


def trained(net: Any, problem: Problem) -> Program:
    net.loss = L.SoftmaxWithLoss(net.scores, net.label)
    parameters = caffe_pb2.SolverParameter(base_lr=LEARNING_RATE, momentum=MOMENTUM, lr_policy="fixed", display=0)
    parameters.train_net_param.CopyFrom(net.to_proto())
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(parameters))
        file.flush()
        solver = caffe.SGDSolver(file.name)
    blobs = solver.net.blobs
    hand_over(solver.net.params, problem)

    def step(index: int) -> float:
        blobs["data"].data[...] = problem.batches[index].inputs
        blobs["label"].data[...] = problem.batches[index].labels
        solver.step(1)
        return float(blobs["loss"].data)

    def scores(inputs: np.ndarray) -> np.ndarray:
        size, found = len(problem.batches[0].labels), []
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            blobs["data"].data[: len(part)] = part
            solver.net.forward(end="scores" if "scores" in solver.net._layer_names else "dense")
            found.append(np.array(blobs["scores"].data[: len(part)]))
        return np.concatenate(found)

    return Program(step, scores, [])


def hand_over(params: Any, problem: Problem) -> None:
    """Gives the net its weights; its products' weights are (out, in)."""
    places = {"gru.wx": ("gru.x", 0), "gru.bx": ("gru.x", 1), "gru.wh": ("gru.h", 0), "gru.bh": ("gru.h", 1)}
    for name, value in problem.weights.items():
        place, _, part = name.rpartition(".")
        place, number = places.get(name) or (place, "wb".find(part))
        if problem.network == "resnet" and place != "dense":
            place, number = (f"{place}.conv", 0) if part == "w" else (f"{place}.norm", "gb".index(part))
        params[place][number].data[...] = value.T if value.ndim == 2 else value
