"""Weights that do not fit: the first layer that does not, and why, by size or content."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from yolo_gp.errors import WeightsError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe
from yolo_gp.weights.darknet import load_weights
from yolo_gp.weights.diagnosis import Alternatives, Diagnosis, diagnose

HEADER = struct.pack("<iiiQ", 0, 2, 5, 6400)
NARROW_HEADER = struct.pack("<iiiI", 0, 1, 0, 6400)
NET = "[net]\nchannels=3\nheight=32\nwidth=32\n"
# 4 filters on 3 channels with batch norm: 16 + 12 = 28 floats. 6 on 4: 24 + 24 = 48.
FIRST = "[convolutional]\nfilters=4\nbatch_normalize=1\nactivation=leaky\n"
SECOND = "[convolutional]\nfilters=6\nbatch_normalize=1\nactivation=leaky\n"
BODY = FIRST + SECOND


def head(classes: int, slots: int = 2) -> str:
    """A convolution of slots * (5 + classes) filters, and the head that reads it."""
    mask = ",".join(str(number) for number in range(slots))
    anchors = ", ".join("8,8" for _ in range(slots))
    return (
        f"[convolutional]\nfilters={slots * (5 + classes)}\nactivation=linear\n"
        f"[yolo]\nmask={mask}\nanchors={anchors}\nnum={slots}\nclasses={classes}\n"
    )


def compiled(sections: str, name: str = "my.cfg") -> Graph:
    return compile_text(NET + sections, name)


def numbers(count: int) -> NDArray[np.float32]:
    """Positive numbers, which pass for anything, variances too."""
    return np.linspace(0.01, 2, count, dtype="<f4")


def written(
    folder: Path, floats: int | NDArray[np.float32], header: bytes = HEADER, tail: bytes = b""
) -> Path:
    path = folder / "my.weights"
    values = numbers(floats) if isinstance(floats, int) else floats
    path.write_bytes(header + values.astype("<f4").tobytes() + tail)
    return path


def whys(found: Diagnosis) -> list[str]:
    return [f"{guess.text} | {guess.help}" for guess in found.guesses]


# -- files that fit --------------------------------------------------------------------------------


def test_a_file_that_fits_is_described(tmp_path: Path) -> None:
    path = written(tmp_path, 76)
    found = diagnose(compiled(BODY), path)
    assert found.fits
    assert found.to_text() == (
        f"{path} fits my.cfg\n"
        "layers with weights: 2\n"
        "floats: 76 after the 20-byte header of version 0.2.5 (324 bytes)\n"
        "images seen in training: 6,400\n"
        "values: 0 to 2"
    )


def test_an_old_header_of_16_bytes_fits_too(tmp_path: Path) -> None:
    found = diagnose(compiled(BODY), written(tmp_path, 76, NARROW_HEADER))
    assert found.fits
    assert "floats: 76 after the 16-byte header of version 0.1.0 (320 bytes)" in found.to_text()


@pytest.mark.parametrize(
    "name",
    [
        "yolo-fastest-1.1",
        "yolo-fastest-1.1-xl",
        "mobilenetv2-yolov3-nano-coco",
        "mobilenetv2-yolo-fastest-voc",
        "yoloface-50k",
    ],
)
def test_a_real_model_fits_its_cfg(name: str, shared: Path) -> None:
    weights = shared / f"data/models/{name}.weights"
    found = diagnose(read_graph(weights.with_suffix(".cfg")), weights)
    assert found.fits and found.place is None
    assert f"({weights.stat().st_size:,} bytes)" in found.to_text()


def test_other_networks_are_not_looked_at_if_the_file_fits(tmp_path: Path) -> None:
    def never() -> Iterator[tuple[str, Graph]]:
        raise AssertionError
        yield

    assert diagnose(compiled(BODY), written(tmp_path, 76), Alternatives(never())).fits


def test_a_network_without_weights_is_fitted_by_a_header_alone(tmp_path: Path) -> None:
    assert diagnose(compiled("[maxpool]\n"), written(tmp_path, 0)).fits
    found = diagnose(compiled("[maxpool]\n"), written(tmp_path, 3, tail=b"x"))
    assert found.guesses[0].text == "3 floats and 1 byte are left over"


# -- files that are no weights ---------------------------------------------------------------------

FETCH = "the download failed (many old links do); fetch the file from another address"
UNPACK = "unpack it, and pass what is inside"
LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890\n"
    b"size 1384268\n"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty | the download or the training was interrupted; get it again"),
        (
            b"\n<!DOCTYPE html>\n<html><head><title> 404 Not Found </title></head></html>",
            f'it is a web page, titled "404 Not Found" | {FETCH}',
        ),
        (b"<HTML><body>no title</body></HTML>", f"it is a web page | {FETCH}"),
        (b"<?xml version='1.0'?><html xmlns=''/>", f"it is a web page | {FETCH}"),
        (b"<?xml version='1.0'?>\n<Error>NoSuchKey</Error>", f"it is an XML document | {FETCH}"),
        (b'{"message": "Not Found"}', f"it is a JSON document | {FETCH}"),
        (b'[{"a": 1}]', f"it is a JSON document | {FETCH}"),
        (
            LFS,
            "it is a Git LFS pointer to a file of 1,384,268 bytes, not that file | "
            "run `git lfs pull` in the repository, or download the file itself",
        ),
        (
            b"# mine\n[ net ]\nwidth=32\n",
            "it is a cfg file | the cfg goes first, or after --cfg; this is the place of weights",
        ),
        (
            b"Rate limit exceeded\nTry again",
            'it is a text file that begins "Rate limit exceeded" | pass a file of weights',
        ),
        ("caf\u00e9 \u4f60\u597d\n".encode() * 200, None),
        (gzip.compress(b"abc", mtime=0), f"it is a gzip archive | {UNPACK}"),
        (b"BZh91AY", f"it is a bzip2 archive | {UNPACK}"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", f"it is a 7-Zip archive | {UNPACK}"),
        (bytes(257) + b"ustar\x00", f"it is a tar archive | {UNPACK}"),
        (
            b"\x89HDF\r\n\x1a\n" + bytes(20),
            "it is an HDF5 file, as Keras writes them | pass a file of weights",
        ),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG image | pass a file of weights"),
        (
            b"PK\x03\x04" + bytes(40),
            "it is a zip archive without its end, perhaps a torch checkpoint | "
            "it was cut off; get it again",
        ),
        (
            bytes(15),
            "has 15 bytes, which is no weights file | fetch the file again",
        ),
        (
            struct.pack("<iii", -7, 2, 5) + bytes(100),
            "starts with version -7.2.5, so it is no weights file | None",
        ),
        (
            struct.pack(">iiiQ", 0, 2, 5, 64) + numbers(76).astype(">f4").tobytes(),
            "its header reads as version 0.2.5 if the bytes of each number are reversed: it was "
            "written on a big-endian machine | reverse the bytes of every 4-byte number "
            "(of `seen`, of all 8)",
        ),
    ],
)
def test_what_is_no_weights_file_is_named(
    content: bytes, expected: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "my.weights"
    path.write_bytes(content)
    found = diagnose(compiled(BODY), path)
    if expected is None:
        first = "caf\u00e9 \u4f60\u597d"
        expected = f'it is a text file that begins "{first}" | pass a file of weights'
    assert whys(found) == [expected]
    assert found.to_text().splitlines()[0] == f"{path} cannot be held against my.cfg"
    assert found.to_data()["format"] is None


def test_a_zip_archive_is_told_from_a_torch_checkpoint(tmp_path: Path) -> None:
    archive, checkpoint = tmp_path / "a.weights", tmp_path / "b.weights"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("yolo/my.weights", b"0123")
    torch.save({"a": torch.zeros(2)}, checkpoint)
    assert whys(diagnose(compiled(BODY), archive)) == [
        f'it is a zip archive, with "yolo/my.weights" inside | {UNPACK}'
    ]
    convert = (
        f"yolo-gp convert {checkpoint} OUT.weights --cfg CFG holds every tensor against the cfg"
    )
    assert whys(diagnose(compiled(BODY), checkpoint)) == [
        f"it is a torch checkpoint, which doctor does not unpack | {convert}"
    ]
    torch.save({"a": torch.zeros(2)}, checkpoint, _use_new_zipfile_serialization=False)
    assert whys(diagnose(compiled(BODY), checkpoint)) == [
        f"it is a torch checkpoint, which doctor does not unpack | {convert}"
    ]


def test_an_onnx_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.onnx"
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph, producer_name="test"), path)
    assert whys(diagnose(compiled(BODY), path)) == [
        "it is an ONNX model, which holds its network itself and needs no cfg | "
        "pass the weights that it was made from"
    ]


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read weights .*: no such file or directory"):
        diagnose(compiled(BODY), tmp_path / "absent.weights")
    with pytest.raises(WeightsError, match=r"cannot read weights .*: is a directory"):
        diagnose(compiled(BODY), tmp_path)


# -- where the file ends ---------------------------------------------------------------------------


def test_a_file_that_was_cut_off_is_followed_to_its_last_tensor(tmp_path: Path) -> None:
    # Layer 1: biases 28-33, scales 34-39, means 40-45, variances 46-51, weights 52-75.
    path = written(tmp_path, 60, tail=b"xy")
    assert diagnose(compiled(BODY), path).to_text() == (
        f"{path} does not fit my.cfg\n"
        "first layer that does not fit: layer 1 [convolutional], convolution.weight, at byte 228\n"
        "expected: 76 floats after the 20-byte header (324 bytes)\n"
        "found: 60 floats (262 bytes)\n"
        "why: it ends in layer 1 [convolutional], convolution.weight, of whose 24 floats it holds "
        "8\n"
        "  help: the file was cut off, or belongs to another cfg; fetch it again"
    )


@pytest.mark.parametrize("size", [21, 150, 99_999, 700_001, 1_384_267])
def test_the_place_of_a_cut_is_the_one_that_loading_names(
    size: int, shared: Path, tmp_path: Path
) -> None:
    whole = shared / "data/models/yolo-fastest-1.1.weights"
    path = tmp_path / "cut.weights"
    path.write_bytes(whole.read_bytes()[:size])
    graph = read_graph(whole.with_suffix(".cfg"))
    found = diagnose(graph, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(path, graph, compile_network(graph))
    assert found.place is not None
    assert found.guesses[0].cause == "cut_off"
    assert (
        f"it ends in {found.place.tensor}, which starts at byte {found.place.byte} and has "
    ) in str(caught.value)


def test_a_file_that_ends_with_a_layer_is_a_prefix(tmp_path: Path) -> None:
    path = written(tmp_path, 28)
    assert diagnose(compiled(BODY), path).to_text() == (
        f"{path} does not fit my.cfg\n"
        "first layer that does not fit: layer 1 [convolutional], batch_norm.bias, at byte 132\n"
        "expected: 76 floats after the 20-byte header (324 bytes)\n"
        "found: 28 floats (132 bytes)\n"
        "why: it ends exactly before layer 1: it holds the first layer, as a file NAME.conv.1 "
        "does\n"
        "  help: such a file is a start for training: give it with a cutoff of 1"
    )


def test_wrong_numbers_inside_a_prefix_are_told_too(tmp_path: Path) -> None:
    values = numbers(28)
    values[12] = -3
    found = diagnose(compiled(BODY), written(tmp_path, values))
    assert [guess.cause for guess in found.guesses] == ["prefix", "values"]
    assert str(found.place) == "layer 0 [convolutional], batch_norm.running_var, at byte 68"


def test_a_real_prefix_is_recognised_by_its_size_and_name(shared: Path, tmp_path: Path) -> None:
    (cfg,) = (shared / "data/cfg-corpus").rglob("yolov4-tiny.cfg")
    path = tmp_path / "yolov4-tiny.conv.29"
    with path.open("wb") as file:  # the size that AlexeyAB's Darknet writes (darknet.md 4.5)
        file.write(HEADER)
        file.write(numbers((19_789_716 - 20) // 4).tobytes())
    found = diagnose(read_graph(cfg), path)
    assert found.place is not None and found.place.tensor.node.written == 29
    assert [guess.text for guess in found.guesses] == [
        "it ends exactly before layer 29: it holds the first 29 layers, as its name says (.conv.29)"
    ]


def test_what_is_left_over_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, 81, tail=b"xyz")
    assert diagnose(compiled(BODY), path).to_text() == (
        f"{path} does not fit my.cfg\n"
        "expected: 76 floats after the 20-byte header (324 bytes)\n"
        "found: 81 floats (347 bytes)\n"
        "why: 5 floats and 3 bytes are left after the last layer with weights, 1\n"
        "  help: the file belongs to another cfg (filters, a missing layer)"
    )


@pytest.mark.parametrize(
    ("floats", "tail", "surplus"), [(77, b"", "1 float is left"), (76, b"\n", "1 byte is left")]
)
def test_a_single_one_left_over_is_in_the_singular(
    floats: int, tail: bytes, surplus: str, tmp_path: Path
) -> None:
    found = diagnose(compiled(BODY), written(tmp_path, floats, tail=tail))
    assert found.guesses[0].text == f"{surplus} after the last layer with weights, 1"


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            struct.pack("<iiiI", 0, 2, 5, 6400),
            "the size is right for a header of 16 bytes, but version 0.2 in it means 20 | whatever "
            "wrote the file put the wrong version in its first 12 bytes; 0.1.0 is right for this "
            "size",
        ),
        (
            struct.pack("<iiiQ", 0, 1, 0, 6400),
            "the size is right for a header of 20 bytes, but version 0.1 in it means 16 | whatever "
            "wrote the file put the wrong version in its first 12 bytes; 0.2.5 is right for this "
            "size",
        ),
    ],
)
def test_a_header_of_the_other_width_is_recognised(
    header: bytes, expected: str, tmp_path: Path
) -> None:
    assert whys(diagnose(compiled(BODY), written(tmp_path, 76, header))) == [expected]


@pytest.mark.parametrize("header", [HEADER, NARROW_HEADER])
def test_a_float_more_or_less_alone_is_no_sign_of_another_header(
    header: bytes, tmp_path: Path
) -> None:
    # The upper half of `seen` is 0 in the wide header; where the narrow one ends stands 0.01.
    path = written(tmp_path, 75 if header is HEADER else 77, header)
    causes = [guess.cause for guess in diagnose(compiled(BODY), path).guesses]
    assert causes == ["cut_off" if header is HEADER else "left_over"]


# -- another class count ---------------------------------------------------------------------------


def detector(classes: int) -> str:
    """Both heads read the body: 3 anchors' worth of filters on 6 channels."""
    return BODY + head(classes) + "[route]\nlayers=1\n" + head(classes, slots=1)


