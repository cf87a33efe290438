"""Keras, on the backend that is set."""

from __future__ import annotations

from typing import Any

import keras

from modules import _keras, _pictures
from modules._pictures import Transforms

NOTES = {"models": "Built without the layer that names the classes; more models are in the package keras-hub."}

layers = _keras.layers
losses = _keras.losses
optimizers = _keras.optimizers
models = _keras.models


def transforms() -> Transforms:
    """Layers where there are any; the one that flips does it by chance, so that a function stands for it."""
    own: dict[str, Any] = {
        "resize": keras.layers.Resizing(_pictures.SMALLER, _pictures.SMALLER),
        "crop": keras.layers.CenterCrop(_pictures.CROPPED, _pictures.CROPPED),
        "flip": lambda images: keras.ops.flip(images, 2),
        "normalize": keras.layers.Normalization(mean=_pictures.MEAN, variance=[_pictures.DEVIATION**2] * 3),
    }
    return Transforms(keras.ops.convert_to_tensor, keras.ops.convert_to_numpy, own)
