"""HIPS autograd over Python's own connections between processes. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from time import sleep
from typing import Any

import autograd
import autograd.numpy as np
import numpy

from smoke.ranks import HOST, Place, Share

CANNOT: dict[str, str] = {}
TRANSPORT: dict[str, str] = {"": "sockets"}
SWITCHES: tuple[str, ...] = ()

_links: list[Connection] = []  # of rank 0 to each other one; of the others to rank 0
_place = Place(0, 1, ())


def join(place: Place) -> tuple[int, str]:
    global _place  # noqa: PLW0603 -- autograd itself knows of no ranks
    _place = place
    address = (HOST, place.ports[0])
    if place.rank:
        _links.append(_connected(address))
    else:
        with Listener(address, backlog=place.count) as listener:
            _links.extend(listener.accept() for _ in range(1, place.count))
    return len(_links) + 1 if place.rank == 0 else place.count, "sockets"


def total(values: numpy.ndarray) -> numpy.ndarray:
    if _place.rank:
        _links[0].send(values)
        return _links[0].recv()
    whole = sum((link.recv() for link in _links), values)
    for link in _links:
        link.send(whole)
    return whole


def split(place: Place, count: int, seed: int) -> list[int]:
    return numpy.random.RandomState(seed).permutation(count)[place.rank :: place.count].tolist()


def train(share: Share) -> dict[str, Any]:
    weights = {name: value.astype(numpy.float32) for name, value in share.problem.weights.items()}
    velocity = {name: numpy.zeros_like(value) for name, value in weights.items()}
    if share.load:
        with numpy.load(Path(share.load, "checkpoint.npz")) as saved:
            weights, velocity = ({name: saved[kind + name] for name in weights} for kind in "wv")
    images = share.images.astype(numpy.float32)
    step = autograd.value_and_grad(lambda w: _loss(w, images, share.labels))
    losses: list[float] = []
    first: dict[str, Any] = {}
    for number in range(share.steps):
        share.at(number)
        before = dict(weights)
        loss, own = step(weights)
        gradients = {name: total(own[name] * numpy.float32(share.factor)) / _place.count for name in sorted(own)}
        for name, gradient in gradients.items():
            velocity[name] = numpy.float32(share.problem.momentum) * velocity[name] + gradient.astype(numpy.float32)
            weights[name] = weights[name] - numpy.float32(share.problem.lr) * velocity[name]
        weights = before if number == share.stale else weights
        losses.append(float(loss))
        first = first or gradients
    if share.save and _place.rank == 0:
        parts = zip("wv", (weights, velocity))
        arrays: Any = {kind + name: value for kind, part in parts for name, value in part.items()}
        numpy.savez(Path(share.save, "checkpoint.npz"), **arrays)
    return {"losses": losses, "gradients": first, "weights": weights}


def leave() -> None:
    for link in _links:
        link.close()


def _connected(address: tuple[str, int]) -> Connection:
    """A connection to rank 0, which may not listen yet."""
    while True:
        try:
            return Client(address)
        except ConnectionRefusedError:  # noqa: PERF203
            sleep(0.02)


def _loss(w: dict[str, Any], images: Any, labels: Any) -> Any:
    rows, columns = images.shape[2] - w["conv.w"].shape[2] + 1, images.shape[3] - w["conv.w"].shape[3] + 1
    shifts = [(i, j) for i in range(w["conv.w"].shape[2]) for j in range(w["conv.w"].shape[3])]
    patches = np.stack([images[:, :, i : i + rows, j : j + columns] for i, j in shifts], axis=2)
    flat = np.reshape(patches, (len(images), -1, rows * columns))
    x = np.reshape(np.reshape(w["conv.w"], (len(w["conv.w"]), -1)) @ flat, (len(images), -1, rows, columns))
    x = np.tanh(x + w["conv.b"][:, None, None])
    x = np.mean(np.reshape(x, (len(images), -1, rows // 2, 2, columns // 2, 2)), axis=(3, 5))
    x = np.tanh(np.reshape(x, (len(images), -1)) @ w["dense1.w"] + w["dense1.b"])
    x = x @ w["dense2.w"] + w["dense2.b"]
    x = x - np.max(x, axis=1, keepdims=True)
    log_p = x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])