def detector_floats(classes: int) -> int:
    return 76 + 3 * (5 + classes) * 7


@pytest.mark.parametrize(("here", "there"), [(3, 80), (80, 3), (1, 2), (20, 1)])
def test_the_class_count_that_makes_the_size_right_is_found(
    here: int, there: int, tmp_path: Path
) -> None:
    path = written(tmp_path, detector_floats(there))
    found = diagnose(compiled(detector(here)), path)
    own, theirs = (f"{n} class{'es' * (n > 1)}" for n in (here, there))
    assert found.to_text() == (
        f"{path} does not fit my.cfg\n"
        "first layer that does not fit: layer 2 [convolutional], convolution.bias, at byte 324\n"
        f"expected: {detector_floats(here):,} floats after the 20-byte header "
        f"({20 + 4 * detector_floats(here):,} bytes)\n"
        f"found: {detector_floats(there):,} floats ({20 + 4 * detector_floats(there):,} bytes)\n"
        f"why: its size is right for {theirs}; the cfg says {own}\n"
        f"  help: use the cfg for {theirs}, or move the weights: "
        "yolo-gp convert WEIGHTS OUT --to CFG"
    )
    assert found.guesses[0].classes == there


def test_no_class_count_is_named_where_none_is_right(tmp_path: Path) -> None:
    # A class takes 21 floats. One float more than for 8 classes is right for none.
    found = diagnose(compiled(detector(3)), written(tmp_path, detector_floats(8) + 1))
    assert [guess.cause for guess in found.guesses] == ["left_over"]


