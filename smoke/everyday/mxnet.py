"""MXNet. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from smoke.kit import programs

FORMATS: tuple[str, ...] = (
    "ndarray",
    "numpy-extension",
    "symbol",
    "model-checkpoint",
    "module-checkpoint",
    "gluon-parameters",
    "gluon-export",
    "trainer-states",
    "kvstore-states",
    "recordio",
    "indexed-recordio",
    "onnx",
)
EXTENSIONS: tuple[str, ...] = ("library",)
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], np.float32)
_MOMENTUM = {"learning_rate": 0.05, "momentum": 0.9}
_OPERATOR = """
#include <mxnet/lib_api.h>

using namespace mxnet::ext;

MXReturnValue forward(const std::unordered_map<std::string, std::string>&, std::vector<MXTensor>* inputs,
                      std::vector<MXTensor>* outputs, const OpResource&) {
  const float* x = inputs->at(0).data<float>();
  float* y = outputs->at(0).data<float>();
  for (int64_t i = 0; i < inputs->at(0).size(); i++) y[i] = 2 * x[i] + 1;
  return MX_SUCCESS;
}

MXReturnValue parse_attributes(const std::unordered_map<std::string, std::string>&, int* inputs, int* outputs) {
  *inputs = 1;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const std::unordered_map<std::string, std::string>&, std::vector<int>* inputs,
                         std::vector<int>* outputs) {
  outputs->at(0) = inputs->at(0);
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const std::unordered_map<std::string, std::string>&,
                          std::vector<std::vector<unsigned int>>* inputs,
                          std::vector<std::vector<unsigned int>>* outputs) {
  outputs->at(0) = inputs->at(0);
  return MX_SUCCESS;
}

REGISTER_OP(smoke_line)
    .setForward(forward, "cpu")
    .setParseAttrs(parse_attributes)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

MXReturnValue initialize(int version) { return version >= 10900 ? MX_SUCCESS : MX_FAIL; }
"""


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](folder)


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](folder)


def extend(name: str, folder: str) -> list[float]:
    """An operator, compiled with what the wheel has for that, as its example for custom operators is."""
    package, library = Path(mx.__file__).parent, Path(folder, "libline.so").resolve()
    source = Path(folder, "line.cc")
    source.write_text(_OPERATOR)
    programs.said(
        *(shutil.which("g++") or "g++", "-std=c++11", "-O2", "-shared", "-fPIC", f"-I{package}/include"),
        *(source, package / "src/lib_api.cc", "-o", library),
    )
    mx.library.load(str(library), verbose=False)
    return _floats(nd.smoke_line(nd.array([0, 1, 2, 3])))


def _floats(array: Any) -> list[float]:
    return [float(one) for one in array.asnumpy().ravel()]


def _network() -> gluon.nn.HybridSequential:
    network = gluon.nn.HybridSequential(prefix="line_")
    with network.name_scope():
        network.add(gluon.nn.Dense(5, activation="tanh", in_units=3), gluon.nn.BatchNorm(), gluon.nn.Dense(2))
    return network


def _trainer(network: gluon.Block, **options: Any) -> gluon.Trainer:
    return gluon.Trainer(network.collect_params(), "adam", {"learning_rate": 0.05}, **options)


def _train(network: gluon.Block, trainer: gluon.Trainer, steps: int) -> None:
    loss = gluon.loss.L2Loss()
    for _ in range(steps):
        with autograd.record():
            off = loss(network(nd.array(_INPUTS)), nd.array(_TARGETS))
        off.backward()
        trainer.step(len(_INPUTS))


def _trained() -> gluon.nn.HybridSequential:
    mx.random.seed(1)
    network = _network()
    network.initialize(mx.init.Xavier())
    network.hybridize()
    _train(network, _trainer(network), 3)
    return network


def _outputs(network: Any) -> list[float]:
    return _floats(network(nd.array(_INPUTS)))


def _parameters(network: gluon.Block) -> dict[str, Any]:
    return {name: one.data() for name, one in network.collect_params().items()}


def _numbers(arrays: dict[str, Any]) -> list[float]:
    return [number for name in sorted(arrays) for number in _floats(arrays[name])]


def _write_ndarray(folder: str) -> list[float]:
    """A dictionary of arrays: of floats, of halves and of integers, and a sparse one."""
    arrays = {
        **_parameters(_trained()),
        "half": nd.array([0.1, -0.2], dtype="float16"),
        "whole": nd.array([1, -(2**40)], dtype="int64"),
        "sparse": nd.array([[0, 0.3], [0, 0]]).tostype("csr"),
    }
    nd.save(f"{folder}/arrays.params", arrays)
    return _numbers(arrays)


def _read_ndarray(folder: str) -> list[float]:
    arrays = nd.load(f"{folder}/arrays.params")
    if arrays["sparse"].stype != "csr":
        raise RuntimeError("a sparse array came back as another one")
    return _numbers(arrays)


def _write_numpy_extension(folder: str) -> list[float]:
    """Arrays of ``mx.np``, which saves them where NumPy's semantics are on; all else wants them off."""
    mx.npx.set_np()
    try:
        several = {"weights": mx.np.array(_INPUTS), "outputs": mx.np.tanh(mx.np.array(_TARGETS))}
        arrays = {**several, "one": mx.np.array(0.1)}
        mx.npx.save(f"{folder}/arrays.npy", arrays)
        return _numbers(arrays)
    finally:
        mx.npx.reset_np()


