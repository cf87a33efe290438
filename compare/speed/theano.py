"""The timed networks in Theano, as its tutorial writes them: shared variables, an expression, and one function."""

from __future__ import annotations

from typing import Any

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.nnet import bn
from theano.tensor.signal.pool import pool_2d

from speed._networks import (
    CLASSES,
    EPSILON,
    HEADS,
    HIDDEN,
    KEPT,
    LAYERS,
    LEARNING_RATE,
    MOMENTUM,
    TIME,
    WIDTH,
    Problem,
    Program,
)

ONE_WAY = "Theano has no other way: a theano.function is compiled, so what is written is compiled"
CANNOT = {
    "mlp/32/compiled": ONE_WAY,
    "cnn/32/compiled": ONE_WAY,
    "resnet/8/compiled": ONE_WAY,
    "gru/32/compiled": ONE_WAY,
    "transformer/32/compiled": ONE_WAY,
}
ONE = np.float32(1)
ABOVE = np.nextafter(np.float32(EPSILON), ONE)  # Theano takes none below 1e-5, and float32 rounds that down
Weights = Any


def dense(w: Weights, name: str, x: Any) -> Any:
    return T.dot(x, w[f"{name}.w"]) + w[f"{name}.b"]


def mlp(problem: Problem) -> Program:
    w, x = shared(problem), T.fmatrix("x")
    hidden = T.nnet.relu(dense(w, "dense2", T.nnet.relu(dense(w, "dense1", x))))
    return trained(problem, w, x, dense(w, "dense3", hidden))


def conv(x: Any, kernel: Any, stride: int = 1) -> Any:
    """A cross-correlation, as elsewhere; the border has half the kernel's size."""
    return T.nnet.conv2d(x, kernel, border_mode="half", subsample=(stride, stride), filter_flip=False)


def cnn(problem: Problem) -> Program:
    w, x = shared(problem), T.ftensor4("x")
    y = T.nnet.relu(conv(x, w["conv1.w"]) + w["conv1.b"].dimshuffle("x", 0, "x", "x"))
    y = T.nnet.relu(
        conv(pool_2d(y, (2, 2), ignore_border=True), w["conv2.w"]) + w["conv2.b"].dimshuffle("x", 0, "x", "x")
    )
    return trained(problem, w, x, dense(w, "dense", y.flatten(2)))


def resnet(problem: Problem) -> Program:
    w, x = shared(problem), T.ftensor4("x")
    updates: list[Any] = []

    def normed(name: str, x: Any, stride: int = 1) -> Any:
        scale, shift = (w[f"{name}.{part}"].dimshuffle("x", 0, "x", "x") for part in "gb")
        y, mean, inverse = bn.batch_normalization_train(
            conv(x, w[f"{name}.w"], stride), scale, shift, "spatial", ABOVE
        )
        for now in (mean, inverse**-2 - ABOVE):
            running = theano.shared(np.zeros(len(problem.weights[f"{name}.g"]), np.float32))
            updates.append((running, np.float32(KEPT) * running + np.float32(1 - KEPT) * now.flatten()))
        return y

    y = T.nnet.relu(normed("stem", x))
    for name in ("block1", "block2", "block3"):
        stride = 2 if f"{name}.short.w" in w else 1
        short = normed(f"{name}.short", y, stride) if stride == 2 else y
        y = T.nnet.relu(short + normed(f"{name}.second", T.nnet.relu(normed(f"{name}.first", y, stride))))
    return trained(problem, w, x, dense(w, "dense", y.mean((2, 3))), updates)


def gru(problem: Problem) -> Program:
    w, x = shared(problem), T.ftensor3("x")

    def cell(read: Any, state: Any, wh: Any, bh: Any) -> Any:
        held = T.dot(state, wh) + bh
        r, z = (T.nnet.sigmoid(read[:, at : at + HIDDEN] + held[:, at : at + HIDDEN]) for at in (0, HIDDEN))
        n = T.tanh(read[:, 2 * HIDDEN :] + r * held[:, 2 * HIDDEN :])
        return (ONE - z) * n + z * state

    reads = (T.dot(x, w["gru.wx"]) + w["gru.bx"]).dimshuffle(1, 0, 2)
    start = T.zeros((x.shape[0], HIDDEN), "float32")
    states, _ = theano.scan(cell, reads, [start], [w["gru.wh"], w["gru.bh"]], strict=True)
    return trained(problem, w, x, dense(w, "dense", states[-1]))


def transformer(problem: Problem) -> Program:
    """Attention by elements and sums: T.batched_dot needs a BLAS to link, and the image has NumPy's only."""
    w, x = shared(problem), T.lmatrix("tokens")

    def normed(name: str, x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x / T.sqrt((x * x).mean(-1, keepdims=True) + np.float32(EPSILON)) * w[f"{name}.g"] + w[f"{name}.b"]

    def heads(x: Any) -> Any:
        """(batch, time, width) -> (batch * heads, time, width / heads)."""
        return x.reshape((-1, TIME, HEADS, WIDTH // HEADS)).dimshuffle(0, 2, 1, 3).reshape((-1, TIME, WIDTH // HEADS))

    y = w["token.w"][x.flatten()].reshape((-1, TIME, WIDTH)) + w["position.w"]
    for name in (f"layer{number}" for number in range(LAYERS)):
        q, k, v = (heads(dense(w, f"{name}.{part}", y)) for part in ("query", "key", "value"))
        scores = (q.dimshuffle(0, 1, "x", 2) * k.dimshuffle(0, "x", 1, 2)).sum(-1) * np.float32(
            (WIDTH // HEADS) ** -0.5
        )
        p = T.nnet.softmax(scores.reshape((-1, TIME))).reshape((-1, TIME, TIME))
        attended = (p.dimshuffle(0, 1, 2, "x") * v.dimshuffle(0, "x", 1, 2)).sum(2)
        attended = attended.reshape((-1, HEADS, TIME, WIDTH // HEADS)).dimshuffle(0, 2, 1, 3)
        y = normed(f"{name}.norm1", y + dense(w, f"{name}.out", attended.reshape((-1, TIME, WIDTH))))
        inner = T.nnet.relu(dense(w, f"{name}.inner", y))
        y = normed(f"{name}.norm2", y + dense(w, f"{name}.outer", inner))
    return trained(problem, w, x, dense(w, "dense", y.mean(1)))


def shared(problem: Problem) -> Weights:
    return {name: theano.shared(value, name) for name, value in problem.weights.items()}


def trained(problem: Problem, w: Weights, x: Any, logits: Any, updates: Any = ()) -> Program:
    labels = T.lvector("labels")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(logits), labels).mean()
    updates = list(updates)
    for name, gradient in zip(w, T.grad(loss, list(w.values()))):
        velocity = theano.shared(np.zeros_like(problem.weights[name]))
        moved = np.float32(MOMENTUM) * velocity + gradient
        updates += [(velocity, moved), (w[name], w[name] - np.float32(LEARNING_RATE) * moved)]
    mode, settings = None, []
    if problem.how == "tuned":
        mode = theano.Mode(linker=theano.gof.vm.VM_Linker(allow_gc=False, use_cloop=True), optimizer="fast_run")
        settings = ["allow_gc=False", "trust_input=True"]
    train = theano.function([x, labels], loss, updates=updates, mode=mode)
    train.trust_input = problem.how == "tuned"

    def step(index: int) -> Any:
        batch = problem.batches[index]
        return train(batch.inputs, batch.labels)

    def scores(inputs: np.ndarray) -> np.ndarray:
        return theano.function([x], logits)(inputs).reshape(-1, CLASSES)

    return Program(step, scores, settings)
