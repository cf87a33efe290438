"""JAX: functions of jax.nn, and what jax.example_libraries calls examples. Layers come from other packages."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.example_libraries import optimizers as examples
from jax.example_libraries import stax

from modules import _pictures
from modules._counting import STEPS, Trial, first, lowered
from modules._pictures import Transforms

CANNOT = {
    "losses": "JAX has no losses: they come from other packages (Optax), or are written as functions",
    "models": "JAX has no models: they come from other packages (Flax, Equinox)",
}
NOTES = {
    "layers": "Functions of jax.nn, and stax, which JAX calls an example; layers come from other packages (Flax).",
    "optimizers": "Of jax.example_libraries, which JAX calls examples; others come from other packages (Optax).",
    "transforms": "Pictures are arrays: a crop is a slice, and jax.nn.standardize takes each picture's own mean.",
}


def _floats(*shape: int) -> Any:
    return jnp.linspace(0.05, 0.95, int(np.prod(shape)), dtype=jnp.float32).reshape(shape)


# A function ran if it takes one of these.
INPUTS: tuple[tuple[Any, ...], ...] = (
    (_floats(2, 4),),
    (jnp.array([1, 0, 3]), 4),
    (_floats(2, 6, 2, 4), _floats(2, 6, 2, 4), _floats(2, 6, 2, 4)),
    (_floats(1, 32, 64), _floats(1, 32, 64)),
    (_floats(4, 4), _floats(4, 4)),
)
# Constructors of stax whose arguments are not told by their signatures.
STAX: dict[str, Callable[[], Any]] = {
    "Dense": lambda: stax.Dense(4),
    "Conv": lambda: stax.Conv(4, (2, 2)),
    "Conv1DTranspose": lambda: stax.Conv1DTranspose(4, (2,)),
    "ConvTranspose": lambda: stax.ConvTranspose(4, (2, 2)),
    "GeneralConv": lambda: stax.GeneralConv(("NHWC", "HWIO", "NHWC"), 4, (2, 2)),
    "GeneralConvTranspose": lambda: stax.GeneralConvTranspose(("NHWC", "HWIO", "NHWC"), 4, (2, 2)),
    "BatchNorm": stax.BatchNorm,
    "MaxPool": lambda: stax.MaxPool((2, 2)),
    "SumPool": lambda: stax.SumPool((2, 2)),
    "AvgPool": lambda: stax.AvgPool((2, 2)),
    "Dropout": lambda: stax.Dropout(0.5),
    "FanOut": lambda: stax.FanOut(2),
}


def layers() -> Iterator[Trial]:
    for name, one in sorted(vars(jax.nn).items()):
        if not name.startswith("_") and callable(one):
            yield Trial(f"nn.{name}", functools.partial(_function, one))
    for name, one in sorted(vars(stax).items()):
        if name in STAX or (name[0].isupper() and isinstance(one, tuple)):
            yield Trial(f"stax.{name}", functools.partial(_layer, STAX.get(name, functools.partial(tuple, one))))


def optimizers() -> Iterator[Trial]:
    for name, one in sorted(vars(examples).items()):
        if hasattr(one, "__wrapped__") and "step_size" in inspect.signature(one).parameters:  # else a schedule
            yield Trial(f"example_libraries.{name}", functools.partial(_optimized, one))


def transforms() -> Transforms:
    side = _pictures.SMALLER

    def resized(images: Any) -> Any:
        return jax.image.resize(images, (len(images), side, side, 3), "linear", antialias=False)

    own = {"resize": jax.jit(resized), "flip": jax.jit(lambda images: jnp.flip(images, 2))}
    return Transforms(jnp.asarray, np.asarray, own)


def _function(function: Callable[..., Any]) -> Any:
    """What it gives; of what constructs (jax.nn.initializers is a module, not called) nothing is known here."""
    return first(functools.partial(function, *inputs) for inputs in INPUTS)


def _layer(make: Callable[[], Any]) -> Any:
    """The outputs of a layer of stax, a pair: what makes its weights for a shape, and what applies them."""

    def attempt(inputs: Any) -> Any:
        initialize, apply = make()
        keys = jax.random.split(jax.random.key(1))
        shapes = jax.tree.map(jnp.shape, inputs) if isinstance(inputs, list) else inputs.shape
        return apply(initialize(keys[0], shapes)[1], inputs, rng=keys[1])

    tried = (_floats(2, 8, 8, 3), _floats(2, 6, 4), _floats(2, 4), [_floats(2, 4), _floats(2, 4)])
    return first(functools.partial(attempt, inputs) for inputs in tried)


def _optimized(optimizer: Callable[..., Any]) -> list[float]:
    """With a step of 0.01 and the usual numbers for what else must be given."""
    needs = [one.name for one in inspect.signature(optimizer).parameters.values() if one.default is one.empty]
    start, update, weights = optimizer(**{"step_size": 0.01, **({"mass": 0.9} if "mass" in needs else {})})
    rows, targets = _floats(8, 3), _floats(8, 2)
    slope = jax.jit(jax.value_and_grad(lambda one: jnp.mean((rows @ one - targets) ** 2)))
    state, losses = start(jnp.zeros((3, 2))), []
    for step in range(STEPS + 1):
        loss, gradient = slope(weights(state))
        losses.append(float(loss))
        state = update(step, gradient, state)
    return lowered(losses)
