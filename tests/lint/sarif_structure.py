"""The parts of SARIF 2.1.0 that lint writes, as a JSON schema: no other property is allowed.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, the sections named
below: which properties an object has, which it must have, and what they hold.
"""

from __future__ import annotations

from typing import Any


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _array(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


_TEXT = {"type": "string"}
_INDEX = {"type": "integer", "minimum": -1}
_FROM_1 = {"type": "integer", "minimum": 1}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_MESSAGE = _object("text", text=_TEXT)  # 3.11: text, or an id
_URI = {"type": "string", "format": "uri-reference"}

_ARTIFACT_LOCATION = _object("", uri=_URI, index=_INDEX)  # 3.4
_REGION = _object(  # 3.30
    "startLine", startLine=_FROM_1, startColumn=_FROM_1, endLine=_FROM_1, endColumn=_FROM_1
)
_PHYSICAL = _object(  # 3.29: an artifact location, or an address
    "artifactLocation", artifactLocation=_ARTIFACT_LOCATION, region=_REGION
)
_LOCATION = _object("", physicalLocation=_PHYSICAL)  # 3.28
_REPLACEMENT = _object(  # 3.57
    "deletedRegion", deletedRegion=_REGION, insertedContent=_object("text", text=_TEXT)
)
_ARTIFACT_CHANGE = _object(  # 3.56
    "artifactLocation replacements",
    artifactLocation=_ARTIFACT_LOCATION,
    replacements=_array(_REPLACEMENT, least=1),
)
_FIX = _object(  # 3.55
    "artifactChanges", description=_MESSAGE, artifactChanges=_array(_ARTIFACT_CHANGE, least=1)
)
_RESULT = _object(  # 3.27
    "message",
    ruleId=_TEXT,
    ruleIndex=_INDEX,
    level=_LEVEL,
    message=_MESSAGE,
    locations=_array(_LOCATION),
    fixes=_array(_FIX),
)
_RULE = _object(  # 3.49, reportingDescriptor
    "id", id=_TEXT, name=_TEXT, shortDescription=_MESSAGE, fullDescription=_MESSAGE
)
_DRIVER = _object("name", name=_TEXT, version=_TEXT, rules=_array(_RULE))  # 3.19, toolComponent
_NOTIFICATION = _object("message", message=_MESSAGE, level=_LEVEL, locations=_array(_LOCATION))
_INVOCATION = _object(  # 3.20; 3.58 for the notification
    "executionSuccessful",
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications=_array(_NOTIFICATION),
)
_RUN = _object(  # 3.14
    "tool",
    tool=_object("driver", driver=_DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations=_array(_INVOCATION),
    artifacts=_array(_object("", location=_ARTIFACT_LOCATION)),
    results=_array(_RESULT),
)
SARIF_LOG = {  # 3.13; it calls its schema by a property that is no name in Python
    **_object("version runs", version={"const": "2.1.0"}, runs=_array(_RUN)),
    "$schema": "https://json-schema.org/draft/2020-12/schema",
}
SARIF_LOG["properties"]["$schema"] = _URI
