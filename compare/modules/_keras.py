"""What the files of TensorFlow and Keras share: both count what Keras 3 holds, on the backend that is set."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Iterator

import keras
import numpy as np

from modules._counting import STEPS, Trial, built, first, lowered, public

ARGUMENTS: dict[str, Any] = {
    "units": 4,
    "filters": 4,
    "kernel_size": 2,
    "pool_size": 2,
    "input_dim": 10,
    "output_dim": 4,
    "rate": 0.5,
    "stddev": 0.1,
    "factor": 0.1,
    "scale": 0.5,
    "value_range": (0, 1),
    "num_heads": 2,
    "num_key_value_heads": 1,
    "num_query_heads": 2,
    "head_dim": 4,
    "key_dim": 4,
    "n": 2,
    "target_shape": (-1,),
    "dims": (2, 1),
    "height": 4,
    "width": 4,
    "target_height": 4,
    "target_width": 4,
    "max_tokens": 10,
    "num_tokens": 10,
    "num_bins": 4,
    "bin_boundaries": [0.25, 0.5],
    "function": lambda: abs,
    "activation": "tanh",
    "cell": lambda: keras.layers.GRUCell(4),
    "cells": lambda: [keras.layers.GRUCell(4), keras.layers.GRUCell(4)],
}
