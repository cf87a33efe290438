"""Flexibility, in Caffe, through pycaffe. Caffe computes in float32."""

from __future__ import annotations

import tempfile
from typing import Any

import caffe
import numpy as np
from caffe import layers as L
from caffe.proto import caffe_pb2

TOLERANCE = 1e-5
SCAFFOLD = ("network", "file_of", "with_data")
CANNOT = {
    "hessian-vector": "a layer has one backward pass, in C++ or Python, that nothing differentiates once more; only "
    "differences of gradients could be had, which are not exact",
}


def file_of(message: Any) -> str:
    """Nets and solvers are made of files."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt", delete=False) as file:
        file.write(str(message))
    return file.name


def network(activation: Any = L.TanH, first: Any = None) -> Any:
    """Caffe's Euclidean loss is the one that is asked for: half the squared distance, by the number of examples."""
    spec = caffe.NetSpec()
    spec.x, spec.y = L.Input(shape={"dim": [8, 5]}), L.Input(shape={"dim": [8, 3]})
    spec.inside = L.InnerProduct(spec.x, num_output=4, bias_term=False, **(first or {}))
    spec.hidden = activation(spec.inside)
    spec.scores = L.InnerProduct(spec.hidden, num_output=3, bias_term=False)
    spec.loss = L.EuclideanLoss(spec.scores, spec.y)
    return spec.to_proto()


def with_data(net: Any, task: Any) -> Any:
    net.params["inside"][0].data[...], net.params["scores"][0].data[...] = task.w1.T, task.w2.T
    net.blobs["x"].data[...], net.blobs["y"].data[...] = task.x, task.y
    return net


class Binarize(caffe.Layer):
    def setup(self, bottom: Any, top: Any) -> None:
        pass

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = np.sign(bottom[0].data)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] = top[0].diff * (np.abs(bottom[0].data) <= 1)


def own_operation(task: Any) -> tuple[Any, ...]:
    spec = network(lambda inside: L.Python(inside, module=__name__, layer="Binarize"))
    net = with_data(caffe.Net(file_of(spec), caffe.TRAIN), task)
    net.forward()
    net.backward()
    return net.blobs["scores"].data, net.params["inside"][0].diff.T


def own_optimizer(task: Any) -> tuple[Any, ...]:
    net = with_data(caffe.Net(file_of(network()), caffe.TRAIN), task)
    weights = [net.params["inside"][0], net.params["scores"][0]]
    velocity = [np.zeros_like(one.data) for one in weights]
    for _ in range(task.steps):
        net.clear_param_diffs()
        net.forward()
        net.backward()
        for one, moved in zip(weights, velocity):
            moved[...] = task.momentum * moved + one.diff / np.linalg.norm(one.diff)
            one.data[...] -= task.rate * moved
    return tuple(one.data.T for one in weights)


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    net = with_data(caffe.Net(file_of(network()), caffe.TRAIN), task)
    net.blobs["x"].reshape(1, 5)
    net.blobs["y"].reshape(1, 3)
    first, second = [], []
    for x, y in zip(task.x, task.y):
        net.clear_param_diffs()
        net.forward(x=x[None], y=y[None])
        net.backward()
        first.append(net.params["inside"][0].diff.T.copy())
        second.append(net.params["scores"][0].diff.T.copy())
    return np.stack(first), np.stack(second)


def frozen_part(task: Any) -> tuple[Any, ...]:
    solver = caffe_pb2.SolverParameter(type="SGD", base_lr=task.rate, lr_policy="fixed")
    solver.train_net_param.CopyFrom(network(first={"param": {"lr_mult": 0}}))
    solver = caffe.get_solver(file_of(solver))
    with_data(solver.net, task)
    solver.step(task.steps)
    return solver.net.params["inside"][0].data.T, solver.net.params["scores"][0].data.T


def changed_gradients(task: Any) -> tuple[Any, ...]:
    net = with_data(caffe.Net(file_of(network()), caffe.TRAIN), task)
    net.forward()
    net.backward(end="scores")
    gradient = net.blobs["hidden"].diff
    gradient[...] = gradient.clip(-task.limit, task.limit)
    net.backward(start="hidden")
    return net.params["inside"][0].diff.T, net.params["scores"][0].diff.T


def activations(task: Any) -> tuple[Any, ...]:
    net = with_data(caffe.Net(file_of(network()), caffe.TRAIN), task)
    net.forward()
    return net.blobs["hidden"].data, net.blobs["scores"].data


NOTES = {"per-example-gradients": "a loop over the examples: Caffe has nothing that does it for a whole batch"}
