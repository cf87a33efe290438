"""MXNet: what Gluon holds, and its registry of optimizers."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Iterator

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon.data.vision import transforms as own_transforms
from mxnet.gluon.model_zoo import vision

from modules import _pictures
from modules._counting import STEPS, Trial, built, first, lowered, public
from modules._pictures import Transforms

NOTES = {"models": "More models are in the packages GluonCV and GluonNLP."}

nn = gluon.nn
ARGUMENTS: dict[str, Any] = {
    "units": 4,
    "channels": 4,
    "kernel_size": 2,
    "hidden_size": 4,
    "input_size": 4,
    "input_dim": 10,
    "output_dim": 4,
    "rate": 0.5,
    "alpha": 0.1,
    "activation": "tanh",
    "function": "tanh",
    "padding": 1,
    "factor": 2,
    "input_shape": (4, 8, 8),
    "hidden_channels": 4,
    "i2h_kernel": 3,
    "h2h_kernel": 3,
    "base_cell": lambda: gluon.rnn.GRUCell(4),
    "l_cell": lambda: gluon.rnn.GRUCell(4),
    "r_cell": lambda: gluon.rnn.GRUCell(4),
}


def _filled(container: Any, *children: Any) -> Any:
    container.add(*children)
    return container


CONSTRUCTED: dict[str, Callable[[], Any]] = {
    "nn.Sequential": lambda: _filled(nn.Sequential(), nn.Dense(4)),
    "nn.HybridSequential": lambda: _filled(nn.HybridSequential(), nn.Dense(4)),
    "rnn.SequentialRNNCell": lambda: _filled(gluon.rnn.SequentialRNNCell(), gluon.rnn.GRUCell(4)),
    "rnn.HybridSequentialRNNCell": lambda: _filled(gluon.rnn.HybridSequentialRNNCell(), gluon.rnn.GRUCell(4)),
    "rnn.ResidualCell": lambda: gluon.rnn.ResidualCell(gluon.rnn.GRUCell(4)),
    "rnn.ZoneoutCell": lambda: gluon.rnn.ZoneoutCell(gluon.rnn.GRUCell(4), 0.1, 0.1),
    "nn.ReflectionPad2D": lambda: nn.ReflectionPad2D(1),
    "nn.DeformableConvolution": lambda: nn.DeformableConvolution(4, kernel_size=(2, 2), padding=(0, 0)),
    "nn.ModulatedDeformableConvolution": lambda: nn.ModulatedDeformableConvolution(
        4, kernel_size=(2, 2), padding=(0, 0)
    ),
}


def _floats(*shape: int) -> Any:
    return nd.array(np.linspace(0.05, 0.95, int(np.prod(shape)), dtype=np.float32).reshape(shape))


INPUTS: tuple[tuple[Any, ...], ...] = (
    (_floats(2, 4),),
    (_floats(2, 4, 8),),
    (_floats(2, 4, 8, 8),),
    (_floats(2, 4, 8, 8, 8),),
    (nd.array([[1, 2, 3], [4, 5, 6]]),),
)


def layers() -> Iterator[Trial]:
    for space, module in (("nn", nn), ("rnn", gluon.rnn)):
        for name, one in public(module, gluon.Block):
            make = CONSTRUCTED.get(f"{space}.{name}", functools.partial(built, one, ARGUMENTS))
            yield Trial(f"{space}.{name}", functools.partial(_forward, make))


def losses() -> Iterator[Trial]:
    for name, one in public(gluon.loss, gluon.loss.Loss):
        yield Trial(name, functools.partial(_loss, one))


def optimizers() -> Iterator[Trial]:
    for one in sorted(set(mx.optimizer.Optimizer.opt_registry.values()), key=lambda one: one.__name__):
        yield Trial(one.__name__, functools.partial(_optimized, one))


def models() -> Iterator[Trial]:
    """The functions of gluon.model_zoo.vision."""
    for name, one in sorted(vars(vision).items()):
        if inspect.isfunction(one) and not name.startswith("get_"):
            yield Trial(name, functools.partial(_model, one))


def transforms() -> Transforms:
    side, cut = _pictures.SMALLER, own_transforms.CenterCrop(_pictures.CROPPED)
    own = {
        "resize": own_transforms.Resize(side),
        "crop": lambda images: nd.stack(*[cut(one) for one in images]),  # these two take one picture
        "flip": lambda images: nd.stack(*[nd.image.flip_left_right(one) for one in images]),
        "normalize": lambda images: nd.image.normalize(
            images.transpose((0, 3, 1, 2)), _pictures.MEAN, [_pictures.DEVIATION] * 3
        ).transpose((0, 2, 3, 1)),
    }
    return Transforms(nd.array, lambda images: images.asnumpy(), own)


def _numbers(nest: Any) -> Any:
    return [_numbers(one) for one in nest] if isinstance(nest, (list, tuple)) else nest.asnumpy()


def _forward(make: Callable[[], Any]) -> Any:
    def attempt(inputs: tuple[Any, ...]) -> Any:
        layer = make()
        layer.initialize()
        if isinstance(layer, gluon.rnn.RecurrentCell):
            return _numbers(layer.unroll(3, inputs[0], merge_outputs=True)[0])
        return _numbers(layer(*inputs))

    cells = ((_floats(2, 3, 4),), (_floats(2, 3, 4, 8),), (_floats(2, 3, 4, 8, 8),), (_floats(2, 3, 4, 8, 8, 8),))
    return first(functools.partial(attempt, inputs) for inputs in (*INPUTS, *cells))


def _loss(loss: type) -> Any:
    """With what a loss takes beside the scores, of three rows and four columns."""
    columns, signs = _floats(3, 4)[::-1], nd.array([1, -1, 1])
    targets = ((columns,), (nd.array([1, 0, 3]),), (columns, columns**2), (columns, signs), (nd.array([[1, 2]] * 3),))

    def attempt(scores: Any, given: tuple[Any, ...]) -> Any:
        scores.attach_grad()
        with autograd.record():
            value = built(loss, {"smoothing_parameter": 0.1})(scores, *given)
        value.backward()
        if not scores.grad.asnumpy().any():
            raise ArithmeticError("the gradient is zero")
        return _numbers([value, scores.grad])

    tried = [functools.partial(attempt, _floats(3, 4), given) for given in targets]
    return first([*tried, functools.partial(attempt, _floats(3, 6, 4), (nd.array([[1, 2]] * 3),))])


def _optimized(optimizer: type) -> list[float]:
    mx.random.seed(1)
    network = nn.Dense(2, use_bias=False, in_units=3)
    network.initialize(mx.init.Normal(0.1))
    trainer = gluon.Trainer(network.collect_params(), optimizer())
    rows, targets, losses = _floats(8, 3), _floats(8, 2), []
    for _ in range(STEPS + 1):
        with autograd.record():
            loss = gluon.loss.L2Loss()(network(rows), targets)
        loss.backward()
        trainer.step(8)
        losses.append(float(loss.mean().asscalar()))
    return lowered(losses)


def _model(make: Callable[..., Any]) -> Any:
    def attempt(side: int) -> Any:
        model = make(pretrained=False)
        model.initialize()
        return model(_floats(1, 3, side, side)).asnumpy()

    return first(functools.partial(attempt, side) for side in (64, 224, 299))
