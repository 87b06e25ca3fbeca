"""Libraries that only those wait for who fetch something: `info` and `lint` start without them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import filelock
    import requests
else:

    class _OnFirstUse:
        """Stands for a module, and loads it when something of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    filelock = _OnFirstUse("filelock")
    requests = _OnFirstUse("requests")

__all__ = ["filelock", "requests"]