def test_no_class_count_is_named_that_the_numbers_contradict(tmp_path: Path) -> None:
    # Behind the first head stands a batch norm: 6 filters on 6 channels.
    sections = BODY + head(3) + "[route]\nlayers=1\n" + SECOND + head(3, slots=1)
    values = numbers(76 + 3 * (5 + 8) * 7 + 24 + 36)
    graph = compiled(sections)
    assert diagnose(graph, written(tmp_path, values)).guesses[0].classes == 8
    # Its variances start behind 2 * (5 + 8) * 7 = 182 floats of the head, and 18 of their own.
    values[76 + 182 + 18] = -0.5
    causes = [guess.cause for guess in diagnose(graph, written(tmp_path, values)).guesses]
    assert "classes" not in causes and "left_over" in causes


def test_no_class_count_is_named_for_a_head_that_reads_the_image(tmp_path: Path) -> None:
    text = "[net]\nchannels=8\nheight=8\nwidth=8\n"
    text += head(3, slots=1).partition("[yolo]")[1] + head(3, slots=1).partition("[yolo]")[2]
    graph = compile_text(f"{text}[convolutional]\nfilters=4\nactivation=linear\n", "my.cfg")
    found = diagnose(graph, written(tmp_path, 4 * (8 + 1) + 8 + 1))
    assert [guess.cause for guess in found.guesses] == ["left_over"]


