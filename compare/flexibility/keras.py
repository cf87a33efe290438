"""Flexibility, in Keras. Where Keras itself has nothing, its backend is used, as Keras's documentation does."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

keras.config.set_floatx("float64")
SCAFFOLD = ("network", "loss_of", "with_weights")


def network(task: Any, *between: Any) -> keras.Model:
    """The network; layers may come between the activations and the last layer."""
    first, second = layers.Dense(4, use_bias=False), layers.Dense(3, use_bias=False)
    return with_weights(
        keras.Sequential([keras.Input((5,)), first, layers.Activation("tanh"), *between, second]), task
    )


def with_weights(model: keras.Model, task: Any) -> keras.Model:
    model.set_weights([task.w1, task.w2])
    return model


def loss_of(y: Any, scores: Any) -> Any:
    """Keras takes the mean over the examples."""
    return 0.5 * ops.sum((scores - y) ** 2, -1)


@ops.custom_gradient
def binarize(inside: Any) -> Any:
    def gradient(*arguments: Any, upstream: Any = None) -> Any:
        upstream = arguments[0] if upstream is None else upstream
        return upstream * ops.cast(ops.abs(inside) <= 1, inside.dtype)

    return ops.sign(inside), gradient


def gradients_of(model: keras.Model, task: Any) -> list[Any]:
    """Keras hands out no gradient: it is by how much a step of plain gradient descent moves the weights."""
    model.compile(keras.optimizers.SGD(1.0), loss_of)
    before = model.get_weights()
    model.train_on_batch(task.x, task.y)
    return [one - two for one, two in zip(before, model.get_weights())]


def own_operation(task: Any) -> tuple[Any, ...]:
    first, second = layers.Dense(4, use_bias=False), layers.Dense(3, use_bias=False)
    model = with_weights(keras.Sequential([keras.Input((5,)), first, layers.Activation(binarize), second]), task)
    return model.predict_on_batch(task.x), gradients_of(model, task)[0]


class Normalized(keras.optimizers.Optimizer):
    def __init__(self, learning_rate: float, momentum: float) -> None:
        super().__init__(learning_rate)
        self.momentum = momentum

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.velocity = [self.add_variable_from_reference(one, name="velocity") for one in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        velocity = self.velocity[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity + gradient / ops.norm(gradient))
        self.assign_sub(variable, learning_rate * velocity)


def own_optimizer(task: Any) -> tuple[Any, ...]:
    model = network(task)
    model.compile(Normalized(task.rate, task.momentum), loss_of)
    model.fit(task.x, task.y, batch_size=len(task.x), epochs=task.steps, verbose=0)
    return tuple(model.get_weights())


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    import tensorflow as tf

    model = network(task)
    with tf.GradientTape() as tape:
        losses = loss_of(task.y, model(task.x))
    return tape.jacobian(losses, [one.value for one in model.trainable_variables])


def hessian_vector(task: Any) -> tuple[Any, ...]:
    import tensorflow as tf

    model = network(task)
    weights = [one.value for one in model.trainable_variables]
    with tf.autodiff.ForwardAccumulator(weights, [tf.constant(task.v1), tf.constant(task.v2)]) as forward:
        with tf.GradientTape() as tape:
            loss = ops.mean(loss_of(task.y, model(task.x)))
        gradients = tape.gradient(loss, weights)
    return forward.jvp(gradients)


def frozen_part(task: Any) -> tuple[Any, ...]:
    model = network(task)
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(task.rate), loss_of)
    model.fit(task.x, task.y, batch_size=len(task.x), epochs=task.steps, verbose=0)
    return tuple(model.get_weights())


def changed_gradients(task: Any) -> tuple[Any, ...]:
    @ops.custom_gradient
    def clipped(hidden: Any) -> Any:
        def gradient(*arguments: Any, upstream: Any = None) -> Any:
            upstream = arguments[0] if upstream is None else upstream
            return ops.clip(upstream, -task.limit, task.limit)

        return hidden, gradient

    return tuple(gradients_of(network(task, layers.Activation(clipped)), task))


def activations(task: Any) -> tuple[Any, ...]:
    model = network(task)
    watched = keras.Model(model.inputs, [model.layers[1].output, model.layers[2].output])
    return tuple(watched.predict_on_batch(task.x))


NOTES = {
    "own-operation": "Keras hands out no gradients: this one is read from a step of gradient descent",
    "per-example-gradients": "with TensorFlow, its backend: Keras itself hands out no gradients",
    "hessian-vector": "with TensorFlow, its backend: Keras itself hands out no gradients",
    "changed-gradients": "Keras hands out no gradients: this one is read from a step of gradient descent",
}
