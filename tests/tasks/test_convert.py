"""Conversions of weights, round and round, and from network to network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from yolo_gp.errors import DataError, UsageError, WeightsError, YoloGpError
from yolo_gp.graph import compile_text
from yolo_gp.network import compile_network, initialise
from yolo_gp.tasks.convert import Converted, ConvertSettings, convert, read_mapping
from yolo_gp.tasks.export_onnx import OnnxSettings
from yolo_gp.tasks.models import ModelSource, load_model
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe, read_info
from yolo_gp.weights.darknet import save_weights

MODELS = [
    "yolo-fastest-1.1",
    "yolo-fastest-1.1-xl",
    "mobilenetv2-yolov3-nano-coco",
    "mobilenetv2-yolo-fastest-voc",
    "yoloface-50k",
]
NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
HEAD = (
    "[convolutional]\nfilters={filters}\nactivation=linear\n"
    "[yolo]\nclasses={classes}\nnum=1\nanchors=8,8\n"
)


def detector(classes: int, body: str = CONV + CONV) -> str:
    return NET + body + HEAD.format(filters=5 + classes, classes=classes)


def run(source: Path, target: Path, **more: object) -> Converted:
    about = {k: more.pop(k) for k in ("cfg", "names", "size") if k in more}
    model = ModelSource(weights=source, **about)  # type: ignore[arg-type]
    return convert(ConvertSettings(model=model, target=target, **more))  # type: ignore[arg-type]


def failure(kind: type[YoloGpError], source: Path, target: Path, **more: object) -> str:
    with pytest.raises(kind) as caught:
        run(source, target, **more)
    return str(caught.value)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A detector of two classes in our own format."""
    graph = compile_text(detector(2), "small.cfg")
    network = compile_network(graph)
    initialise(network, seed=4)
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, graph, network, describe(graph, class_names=("cat", "dog")))
    return path


# -- round and round -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_pretrained_model_comes_back_byte_by_byte(
    name: str, shared: Path, tmp_path: Path
) -> None:
    weights = shared / f"data/models/{name}.weights"
    mid, torch_, back = (tmp_path / n for n in ("m.safetensors", "m.pt", "m.weights"))
    there = run(weights, mid, cfg=weights.with_suffix(".cfg"))
    run(mid, torch_)
    again = run(torch_, back)
    assert back.read_bytes() == weights.read_bytes()
    assert (again.bytes, again.fingerprint) == (weights.stat().st_size, there.fingerprint)
    assert there.notes == again.notes == ()
    run(mid, tmp_path / "direct.weights")
    assert (tmp_path / "direct.weights").read_bytes() == weights.read_bytes()


