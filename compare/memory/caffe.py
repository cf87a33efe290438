"""The networks whose memory is measured are those whose speed is."""

from speed.caffe import CANNOT, gru, resnet, transformer  # noqa: F401 -- they are asked for by name
