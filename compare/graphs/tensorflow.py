"""Graphs that follow the data, in TensorFlow below Keras: eager, and as a tf.function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SCAFFOLD = ("traced",)


def eager(function: Any) -> Any:
    return function


def compiled(function: Any) -> Any:
    return tf.function(function, reduce_retracing=True)


def traced(function: Any) -> int:
    """How many graphs tf.function has traced of a function; a function as it is has none."""
    return function.experimental_get_tracing_count() if hasattr(function, "experimental_get_tracing_count") else 0


def lengths(task: Any, how: Any) -> Any:
    w_ih, w_hh = tf.Variable(task.w_ih), tf.constant(task.w_hh)

    @how
    def gradient_of(sequence: Any) -> Any:
        with tf.GradientTape() as tape:
            state = tf.zeros(4, tf.float64)
            for x in sequence:
                ir, iz, inew = tf.split(tf.linalg.matvec(w_ih, x) + task.b_ih, 3)
                hr, hz, hnew = tf.split(tf.linalg.matvec(w_hh, state) + task.b_hh, 3)
                r, z = tf.sigmoid(ir + hr), tf.sigmoid(iz + hz)
                state = (1 - z) * tf.tanh(inew + r * hnew) + z * state
            loss = 0.5 * tf.reduce_sum(state**2)
        return tape.gradient(loss, w_ih), state

    gradients, states = zip(*(gradient_of(tf.constant(sequence)) for sequence in task.sequences))
    return (tf.stack(states), tf.add_n(gradients)), traced(gradient_of)


def tree(task: Any, how: Any) -> Any:
    w = tf.Variable(task.w_tree)

    def value(node: Any) -> Any:
        if isinstance(node, tuple):
            return tf.tanh(tf.linalg.matvec(w, tf.concat([value(one) for one in node], 0)) + task.b_tree)
        return node

    @how
    def gradient_of(tree: Any) -> Any:
        with tf.GradientTape() as tape:
            root = value(tree)
            loss = 0.5 * tf.reduce_sum(root**2)
        return tape.gradient(loss, w), root

    trees = [tf.nest.map_structure(tf.constant, tree) for tree in task.trees]
    gradients, roots = zip(*(gradient_of(tree) for tree in trees))
    return (tf.stack(roots), tf.add_n(gradients)), traced(gradient_of)


def until(task: Any, how: Any) -> Any:
    w = tf.Variable(task.w_loop)

    @how
    def gradient_of(x: Any) -> Any:
        with tf.GradientTape() as tape:
            moved, rounds = tf.constant(task.epsilon, tf.float64), 0
            while moved >= task.epsilon:
                before, x = x, tf.tanh(tf.linalg.matvec(w, x) + task.u)
                moved = tf.reduce_max(tf.abs(x - before))
                rounds += 1
            loss = 0.5 * tf.reduce_sum(x**2)
        return tape.gradient(loss, w), x, rounds

    gradients, ends, counts = zip(*(gradient_of(tf.constant(start)) for start in task.starts))
    return (tf.stack(ends), counts, tf.add_n(gradients)), traced(gradient_of)


def early_exit(task: Any, how: Any) -> Any:
    layers, heads = [tf.Variable(one) for one in task.layers], tf.constant(task.heads)

    @how
    def gradient_of(h: Any) -> Any:
        with tf.GradientTape() as tape:
            sure, score, exit_at = False, tf.constant(0.0, tf.float64), 0
            for number, layer in enumerate(layers):
                if not sure:
                    h = tf.tanh(tf.linalg.matvec(layer, h))
                    score = tf.tensordot(heads[number], h, 1)
                    sure, exit_at = tf.abs(score) > task.sure, number
            loss = 0.5 * score**2
        return tape.gradient(loss, layers[0]), score, exit_at

    gradients, scores, exits = zip(*(gradient_of(tf.constant(one)) for one in task.examples))
    return (tf.stack(scores), exits, tf.add_n(gradients)), traced(gradient_of)


def new_shape(task: Any, how: Any) -> Any:
    w1, w2 = tf.Variable(task.w1), tf.Variable(task.w2)

    @how
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(0.5 * tf.reduce_sum((tf.tanh(x @ w1) @ w2 - y) ** 2, 1))
        for one, gradient in zip((w1, w2), tape.gradient(loss, (w1, w2))):
            one.assign_sub(task.rate * gradient)
        return loss

    return lambda x, y: train(tf.constant(x), tf.constant(y)), lambda: traced(train)
