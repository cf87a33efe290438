"""Caffe. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import caffe
import h5py
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from smoke import data
from smoke.kit import programs

FORMATS: tuple[str, ...] = (
    "prototxt",
    "caffemodel",
    "caffemodel-h5",
    "solverstate",
    "solverstate-h5",
    "binaryproto",
    "hdf5-data",
    "hdf5-output",
    "leveldb",
    "upgraded",
)
EXTENSIONS: tuple[str, ...] = ("python-layer",)
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], np.float32)
_LAYER = """
import os

import caffe
import h5py
import numpy as np


class Line(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data + 1
        with h5py.File(os.path.join(self.param_str, "line.h5"), "w") as file:
            file["line"] = np.array(top[0].data)

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = 2 * top[0].diff
"""
# A net as it was written before layers had types by name.
_OLD_NET = """
name: "old" input: "data" input_dim: 4 input_dim: 3 input_dim: 1 input_dim: 1
layers { name: "hidden" type: INNER_PRODUCT bottom: "data" top: "hidden" blobs_lr: 1 blobs_lr: 2
         inner_product_param { num_output: 5 } }
layers { name: "scores" type: TANH bottom: "hidden" top: "scores" }
"""


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    """A layer in Python, and in it another library with HDF5, in a net that ``caffe train`` trains."""
    place = Path(folder).resolve()
    (place / "smoke_line.py").write_text(_LAYER)
    spec = caffe.NetSpec()
    spec.data, spec.target = L.HDF5Data(source=str(place / "listed.txt"), batch_size=4, ntop=2)
    spec.scale = L.Scale(spec.data, filler={"type": "constant", "value": 1})
    spec.line = L.Python(spec.scale, module="smoke_line", layer="Line", param_str=str(place))
    spec.loss = L.EuclideanLoss(spec.line, spec.target)
    _write_hdf5(place, np.arange(4, dtype=np.float32)[:, None], np.zeros((4, 1), np.float32))
    # The weights stay as they are, so that the last step's numbers are known.
    solver = caffe_pb2.SolverParameter(base_lr=0, lr_policy="fixed", max_iter=2, snapshot_after_train=False)
    solver.solver_mode = caffe_pb2.SolverParameter.CPU
    solver.train_net_param.CopyFrom(spec.to_proto())
    (place / "solver.prototxt").write_text(str(solver))
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs.said("env", f"PYTHONPATH={path}", "caffe", "train", "-solver", place / "solver.prototxt")
    with h5py.File(place / "line.h5", "r") as file:
        return _floats(file["line"])


def _floats(*arrays: Any) -> list[float]:
    return [float(one) for array in arrays for one in np.asarray(array).ravel()]


def _spec() -> Any:
    spec = caffe.NetSpec()
    spec.data, spec.target = L.Input(shape={"dim": [4, 3]}), L.Input(shape={"dim": [4, 2]})
    gaussian = {"type": "gaussian", "std": 0.5}
    spec.hidden = L.InnerProduct(spec.data, num_output=5, weight_filler=gaussian)
    spec.scores = L.InnerProduct(L.TanH(spec.hidden), num_output=2, weight_filler=gaussian)
    spec.loss = L.EuclideanLoss(spec.scores, spec.target)
    return spec


def _solver(folder: Path, kind: str = "BINARYPROTO") -> Any:
    """A solver whose description is a file in the folder."""
    file = folder / "solver.prototxt"
    if not file.exists():
        (folder / "net.prototxt").write_text(str(_spec().to_proto()))
        parameters = caffe_pb2.SolverParameter(
            train_net=str(folder / "net.prototxt"),
            type="Adam",
            base_lr=0.05,
            momentum=0.9,
            lr_policy="fixed",
            random_seed=1,
            snapshot_prefix=str(folder / "snapshot"),
            snapshot_format=caffe_pb2.SolverParameter.SnapshotFormat.Value(kind),
        )
        file.write_text(str(parameters))
    return caffe.get_solver(str(file))


def _step(solver: Any, steps: int) -> list[float]:
    """The scores after so many steps of training."""
    solver.net.blobs["data"].data[...] = _INPUTS
    solver.net.blobs["target"].data[...] = _TARGETS
    solver.step(steps)
    return _scores(solver.net)


def _scores(net: Any) -> list[float]:
    net.blobs["data"].data[...] = _INPUTS.reshape(net.blobs["data"].data.shape)
    net.forward(end="scores")
    return _floats(net.blobs["scores"].data)


def _write_prototxt(folder: Path) -> list[float]:
    """The net's description alone: its weights are set to what they are in each process."""
    (folder / "net.prototxt").write_text(str(_spec().to_proto()))
    return _read_prototxt(folder)


def _read_prototxt(folder: Path) -> list[float]:
    described = text_format.Parse((folder / "net.prototxt").read_text(), caffe_pb2.NetParameter())
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    return [*_with_weights(net), float(len(described.layer))]


def _with_weights(net: Any) -> list[float]:
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = np.arange(blob.data.size).reshape(blob.data.shape) / 16
    return _scores(net)


def _write_caffemodel(folder: Path) -> list[float]:
    solver = _solver(folder)
    found = _step(solver, 3)
    solver.net.save(str(folder / "net.caffemodel"))
    return found


def _read_caffemodel(folder: Path) -> list[float]:
    """As a net for tests, whose weights are also read by their message alone."""
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST, weights=str(folder / "net.caffemodel"))
    message = caffe_pb2.NetParameter.FromString((folder / "net.caffemodel").read_bytes())
    for layer in message.layer:
        for blob, loaded in zip(layer.blobs, net.params.get(layer.name, ())):
            if not np.array_equal(caffe.io.blobproto_to_array(blob), loaded.data):
                raise ValueError(f"the weights of {layer.name} are others in the net than in its file")
    return _scores(net)


