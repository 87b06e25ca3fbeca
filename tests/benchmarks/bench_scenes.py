"""Scenes of shapes a second on one core: made, and made and stored as JPEG.

    python tests/benchmarks/bench_scenes.py [--size 320] [--count 200] [--rounds 5]

Processor time of this process, so that neighbours on the machine disturb it less.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import time

import numpy as np
import PIL
from PIL import Image

from yolo_gp.scenes.painting import scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    versions = f"numpy {np.__version__}, Pillow {PIL.__version__}"
    print(f"{platform.platform()}, Python {platform.python_version()}, {versions}")
    for stored in (False, True):
        measured(arguments.size, 20, stored=stored)
        rates = sorted(
            measured(arguments.size, arguments.count, stored=stored)
            for _ in range(arguments.rounds)
        )
        print(
            f"{'made and stored' if stored else 'made':<16}{statistics.median(rates):>7.1f} "
            f"scenes/s  ({rates[0]:.1f} to {rates[-1]:.1f})"
        )


def measured(size: int, count: int, *, stored: bool) -> float:
    """Scenes a second."""
    start = time.process_time()
    for index in range(count):
        made = scene(0, index, (size, size))
        if stored:
            Image.fromarray(made.image).save(io.BytesIO(), "JPEG", quality=made.jpeg_quality)
    return count / (time.process_time() - start)


if __name__ == "__main__":
    main()
