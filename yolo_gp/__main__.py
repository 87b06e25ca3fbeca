"""`python -m yolo_gp`: the command line, also for `torchrun -m yolo_gp`."""

from __future__ import annotations

from yolo_gp.cli.main import run

if __name__ == "__main__":
    run()