def test_cfg_and_names_travel_along(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "a.pt")
    run(tmp_path / "a.pt", tmp_path / "b.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes() == source.read_bytes()
    assert read_info(tmp_path / "b.safetensors").cfg_name == "small"


def test_the_result_says_what_was_written(source: Path, tmp_path: Path) -> None:
    converted = run(source, tmp_path / "x.weights")
    # Convolutions of 3 -> 4, 4 -> 4 with batch norm, 4 -> 7 without.
    floats = 4 * 4 + 4 * 27 + 4 * 4 + 4 * 36 + 7 + 7 * 4
    fingerprint = compile_text(detector(2), "x").fingerprint[:8]
    assert converted.to_text() == (
        f"wrote {tmp_path / 'x.weights'}: darknet, 12 tensors, {20 + 4 * floats} bytes, "
        f"fingerprint {fingerprint}"
    )


def test_half_precision_halves_the_file(source: Path, tmp_path: Path) -> None:
    head = source.stat().st_size - 4 * 319
    converted = run(source, tmp_path / "half.safetensors", dtype="float16")
    # Metadata is alike, but offsets of tensors have fewer digits.
    assert head - 50 < converted.bytes - 2 * 319 <= head
    assert run(tmp_path / "half.safetensors", tmp_path / "x.weights").bytes == 20 + 4 * 319


def test_names_can_be_put_in(source: Path, tmp_path: Path) -> None:
    (tmp_path / "x.names").write_text("Katze\nHund\n")
    run(source, tmp_path / "new.safetensors", names=tmp_path / "x.names")
    assert read_info(tmp_path / "new.safetensors").class_names == ("Katze", "Hund")


def test_names_must_be_as_many_as_classes(source: Path, tmp_path: Path) -> None:
    (tmp_path / "x.names").write_text("one\ntwo\nthree\n")
    target = tmp_path / "new.safetensors"
    assert failure(DataError, source, target, names=tmp_path / "x.names") == (
        f"3 class names are given, but <{source}> has classes=2\n"
        "expected: one line for each class in the names file, blank ones count"
    )
    assert not target.exists()


# -- what Darknet needs besides --------------------------------------------------------------------


def notes_for_darknet(text: str, folder: Path) -> tuple[str, ...]:
    graph = compile_text(text, "net.cfg")
    network = compile_network(graph)
    initialise(network, seed=0)
    save_checkpoint(folder / "net.safetensors", graph, network, describe(graph))
    return run(folder / "net.safetensors", folder / "net.weights").notes


def test_a_network_of_macros_is_written_with_a_word_on_its_cfg(tmp_path: Path) -> None:
    macro = "[csp]\nfilters=8\nrepeat=1\nactivation=leaky\n"
    assert notes_for_darknet(detector(2, CONV + macro), tmp_path) == (
        "Darknet cannot read the cfg as it is; the one that `yolo-gp expand` writes from it goes "
        "with these weights",
    )
    assert notes_for_darknet(detector(2), tmp_path) == ()


def test_a_network_beyond_darknet_is_written_and_it_is_said(tmp_path: Path) -> None:
    body = f"{CONV}[convolutional]\nfilters=64\nactivation=linear\n"
    body += "[convolutional]\nfilters=2\nactivation=linear\n[anchor_free]\nfrom=-2,-1\nclasses=2\n"
    assert notes_for_darknet(NET + body, tmp_path) == (
        "no Darknet can run this network: [anchor_free] has no equivalent in Darknet",
    )


def test_tensors_that_darknet_does_not_look_for_are_counted(tmp_path: Path) -> None:
    body = f"{CONV}dontload=1\n{CONV}dontloadscales=1\n"
    # All five tensors of the first; scale, mean and variance of the second.
    assert notes_for_darknet(detector(2, body), tmp_path) == (
        "8 tensors are not in the file: the cfg says dontload or dontloadscales, so nobody would "
        "read them",
    )


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".weights", ".safetensors", ".pt"])
def test_a_part_is_written_and_converted_on(suffix: str, source: Path, tmp_path: Path) -> None:
    part = tmp_path / f"part{suffix}"
    text = run(source, part, cutoff=2).to_text()
    assert ", 10 tensors, " in text and text.endswith(", sections 0 to 1 only")
    cfg = tmp_path / "small.cfg"
    cfg.write_text(detector(2))
    on = run(part, tmp_path / "on.weights", cfg=cfg)
    # What AlexeyAB's `partial` writes: the header and the first two convolutions.
    assert on.bytes == 20 + 4 * (4 * 4 + 4 * 27 + 4 * 4 + 4 * 36)
    assert on.cutoff == 2
    run(source, tmp_path / "whole.weights")
    whole = (tmp_path / "whole.weights").read_bytes()
    assert (tmp_path / "on.weights").read_bytes() == whole[: on.bytes]


