"""Mistakes, in Theano."""

from __future__ import annotations

from typing import Any

import theano
import theano.tensor as T
from theano.compile.nanguardmode import NanGuardMode

theano.config.floatX = "float32"
ONE_WAY = "Theano has one way: it compiles whatever it runs"
CANNOT = {
    "two-devices": "Theano has the CPU and GPUs, and there is no GPU",
    "broadcast-loss": "Theano has no squared loss: a user writes the difference",
}
eager = None


def shared(*values: Any) -> list[Any]:
    return [theano.shared(one) for one in values]


def train(task: Any, loss: Any, weights: Any, inputs: Any, batches: Any = None, mode: Any = None) -> list[float]:
    updates = [(w, w - task.rate * by) for w, by in zip(weights, T.grad(loss, weights))]
    update = theano.function(inputs, loss, updates=updates, mode=mode, allow_input_downcast=True)
    return [float(update(x, y)) for x, y in batches or task.batches()]


def cross_entropy(scores: Any, y: Any) -> Any:
    return T.nnet.categorical_crossentropy(T.nnet.softmax(scores), y).mean()


def wrong_shape(task: Any, how: Any) -> Any:
    w1, w2, narrow = shared(task.w1, task.w2, task.narrow)
    x, y = T.matrix("x"), T.lvector("y")
    h = T.tanh(T.dot(x, w1))
    print(h)
    h = h + T.dot(x, narrow)  # <- the mistake
    return train(task, cross_entropy(T.dot(h, w2), y), [w1, w2, narrow], [x, y])


def wrong_dtype(task: Any, how: Any) -> Any:
    w1, w2 = shared(task.w1, task.w2)
    x, y = T.lmatrix("x"), T.lvector("y")
    print(w1)
    h = T.tanh(T.dot(x, w1))  # <- the mistake
    return train(task, cross_entropy(T.dot(h, w2), y), [w1, w2], [x, y], task.integer_batches())


def nan(task: Any, how: Any, mode: Any = None) -> Any:
    weights = shared(*task.deep)
    x, y = T.matrix("x"), T.lvector("y")
    h = x
    for number, w in enumerate(weights, 1):
        if number == 7:
            print(h)
            h = h / T.sqrt(T.sqr(h).mean(1, keepdims=True))  # <- the mistake
        h = T.tanh(T.dot(h, w))
    update = T.sqr(h).mean() + 0 * y.sum()
    return train(task, update, weights, [x, y], task.empty_batches(), mode)


def nan_checked(task: Any, how: Any) -> Any:
    return nan(task, how, NanGuardMode(nan_is_error=True, inf_is_error=False, big_is_error=False))


def label_range(task: Any, how: Any) -> Any:
    w1, w2 = shared(task.w1, task.w2)
    x, y = T.matrix("x"), T.lvector("y")
    scores = T.dot(T.tanh(T.dot(x, w1)), w2)
    print(scores)
    losses = T.nnet.categorical_crossentropy(T.nnet.softmax(scores), y)  # <- the mistake
    return train(task, losses.mean(), [w1, w2], [x, y], task.bad_label_batches())


def gradients_kept(task: Any, how: Any) -> Any:
    return "theano.grad returns gradients as expressions: there is nothing that they could be added to"


def in_place(task: Any, how: Any) -> Any:
    w1, w2 = shared(task.w1, task.w2)
    x, y = T.matrix("x"), T.lvector("y")
    h = T.tanh(T.dot(x, w1))
    print(h)
    h[0] = 0  # <- the mistake
    return train(task, cross_entropy(T.dot(h, w2), y), [w1, w2], [x, y])


def broadcast(task: Any, how: Any) -> Any:
    w1, w2 = shared(task.w1, task.w_one)
    x, y = T.matrix("x"), T.vector("y")
    values = T.dot(T.tanh(T.dot(x, w1)), w2)
    print(values)
    loss = T.sqr(values - y).mean()  # <- the mistake
    return train(task, loss, [w1, w2], [x, y], task.regression_batches())


def own_print(task: Any, how: Any) -> Any:
    w1, w2 = shared(task.w1, task.w2)
    x, y = T.matrix("x"), T.lvector("y")
    h = theano.printing.Print("h")(T.tanh(T.dot(x, w1)))
    return train(task, cross_entropy(T.dot(h, w2), y), [w1, w2], [x, y])