def _read_numpy_extension(folder: str) -> list[float]:
    mx.npx.set_np()
    try:
        return _numbers(mx.npx.load(f"{folder}/arrays.npy"))
    finally:
        mx.npx.reset_np()


def _symbol() -> Any:
    hidden = mx.sym.Activation(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=5, name="hidden"), "tanh")
    return mx.sym.LinearRegressionOutput(mx.sym.FullyConnected(hidden, num_hidden=2, name="output"), name="line")


def _write_symbol(folder: str) -> list[float]:
    symbol = _symbol()
    symbol.save(f"{folder}/line-symbol.json")
    return _evaluated(symbol)


def _read_symbol(folder: str) -> list[float]:
    return _evaluated(mx.sym.load(f"{folder}/line-symbol.json"))


def _evaluated(symbol: Any) -> list[float]:
    """What a graph makes of inputs and weights that are the same each time."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=_INPUTS.shape)
    for number, array in enumerate(executor.arg_arrays):
        array[:] = nd.arange(array.size).reshape(array.shape) / (8 + number)
    return _floats(executor.forward()[0])


def _module() -> Any:
    """A module that was trained for two steps, and its batch."""
    mx.random.seed(1)
    module = mx.mod.Module(_symbol(), label_names=["line_label"], logger=_quiet())
    batches = _batches()
    module.bind(batches.provide_data, batches.provide_label)
    module.init_params(mx.init.Xavier())
    module.init_optimizer(optimizer_params=_MOMENTUM)
    _fit(module, 2)
    return module


def _quiet() -> logging.Logger:
    logger = logging.getLogger("smoke")
    logger.setLevel(logging.ERROR)
    return logger


def _batches() -> Any:
    return mx.io.NDArrayIter(_INPUTS, _TARGETS, batch_size=len(_INPUTS), label_name="line_label")


def _fit(module: Any, steps: int) -> list[float]:
    """The outputs after so many steps of training."""
    batch = next(_batches())
    for _ in range(steps):
        module.forward_backward(batch)
        module.update()
    module.forward(batch, is_train=False)
    return _floats(module.get_outputs()[0])


def _write_module_checkpoint(folder: str) -> list[float]:
    """With the optimizer's states, which a further step shows: SGD's momentum. (Of Adam a module does not save the
    count of its steps.)
    """
    module = _module()
    module.save_checkpoint(f"{folder}/module", 2, save_optimizer_states=True)
    return _fit(module, 1)


def _read_module_checkpoint(folder: str) -> list[float]:
    batches = _batches()
    module = mx.mod.Module.load(f"{folder}/module", 2, load_optimizer_states=True, label_names=["line_label"])
    module.bind(batches.provide_data, batches.provide_label)
    module.init_optimizer(optimizer_params=_MOMENTUM)
    return _fit(module, 1)


def _write_model_checkpoint(folder: str) -> list[float]:
    module = _module()
    mx.model.save_checkpoint(f"{folder}/model", 2, module.symbol, *module.get_params())
    return _fit(module, 0)


def _read_model_checkpoint(folder: str) -> list[float]:
    symbol, arguments, auxiliary = mx.model.load_checkpoint(f"{folder}/model", 2)
    module = mx.mod.Module(symbol, label_names=["line_label"])
    batches = _batches()
    module.bind(batches.provide_data, batches.provide_label, for_training=False)
    module.set_params(arguments, auxiliary)
    return _fit(module, 0)


def _write_gluon_parameters(folder: str) -> list[float]:
    network = _trained()
    network.save_parameters(f"{folder}/network.params")
    return _outputs(network)


def _read_gluon_parameters(folder: str) -> list[float]:
    network = _network()
    network.load_parameters(f"{folder}/network.params")
    network.hybridize()
    return _outputs(network)


def _write_gluon_export(folder: str) -> list[float]:
    network = _trained()
    network.export(f"{folder}/network", epoch=3)
    return _outputs(network)


def _read_gluon_export(folder: str) -> list[float]:
    return _outputs(
        gluon.SymbolBlock.imports(f"{folder}/network-symbol.json", ["data"], f"{folder}/network-0003.params")
    )


def _write_trainer_states(folder: str, **options: Any) -> list[float]:
    """Adam's moments and counts: a further step shows them."""
    network = _trained()
    trainer = _trainer(network, **options)
    _train(network, trainer, 2)
    network.save_parameters(f"{folder}/network.params")
    trainer.save_states(f"{folder}/trainer.states")
    _train(network, trainer, 1)
    return _outputs(network)


