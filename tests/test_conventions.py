"""Every way to count a network: by hand on small ones, and against published integers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from yolo_gp.analysis.conventions import CONVENTIONS, Counts, counts
from yolo_gp.graph import compile_text, read_graph

NET = "[net]\nwidth=8\nheight=8\nchannels=4\n"
CONVOLUTION = "[convolutional]\nfilters=6\nactivation=linear\n"
SMALL = f"""{NET}
[convolutional]
batch_normalize=1
filters=6
size=3
pad=1
groups=2
activation=leaky
[maxpool]
size=2
stride=2
{CONVOLUTION}
[shortcut]
from=-2
[connected]
batch_normalize=1
output=5
activation=linear
"""


def counted(text: str) -> Counts:
    return counts(compile_text(text, "counts.cfg"))


def test_one_small_network_in_every_convention() -> None:
    # Weights: 6 filters of 4/2 channels x 3 x 3 = 108; 6 x 6 = 36; 5 x (6 x 4 x 4) = 480.
    p_w = 108 + 36 + 480
    # Batch norm on 6 and on 5 filters, a bias on the other 6.
    macs = 108 * 8 * 8 + 36 * 4 * 4 + 480
    # The pool compares 2 x 2 values for each of 6 x 4 x 4; Darknet counts nothing for [connected].
    d1 = 2 * (108 * 8 * 8 + 36 * 4 * 4) + 2 * 2 * 6 * 4 * 4
    assert counted(SMALL) == Counts(
        p_w=p_w,
        p_fused=p_w + 6 + 6 + 5,
        p_train=p_w + 2 * 6 + 6 + 2 * 5,
        p_file=p_w + 4 * 6 + 6 + 4 * 5,
        f0=2 * macs,
        d1=d1,
        d2=d1 + 6 * 4 * 4,
        t2=2 * macs + 4 * (6 * 8 * 8 + 5),
    )


def test_shared_weights_count_once_and_their_operations_twice() -> None:
    shared = "[convolutional]\nbatch_normalize=1\nfilters=4\nactivation=linear\n"
    found = counted(f"{NET}{shared}{shared}share_index=0\n")
    # 4 x 4 weights and 4 batch norms, applied to 8 x 8 pixels twice.
    assert (found.p_w, found.p_fused, found.p_train, found.p_file) == (16, 20, 24, 32)
    assert (found.f0, found.t2) == (2 * 2 * 16 * 64, 2 * 2 * 16 * 64 + 4 * 2 * 4 * 64)


def test_a_masked_residual_counts_the_channels_it_adds() -> None:
    residual = "[partial_shortcut]\nfrom=-2\nratio=0.5\n"
    found = counted(f"{NET}{CONVOLUTION}{CONVOLUTION}{residual}")
    assert found.d1 == found.f0 == 2 * (4 * 6 + 6 * 6) * 64
    assert found.d2 == found.d1 + 3 * 64


def test_a_residual_sum_counts_once_per_source_and_twice_if_weighted() -> None:
    layers = f"{NET}{CONVOLUTION}{CONVOLUTION}{CONVOLUTION}"
    plain = counted(f"{layers}[shortcut]\nfrom=-2,-3\n")
    assert plain.d2 - plain.d1 == 2 * 6 * 64
    weighted = counted(
        f"{layers}[shortcut]\nfrom=-2,-3\nweights_type=per_channel\nweights_normalization=relu\n"
    )
    assert weighted.d2 - weighted.d1 == 2 * 2 * 6 * 64
    # One number for each of 3 maps and 6 channels: torch has them and the file holds them, but
    # they are no weights of a convolution.
    assert weighted.p_w == plain.p_w
    assert weighted.p_train == plain.p_train + 18
    assert weighted.p_file == plain.p_file + 18


def test_average_pools_count_like_max_pools_and_global_ones_not_at_all() -> None:
    found = counted(f"{NET}{CONVOLUTION}[local_avgpool]\nsize=2\nstride=2\n[avgpool]\n")
    assert found.d1 == found.f0 + 2 * 2 * 6 * 4 * 4


def test_a_binarised_convolution_counts_a_32nd_for_darknet_only() -> None:
    binary = "[convolutional]\nbatch_normalize=1\nfilters=8\nxnor=1\nactivation=linear\n"
    found = counted(NET + binary)
    assert found.f0 == 2 * 4 * 8 * 64
    assert found.d1 == found.d2 == 2 * 4 * 8 * 64 // 32


def test_a_section_that_loads_nothing_is_missing_from_the_file_only() -> None:
    found = counted(f"{NET}{CONVOLUTION}{CONVOLUTION}dontload=1\n")
    assert found.p_fused == found.p_train == 4 * 6 + 6 + 6 * 6 + 6
    assert found.p_file == 4 * 6 + 6


def test_every_count_has_a_convention_that_says_who_uses_it() -> None:
    fields = [field.name for field in dataclasses.fields(Counts)]
    assert [convention.key for convention in CONVENTIONS.values()] == fields
    assert all(c.meaning and c.used_by for c in CONVENTIONS.values())
    found = counted(SMALL)
    assert found.of("P_fused") == found.p_fused
    assert found.of("T2") == found.t2


# zoo.md E: P_train, P_fused, P_file, MACs at 640 x 640 (the last one at 416 x 416).
VECTORS = {
    "yolov3-spp": (62998749, 62971933, 63052381, 78365081600),
    "yolov4-csp": (52921437, 52889053, 52986205, 60119859200),
    "yolov7": (36928413, 36905341, 36974557, 52255539200),
    "yolov3-tiny-prn": (4935182, None, 4939758, 1730430208),
}


@pytest.mark.parametrize("name", VECTORS)
def test_darknets_own_files_come_out_as_the_vectors_of_the_spec(shared: Path, name: str) -> None:
    size = (416, 416) if name == "yolov3-tiny-prn" else (640, 640)
    path = shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg"
    found = counts(read_graph(path, input_size=size))
    p_train, p_fused, p_file, macs = VECTORS[name]
    assert (found.p_train, found.p_file, found.f0) == (p_train, p_file, 2 * macs)
    assert p_fused in (None, found.p_fused)


# zoo.md B.1 and E, 256 x 256: P_w, and F0 in G as the CSPNet README and table 2 of the paper
# print it (resnet50.cfg pools after its classifier, so that only its weights are the paper's).
CLASSIFIERS = {
    "darknet53": (41573216, 18.57),
    "csdarknet53": (27605856, 13.07),
    "resnet50-leaky": (22734016, 9.74),
    "csresnet50": (21566656, 8.97),
    "resnext50": (22190784, 10.11),
    "csresnext50": (20499136, 7.93),
    "resnet50": (22734016, 10.0),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_cspnets_classifiers_come_out_as_table_2_of_the_paper(shared: Path, name: str) -> None:
    path = shared / f"data/cfg-corpus/WongKinYiu-CrossStagePartialNetworks/{name}.cfg"
    found = counts(read_graph(path, input_size=(256, 256)))
    assert (found.p_w, round(found.f0 / 1e9, 2)) == CLASSIFIERS[name]


@pytest.mark.parametrize(
    "name", ["yolov7", "yolov4-csp", "enet-coco", "alexnet", "darknet53_448_xnor", "yolov4_new"]
)
def test_d2_is_what_alexeyabs_darknet_prints(shared: Path, name: str) -> None:
    tables = json.loads((shared / "data/oracle/network-tables.json").read_text())
    table = tables[f"AlexeyAB-darknet/{name}"]
    found = counts(read_graph(shared / f"data/cfg-corpus/AlexeyAB-darknet/{name}.cfg"))
    assert found.d2 / 1e9 == pytest.approx(table["total_bflops"], abs=0.001)


def test_the_small_prn_has_three_operation_counts(shared: Path) -> None:
    # zoo.md B.1, row 25: D1 3.467, F0 3.461, D2 3.467.
    path = shared / "data/cfg-corpus/AlexeyAB-darknet/yolov3-tiny-prn.cfg"
    found = counts(read_graph(path, input_size=(416, 416)))
    assert [round(n / 1e9, 3) for n in (found.f0, found.d1, found.d2)] == [3.461, 3.467, 3.467]
