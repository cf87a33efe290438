"""Graphs that follow the data, in Theano."""

from __future__ import annotations

from typing import Any

import numpy as np
import theano
import theano.tensor as T
from theano.ifelse import ifelse

theano.config.floatX = "float64"
ONE_WAY = "Theano has one way: it compiles whatever it runs"
eager = None


def gru_step(x: Any, state: Any, w_ih: Any, w_hh: Any, task: Any) -> Any:
    (ir, iz, inew), (hr, hz, hnew) = (
        (one[:4], one[4:8], one[8:]) for one in (T.dot(w_ih, x) + task.b_ih, T.dot(w_hh, state) + task.b_hh)
    )
    r, z = T.nnet.sigmoid(ir + hr), T.nnet.sigmoid(iz + hz)
    return (1 - z) * T.tanh(inew + r * hnew) + z * state


def lengths(task: Any, how: Any) -> Any:
    w_ih, w_hh, sequence = theano.shared(task.w_ih), theano.shared(task.w_hh), T.matrix()
    state = T.zeros(4)
    for x in sequence:
        state = gru_step(x, state, w_ih, w_hh, task)
    gradient_of = theano.function([sequence], [state, T.grad(0.5 * T.sqr(state).sum(), w_ih)])
    states, gradients = zip(*(gradient_of(one) for one in task.sequences))
    return (np.stack(states), sum(gradients)), 1


def lengths_rewritten(task: Any, how: Any) -> Any:
    w_ih, w_hh, sequence = theano.shared(task.w_ih), theano.shared(task.w_hh), T.matrix()
    states, _ = theano.scan(
        lambda x, state, w_ih, w_hh: gru_step(x, state, w_ih, w_hh, task),
        sequences=[sequence],
        outputs_info=[T.zeros(4)],
        non_sequences=[w_ih, w_hh],
        strict=True,
    )
    gradient_of = theano.function([sequence], [states[-1], T.grad(0.5 * T.sqr(states[-1]).sum(), w_ih)])
    states, gradients = zip(*(gradient_of(one) for one in task.sequences))
    return (np.stack(states), sum(gradients)), 1


def tree(task: Any, how: Any) -> Any:
    w = theano.shared(task.w_tree)

    def function_of(tree: Any) -> Any:
        leaves, values = [], []

        def value(node: Any) -> Any:
            if isinstance(node, tuple):
                return T.tanh(T.dot(w, T.concatenate([value(one) for one in node])) + task.b_tree)
            leaves.append(T.vector())
            values.append(node)
            return leaves[-1]

        root = value(tree)
        return theano.function(leaves, [root, T.grad(0.5 * T.sqr(root).sum(), w)]), values

    found = [function(*values) for function, values in map(function_of, task.trees)]
    roots, gradients = zip(*found)
    return (np.stack(roots), sum(gradients)), len(task.trees)


def until(task: Any, how: Any) -> Any:
    w, start = theano.shared(task.w_loop), T.vector()
    x, rounds = start, 0
    while True:
        before, x = x, T.tanh(T.dot(w, x) + task.u)
        rounds += 1
        if abs(x - before).max() < task.epsilon:
            break
    gradient_of = theano.function([start], [x, rounds, T.grad(0.5 * T.sqr(x).sum(), w)])
    ends, counts, gradients = zip(*(gradient_of(one) for one in task.starts))
    return (np.stack(ends), counts, sum(gradients)), 1


def until_rewritten(task: Any, how: Any) -> Any:
    w, start = theano.shared(task.w_loop), T.vector()

    def round_of(x: Any, w: Any) -> Any:
        after = T.tanh(T.dot(w, x) + task.u)
        return after, theano.scan_module.until(abs(after - x).max() < task.epsilon)

    path, _ = theano.scan(round_of, outputs_info=[start], non_sequences=[w], n_steps=1000, strict=True)
    outputs = [path[-1], path.shape[0], T.grad(0.5 * T.sqr(path[-1]).sum(), w)]
    gradient_of = theano.function([start], outputs)
    ends, counts, gradients = zip(*(gradient_of(one) for one in task.starts))
    return (np.stack(ends), counts, sum(gradients)), 1


def early_exit(task: Any, how: Any) -> Any:
    layers, example = [theano.shared(one) for one in task.layers], T.vector()
    h = example
    for number, (layer, head) in enumerate(zip(layers, task.heads)):
        h = T.tanh(T.dot(layer, h))
        score = T.dot(head, h)
        if abs(score) > task.sure:
            break
    gradient_of = theano.function([example], [score, number, T.grad(0.5 * score**2, layers[0])])
    scores, exits, gradients = zip(*(gradient_of(one) for one in task.examples))
    return (scores, exits, sum(gradients)), 1


def early_exit_rewritten(task: Any, how: Any) -> Any:
    layers, example = [theano.shared(one) for one in task.layers], T.vector()

    def answer(h: Any, number: int) -> Any:
        h = T.tanh(T.dot(layers[number], h))
        score = T.dot(task.heads[number], h)
        if number == len(layers) - 1:
            return score, T.constant(number)
        later, its_number = answer(h, number + 1)
        sure = abs(score) > task.sure
        return ifelse(sure, score, later), ifelse(sure, T.constant(number), its_number)

    score, number = answer(example, 0)
    gradient_of = theano.function([example], [score, number, T.grad(0.5 * score**2, layers[0])])
    scores, exits, gradients = zip(*(gradient_of(one) for one in task.examples))
    return (scores, exits, sum(gradients)), 1


def new_shape(task: Any, how: Any) -> Any:
    w1, w2, x, y = theano.shared(task.w1), theano.shared(task.w2), T.matrix(), T.matrix()
    loss = (0.5 * T.sqr(T.dot(T.tanh(T.dot(x, w1)), w2) - y).sum(axis=1)).mean()
    updates = [(one, one - task.rate * by) for one, by in zip((w1, w2), T.grad(loss, [w1, w2]))]
    return theano.function([x, y], loss, updates=updates), lambda: 1