def test_an_anchor_free_heads_class_count_is_found(tmp_path: Path) -> None:
    def sections(classes: int) -> str:
        box = "[convolutional]\nfilters=64\nactivation=linear\n"
        scores = f"[convolutional]\nfilters={classes}\nactivation=linear\n"
        return (
            f"{BODY}{box}[route]\nlayers=1\n{scores}[anchor_free]\nfrom=-3,-1\nclasses={classes}\n"
        )

    # 64 filters for the boxes on 6 channels, whatever the classes are, and one for each class.
    path = written(tmp_path, 76 + 64 * 7 + 80 * 7)
    found = diagnose(compiled(sections(2)), path)
    assert found.guesses[0].classes == 80
    assert found.place is not None and found.place.tensor.node.written == 4


def test_coco_weights_on_a_cfg_for_three_classes(shared: Path, tmp_path: Path) -> None:
    weights = shared / "data/models/yolo-fastest-1.1.weights"
    text = weights.with_suffix(".cfg").read_text()
    text = text.replace("classes=80", "classes=3").replace("filters=255", "filters=24")
    found = diagnose(compile_text(text, "three.cfg"), weights)
    assert [guess.text for guess in found.guesses] == [
        "its size is right for 80 classes; the cfg says 3 classes"
    ]
    assert found.place is not None and found.place.tensor.node.written == 120


