"""PyTorch: torch.distributed with DistributedDataParallel. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

from smoke.ranks import HOST, Place, Share

CANNOT: dict[str, str] = {}
TRANSPORT: dict[str, str] = {"": "gloo"}
# Gloo looks the host's name up unless it is told an interface; a container without a network has no such entry.
SWITCHES: tuple[str, ...] = ("GLOO_SOCKET_IFNAME=lo",)


def join(place: Place) -> tuple[int, str]:
    address = f"tcp://{HOST}:{place.ports[0]}"
    dist.init_process_group("gloo", init_method=address, rank=place.rank, world_size=place.count)
    return dist.get_world_size(), dist.get_backend()


def total(values: np.ndarray) -> np.ndarray:
    tensor = torch.from_numpy(values.copy())
    dist.all_reduce(tensor)
    return tensor.numpy()


def split(place: Place, count: int, seed: int) -> list[int]:
    return list(DistributedSampler(range(count), shuffle=True, seed=seed))  # type: ignore[arg-type]


def train(share: Share) -> dict[str, Any]:
    problem = share.problem
    network = _Network(problem.weights)
    optimizer = torch.optim.SGD(network.parameters(), lr=problem.lr, momentum=problem.momentum)
    if share.load:
        state = torch.load(Path(share.load, "checkpoint.pt"), weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    parallel = DistributedDataParallel(network)
    images, labels = torch.tensor(share.images, dtype=torch.float32), torch.tensor(share.labels)
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for step in range(share.steps):
        share.at(step)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimizer.zero_grad()
        loss = F.cross_entropy(parallel(images), labels)
        (loss * share.factor).backward()
        optimizer.step()
        if step == share.stale:
            network.load_state_dict(before)
        losses.append(float(loss.detach()))
        first = first or {name: _numpy(value.grad) for name, value in network.named().items()}
    if share.save and dist.get_rank() == 0:
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, Path(share.save, "checkpoint.pt"))
    dist.barrier()
    return {
        "losses": losses,
        "gradients": first,
        "weights": {name: _numpy(value) for name, value in network.named().items()},
    }


def leave() -> None:
    dist.destroy_process_group()


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().double().numpy().copy()


class _Network(nn.Module):
    """The parity problem's network, with its weights."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.names = tuple(weights)
        for name, value in weights.items():
            parameter = nn.Parameter(torch.tensor(value, dtype=torch.float32))
            self.register_parameter(name.replace(".", "_"), parameter)

    def named(self) -> dict[str, nn.Parameter]:
        """The weights by the reference's names."""
        return {name: self.get_parameter(name.replace(".", "_")) for name in self.names}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        w = self.named()
        x = torch.tanh(F.conv2d(images, w["conv.w"], w["conv.b"]))
        x = F.avg_pool2d(x, 2).flatten(1)
        x = torch.tanh(x @ w["dense1.w"] + w["dense1.b"])
        return x @ w["dense2.w"] + w["dense2.b"]
