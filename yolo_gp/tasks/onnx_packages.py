"""The packages behind ONNX files, which come with `pip install 'yolo-gp[onnx]'` only."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from yolo_gp.errors import UsageError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def onnx_package(name: str) -> ModuleType:
    """One of `PACKAGES`, imported only now: everything else works without them.

    Raises:
        UsageError: it is not installed.
    """
    assert name in PACKAGES
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"ONNX files need the package {name}, which cannot be imported: {error}\n"
            "help: pip install 'yolo-gp[onnx]'"
        ) from error