# -- another network -------------------------------------------------------------------------------


def others(**sections: str) -> Alternatives:
    return Alternatives([(name, compiled(text, f"{name}.cfg")) for name, text in sections.items()])


def test_the_network_whose_size_it_has_is_named_and_where_they_part(tmp_path: Path) -> None:
    path = written(tmp_path, 28 + 32)  # layer 1 of 4 filters on 4 channels: 16 + 16
    candidates = others(same=BODY, small=FIRST + FIRST, large=BODY + FIRST)
    assert diagnose(compiled(BODY), path, candidates).to_text() == (
        f"{path} does not fit my.cfg\n"
        "first layer that does not fit: layer 1 [convolutional], batch_norm.bias, at byte 132\n"
        "expected: 76 floats after the 20-byte header (324 bytes)\n"
        "found: 60 floats (260 bytes)\n"
        "why: its size is exactly that of small\n"
        f"  help: yolo-gp doctor small {path}"
    )


def test_several_networks_of_its_size_are_all_named(tmp_path: Path) -> None:
    found = diagnose(
        compiled(BODY), written(tmp_path, 60), others(one=FIRST + FIRST, two=FIRST + FIRST)
    )
    assert found.guesses[0].text == "its size is exactly that of one and of two"
    assert found.guesses[0].names == ("one", "two")


