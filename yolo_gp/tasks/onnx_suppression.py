"""Non-maximum suppression put behind the boxes of an ONNX graph, in ONNX's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yolo_gp.tasks.onnx_outputs import BOXES, COEFFICIENTS, PROTOTYPES, SCORES
from yolo_gp.tasks.onnx_packages import onnx_package

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

DETECTIONS = "detections"
DETECTION_COEFFICIENTS = "detection_coefficients"

# Operator, what it reads, what it gives. N images, C classes, K places, D detections.
_STEPS: tuple[tuple[str, tuple[str, ...], str, dict[str, list[int] | int]], ...] = (
    ("Transpose", (SCORES,), "nms_scores", {"perm": [0, 2, 1]}),  # (N, C, K)
    (
        "NonMaxSuppression",
        (BOXES, "nms_scores", "nms_limit", "nms_iou", "nms_confidence"),
        "nms_found",  # (D, 3): image, class, place
        {},
    ),
    ("Gather", ("nms_found", "nms_image_class"), "nms_ids", {"axis": 1}),
    ("Gather", ("nms_found", "nms_image_place"), "nms_places", {"axis": 1}),
    ("CastLike", ("nms_ids", BOXES), "nms_id_columns", {}),
    ("GatherND", ("nms_scores", "nms_found"), "nms_confidences", {}),
    ("Unsqueeze", ("nms_confidences", "nms_column"), "nms_confidence_column", {}),
    ("GatherND", (BOXES, "nms_places"), "nms_boxes", {}),
    (
        "Concat",
        ("nms_id_columns", "nms_confidence_column", "nms_boxes"),
        DETECTIONS,
        {"axis": 1},
    ),
)


def append_suppression(proto: ModelProto, confidence: float, iou: float) -> None:
    """Put suppression by IoU, class by class, behind `boxes` and `scores` in their place.

    The outputs are then `detections` (D, 7): number of the image in the batch, class id,
    confidence, left, top, right, bottom; image by image, class by class, the best first. With
    masks also `detection_coefficients` (D, M), and `prototypes` as before.
    """
    helper, types = onnx_package("onnx").helper, onnx_package("onnx").TensorProto
    graph = proto.graph
    before = {value.name: value for value in graph.output}
    _add_constants(graph, _length(graph, BOXES, 1), confidence, iou)
    for kind, reads, gives, attributes in _STEPS:
        graph.node.append(helper.make_node(kind, reads, [gives], name=gives, **attributes))
    shapes = {DETECTIONS: 7}
    if COEFFICIENTS in before:
        shapes[DETECTION_COEFFICIENTS] = _length(graph, COEFFICIENTS, 2)
        own = [DETECTION_COEFFICIENTS]
        graph.node.append(
            helper.make_node("GatherND", [COEFFICIENTS, "nms_places"], own, name=own[0])
        )
    del graph.output[:]
    for name, columns in shapes.items():
        shape = ["detections", columns]
        graph.output.append(helper.make_tensor_value_info(name, types.FLOAT, shape))
    graph.output.extend(value for name, value in before.items() if name == PROTOTYPES)


def _length(graph: GraphProto, output: str, axis: int) -> int:
    (value,) = (value for value in graph.output if value.name == output)
    length: int = value.type.tensor_type.shape.dim[axis].dim_value
    return length


def _add_constants(graph: GraphProto, places: int, confidence: float, iou: float) -> None:
    helper, types = onnx_package("onnx").helper, onnx_package("onnx").TensorProto
    numbers = {"nms_iou": iou, "nms_confidence": confidence}
    indices = {
        "nms_limit": [places],  # boxes of a class: all
        "nms_image_class": [0, 1],
        "nms_image_place": [0, 2],
        "nms_column": [1],
    }
    for name, number in numbers.items():
        graph.initializer.append(helper.make_tensor(name, types.FLOAT, [1], [number]))
    for name, index in indices.items():
        graph.initializer.append(helper.make_tensor(name, types.INT64, [len(index)], index))
