"""Flexibility, in MXNet, through Gluon."""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd

CANNOT = {
    "hessian-vector": "few operators have a second derivative; sum, mean, differences and products have none: "
    "Operator _backward_broadcast_sub is non-differentiable because it didn't register FGradient attribute",
}
SCAFFOLD = ("network", "loss_of", "array", "arrays")


def array(value: Any) -> Any:
    return nd.array(value, dtype="float64")


def arrays(*values: Any) -> tuple[Any, ...]:
    """The reference's weights are (inputs, outputs), and Dense's are the other way."""
    return tuple(one.asnumpy().T for one in values)


def network(task: Any) -> gluon.nn.Sequential:
    model = gluon.nn.Sequential()
    model.add(gluon.nn.Dense(4, use_bias=False, in_units=5), gluon.nn.Activation("tanh"))
    model.add(gluon.nn.Dense(3, use_bias=False, in_units=4))
    model.cast("float64")
    model.initialize()
    model[0].weight.set_data(array(task.w1.T))
    model[2].weight.set_data(array(task.w2.T))
    return model


def loss_of(scores: Any, y: Any) -> Any:
    return 0.5 * ((scores - y) ** 2).sum(axis=1).mean()


class Binarize(autograd.Function):
    def forward(self, inside: Any) -> Any:
        self.save_for_backward(inside)
        return inside.sign()

    def backward(self, gradient: Any) -> Any:
        (inside,) = self.saved_tensors
        return gradient * (inside.abs() <= 1)


def own_operation(task: Any) -> tuple[Any, ...]:
    model = network(task)
    with autograd.record():
        scores = model[2](Binarize()(model[0](array(task.x))))
        loss = loss_of(scores, array(task.y))
    loss.backward()
    return scores.asnumpy(), *arrays(model[0].weight.grad())


class Normalized(mx.optimizer.Optimizer):
    def __init__(self, momentum: float, **options: Any) -> None:
        super().__init__(**options)
        self.momentum = momentum

    def create_state(self, index: int, weight: Any) -> Any:
        return nd.zeros_like(weight)

    def update(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        state[:] = self.momentum * state + grad / grad.norm()
        weight[:] -= self._get_lr(index) * state


def own_optimizer(task: Any) -> tuple[Any, ...]:
    model = network(task)
    optimizer = Normalized(task.momentum, learning_rate=task.rate)
    trainer = gluon.Trainer(model.collect_params(), optimizer)
    for _ in range(task.steps):
        with autograd.record():
            loss = loss_of(model(array(task.x)), array(task.y))
        loss.backward()
        trainer.step(1)
    return arrays(model[0].weight.data(), model[2].weight.data())


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    model = network(task)
    first, second = [], []
    for x, y in zip(array(task.x), array(task.y)):
        with autograd.record():
            loss = loss_of(model(x.expand_dims(0)), y.expand_dims(0))
        loss.backward()
        first.append(model[0].weight.grad().T)
        second.append(model[2].weight.grad().T)
    return nd.stack(*first).asnumpy(), nd.stack(*second).asnumpy()


def frozen_part(task: Any) -> tuple[Any, ...]:
    model = network(task)
    model[0].collect_params().setattr("grad_req", "null")
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": task.rate})
    for _ in range(task.steps):
        with autograd.record():
            loss = loss_of(model(array(task.x)), array(task.y))
        loss.backward()
        trainer.step(1)
    return arrays(model[0].weight.data(), model[2].weight.data())


def changed_gradients(task: Any) -> tuple[Any, ...]:
    class Clipped(autograd.Function):
        def forward(self, hidden: Any) -> Any:
            return hidden.copy()

        def backward(self, gradient: Any) -> Any:
            return gradient.clip(-task.limit, task.limit)

    model = network(task)
    with autograd.record():
        hidden = Clipped()(model[:2](array(task.x)))
        loss = loss_of(model[2](hidden), array(task.y))
    loss.backward()
    return arrays(model[0].weight.grad(), model[2].weight.grad())


def activations(task: Any) -> tuple[Any, ...]:
    model = network(task)
    seen = []
    model[1].register_forward_hook(lambda layer, inputs, output: seen.append(output))
    scores = model(array(task.x))
    return seen[0].asnumpy(), scores.asnumpy()


NOTES = {"per-example-gradients": "a loop over the examples: MXNet has nothing that does it for a whole batch"}
