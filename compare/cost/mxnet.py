"""MXNet, by Gluon."""

from __future__ import annotations

from typing import Any


def imported() -> None:
    """What a first program imports."""
    import mxnet  # noqa: F401


def first_step(rows: Any, targets: Any, rate: float) -> Any:
    """The weights after one step of SGD. L2Loss is half of the squared error, for each row."""
    import mxnet as mx
    from mxnet import autograd, gluon, nd

    network = gluon.nn.Dense(1, use_bias=False, in_units=3)
    network.initialize(mx.init.Zero())
    trainer = gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": rate})
    with autograd.record():
        loss = 2 * gluon.loss.L2Loss()(network(nd.array(rows)), nd.array(targets))
    loss.backward()
    trainer.step(len(rows))
    return network.weight.data().asnumpy()
