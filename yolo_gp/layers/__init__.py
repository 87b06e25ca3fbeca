"""Every layer kind by the name of its section. Adding a kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.avgpool import AvgPool
from yolo_gp.layers.base import Layer
from yolo_gp.layers.connected import Connected
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.cost import CostSection
from yolo_gp.layers.dropout import Dropout
from yolo_gp.layers.local_avgpool import LocalAvgPool
from yolo_gp.layers.maxpool import MaxPool
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.reorg import Reorg
from yolo_gp.layers.route import Route
from yolo_gp.layers.sam import Sam
from yolo_gp.layers.scale_channels import ScaleChannels
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.layers.softmax import Softmax
from yolo_gp.layers.upsample import Upsample
from yolo_gp.layers.yolo import Yolo

LAYERS: Mapping[str, type[Layer]] = {
    "anchor_free": AnchorFree,
    "avg": AvgPool,
    "avgpool": AvgPool,
    "conn": Connected,
    "connected": Connected,
    "conv": Convolutional,
    "convolutional": Convolutional,
    "cost": CostSection,
    "dropout": Dropout,
    "local_avg": LocalAvgPool,
    "local_avgpool": LocalAvgPool,
    "max": MaxPool,
    "maxpool": MaxPool,
    "partial_shortcut": PartialShortcut,
    "reorg": Reorg,
    "route": Route,
    "sam": Sam,
    "scale_channels": ScaleChannels,
    "shortcut": Shortcut,
    "soft": Softmax,
    "softmax": Softmax,
    "upsample": Upsample,
    "yolo": Yolo,
}

UNSUPPORTED = frozenset(
    "activation batchnorm blank contrastive conv_lstm crnn crop deconv deconvolutional detection "
    "empty Gaussian_yolo gru history implicit iseg l2norm local logistic lrn lstm normalization "
    "region reorg3d rnn silence".split()
)
"""Section kinds that some Darknet reads and this version does not."""
