"""What the files of TensorFlow and Keras share: programs that load a SavedModel by TensorFlow's own libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from languages._program import Program


def program(source: str, folder: Path, python: Any, interface: str) -> Program:
    """A program for the model that lies in the folder, whose signature takes one tensor and gives one."""
    libraries = Path(tf.sysconfig.get_lib())
    found = sorted(libraries.glob("libtensorflow_*.so.*"))
    return Program(
        source=source,
        python=python,
        flags=(*tf.sysconfig.get_compile_flags(), "-Wl,--no-as-needed", *map(str, found), f"-Wl,-rpath,{libraries}"),
        arguments=(str(folder), *_operations(folder)),
        interface=interface,
    )


def _operations(folder: Path) -> tuple[str, str]:
    """The operations that are the input and the output of what is served."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    served = model.meta_graphs[0].signature_def["serving_default"]
    (taken,), (given,) = served.inputs.values(), served.outputs.values()
    return taken.name.partition(":")[0], given.name.partition(":")[0]
