"""ONNX files read and run: onnx parses them, onnxruntime computes on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from yolo_gp.errors import WeightsError
from yolo_gp.files import os_reason
from yolo_gp.tasks.onnx_metadata import OnnxMetadata
from yolo_gp.tasks.onnx_packages import onnx_package

if TYPE_CHECKING:
    from onnx import ModelProto

_SILENT = 4  # onnxruntime's log level at which it prints nothing; what fails is raised


class OnnxFile:
    """An ONNX network with one image input.

    Attributes:
        label: what messages call it.
        input_shape: (C, H, W) of one image.
        outputs: names of its outputs.
        metadata: what yolo-gp wrote into it; None if it did not write the file.
    """

    def __init__(self, proto: ModelProto, label: str) -> None:
        """Take over a parsed file.

        Raises:
            WeightsError: it takes something else than batches of float images.
        """
        self._proto = proto
        self.label = label
        self._input_name, self.input_shape = self._image_input()
        self.outputs = tuple(value.name for value in proto.graph.output)
        properties = {entry.key: entry.value for entry in proto.metadata_props}
        self.metadata = OnnxMetadata.from_properties(properties)

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Parse a file.

        Raises:
            WeightsError: it cannot be read or is no ONNX network for images.
            UsageError: a package is missing.
        """
        onnx = onnx_package("onnx")
        try:
            proto = onnx.load_model_from_string(path.read_bytes())
            onnx.load_external_data_for_model(proto, str(path.parent))
        except OSError as error:
            raise WeightsError(f"cannot read weights {path}: {os_reason(error)}") from error
        except Exception as error:  # protobuf's errors have no common type that one can import
            raise WeightsError(
                f"{path} is no ONNX file: {_first_line(error)}\n"
                "expected: a file that yolo-gp convert or another exporter wrote whole"
            ) from error
        return cls(proto, str(path))

    def _image_input(self) -> tuple[str, tuple[int, int, int]]:
        graph = self._proto.graph
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise WeightsError(
                f"{self.label} has {len(inputs)} inputs\nexpected: one, images (N, C, H, W)"
            )
        tensor = inputs[0].type.tensor_type
        sides = [side.dim_value for side in tensor.shape.dim]  # 0 where the file names no number
        float_type = onnx_package("onnx").TensorProto.FLOAT
        if tensor.elem_type != float_type or len(sides) != 4 or not all(sides[1:]) or sides[0] > 1:
            shape = " x ".join(str(side or "?") for side in sides) or "nothing"
            raise WeightsError(
                f"{self.label} takes {shape} as input\n"
                "expected: float32 images, N x C x H x W, with known C, H and W and any N, or 1"
            )
        return inputs[0].name, (sides[1], sides[2], sides[3])

    def value_names(self) -> set[str]:
        """Names of all values inside the network."""
        return {name for node in self._proto.graph.node for name in node.output}

    def float_outputs(self) -> tuple[str, ...]:
        """Names of the outputs that are tensors of float32."""
        float_type = onnx_package("onnx").TensorProto.FLOAT
        outputs = self._proto.graph.output
        return tuple(v.name for v in outputs if v.type.tensor_type.elem_type == float_type)

    def weights(self) -> dict[str, Tensor]:
        """The file's constants by name, those of float32 only."""
        onnx = onnx_package("onnx")
        return {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            for tensor in self._proto.graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT
        }

    def runner(self, names: Sequence[str]) -> OnnxRunner:
        """A session that computes these values: outputs, or any others inside the network.

        Raises:
            WeightsError: onnxruntime cannot run the network.
        """
        helper = onnx_package("onnx").helper
        kept = list(self._proto.graph.output)
        extra = [name for name in names if name not in self.outputs]
        self._proto.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in extra)
        try:
            content = self._proto.SerializeToString()
        finally:
            del self._proto.graph.output[len(kept) :]
        return OnnxRunner(content, self.label, self._input_name, tuple(names))


class OnnxRunner:
    """A session of onnxruntime on the CPU, for values of given names."""

    def __init__(self, content: bytes, label: str, input_name: str, names: tuple[str, ...]) -> None:
        """Open a session on a file's content.

        Raises:
            WeightsError: onnxruntime cannot run the network.
        """
        onnxruntime = onnx_package("onnxruntime")
        self._label = label
        self._input_name = input_name
        self.names = names
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common type
            raise self._failure(error) from error

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """The values by name, for images (N, C, H, W) of float32.

        Raises:
            WeightsError: onnxruntime fails on them.
        """
        try:
            values = self._session.run(list(self.names), {self._input_name: images.numpy()})
        except Exception as error:  # onnxruntime's errors have no common type
            raise self._failure(error) from error
        return {name: torch.from_numpy(v) for name, v in zip(self.names, values, strict=True)}

    def _failure(self, error: Exception) -> WeightsError:
        return WeightsError(f"onnxruntime cannot run {self._label}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
