"""yolo-gp: compiles Darknet cfg files to torch and runs them.

    import yolo_gp

    detector = yolo_gp.load("yolov4.cfg", "yolov4.weights", names="coco.names")
    for box, confidence, class_id in detector.detect("dog.jpg"):
        ...

Names are resolved on first use, so importing this package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from yolo_gp.detections import Detections
    from yolo_gp.errors import CfgError, DataError, UsageError, WeightsError, YoloGpError
    from yolo_gp.graph import Graph, read_graph
    from yolo_gp.network import compile_network
    from yolo_gp.presets import Preset
    from yolo_gp.tasks.classifier import Classifier
    from yolo_gp.tasks.detector import Detector

__version__ = "0.1.0"

_HOMES = {
    "CfgError": "yolo_gp.errors",
    "Classifier": "yolo_gp.tasks.classifier",
    "DataError": "yolo_gp.errors",
    "Detections": "yolo_gp.detections",
    "Detector": "yolo_gp.tasks.detector",
    "Graph": "yolo_gp.graph",
    "Preset": "yolo_gp.presets",
    "UsageError": "yolo_gp.errors",
    "WeightsError": "yolo_gp.errors",
    "YoloGpError": "yolo_gp.errors",
    "compile_network": "yolo_gp.network",
    "read_graph": "yolo_gp.graph",
}

__all__ = [
    "CfgError",
    "Classifier",
    "DataError",
    "Detections",
    "Detector",
    "Graph",
    "Preset",
    "UsageError",
    "WeightsError",
    "YoloGpError",
    "compile_network",
    "load",
    "read_graph",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'yolo_gp' has no attribute {name!r}")


def load(
    cfg: str | Path | None = None,
    weights: str | Path | None = None,
    *,
    names: str | Path | None = None,
    preset: str | Preset = "darknet",
    device: str = "cpu",
    dtype: str = "float32",
    size: tuple[int, int] | None = None,
) -> Detector:
    """A detector from a cfg and its weights.

    Args:
        cfg: path of a cfg file, or the name of one that comes with yolo-gp or of a pretrained
            model; not needed with weights that hold their cfg.
        weights: path of a Darknet `.weights` file, a safetensors file or a torch state dict of
            ours; by default the pretrained weights that belong to the cfg, fetched if need be.
        names: path of a file with one class name a line; by default those of the weights.
        preset: conventions: "darknet", "opencv", "ultralytics", "coco", or a varied `Preset`.
        device: a torch device, such as "cpu" or "cuda:0".
        dtype: "float32", "float16" or "bfloat16".
        size: (height, width) of the network input in pixels; the cfg's by default.

    Raises:
        CfgError: with every finding of the cfg, each with line, column and help.
        WeightsError: the weights are missing, damaged or made for another network.
        UsageError, DataError: another argument cannot be served.
    """
    from yolo_gp.tasks.detector import Detector, DetectorSettings
    from yolo_gp.tasks.models import ModelSource

    model = ModelSource(cfg=cfg, weights=weights, names=names, size=size)
    return Detector.load(DetectorSettings(model=model, preset=preset, device=device, dtype=dtype))
