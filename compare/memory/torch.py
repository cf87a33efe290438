"""The networks whose memory is measured are those whose speed is."""

from speed import torch as speed

resnet, gru, transformer = speed.resnet, speed.gru, speed.transformer