def _write_caffemodel_h5(folder: Path) -> list[float]:
    solver = _solver(folder)
    found = _step(solver, 3)
    solver.net.save_hdf5(str(folder / "net.caffemodel.h5"))
    return found


def _read_caffemodel_h5(folder: Path) -> list[float]:
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    net.load_hdf5(str(folder / "net.caffemodel.h5"))
    return _scores(net)


def _write_solverstate(folder: Path, kind: str = "BINARYPROTO") -> list[float]:
    """Weights, Adam's moments and the count of steps: a further step shows them."""
    solver = _solver(folder, kind)
    _step(solver, 3)
    solver.snapshot()
    return [*_step(solver, 1), float(solver.iter)]


def _read_solverstate(folder: Path, state: str = "snapshot_iter_3.solverstate") -> list[float]:
    solver = _solver(folder)
    solver.restore(str(folder / state))
    return [*_step(solver, 1), float(solver.iter)]


def _write_solverstate_h5(folder: Path) -> list[float]:
    return _write_solverstate(folder, "HDF5")


def _read_solverstate_h5(folder: Path) -> list[float]:
    return _read_solverstate(folder, "snapshot_iter_3.solverstate.h5")


def _write_binaryproto(folder: Path) -> list[float]:
    """A blob by itself, as a mean picture is kept."""
    mean = _INPUTS.reshape(1, 1, 4, 3)
    (folder / "mean.binaryproto").write_bytes(caffe.io.array_to_blobproto(mean).SerializeToString())
    return _floats(mean)


def _read_binaryproto(folder: Path) -> list[float]:
    blob = caffe_pb2.BlobProto.FromString((folder / "mean.binaryproto").read_bytes())
    return _floats(caffe.io.blobproto_to_array(blob))


def _write_hdf5(folder: Path, inputs: np.ndarray, targets: np.ndarray) -> None:
    """What an HDF5Data layer reads: data sets by the names of its blobs, and a list of such files."""
    with h5py.File(folder / "data.h5", "w") as file:
        file["data"], file["target"] = inputs, targets
    (folder / "listed.txt").write_text(f"{folder / 'data.h5'}\n")


def _write_hdf5_data(folder: Path) -> list[float]:
    _write_hdf5(folder, _INPUTS, _TARGETS)
    return _floats(_INPUTS, _TARGETS)


def _read_hdf5_data(folder: Path) -> list[float]:
    spec = caffe.NetSpec()
    spec.data, spec.target = L.HDF5Data(source=str(folder / "listed.txt"), batch_size=4, ntop=2)
    return _forward(folder, spec, "data", "target")


def _forward(folder: Path, spec: Any, *blobs: str) -> list[float]:
    (folder / "reader.prototxt").write_text(str(spec.to_proto()))
    net = caffe.Net(str(folder / "reader.prototxt"), caffe.TEST)
    net.forward()
    return _floats(*(net.blobs[name].data for name in blobs))


def _write_hdf5_output(folder: Path) -> list[float]:
    """What a layer of the net writes as it runs; Caffe names its two data sets."""
    _write_hdf5(folder, _INPUTS, _TARGETS)
    spec = caffe.NetSpec()
    spec.data, spec.target = L.HDF5Data(source=str(folder / "listed.txt"), batch_size=4, ntop=2)
    spec.scores = L.TanH(spec.data)
    spec.output = L.HDF5Output(spec.scores, spec.target, ntop=0, file_name=str(folder / "output.h5"))
    return _forward(folder, spec, "scores", "target")


def _read_hdf5_output(folder: Path) -> list[float]:
    with h5py.File(folder / "output.h5", "r") as file:
        return _floats(file["data"], file["label"])


def _write_leveldb(folder: Path) -> list[float]:
    """Pictures, converted to a database by Caffe's own command."""
    images = np.arange(4 * 64).reshape(4, 1, 8, 8) % 17 / 16
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, image in enumerate(images):
        (pictures / f"{number}.pgm").write_bytes(data.picture(image))
    (folder / "pictures.txt").write_text("".join(f"{number}.pgm {number}\n" for number in range(4)))
    database = folder / "database"
    programs.said("convert_imageset", "-gray", "-backend=leveldb", f"{pictures}/", folder / "pictures.txt", database)
    pixels = [np.frombuffer((pictures / f"{number}.pgm").read_bytes()[-64:], np.uint8) for number in range(4)]
    return _floats(*pixels, np.arange(4))


def _read_leveldb(folder: Path) -> list[float]:
    spec = caffe.NetSpec()
    spec.data, spec.label = L.Data(source=str(folder / "database"), backend=P.Data.LEVELDB, batch_size=4, ntop=2)
    return _forward(folder, spec, "data", "label")


def _write_upgraded(folder: Path) -> list[float]:
    """A net of the first versions, upgraded by Caffe's command; Caffe also reads it as it is."""
    (folder / "old.prototxt").write_text(_OLD_NET)
    programs.said("upgrade_net_proto_text", folder / "old.prototxt", folder / "net.prototxt")
    return _with_weights(caffe.Net(str(folder / "old.prototxt"), caffe.TEST))


def _read_upgraded(folder: Path) -> list[float]:
    net = text_format.Parse((folder / "net.prototxt").read_text(), caffe_pb2.NetParameter())
    if net.layers or not net.layer:
        raise ValueError("the upgraded net still has its layers by their numbers")
    return _with_weights(caffe.Net(str(folder / "net.prototxt"), caffe.TEST))


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
