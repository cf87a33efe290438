"""What a certifying process has set in its framework and in its environment, against what a user's process has.

On the CPU, where no device needs to be chosen, nothing may differ but what the framework's file says that it sets in
every process: what is certified is then what people run. The runner's own variables are compared in the unit tests.
"""

from __future__ import annotations

import json
import re

import pytest

from smoke.plan import declared
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine

# By the framework's name: everything that it can be switched by, as far as it tells.
SETTINGS = {
    "torch": """
import torch, torch._inductor.config, torch._dynamo.config
told = {
    "deterministic": torch.are_deterministic_algorithms_enabled(), "benchmark": torch.backends.cudnn.benchmark,
    "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
    "threads": [torch.get_num_threads(), torch.get_num_interop_threads()], "dtype": str(torch.get_default_dtype()),
    "mkldnn": torch.backends.mkldnn.is_available(), "grad": torch.is_grad_enabled(),
    "inductor": torch._inductor.config.shallow_copy_dict() if hasattr(torch._inductor.config, "shallow_copy_dict")
    else torch._inductor.config.to_dict(),
}
""",
    "jax": "import jax; told = dict(jax.config.values)",
    "tensorflow": """
import tensorflow as tf
told = {
    "visible": [one.name for one in tf.config.get_visible_devices()],
    "tf32": tf.config.experimental.tensor_float_32_execution_enabled(), "jit": tf.config.optimizer.get_jit(),
    "threads": [tf.config.threading.get_inter_op_parallelism_threads(),
                tf.config.threading.get_intra_op_parallelism_threads()],
    "optimizer": tf.config.optimizer.get_experimental_options(), "floatx": tf.keras.backend.floatx(),
    "eager": tf.config.functions_run_eagerly(),
}
""",
    "mxnet": "import mxnet; told = {'context': mxnet.context.current_context(), 'numpy': mxnet.util.is_np_array()}",
    "theano": """
import re, theano
from theano.configparser import _config_var_list
told = {one.fullname: re.sub(" at 0x[0-9a-f]+", "", str(one.__get__(True, None))) for one in _config_var_list}
""",
    "caffe": "import caffe; told = {'solvers': caffe.solver_count(), 'rank': caffe.solver_rank()}",
}
SETTINGS["keras"] = (
    """
import keras
told = {"floatx": keras.config.floatx(), "policy": keras.config.dtype_policy().name, "seed": None,
        "device": keras.src.backend.common.global_state.get_global_attribute("torch_device", None)}
of = {"tensorflow": TENSORFLOW, "jax": JAX, "torch": TORCH}[keras.config.backend()]
here = {}
exec(of, here)
told.update(here["told"])
""".replace("TENSORFLOW", repr(SETTINGS["tensorflow"]))
    .replace("JAX", repr(SETTINGS["jax"]))
    .replace("TORCH", repr(SETTINGS["torch"]))
)
TELL = """
import json, os
print("told:" + json.dumps([told, dict(os.environ)], default=repr, sort_keys=True))
"""
# What smoke.runner.child does before its first check.
CERTIFYING = """
import sys, pathlib
sys.path.insert(0, "/opt/assay")
from smoke import plan
from smoke.checks.context import Context
Context(plan.read(plan.BAKED), pathlib.Path("/tmp"), deterministic=DETERMINISTIC).framework
"""


DIFFER = """
import json
one, other = (json.loads(next(line[5:] for line in open(name) if line.startswith("told:"))) for name in "ab")
pairs = [(name, one[part].get(name), other[part].get(name)) for part in (0, 1) for name in {*one[part], *other[part]}]
print(json.dumps({name: [str(here)[:200], str(there)[:200]] for name, here, there in pairs if here != there}))
"""


def backends(subject: Subject) -> list[dict[str, str]]:
    made = subject.image.framework
    assert made is not None
    return [{made.name.upper() + "_BACKEND": one} for one in made.backends] or [{}]


def differing(subject: Subject, deterministic: bool, variables: dict[str, str]) -> dict[str, list[str]]:
    """The settings and variables in which a certifying process differs from a user's: theirs, and its."""
    assert subject.image.framework is not None
    user = SETTINGS[subject.image.framework.name] + TELL
    certifying = CERTIFYING.replace("DETERMINISTIC", str(deterministic)) + user
    script = 'cd /tmp && python -c "$0" > a && python -c "$1" > b && exec python -c "$2"'
    ran = subject.run("sh", "-c", script, user, certifying, DIFFER, environment=variables)
    assert ran.exit_code == 0, ran.output
    found: dict[str, list[str]] = json.loads(next(one for one in reversed(ran.output.splitlines()) if one[:1] == "{"))
    return found


def test_on_the_cpu_a_certifying_process_has_nothing_set_that_a_user_s_has_not(subject: Subject) -> None:
    assert subject.image.framework is not None
    said = {one.partition("=")[0] for one in declared(subject.image.framework.name, "SWITCHES").get("process", ())}
    for variables in backends(subject):
        assert differing(subject, False, variables).keys() == said, variables


def test_the_switches_for_determinism_are_those_that_are_said(subject: Subject) -> None:
    """So that the test above is known to see a switch where there is one."""
    assert subject.image.framework is not None
    name = subject.image.framework.name
    said = declared(name, "SWITCHES")
    for variables in backends(subject):
        backend = "".join(variables.values())
        expected = (*said.get("deterministic", ()), *said.get(f"deterministic.{backend}", ()))
        changed = differing(subject, True, variables)
        # Keras sets TensorFlow's seed on every backend, and TensorFlow leaves a few variables when it is imported.
        left = re.compile("TF2_|TPU_|ENABLE_RUNTIME_UPTIME_TELEMETRY")
        own = {key: value for key, (_, value) in changed.items() if key.isupper() and not left.match(key)}
        assert {f"{key}={value}" for key, value in own.items()} <= set(expected), variables
        tells = "tensorflow" not in (name, backend)  # it tells nobody whether it is deterministic
        if expected and tells:
            assert changed, variables
