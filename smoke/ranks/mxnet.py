"""MXNet: its key-value store over a scheduler and a server. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from smoke.ranks import HOST, Place, Share

CANNOT: dict[str, str] = {}
TRANSPORT: dict[str, str] = {"": "dist_sync"}
SWITCHES: tuple[str, ...] = ()

# What the store's scheduler and its server are: a Python that imports MXNet. They end with whoever started them.
_HELPER = "import ctypes; ctypes.CDLL(None).prctl(1, 9); import mxnet"
_started: list[subprocess.Popen[bytes]] = []
_stores: list[Any] = []
_trainings: list[Share] = []


def join(place: Place) -> tuple[int, str]:
    os.environ.update(
        {
            "DMLC_PS_ROOT_URI": HOST,
            "DMLC_PS_ROOT_PORT": str(place.ports[0]),
            "DMLC_NODE_HOST": HOST,
            "DMLC_NUM_WORKER": str(place.count),
            "DMLC_NUM_SERVER": "1",
        }
    )
    for role in ("scheduler", "server") if place.rank == 0 else ():
        command = [sys.executable, "-c", _HELPER]
        _started.append(subprocess.Popen(command, env={**os.environ, "DMLC_ROLE": role}))
    os.environ["DMLC_ROLE"] = "worker"
    _stores.append(mx.kv.create("dist_sync"))
    return _stores[0].num_workers, _stores[0].type


def total(values: np.ndarray) -> np.ndarray:
    """The store adds floating-point numbers only: whole ones are added as float64, which holds them."""
    kind = "float64" if values.dtype == np.int32 else "float32"
    array = nd.array(values, dtype=kind)
    _sum({f"total {kind}": array}, fresh=True)
    return array.asnumpy().astype(values.dtype)


def split(place: Place, count: int, seed: int) -> list[int]:
    """MXNet has no sampler for ranks: each takes its part by its number in the store, as MXNet's examples do."""
    mx.random.seed(seed)
    shuffled = mx.random.shuffle(nd.arange(count)).asnumpy()
    return [int(row) for row in shuffled[_stores[0].rank :: _stores[0].num_workers]]


def train(share: Share) -> dict[str, Any]:
    _trainings.append(share)
    problem, ranks = share.problem, _stores[0].num_workers
    network = _Network(problem.weights)
    # The store sums up the gradients and each rank updates its own weights: the server would keep the momentum, which
    # then could not be saved.
    optimizer = mx.optimizer.SGD(learning_rate=problem.lr, momentum=problem.momentum)
    trainer = gluon.Trainer(network.collect_params(), optimizer, kvstore=None)
    if share.load:
        network.load_parameters(f"{share.load}/ranks.params")
        trainer.load_states(f"{share.load}/ranks.states")
    images, labels = nd.array(share.images, dtype="float32"), nd.array(share.labels)
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for step in range(share.steps):
        share.at(step)
        before = {name: one.data().copy() for name, one in network.named.items()}
        with autograd.record():
            loss = network(images, labels)
            scaled = loss * share.factor
        scaled.backward()
        gradients = {f"{len(_trainings)} {name}": one.grad() for name, one in network.named.items()}
        _sum(gradients, fresh=step == 0)
        losses.append(float(loss.asscalar()))
        first = first or {name: one.grad().asnumpy() / ranks for name, one in network.named.items()}
        trainer.step(ranks)
        for name, one in network.named.items() if step == share.stale else ():
            one.set_data(before[name])
    if share.save and _stores[0].rank == 0:
        network.save_parameters(f"{share.save}/ranks.params")
        trainer.save_states(f"{share.save}/ranks.states")
    weights = {name: one.data().asnumpy() for name, one in network.named.items()}
    return {"losses": losses, "gradients": first, "weights": weights}


def leave() -> None:
    _stores.clear()  # the store ends with its last reference, and its scheduler and server with the last rank's
    for one in _started:
        one.wait()


def _sum(arrays: dict[str, Any], fresh: bool) -> None:
    """Puts in the place of each array the sum over all ranks. The store has to hear of a key once."""
    (store,) = _stores
    for key, array in arrays.items():
        if fresh:
            store.init(key, nd.zeros_like(array))
        store.push(key, array)
    for key, array in arrays.items():
        store.pull(key, out=array)


class _Network(gluon.HybridBlock):
    """The parity problem's network with its weights and its loss."""

    def __init__(self, weights: Any) -> None:
        super().__init__(prefix="")
        self.named: dict[str, Any] = {}
        for name, value in weights.items():
            parameter = self.params.get(name.replace(".", "_"), shape=value.shape, dtype="float32")
            parameter.initialize()
            parameter.set_data(nd.array(value, dtype="float32"))
            setattr(self, name.replace(".", "_"), parameter)
            self.named[name] = parameter

    def hybrid_forward(self, F: Any, images: Any, labels: Any, **w: Any) -> Any:
        x = F.Convolution(images, w["conv_w"], kernel=(3, 3), num_filter=8, no_bias=True)
        x = F.tanh(F.broadcast_add(x, F.reshape(w["conv_b"], (1, -1, 1, 1))))
        x = F.flatten(F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg"))
        x = F.tanh(F.broadcast_add(F.dot(x, w["dense1_w"]), F.expand_dims(w["dense1_b"], 0)))
        x = F.broadcast_add(F.dot(x, w["dense2_w"]), F.expand_dims(w["dense2_b"], 0))
        return -F.mean(F.pick(F.log_softmax(x), labels))