def test_of_several_networks_the_nearest_tells_where_they_part(tmp_path: Path) -> None:
    wide = (
        "[convolutional]\nfilters=15\nactivation=leaky\n"  # 15 * 4 floats, unlike from layer 0 on
    )
    found = diagnose(compiled(BODY), written(tmp_path, 60), others(small=FIRST + FIRST, wide=wide))
    assert found.guesses[0].names == ("small", "wide")
    assert found.place is not None and found.place.tensor.node.written == 1


def test_of_several_networks_those_count_whose_numbers_look_right(tmp_path: Path) -> None:
    single = "[convolutional]\nfilters=1\nactivation=leaky\n"
    # Either has 39 floats, but only the first takes numbers 12 to 15 for variances.
    normed = FIRST + 4 * single  # 28, 1 filter on 4 channels: 5, thrice 1 on 1: 6
    values = numbers(39)
    values[12] = -0.5
    plain = "[convolutional]\nfilters=3\nsize=2\npad=0\nactivation=leaky\n"  # 3 + 36 = 39
    path = written(tmp_path, values)
    candidates = others(normed=normed, plain=plain)
    assert diagnose(compiled(BODY), path, candidates).guesses[0].names == ("plain",)
    values[12] = 0.5
    path = written(tmp_path, values)
    assert diagnose(compiled(BODY), path, candidates).guesses[0].names == ("normed", "plain")


def test_real_weights_on_the_cfg_of_their_sister_model(shared: Path) -> None:
    models = shared / "data/models"
    graph = read_graph(models / "yolo-fastest-1.1.cfg")
    weights = models / "yolo-fastest-1.1-xl.weights"
    found = diagnose(graph, weights)
    # The first convolution has 8 filters here and 16 there; the second layer's variances are the
    # first that cannot be any.
    assert found.place is not None and found.place.tensor.node.written == 1
    assert [guess.cause for guess in found.guesses] == ["values", "left_over"]
    xl = Alternatives([("xl", read_graph(models / "yolo-fastest-1.1-xl.cfg"))])
    found = diagnose(graph, weights, xl)
    assert [guess.text for guess in found.guesses] == ["its size is exactly that of xl"]
    assert found.place is not None and found.place.tensor.node.written == 0


