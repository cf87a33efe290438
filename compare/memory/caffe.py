"""The networks whose memory is measured are those whose speed is."""

from speed import caffe as speed

NO_PRODUCT = "Caffe has no layer that multiplies two blobs as matrices, which attention does"
CANNOT = {"transformer/1": NO_PRODUCT, "transformer/32": NO_PRODUCT, "transformer/256": NO_PRODUCT}
resnet, gru = speed.resnet, speed.gru
