"""Files from elsewhere: fetched by HTTP to the bit or not at all, resumed where they broke off."""

from yolo_gp.download.fetching import DownloadError, Failure, fetch, locked
from yolo_gp.download.part import PartFile
from yolo_gp.download.settings import DownloadSettings, Progress, Silent
from yolo_gp.download.wanted import (
    Digests,
    Wanted,
    digests,
    is_safe_name,
    looks_like_page,
    mismatch,
)

__all__ = [
    "Digests",
    "DownloadError",
    "DownloadSettings",
    "Failure",
    "PartFile",
    "Progress",
    "Silent",
    "Wanted",
    "digests",
    "fetch",
    "is_safe_name",
    "locked",
    "looks_like_page",
    "mismatch",
]
