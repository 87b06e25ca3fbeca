"""Every layer kind by the name of its section. Adding a kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.layers.activation import ActivationSection
from yolo_gp.layers.anchor_free import AnchorFree
from yolo_gp.layers.avgpool import AvgPool
from yolo_gp.layers.base import Layer
from yolo_gp.layers.batch_norm_2d import BatchNorm2d
from yolo_gp.layers.batchnorm import BatchNormSection
from yolo_gp.layers.blank import Blank
from yolo_gp.layers.connected import Connected
from yolo_gp.layers.contrastive import Contrastive
from yolo_gp.layers.conv_lstm import ConvLstm
from yolo_gp.layers.convolutional import Convolutional
from yolo_gp.layers.cost import CostSection
from yolo_gp.layers.crnn import Crnn
from yolo_gp.layers.crop import Crop
from yolo_gp.layers.deconvolutional import Deconvolutional
from yolo_gp.layers.detached_routes import Route2, Route3
from yolo_gp.layers.detection import Detection
from yolo_gp.layers.dropout import Dropout
from yolo_gp.layers.empty import Empty
from yolo_gp.layers.gaussian_yolo import GaussianYolo
from yolo_gp.layers.gru import Gru
from yolo_gp.layers.history import History
from yolo_gp.layers.implicit import Implicit
from yolo_gp.layers.iseg import Iseg
from yolo_gp.layers.l2norm import L2Norm
from yolo_gp.layers.learned_channels import (
    AlternateChannels,
    AlternateChannels2d,
    ControlChannels,
    ControlChannels2d,
    SelectChannels,
    SelectChannels2d,
    ShiftChannels,
    ShiftChannels2d,
)
from yolo_gp.layers.learned_maps import (
    ImplicitAdd,
    ImplicitAdd2d,
    ImplicitCat,
    ImplicitCat2d,
    ImplicitMul,
    ImplicitMul2d,
)
from yolo_gp.layers.local import Local
from yolo_gp.layers.local_avgpool import LocalAvgPool
from yolo_gp.layers.logistic import Logistic
from yolo_gp.layers.lstm import Lstm
from yolo_gp.layers.maxpool import MaxPool
from yolo_gp.layers.normalization import Normalization
from yolo_gp.layers.partial_shortcut import PartialShortcut
from yolo_gp.layers.region import Region
from yolo_gp.layers.reorg import Reorg
from yolo_gp.layers.reorg3d import Reorg3d
from yolo_gp.layers.rnn import Rnn
from yolo_gp.layers.route import Route
from yolo_gp.layers.route_lhalf import RouteLhalf
from yolo_gp.layers.sam import Sam
from yolo_gp.layers.scale_channels import ScaleChannels
from yolo_gp.layers.shortcut import Shortcut
from yolo_gp.layers.softmax import Softmax
from yolo_gp.layers.upsample import Upsample
from yolo_gp.layers.yolo import Yolo

LAYERS: Mapping[str, type[Layer]] = {
    "BatchNorm2d": BatchNorm2d,
    "Gaussian_yolo": GaussianYolo,
    "activation": ActivationSection,
    "alternate_channels": AlternateChannels,
    "alternate_channels_2d": AlternateChannels2d,
    "anchor_free": AnchorFree,
    "avg": AvgPool,
    "avgpool": AvgPool,
    "batchnorm": BatchNormSection,
    "blank": Blank,
    "conn": Connected,
    "connected": Connected,
    "contrastive": Contrastive,
    "control_channels": ControlChannels,
    "control_channels_2d": ControlChannels2d,
    "conv": Convolutional,
    "conv_lstm": ConvLstm,
    "convolutional": Convolutional,
    "cost": CostSection,
    "crnn": Crnn,
    "crop": Crop,
    "deconv": Deconvolutional,
    "deconvolutional": Deconvolutional,
    "detection": Detection,
    "dropout": Dropout,
    "empty": Empty,
    "gru": Gru,
    "history": History,
    "implicit": Implicit,
    "implicit_add": ImplicitAdd,
    "implicit_add_2d": ImplicitAdd2d,
    "implicit_cat": ImplicitCat,
    "implicit_cat_2d": ImplicitCat2d,
    "implicit_mul": ImplicitMul,
    "implicit_mul_2d": ImplicitMul2d,
    "iseg": Iseg,
    "l2norm": L2Norm,
    "local": Local,
    "local_avg": LocalAvgPool,
    "local_avgpool": LocalAvgPool,
    "logistic": Logistic,
    "lrn": Normalization,
    "lstm": Lstm,
    "max": MaxPool,
    "maxpool": MaxPool,
    "normalization": Normalization,
    "partial_shortcut": PartialShortcut,
    "region": Region,
    "reorg": Reorg,
    "reorg3d": Reorg3d,
    "rnn": Rnn,
    "route": Route,
    "route2": Route2,
    "route3": Route3,
    "route_lhalf": RouteLhalf,
    "sam": Sam,
    "scale_channels": ScaleChannels,
    "select_channels": SelectChannels,
    "select_channels_2d": SelectChannels2d,
    "shift_channels": ShiftChannels,
    "shift_channels_2d": ShiftChannels2d,
    "shortcut": Shortcut,
    "silence": Empty,
    "soft": Softmax,
    "softmax": Softmax,
    "upsample": Upsample,
    "yolo": Yolo,
}

UNSUPPORTED: frozenset[str] = frozenset()
"""Section kinds that some Darknet reads and this version does not."""

YOLOR_UNSUPPORTED = frozenset("deformableconvolutional dwt jde".split())
"""Section kinds that YOLOR's code reads and this version does not."""

YOLOR_KINDS = YOLOR_UNSUPPORTED | {name for name, kind in LAYERS.items() if kind.reader == "YOLOR"}
"""Section kinds that YOLOR's code alone reads: a file with one of them is of its dialect."""