def _read_trainer_states(folder: str, **options: Any) -> list[float]:
    network = _network()
    network.load_parameters(f"{folder}/network.params")
    network.hybridize()
    trainer = _trainer(network, **options)
    trainer.load_states(f"{folder}/trainer.states")
    _train(network, trainer, 1)
    return _outputs(network)


def _write_kvstore_states(folder: str) -> list[float]:
    """A key-value store, which holds the optimizer itself."""
    store, value = _store(nd.array(_INPUTS))
    store.save_optimizer_states(f"{folder}/store.states", dump_optimizer=True)
    nd.save(f"{folder}/value.params", [value])
    return _pushed(store)


def _read_kvstore_states(folder: str) -> list[float]:
    (value,) = nd.load(f"{folder}/value.params")
    store = mx.kv.create("local")
    store.init(0, value)
    store.set_optimizer(mx.optimizer.Adam(learning_rate=0.05))
    store.load_optimizer_states(f"{folder}/store.states")
    return _pushed(store)


def _store(value: Any) -> tuple[Any, Any]:
    store = mx.kv.create("local")
    store.init(0, value)
    store.set_optimizer(mx.optimizer.Adam(learning_rate=0.05))
    _pushed(store)
    held = nd.zeros_like(value)
    store.pull(0, out=held)
    return store, held


def _pushed(store: Any) -> list[float]:
    """What the store holds after a further gradient."""
    store.push(0, nd.array(np.cos(_INPUTS)))
    held = nd.zeros(_INPUTS.shape)
    store.pull(0, out=held)
    return _floats(held)


def _write_recordio(folder: str) -> list[float]:
    """Records one after the other: each a header with labels, and bytes."""
    with contextlib.closing(mx.recordio.MXRecordIO(f"{folder}/records.rec", "w")) as file:
        for number, row in enumerate(_INPUTS):
            file.write(mx.recordio.pack(mx.recordio.IRHeader(0, _TARGETS[number], number, 0), row.tobytes()))
    return _packed(np.arange(4), _TARGETS, _INPUTS)


def _read_recordio(folder: str) -> list[float]:
    with contextlib.closing(mx.recordio.MXRecordIO(f"{folder}/records.rec", "r")) as file:
        return _unpacked([file.read() for _ in _INPUTS])


def _write_indexed_recordio(folder: str) -> list[float]:
    names = f"{folder}/records.idx", f"{folder}/records.rec"
    with contextlib.closing(mx.recordio.MXIndexedRecordIO(*names, "w")) as file:
        for number, row in enumerate(_INPUTS):
            header = mx.recordio.IRHeader(0, _TARGETS[number], number, 0)
            file.write_idx(number, mx.recordio.pack(header, row.tobytes()))
    order = [2, 0, 3, 1]
    return _packed(np.array(order), _TARGETS[order], _INPUTS[order])


def _read_indexed_recordio(folder: str) -> list[float]:
    names = f"{folder}/records.idx", f"{folder}/records.rec"
    with contextlib.closing(mx.recordio.MXIndexedRecordIO(*names, "r")) as file:
        return _unpacked([file.read_idx(number) for number in (2, 0, 3, 1)])


def _packed(*columns: np.ndarray) -> list[float]:
    return [float(one) for column in columns for one in column.ravel()]


def _unpacked(records: list[bytes]) -> list[float]:
    headers, contents = zip(*(mx.recordio.unpack(record) for record in records))
    numbers, labels = np.array([one.id for one in headers]), np.array([one.label for one in headers])
    return _packed(numbers, labels, np.array([np.frombuffer(one, np.float32) for one in contents]))


def _write_onnx(folder: str) -> list[float]:
    """Small integers, so that the sums are exact in whatever order another program makes them."""
    from mxnet import onnx

    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Dense(5, activation="relu", in_units=3), gluon.nn.Dense(2, in_units=5))
    network.initialize()
    for number, parameter in enumerate(network.collect_params().values()):
        whole = np.arange(np.prod(parameter.shape)).reshape(parameter.shape) % 5 - 1 - number % 2
        parameter.set_data(nd.array(whole))
    network.hybridize()
    found = _floats(network(nd.array(_INPUTS * 8)))
    network.export(f"{folder}/network")
    names = (f"{folder}/network-symbol.json", f"{folder}/network-0000.params")
    onnx.export_model(*names, [_INPUTS.shape], np.float32, f"{folder}/network.onnx")
    return found


def _read_onnx(folder: str) -> list[float]:
    """MXNet 1.9 reads no ONNX; onnx's own evaluator does."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(f"{folder}/network.onnx")
    onnx.checker.check_model(model)
    (found,) = ReferenceEvaluator(model).run(None, {"data": _INPUTS * 8})
    return [float(one) for one in found.ravel()]


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
