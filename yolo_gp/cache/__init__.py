"""Where pretrained models lie on this machine: pulled, verified, pinned, added by hand."""

from yolo_gp.cache.adding import AddedFile, add_file
from yolo_gp.cache.checking import CheckedFile, FileState, check_model, stray_files
from yolo_gp.cache.models import ModelCache, cache_from_environment
from yolo_gp.cache.unhashed import unhashed_sizes

__all__ = [
    "AddedFile",
    "CheckedFile",
    "FileState",
    "ModelCache",
    "add_file",
    "cache_from_environment",
    "check_model",
    "stray_files",
    "unhashed_sizes",
]
