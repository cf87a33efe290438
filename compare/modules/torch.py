"""PyTorch and TorchVision; TorchText, where the image has it."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any, Callable, Iterator

import numpy as np
import torch
from torch import nn

from modules import _pictures
from modules._counting import STEPS, Trial, built, first, lowered, public
from modules._pictures import Transforms

# What a constructor is given, by the name of its parameter.
ARGUMENTS: dict[str, Any] = {
    "in_features": 8,
    "out_features": 4,
    "in1_features": 8,
    "in2_features": 8,
    "in_channels": 4,
    "out_channels": 4,
    "kernel_size": 2,
    "num_features": 4,
    "num_channels": 4,
    "num_groups": 2,
    "groups": 2,
    "normalized_shape": 8,
    "embed_dim": 8,
    "num_heads": 2,
    "d_model": 8,
    "nhead": 2,
    "num_layers": 1,
    "input_size": 8,
    "hidden_size": 4,
    "num_embeddings": 10,
    "embedding_dim": 4,
    "padding": 1,
    "output_size": 2,
    "upscale_factor": 2,
    "downscale_factor": 2,
    "scale_factor": 2,
    "norm_type": 2,
    "threshold": 0.1,
    "value": 0.5,
    "dim": 1,
    "unflattened_size": (2, 2),
    "n_classes": 8,
    "cutoffs": [2, 4],
    "encoder_layer": lambda: nn.TransformerEncoderLayer(8, 2),
    "decoder_layer": lambda: nn.TransformerDecoderLayer(8, 2),
}
# What is constructed otherwise.
CONSTRUCTED: dict[str, Callable[[], nn.Module]] = {
    "Sequential": lambda: nn.Sequential(nn.Linear(8, 4), nn.Tanh()),
    "Fold": lambda: nn.Fold((4, 4), 2),
    "FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(2, output_size=3),
    "FractionalMaxPool3d": lambda: nn.FractionalMaxPool3d(2, output_size=3),
    "Upsample": lambda: nn.Upsample(scale_factor=2),
    "UpsamplingNearest2d": lambda: nn.UpsamplingNearest2d(scale_factor=2),
    "UpsamplingBilinear2d": lambda: nn.UpsamplingBilinear2d(scale_factor=2),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(2),
    "RNN": lambda: nn.RNN(8, 4),
    "GRU": lambda: nn.GRU(8, 4),
    "LSTM": lambda: nn.LSTM(8, 4),
    "Transformer": lambda: nn.Transformer(8, 2, 1, 1, 8),
    "DataParallel": lambda: nn.DataParallel(nn.Linear(8, 4)),
    "CrossMapLRN2d": lambda: nn.CrossMapLRN2d(2),
}


def _floats(*shape: int) -> torch.Tensor:
    return torch.linspace(0.05, 0.95, int(np.prod(shape))).reshape(shape)


def _pooled(dimensions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What a pooling gives to its inverse: the maxima and their places."""
    pool = getattr(nn, f"MaxPool{dimensions}d")(2, return_indices=True)
    return pool(_floats(2, 4, *[8] * dimensions))


# A layer ran if it takes one of these.
INPUTS: tuple[Callable[[], tuple[torch.Tensor, ...]], ...] = (
    lambda: (_floats(2, 8),),
    lambda: (_floats(2, 4, 8),),
    lambda: (_floats(2, 4, 8, 8),),
    lambda: (_floats(2, 4, 8, 8, 8),),
    lambda: (_floats(2, 16, 9),),
    lambda: (torch.tensor([[1, 2, 3], [4, 5, 6]]),),
    lambda: (_floats(2, 8), _floats(2, 8)),
    lambda: (_floats(3, 2, 8), _floats(4, 2, 8)),
    lambda: (_floats(3, 2, 8), _floats(3, 2, 8), _floats(3, 2, 8)),
    lambda: (_floats(2, 8), torch.tensor([1, 3])),
    *(functools.partial(_pooled, dimensions) for dimensions in (1, 2, 3)),
)
_CLASSES, _SIGNS = torch.tensor([1, 0, 3]), torch.tensor([1.0, -1.0, 1.0])
# What a loss takes beside the scores, of three rows and four columns.
TARGETS: tuple[tuple[torch.Tensor, ...], ...] = (
    (_floats(3, 4).flip(1),),
    (_CLASSES,),
    (_floats(3, 4).flip(1), _floats(3, 4)),
    (_floats(3, 4).flip(1), _floats(3, 4) ** 2),
    (_floats(3, 4).flip(1), _SIGNS),
    (_SIGNS[:, None].expand(3, 4),),
    (torch.tensor([[1, 2, -1, -1]] * 3),),
)


def layers() -> Iterator[Trial]:
    for name, one in public(nn, nn.Module):
        if not _is_loss(one):
            yield Trial(
                name, functools.partial(_forward, CONSTRUCTED.get(name, functools.partial(built, one, ARGUMENTS)))
            )


def losses() -> Iterator[Trial]:
    for name, one in public(nn, nn.Module):
        if _is_loss(one):
            yield Trial(name, _ctc if one is nn.CTCLoss else functools.partial(_loss, one))


def optimizers() -> Iterator[Trial]:
    for name, one in public(torch.optim, torch.optim.Optimizer):
        yield Trial(name, functools.partial(_optimized, one))