def test_a_part_can_be_cut_further_but_not_grow(source: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    run(source, part, cutoff=2)
    assert run(part, tmp_path / "x.weights", cutoff=1).cutoff == 1
    assert failure(UsageError, part, tmp_path / "y.weights", cutoff=3) == (
        "cutoff 3 is more than the weights hold: the first 2 sections"
    )
    assert failure(WeightsError, part, tmp_path / "y.onnx").startswith(
        f"{part} holds the first 2 sections only, so it does not run\n"
    )


def test_a_cutoff_behind_the_last_weights_leaves_the_file_whole(
    source: Path, tmp_path: Path
) -> None:
    converted = run(source, tmp_path / "x.safetensors", cutoff=3)  # before [yolo]
    assert converted.cutoff is None
    assert load_model(ModelSource(weights=tmp_path / "x.safetensors")).names == ("cat", "dog")


@pytest.mark.parametrize("cutoff", [0, -1, 5])
def test_a_cutoff_lies_within_the_cfg(cutoff: int, source: Path, tmp_path: Path) -> None:
    assert failure(UsageError, source, tmp_path / "x.weights", cutoff=cutoff) == (
        f"cutoff {cutoff} is out of range for a cfg of 4 sections\n"
        "expected: 1 to 4; N keeps the sections before the one that has number N"
    )


# -- other networks --------------------------------------------------------------------------------


def test_what_fits_moves_to_another_cfg(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(detector(5))
    converted = run(source, tmp_path / "x.safetensors", to=other)
    assert converted.plan is not None and converted.plan.total_layers == 3
    assert [move.target.node.written for move in converted.plan.moves] == [0, 1]
    assert converted.notes == (
        "layers that got nothing hold random numbers, as before a training",
        "class names are left out: the other cfg has another number of classes",
    )
    model, trained = (
        load_model(ModelSource(weights=path)) for path in (tmp_path / "x.safetensors", source)
    )
    assert (model.cfg_name, model.names) == ("other", ())
    for name in ("convolutional_0.convolution.weight", "convolutional_1.batch_norm.weight"):
        found, wanted = model.network.get_parameter(name), trained.network.get_parameter(name)
        assert torch.equal(found, wanted)
    head = model.network.get_parameter("convolutional_2.convolution.weight")
    assert head.shape == (10, 4, 1, 1) and head.isfinite().all() and head.std() > 0.1


def test_class_names_stay_if_they_are_as_many(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(detector(2).replace("anchors=8,8", "anchors=9,9"))
    converted = run(source, tmp_path / "x.safetensors", to=other)
    assert converted.notes == ()
    assert read_info(tmp_path / "x.safetensors").class_names == ("cat", "dog")


def test_a_cutoff_or_a_part_bounds_what_moves(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(detector(5))
    cut = run(source, tmp_path / "x.safetensors", to=other, cutoff=1)
    run(source, tmp_path / "part.safetensors", cutoff=1)
    part = run(tmp_path / "part.safetensors", tmp_path / "y.safetensors", to=other)
    for converted in (cut, part):
        assert converted.plan is not None and converted.cutoff is None
        assert [move.target.node.written for move in converted.plan.moves] == [0]


def test_a_map_says_what_goes_where(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(detector(2, f"[maxpool]\n{CONV}"))
    converted = run(source, tmp_path / "x.safetensors", to=other, mapping={0: 1})
    assert converted.plan is not None
    first = converted.plan.moves[0]
    assert (first.source.node.written, first.target.node.written) == (0, 1)


def test_another_cfg_goes_into_onnx_at_the_size_asked_for(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(detector(5))
    run(source, tmp_path / "part.safetensors", cutoff=2)
    converted = run(tmp_path / "part.safetensors", tmp_path / "x.onnx", to=other, size=(64, 32))
    assert converted.report is not None
    assert converted.report.checked[-1].shape == (10, 16, 8)


def test_nothing_that_fits_is_an_error(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text(NET + "[convolutional]\nfilters=1\nactivation=linear\n")
    text = failure(WeightsError, source, tmp_path / "x.safetensors", to=other)
    assert text.startswith(f"nothing of {source} fits into {other}\nmoved 0 of 1 layers")
    assert text.endswith("\nhelp: say with --map what goes where")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_map_is_two_numbers_a_line(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text("# from to\n 0 3\n\n12\t14 # the neck\n")
    assert read_mapping(path) == {0: 3, 12: 14}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n2 -> 3\n", "{path}:2: '2 -> 3' is no pair of layers\nexpected: two numbers, "),
        ("4\n", "{path}:1: '4' is no pair of layers\n"),
        ("-1 3\n", "{path}:1: '-1 3' is no pair of layers\n"),
        ("1 2\n1 3\n", "{path}:2: layer 1 of the source stands here twice"),
        ("\u0661 1\n", "{path}:1: "),
    ],
)
def test_another_line_in_a_map_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_mapping(path)
    assert str(caught.value).startswith(message.format(path=path))


def test_a_map_that_is_no_text_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is no UTF-8 text, so it maps no layers"):
        read_mapping(path)
    with pytest.raises(DataError, match=r"cannot read map .*: no such file or directory"):
        read_mapping(tmp_path / "absent")


# -- what cannot be served -------------------------------------------------------------------------


def test_a_file_is_not_converted_onto_itself(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.safetensors"
    link.symlink_to(source)
    before = source.read_bytes()
    for target in (source, link):
        assert failure(UsageError, source, target, dtype="float16") == (
            f"{source} and {target} are one file, which may lose something by the conversion\n"
            "expected: another file to write"
        )
    assert source.read_bytes() == before


def test_an_existing_file_is_replaced_only_by_a_whole_one(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.weights"
    target.write_bytes(b"old")
    failure(UsageError, source, target, cutoff=9)
    assert target.read_bytes() == b"old"
    run(source, target)
    assert target.stat().st_size == 20 + 4 * 319
    assert {path.name for path in tmp_path.iterdir()} == {"small.safetensors", "x.weights"}


@pytest.mark.parametrize("name", ["x", "x.bin", "x.cfg", ".weights"])
def test_the_suffix_must_name_a_format(name: str, source: Path, tmp_path: Path) -> None:
    assert failure(UsageError, source, tmp_path / name) == (
        f"{tmp_path / name} names no format to write\n"
        "expected: a file that ends in .weights, .safetensors, .pt, .pth or .onnx"
    )


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("x.weights", {"dtype": "float16"}, "cannot hold float16: darknet files are float32"),
        ("x.onnx", {"dtype": "bfloat16"}, "cannot hold bfloat16: onnx files are float32"),
        ("x.pt", {"dtype": "float8"}, "dtype float8 is none of float32, float16, bfloat16"),
        ("x.onnx", {"cutoff": 2}, "a part of a network cannot be written as ONNX"),
        ("x.pt", {"size": (32, 32)}, "--size is for ONNX files only"),
        ("x.pt", {"onnx": OnnxSettings(nms=True)}, "--nms, --raw, --conf and --iou are for ONNX"),
        ("x.pt", {"mapping": {0: 0}}, "--map says what goes where in another cfg"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(
    name: str, more: dict[str, object], message: str, source: Path, tmp_path: Path
) -> None:
    assert message in failure(UsageError, source, tmp_path / name, **more)
    assert not (tmp_path / name).exists()


def test_without_weights_there_is_nothing_to_convert(tmp_path: Path) -> None:
    model = ModelSource(cfg="elan", random_weights=True)
    with pytest.raises(UsageError, match="there is nothing to convert without a weights file"):
        ConvertSettings(model=model, target=tmp_path / "x.pt")


def test_an_absent_source_is_named(tmp_path: Path) -> None:
    absent, target = tmp_path / "absent.weights", tmp_path / "x.safetensors"
    for content in (False, True):
        if content:
            target.write_bytes(b"old")
        text = failure(WeightsError, absent, target)
        assert text == f"cannot read weights {absent}: no such file or directory"


def test_onnx_files_are_checked_against_torch(source: Path, tmp_path: Path) -> None:
    converted = run(source, tmp_path / "x.onnx", size=(64, 32), onnx=OnnxSettings(raw=True))
    assert converted.report is not None and converted.report.outputs == ("head_3",)
    assert converted.to_text().startswith(f"wrote {tmp_path / 'x.onnx'}: onnx, ")
    assert converted.tensors is None
    (checked,) = {value.shape for value in converted.report.checked}
    assert checked == (7, 16, 8)  # two strides of 2 below 64 x 32


def test_weights_written_here_load_as_darknet_weights(source: Path, tmp_path: Path) -> None:
    cfg = tmp_path / "small.cfg"
    cfg.write_text(detector(2))
    run(source, tmp_path / "x.weights")
    model = load_model(ModelSource(cfg=cfg, weights=tmp_path / "x.weights"))
    save_weights(tmp_path / "y.weights", model.graph, model.network, model.header)
    assert (tmp_path / "y.weights").read_bytes() == (tmp_path / "x.weights").read_bytes()
