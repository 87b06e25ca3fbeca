"""The hashes of files that came without one: as they were when they were first fetched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from yolo_gp.download import locked
from yolo_gp.errors import DataError
from yolo_gp.files import os_reason, write_atomically

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Pins:
    """A small JSON file: sha256 by "model/file"."""

    path: Path
    lock: Path

    def get(self, key: str) -> str | None:
        """The hash that was pinned, in lowercase hexadecimal, or None.

        Raises:
            DataError: the file cannot be read.
        """
        return self._read().get(key)

    def set(self, key: str, sha256: str) -> None:
        """Pin a hash, whatever was pinned before.

        Raises:
            DataError: the file cannot be read or written.
        """
        try:
            with locked(self.lock, waiting=lambda: None):
                pins = {**self._read(), key: sha256}
                content = {"schema_version": _SCHEMA_VERSION, "pins": dict(sorted(pins.items()))}
                write_atomically(self.path, json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {os_reason(error)}") from error

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            pins = content["pins"]
            return {str(key): str(sha256) for key, sha256 in pins.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {os_reason(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self.path} holds no pinned hashes\n"
                'expected: {"schema_version": 1, "pins": {"model/file": "sha256"}}\n'
                "help: remove it; files without a published hash are then pinned anew"
            ) from error
