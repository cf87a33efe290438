"""Mistakes, in Caffe, through pycaffe."""

from __future__ import annotations

import tempfile
from typing import Any

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

APART = True  # Caffe ends the process where something does not fit
ONE_WAY = "Caffe has one way: nets, layer by layer, in C++"
CANNOT = {
    "nan-checked": "nothing in Caffe stops at NaN: with debug_info its solver logs the mean size of each blob",
}
eager = None


def solver_of(spec: Any, task: Any, **weights: Any) -> Any:
    """A solver of a net; nets and solvers are made of files."""
    message = caffe_pb2.SolverParameter(type="SGD", base_lr=task.rate, lr_policy="fixed", display=0)
    message.train_net_param.CopyFrom(spec.to_proto())
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(message))
        file.flush()
        solver = caffe.get_solver(file.name)
    for layer, value in weights.items():
        solver.net.params[layer][0].data[...] = value.T
    return solver


def inputs(y: Any = (8,)) -> Any:
    spec = caffe.NetSpec()
    spec.x, spec.y = L.Input(shape={"dim": [8, 6]}), L.Input(shape={"dim": list(y)})
    return spec


def product(x: Any, outputs: int) -> Any:
    return L.InnerProduct(x, num_output=outputs, bias_term=False)


def train(solver: Any, batches: Any, watched: str = "h") -> list[float]:
    net, losses = solver.net, []
    for x, y in batches:
        net.blobs["x"].data[...] = x
        net.blobs["y"].data[...] = y
        solver.step(1)
        print(net.blobs[watched].data)
        losses.append(float(net.blobs["loss"].data))
    return losses


def wrong_shape(task: Any, how: Any) -> Any:
    spec = inputs()
    spec.first = product(spec.x, 5)
    spec.h = L.TanH(spec.first)
    spec.narrow = product(spec.x, 4)
    print(spec.h)
    spec.sum = L.Eltwise(spec.h, spec.narrow)  # <- the mistake
    spec.second = product(spec.sum, 3)
    spec.loss = L.SoftmaxWithLoss(spec.second, spec.y)
    return train(solver_of(spec, task, first=task.w1, second=task.w2, narrow=task.narrow), task.batches())


def wrong_dtype(task: Any, how: Any) -> Any:
    return train(classifier(task), task.integer_batches(), "x")


def classifier(task: Any) -> Any:
    spec = inputs()
    spec.first = product(spec.x, 5)
    spec.h = L.TanH(spec.first)
    spec.second = product(spec.h, 3)
    spec.loss = L.SoftmaxWithLoss(spec.second, spec.y)
    return solver_of(spec, task, first=task.w1, second=task.w2)


def nan(task: Any, how: Any) -> Any:
    spec = inputs()
    h = spec.x
    for number in range(1, 11):
        if number == 7:
            mean = L.Reduction(L.Power(h, power=2), operation=P.Reduction.MEAN, axis=1)
            h = L.Scale(h, L.Power(mean, power=-0.5), axis=0)  # <- the mistake
            spec.h7 = h
        spec[f"w{number}"] = product(h, 6)
        h = L.TanH(spec[f"w{number}"])
    spec.squares = L.Power(h, power=2)
    spec.loss = L.Reduction(spec.squares, operation=P.Reduction.MEAN, loss_weight=1)
    spec.unused = L.Silence(spec.y, ntop=0)
    solver = solver_of(spec, task, **{f"w{number}": one for number, one in enumerate(task.deep, 1)})
    return train(solver, task.empty_batches(), "h7")


def label_range(task: Any, how: Any) -> Any:
    return train(classifier(task), task.bad_label_batches(), "second")


def gradients_kept(task: Any, how: Any) -> Any:
    return "a solver's step clears the gradients first"


def two_devices(task: Any, how: Any) -> Any:
    return "a net has no devices: the process computes on the CPU or on a GPU, and blobs move by themselves"


def in_place(task: Any, how: Any) -> Any:
    solver = classifier(task)
    net, losses = solver.net, []
    for x, y in task.batches():
        net.blobs["x"].data[...] = x
        net.blobs["y"].data[...] = y
        net.clear_param_diffs()
        net.forward(end="h")
        print(net.blobs["h"].data)
        net.blobs["h"].data[0] = 0  # <- the mistake
        net.forward(start="second")
        net.backward()
        for weights in (net.params["first"][0], net.params["second"][0]):
            weights.data[...] -= task.rate * weights.diff
        losses.append(float(net.blobs["loss"].data))
    return losses


def broadcast(task: Any, how: Any) -> Any:
    spec = inputs()
    spec.first = product(spec.x, 5)
    spec.h = L.TanH(spec.first)
    spec.second = product(spec.h, 1)
    print(spec.second)
    spec.difference = L.Eltwise(spec.second, spec.y, coeff=[1, -1])  # <- the mistake
    spec.squares = L.Power(spec.difference, power=2)
    spec.loss = L.Reduction(spec.squares, operation=P.Reduction.MEAN, loss_weight=1)
    return train(solver_of(spec, task, first=task.w1, second=task.w_one), task.regression_batches())


def broadcast_loss(task: Any, how: Any) -> Any:
    spec = inputs()
    spec.first = product(spec.x, 5)
    spec.h = L.TanH(spec.first)
    spec.second = product(spec.h, 1)
    spec.loss = L.EuclideanLoss(spec.second, spec.y, loss_weight=2)  # <- the mistake
    halves = train(solver_of(spec, task, first=task.w1, second=task.w_one), task.regression_batches(), "second")
    return [2 * one for one in halves]  # the blob's value is without the weight


def own_print(task: Any, how: Any) -> Any:
    return train(classifier(task), task.batches())
