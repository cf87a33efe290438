"""Caffe. A net and its solver are text, which pycaffe writes and reads."""

from __future__ import annotations

import tempfile
from typing import Any


def imported() -> None:
    """What a first program imports."""
    import caffe  # noqa: F401


def first_step(rows: Any, targets: Any, rate: float) -> Any:
    """The weights after one step of SGD. EuclideanLoss is half of the mean squared error."""
    import caffe
    from caffe import layers as L
    from caffe.proto import caffe_pb2

    spec = caffe.NetSpec()
    spec.data, spec.target = L.Input(shape={"dim": rows.shape}), L.Input(shape={"dim": targets.shape})
    spec.scores = L.InnerProduct(spec.data, num_output=1, bias_term=False)
    spec.loss = L.EuclideanLoss(spec.scores, spec.target, loss_weight=2)
    solver = caffe_pb2.SolverParameter(base_lr=rate, lr_policy="fixed", train_net_param=spec.to_proto())
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(solver))
        file.flush()
        trains = caffe.SGDSolver(file.name)
    trains.net.blobs["data"].data[...], trains.net.blobs["target"].data[...] = rows, targets
    trains.step(1)
    return trains.net.params["scores"][0].data