def test_the_published_model_whose_size_it_has_is_named_where_no_network_is(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, 28 + 32)  # 20 + 4 * 60 bytes
    published = {"a": 260, "b": 261, "c": 260}
    assert whys(diagnose(compiled(BODY), path, Alternatives(published=published))) == [
        f"its size is exactly that of the pretrained a and of c | yolo-gp doctor a {path}"
    ]
    (guess,) = diagnose(
        compiled(BODY), path, Alternatives([("small", compiled(FIRST + FIRST))], published)
    ).guesses
    assert guess.names == ("small",)


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "value", "expected"),
    [
        (
            46,  # the first variance of layer 1
            -0.25,
            "the numbers of layer 1 [convolutional], batch_norm.running_var look wrong: a variance "
            "is -0.25, but no variance is negative | the layers before it look right: from here on "
            "the file is another network's, or damaged",
        ),
        (
            0,
            3e5,
            "the numbers of layer 0 [convolutional], batch_norm.bias look wrong: a number is 3e+05 "
            "in size, where 1e+05 would be much | the file is another network's, or damaged",
        ),
        (
            60,
            -2e22,
            "the numbers of layer 1 [convolutional], convolution.weight look wrong: a number is "
            "2e+22 in size, where 1e+05 would be much | the layers before it look right: from here "
            "on the file is another network's, or damaged",
        ),
        (
            20,
            np.nan,
            "the numbers of layer 0 [convolutional], convolution.weight look wrong: 1 of its 12 "
            "numbers are infinite or no numbers | the training diverged, or the file is damaged",
        ),
        (
            5,
            -np.inf,
            "the numbers of layer 0 [convolutional], batch_norm.weight look wrong: 1 of its 4 "
            "numbers are infinite or no numbers | the training diverged, or the file is damaged",
        ),
    ],
)
def test_numbers_that_cannot_be_right_are_found_though_the_size_is(
    position: int, value: float, expected: str, tmp_path: Path
) -> None:
    values = numbers(76)
    values[position] = value
    found = diagnose(compiled(BODY), written(tmp_path, values))
    assert whys(found) == [expected]
    assert found.place is not None and str(found.place.tensor) in expected


def test_a_layer_of_zeros_shows_that_the_rest_never_arrived(tmp_path: Path) -> None:
    values = numbers(76)
    values[52:] = 0
    assert whys(diagnose(compiled(BODY), written(tmp_path, values))) == [
        "the numbers of layer 1 [convolutional], convolution.weight look wrong: all of its 24 "
        "weights are 0 | the layers before it look right: from here on the file is another "
        "network's, or damaged"
    ]


@pytest.mark.parametrize(("position", "value"), [(12, 3e6), (12, -7e-44), (8, 7500), (4, -2.5)])
def test_extremes_that_published_models_hold_pass(
    position: int, value: float, tmp_path: Path
) -> None:
    # Variances of 2.7e6 and -7e-44 and a mean of 7474 stand in mobilenetv2-yolo-fastest-voc.
    values = numbers(76)
    values[position] = value
    assert diagnose(compiled(BODY), written(tmp_path, values)).fits


def test_a_file_of_the_right_size_may_be_another_networks(tmp_path: Path) -> None:
    # 38 biases and 38 weights: 19 filters on 3 channels, 76 floats.
    other = "[convolutional]\nfilters=19\nactivation=leaky\n"
    values = numbers(76)
    values[46] = -1
    path = written(tmp_path, values)
    found = diagnose(compiled(BODY), path, others(my=BODY, other=other))
    assert [guess.cause for guess in found.guesses] == ["values", "other_cfg"]
    assert found.guesses[1].text == "its size is exactly that of other"


def test_content_shifted_by_one_float_is_found_in_a_real_model(
    shared: Path, tmp_path: Path
) -> None:
    whole = shared / "data/models/yolo-fastest-1.1.weights"
    content = whole.read_bytes()
    path = tmp_path / "shifted.weights"
    path.write_bytes(content[:20] + content[24:] + content[20:24])
    found = diagnose(read_graph(whole.with_suffix(".cfg")), path)
    assert not found.fits
    assert found.place is not None and found.place.tensor.node.written == 2
    assert found.place.tensor.block.tensor == "batch_norm.running_var"


def test_the_first_layer_with_wrong_numbers_comes_before_the_end_of_a_long_file(
    tmp_path: Path,
) -> None:
    values = numbers(90)
    values[46] = -1
    found = diagnose(compiled(BODY), written(tmp_path, values))
    assert [guess.cause for guess in found.guesses] == ["values", "left_over"]
    assert found.place is not None and found.place.tensor.node.written == 1


# -- safetensors -----------------------------------------------------------------------------------


