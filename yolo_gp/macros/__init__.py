"""Sections that stand for several layers, by name. Adding one is one file and one line here.

They rewrite typed sections rather than text: an expansion is checked, counted and drawn like any
layers, and knows the line the user wrote. It happens while the graph is built, since some defaults
depend on the input's channels.
"""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.macros.base import Macro
from yolo_gp.macros.csp import Csp
from yolo_gp.macros.elan import Elan

MACROS: Mapping[str, type[Macro]] = {
    "csp": Csp,
    "elan": Elan,
}