def models() -> Iterator[Trial]:
    """Each that TorchVision has registered: for pictures, detection, segmentation, video and optical flow; and
    TorchText's, where the image has them.
    """
    import torchvision

    for name in torchvision.models.list_models():
        yield Trial(name, functools.partial(_model, name))
    if importlib.util.find_spec("torchtext"):
        import torchtext

        for name, bundle in sorted(vars(torchtext.models).items()):
            if hasattr(bundle, "get_model"):
                yield Trial(f"torchtext.{name}", functools.partial(_text_model, bundle))


def _is_loss(layer: type) -> bool:
    return layer.__module__ == "torch.nn.modules.loss"


def _forward(make: Callable[[], nn.Module]) -> Any:
    def attempt(inputs: Callable[[], tuple[torch.Tensor, ...]]) -> Any:
        with torch.no_grad():
            return make()(*inputs())

    return first(functools.partial(attempt, inputs) for inputs in INPUTS)


def _loss(loss: type) -> Any:
    def attempt(targets: tuple[torch.Tensor, ...]) -> Any:
        scores = _floats(3, 4).requires_grad_()
        value = built(loss, ARGUMENTS)(scores, *targets)
        value.backward()
        return value.detach(), scores.grad

    return first(functools.partial(attempt, targets) for targets in TARGETS)


def _ctc() -> Any:
    scores = _floats(6, 2, 5).requires_grad_()
    loss = nn.CTCLoss()(
        scores.log_softmax(2), torch.tensor([[1, 2], [3, 4]]), torch.tensor([6, 6]), torch.tensor([2, 2])
    )
    loss.backward()
    return loss.detach(), scores.grad


def _optimized(optimizer: type) -> list[float]:
    return first(functools.partial(_steps, optimizer, sparse) for sparse in (False, True))


def _steps(optimizer: type, sparse: bool) -> list[float]:
    """The losses of a line of two columns, or of rows that are looked up: their gradients are sparse."""
    torch.manual_seed(1)
    network = nn.Embedding(8, 2, sparse=True) if sparse else nn.Linear(3, 2, bias=False)
    inputs = torch.arange(8) if sparse else _floats(8, 3)
    targets = _floats(8, 2)
    takes = optimizer(network.parameters())

    def loss() -> torch.Tensor:
        takes.zero_grad()
        found = ((network(inputs) - targets) ** 2).mean()
        found.backward()
        return found

    return lowered([float(takes.step(loss)) for _ in range(STEPS)] + [float(loss())])


ROOM = 3_000_000_000  # bytes of weights, in a container of 4 GB
SIDES = (64, 96, 224)  # of pictures: a model takes the smallest that suits it


def _fitting(make: Callable[[], Any]) -> Any:
    """The model, unless its weights have no room; without memory (on "meta") that is known at once."""
    with torch.device("meta"):
        size = sum(one.numel() * one.element_size() for one in make().parameters())
    if size > ROOM:
        raise MemoryError(f"its weights take {size / 1e9:.1f} GB")
    return make().eval()


def _model(name: str) -> Any:
    """The model's output for one small input, with weights as they are when nobody has trained it."""
    import torchvision

    make = torchvision.models.get_model_builder(name)
    family = make.__module__.split(".")[2]
    given: dict[str, Any] = {"weights": None}
    if family in ("detection", "segmentation"):
        given["weights_backbone"] = None
    # Detectors make small pictures large, unless told not to; untrained ones are sure of nothing.
    if "rcnn" in name:
        given.update(min_size=64, box_score_thresh=-1.0, box_detections_per_img=5)
    elif family == "detection":
        given.update(score_thresh=-1.0, detections_per_img=5, **({} if "ssd" in name else {"min_size": 64}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _fitting(functools.partial(make, **given))

    def attempt(inputs: Any) -> Any:
        with torch.inference_mode():
            return model(*inputs)

    return first(functools.partial(attempt, inputs) for inputs in _taken(family))


def _taken(family: str) -> Iterator[tuple[Any, ...]]:
    """What a family of models may take, the small first."""
    if family == "detection":
        yield ([_floats(3, 64, 64)],)
    elif family == "optical_flow":
        yield (_floats(1, 3, 128, 128), _floats(1, 3, 128, 128).flip(3))
    elif family == "video":
        yield from ((_floats(1, 3, 16, side, side),) for side in (64, 224))
    else:
        yield from ((_floats(1, 3, side, side),) for side in SIDES)


def _text_model(bundle: Any) -> Any:
    """The output for one line of eight tokens; T5 also takes what it has said so far."""
    model = _fitting(functools.partial(bundle.get_model, load_weights=False))
    tokens = torch.arange(2, 10)[None]
    with torch.inference_mode():
        return first([lambda: model(tokens), lambda: model(tokens, tokens)])


def transforms() -> Transforms:
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional

    bilinear = v2.InterpolationMode.BILINEAR
    return Transforms(
        lambda pictures: torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        lambda pictures: pictures.permute(0, 2, 3, 1).numpy(),
        {
            "resize": v2.Resize(_pictures.SMALLER, bilinear, antialias=False),
            "crop": v2.CenterCrop(_pictures.CROPPED),
            "flip": functional.horizontal_flip,
            "normalize": v2.Normalize(_pictures.MEAN, [_pictures.DEVIATION] * 3),
        },
    )