def checkpoint(graph: Graph, folder: Path, cutoff: int | None = None) -> Path:
    path = folder / "my.safetensors"
    network = compile_network(graph)
    initialise(network, seed=0)
    save_checkpoint(path, graph, network, describe(graph, cfg_name="coco", cutoff=cutoff))
    return path


def test_a_safetensors_file_of_ours_fits_by_names_and_shapes(tmp_path: Path) -> None:
    graph = compiled(detector(3))
    path = checkpoint(graph, tmp_path)
    found = diagnose(graph, path)
    assert found.to_text() == f"{path} fits my.cfg\nlayers with weights: 4"


def test_a_safetensors_file_for_other_classes_says_so(tmp_path: Path) -> None:
    path = checkpoint(compiled(detector(80)), tmp_path)
    assert diagnose(compiled(detector(3)), path).to_text() == (
        f"{path} does not fit my.cfg\n"
        "first layer that does not fit: layer 2 [convolutional], convolution.bias\n"
        "why: it was made from coco.cfg for 80 classes; the cfg says 3 classes\n"
        "  help: move the weights: yolo-gp convert WEIGHTS OUT --to CFG\n"
        "or: the cfg asks for convolutional_2.convolution.bias of 16, the file has one of 170"
    )


def test_a_safetensors_file_of_another_network_says_which(tmp_path: Path) -> None:
    path = checkpoint(compiled(FIRST), tmp_path)
    assert whys(diagnose(compiled(BODY), path)) == [
        "it was made from coco.cfg, which describes another network | that cfg is inside the file",
        "the cfg asks for convolutional_1.batch_norm.bias of 6, the file has no such tensor | None",
    ]
    path = checkpoint(compiled(BODY), tmp_path)
    assert whys(diagnose(compiled(FIRST), path))[1] == (
        "the file has 5 tensors that the cfg does not ask for, such as "
        "convolutional_1.batch_norm.bias | None"
    )


def test_a_safetensors_file_of_the_first_layers_is_a_prefix(tmp_path: Path) -> None:
    graph = compiled(BODY)
    found = diagnose(graph, checkpoint(graph, tmp_path, cutoff=1))
    assert whys(found) == [
        "it holds the first layer only | such a file is a start for training: give it with a "
        "cutoff of 1"
    ]
    assert found.place is not None and found.place.tensor.node.written == 1


def test_a_safetensors_file_of_others_cannot_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(2, dtype=np.float32)}, path)
    found = diagnose(compiled(BODY), path)
    assert [guess.cause for guess in found.guesses] == ["other_format"]
    assert found.guesses[0].text.startswith("was not written by yolo-gp: ")


# -- as data ---------------------------------------------------------------------------------------


def test_the_diagnosis_as_data_has_the_place_and_every_reason(tmp_path: Path) -> None:
    path = written(tmp_path, detector_floats(80))
    found = diagnose(compiled(detector(3)), path)
    place = {
        "index": 2,
        "written": 2,
        "kind": "convolutional",
        "tensor": "convolution.bias",
        "byte": 324,
    }
    assert json.loads(json.dumps(found.to_data())) == {
        "schema_version": 1,
        "weights": str(path),
        "cfg": "my.cfg",
        "fits": False,
        "format": "darknet",
        "layers": 4,
        "first_misfit": place,
        "doubt": None,
        "guesses": [
            {
                "cause": "classes",
                "text": "its size is right for 80 classes; the cfg says 3 classes",
                "help": "use the cfg for 80 classes, or move the weights: "
                "yolo-gp convert WEIGHTS OUT --to CFG",
                "layer": place,
                "cfgs": [],
                "classes": 80,
            }
        ],
        "sizes": {
            "bytes": 20 + 4 * detector_floats(80),
            "header_bytes": 20,
            "version": "0.2.5",
            "seen": 6400,
            "floats_expected": detector_floats(3),
            "floats_found": detector_floats(80),
        },
    }
