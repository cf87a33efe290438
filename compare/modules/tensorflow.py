"""TensorFlow: what tf.keras holds, which is Keras's, and the functions of tf.image."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from modules import _keras, _pictures
from modules._pictures import Transforms

_BROUGHT = "tf.keras is the package keras, which TensorFlow brings."
NOTES = {
    "layers": _BROUGHT,
    "losses": _BROUGHT,
    "optimizers": _BROUGHT,
    "models": "tf.keras.applications, without the layer that names the classes; others come from other packages.",
}

layers = _keras.layers
losses = _keras.losses
optimizers = _keras.optimizers
models = _keras.models


def transforms() -> Transforms:
    """Functions of tf.image; the one that normalizes takes each picture's own mean, so that a layer stands for it."""
    own: dict[str, Any] = {
        "resize": lambda images: tf.image.resize(images, (_pictures.SMALLER, _pictures.SMALLER)),
        "crop": lambda images: tf.image.central_crop(images, _pictures.CROPPED / _pictures.SIDE),
        "flip": tf.image.flip_left_right,
        "normalize": tf.keras.layers.Normalization(mean=_pictures.MEAN, variance=[_pictures.DEVIATION**2] * 3),
    }
    return Transforms(tf.convert_to_tensor, lambda images: images.numpy(), own)
