"""Mistakes, in MXNet, through Gluon: as it runs by itself, and hybridized."""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd

UNCHECKED = "nothing in MXNet stops at NaN: its Monitor prints statistics of what operators return"
CANNOT = {
    "nan-checked": UNCHECKED,
    "nan-checked-compiled": UNCHECKED,
    "own-print-compiled": "MXNet has no operator that prints: a hybrid block must be run as it is, to print in it",
}


def eager(block: Any) -> Any:
    return block


def compiled(block: Any) -> Any:
    block.hybridize()
    return block


class Weighted(gluon.HybridBlock):
    """A block with the weights that it is given."""

    unsupervised = False

    def __init__(self, **weights: Any) -> None:
        super().__init__(prefix="")
        for name, value in weights.items():
            parameter = self.params.get(name, shape=value.shape, init=mx.init.Constant(nd.array(value)))
            setattr(self, name, parameter)
        self.initialize()


def train(task: Any, block: Any, batches: Any = None, dtype: Any = None) -> list[float]:
    trainer = gluon.Trainer(block.collect_params(), "sgd", {"learning_rate": task.rate})
    losses = []
    for x, y in batches or task.batches():
        with autograd.record():
            labels = [] if block.unsupervised else [nd.array(y)]
            loss = block(nd.array(x, dtype=dtype), *labels).mean()
        loss.backward()
        trainer.step(1)
        losses.append(loss.asscalar())
    return losses


cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
squared = gluon.loss.L2Loss(weight=2)  # MXNet's own weight is a half


class Skip(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any, narrow: Any) -> Any:
        h = F.tanh(F.dot(x, w1))
        print(h)
        h = h + F.dot(x, narrow)  # <- the mistake
        return cross_entropy(F.dot(h, w2), y)


def wrong_shape(task: Any, how: Any) -> Any:
    return train(task, how(Skip(w1=task.w1, w2=task.w2, narrow=task.narrow)))


class TwoLayers(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        print(w1)
        h = F.tanh(F.dot(x, w1))  # <- the mistake
        return cross_entropy(F.dot(h, w2), y)


def wrong_dtype(task: Any, how: Any) -> Any:
    return train(task, how(TwoLayers(w1=task.w1, w2=task.w2)), task.integer_batches(), dtype="int64")


class Deep(Weighted):
    unsupervised = True

    def hybrid_forward(self, F: Any, h: Any, **weights: Any) -> Any:
        for number in range(1, 11):
            if number == 7:
                print(h)
                h = F.broadcast_div(h, F.sqrt(F.mean(h**2, axis=1, keepdims=True)))  # <- the mistake
            h = F.tanh(F.dot(h, weights[f"w{number}"]))
        return (h**2).mean()


def nan(task: Any, how: Any) -> Any:
    return train(
        task, how(Deep(**{f"w{number}": one for number, one in enumerate(task.deep, 1)})), task.empty_batches()
    )


class Classifier(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        scores = F.dot(F.tanh(F.dot(x, w1)), w2)
        print(scores)
        return cross_entropy(scores, y)  # <- the mistake


def label_range(task: Any, how: Any) -> Any:
    return train(task, how(Classifier(w1=task.w1, w2=task.w2)), task.bad_label_batches())


def gradients_kept(task: Any, how: Any) -> Any:
    return "a backward pass overwrites the gradients; they add up only where a parameter was told so (grad_req='add')"


class Apart(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any, gain: Any) -> Any:
        h = F.tanh(F.dot(x, w1))
        print(h)
        h = F.broadcast_mul(h, gain)  # <- the mistake
        return cross_entropy(F.dot(h, w2), y)


def two_devices(task: Any, how: Any) -> Any:
    block = Apart(w1=task.w1, w2=task.w2, gain=task.gain[None])
    block.gain.grad_req = "null"
    block.gain.reset_ctx(mx.cpu(1))
    return train(task, how(block))


class Masked(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        h = F.tanh(F.dot(x, w1))
        print(h)
        h[0] = 0  # <- the mistake
        return cross_entropy(F.dot(h, w2), y)


def in_place(task: Any, how: Any) -> Any:
    return train(task, how(Masked(w1=task.w1, w2=task.w2)))


class Regression(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        values = F.dot(F.tanh(F.dot(x, w1)), w2)
        print(values)
        return ((values - y) ** 2).mean()  # <- the mistake


def broadcast(task: Any, how: Any) -> Any:
    return train(task, how(Regression(w1=task.w1, w2=task.w_one)), task.regression_batches())


class RegressionByLoss(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        values = F.dot(F.tanh(F.dot(x, w1)), w2)
        print(values)
        return squared(values, y)  # <- the mistake


def broadcast_loss(task: Any, how: Any) -> Any:
    return train(task, how(RegressionByLoss(w1=task.w1, w2=task.w_one)), task.regression_batches())


class Printing(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        h = F.tanh(F.dot(x, w1))
        print(h)
        return cross_entropy(F.dot(h, w2), y)


def own_print(task: Any, how: Any) -> Any:
    return train(task, how(Printing(w1=task.w1, w2=task.w2)))
