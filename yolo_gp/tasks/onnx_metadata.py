"""What our ONNX files say of themselves: key-value text beside the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

FORMAT = "1"
_PREFIX = "yolo_gp."


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxMetadata:
    """The properties of an ONNX file that yolo-gp wrote.

    Fields:
        cfg: text of the cfg it was compiled from.
        fingerprint: the network's; see fingerprint.py.
        names: class names by id; empty if none are known.
        input_size: (height, width) in pixels.
        resize: how an image becomes input: "plain" stretches it, "letterbox" keeps its aspect.
        values: for layers by index, the name of the value in the file that holds their output.
        places: for heads by index, the first of their places among all K, and how many they are.
    """

    cfg: str
    fingerprint: str
    names: tuple[str, ...]
    input_size: tuple[int, int]
    resize: str
    values: Mapping[int, str]
    places: Mapping[int, tuple[int, int]]

    def to_properties(self) -> dict[str, str]:
        """The text pairs to write."""
        properties = {
            "format": FORMAT,
            "cfg": self.cfg,
            "fingerprint": self.fingerprint,
            "names": json.dumps(self.names),
            "input_size": json.dumps(self.input_size),
            "preset": "darknet",
            "resize": self.resize,
            "colours": "RGB, 0 to 1",
            "values": json.dumps(self.values),
            "places": json.dumps(self.places),
        }
        return {f"{_PREFIX}{key}": text for key, text in properties.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> OnnxMetadata | None:
        """Read them back; None if the file is not ours, or of another format."""
        own = {key.removeprefix(_PREFIX): text for key, text in properties.items()}
        if properties.get(f"{_PREFIX}format") != FORMAT:
            return None
        try:
            height, width = json.loads(own["input_size"])
            places = json.loads(own["places"]).items()
            return cls(
                cfg=own["cfg"],
                fingerprint=own["fingerprint"],
                names=tuple(json.loads(own["names"])),
                input_size=(int(height), int(width)),
                resize=own["resize"],
                values={int(key): str(name) for key, name in json.loads(own["values"]).items()},
                places={int(key): (int(first), int(count)) for key, (first, count) in places},
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            return None  # somebody edited them: the network itself still runs
