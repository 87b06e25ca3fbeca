"""`compare`: networks with one thing changed on purpose, and what is said about them."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.graph import compile_text
from yolo_gp.layers.convolution_modules import Convolution
from yolo_gp.network import compile_network, initialise
from yolo_gp.nodes import module_name
from yolo_gp.plain import write_plain
from yolo_gp.tasks.compare import CompareSettings, compare, open_side
from yolo_gp.tasks.compare_report import Comparison
from yolo_gp.tasks.compare_sides import TorchSide
from yolo_gp.tasks.differences import Difference, difference
from yolo_gp.tasks.export_onnx import OnnxSettings, export_onnx
from yolo_gp.tasks.models import Model, ModelSource, load_model
from yolo_gp.weights.darknet import load_weights, save_weights

NET = "[net]\nchannels=3\nheight=32\nwidth=48\n"


def conv(filters: int, more: str = "", activation: str = "leaky") -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize=3\npad=1\n{more}"
        f"activation={activation}\n"
    )


BODY = (  # layers 0 to 5; layer 4 only passes its input on
    conv(6, "stride=2\n")
    + conv(6)
    + "[shortcut]\nfrom=-2\nactivation=linear\n"
    + conv(8, "stride=2\n")
    + "[dropout]\nprobability=.5\n"
    + conv(8)
)
YOLO = "[yolo]\nclasses=2\nnum=2\nanchors=9,8, 14,12\n"
HEAD = f"[convolutional]\nfilters=14\nactivation=linear\n{YOLO}"
SMALL = (  # heads on layers 2 and 5
    NET
    + conv(6, "stride=4\n")
    + conv(6)
    + HEAD
    + "[route]\nlayers=1\n[convolutional]\nfilters=14\nstride=2\nactivation=linear\n"
    + YOLO.replace("14,12", "30,20")
)
PLAIN = CompareSettings()


def model_of(text: str, seed: int = 3) -> Model:
    graph = compile_text(text, "net.cfg")
    network = compile_network(graph)
    initialise(network, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith(("bias", "running_mean", "running_var")):
            tensor.uniform_(0.2, 0.5, generator=generator)
    return Model(graph, network)


def convolution(model: Model, index: int) -> Convolution:
    module = model.network.get_submodule(module_name(model.graph.nodes[index]))
    assert isinstance(module, Convolution)
    return module


def compared(a: Model, b: Model, settings: CompareSettings = PLAIN) -> Comparison:
    return compare(TorchSide(a, "a.weights"), TorchSide(b, "b.weights"), settings)


def kinds(found: Comparison) -> list[str]:
    return [f"{value.kind} {value.part}".strip() for value in found.values]


def test_a_network_equals_itself_in_every_layer_and_head() -> None:
    found = compared(model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD))
    assert found.agrees and found.first_departure is None and found.parted is None
    # All but the dropout, and the head's map is the last convolution's.
    assert kinds(found) == [
        *("convolutional", "convolutional", "shortcut", "convolutional", "convolutional"),
        *("convolutional", "yolo boxes", "yolo scores"),
    ]
    assert [value.a.written for value in found.values if value.a] == [0, 1, 2, 3, 5, 6, 7, 7]
    assert all(value.difference == Difference(0.0, 0.0) for value in found.values)


@pytest.mark.parametrize("layer", [0, 1, 3, 5, 6])
def test_the_first_to_depart_is_the_layer_whose_weight_was_changed(layer: int) -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, layer).convolution.weight.data[1, 2, 0, 0] += 0.25
    found = compared(a, b)
    first = found.first_departure
    assert not found.agrees
    assert first is not None and first.a is not None and first.a.written == layer
    assert found.hint == ("its inputs agree, but its convolution.weight differs by up to 2.5e-01")
    earlier = [value for value in found.values if value.a and value.a.written < layer]
    assert all(value.difference.largest == 0 for value in earlier)


def test_differences_are_those_of_the_two_maps() -> None:
    text = NET + "[convolutional]\nfilters=4\nactivation=linear\n"
    a, b = model_of(text), model_of(text)
    convolution(b, 0).convolution.bias.data[2] += 0.5  # type: ignore[union-attr]
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        magnitude = max(float(m.network(image)[0].abs().max()) for m in (a, b))
    (value,) = compared(a, b).values
    assert value.difference.largest == pytest.approx(0.5)
    assert value.difference.relative == pytest.approx(0.5 / magnitude)


def test_another_batch_norm_epsilon_is_found() -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    norm = convolution(b, 3).batch_norm
    assert norm is not None
    norm.eps = 1e-2
    found = compared(a, b)
    assert found.first_departure is not None and found.first_departure.label == (
        "layer 3 [convolutional]"
    )
    # 1e-2 - 1e-5
    assert found.hint == "its inputs agree, but its batch_norm.eps differs by up to 1.0e-02"


@pytest.mark.parametrize(
    ("old", "new", "label", "hint"),
    [
        (
            conv(6) + "[shortcut]",
            conv(6, activation="swish") + "[shortcut]",
            "layer 1 [convolutional]",
            "its inputs agree, but activation is leaky in a, swish in b",
        ),
        (
            "14,12",
            "14,13",
            "layer 7 [yolo] boxes",
            "its maps agree, but anchors is ((9.0, 8.0), (14.0, 12.0)) in a, "
            "((9.0, 8.0), (14.0, 13.0)) in b",
        ),
    ],
)
def test_a_setting_that_differs_is_named(old: str, new: str, label: str, hint: str) -> None:
    text = NET + BODY + HEAD
    assert old in text
    found = compared(model_of(text), model_of(text.replace(old, new)))
    assert found.parted is None
    assert found.first_departure is not None and found.first_departure.label == label
    assert found.hint == hint


def test_a_layer_that_computes_otherwise_for_no_visible_reason_is_still_found() -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, 5).activation.name = "relu"
    found = compared(a, b)
    assert found.first_departure is not None and found.first_departure.label == (
        "layer 5 [convolutional]"
    )
    assert found.hint == (
        "its inputs agree, and so do its settings and weights: it is computed in another way"
    )


def expanded(tmp_path: Path, model: Model) -> Model:
    """The same network without macros, its weights taken through a file."""
    content = write_plain(model.graph.cfg_text.encode(), model.graph).content
    graph = compile_text(content, "expanded.cfg")
    save_weights(tmp_path / "macro.weights", model.graph, model.network, None)
    network = compile_network(graph)
    load_weights(tmp_path / "macro.weights", graph, network)
    return Model(graph, network)


def test_a_macro_and_what_it_expands_to_are_compared_layer_by_layer(tmp_path: Path) -> None:
    macro = model_of(NET + conv(8) + "[elan]\nhidden=4\nfilters=16\n" + HEAD)
    plain = expanded(tmp_path, macro)
    found = compared(macro, plain)
    assert found.agrees and found.parted is None
    numbers = [(v.a.written, v.b.written) for v in found.values if v.a and v.b]
    # The macro is one section; layer 2 of its expansion is a [route] to one layer.
    assert numbers[:3] == [(0, 0), (1, 1), (1, 3)]
    assert len({a for a, _ in numbers}) == 4 and len({b for _, b in numbers}) > 8
    convolution(plain, 3).convolution.weight.data[0] += 0.2
    first = compared(macro, plain).first_departure
    assert first is not None and first.a and first.b
    assert (first.a.written, first.a.index, first.b.written) == (1, 3, 3)


def test_networks_that_part_are_compared_before_and_at_their_heads() -> None:
    a = model_of(NET + BODY + HEAD)
    b = model_of(NET + BODY.replace(conv(8, "stride=2\n"), conv(4, "stride=2\n")) + HEAD)
    found = compared(a, b)
    assert found.parted == (
        "layer 3 of a, layer 3 of b: [convolutional] gives 8 x 8 x 12 against 4 x 8 x 12"
    )
    assert kinds(found) == [
        *("convolutional", "convolutional", "shortcut"),
        *("convolutional", "yolo boxes", "yolo scores"),
    ]
    assert all(value.difference.largest == 0 for value in found.values[:3])
    assert found.first_departure is found.values[3]
    assert found.hint == "it stands behind where the networks part"


def test_networks_of_other_structure_may_agree_in_what_they_return() -> None:
    # A pool of one pixel changes nothing.
    a, b = (
        model_of(NET + BODY + HEAD),
        model_of(NET + BODY + "[maxpool]\nsize=1\nstride=1\n" + HEAD),
    )
    for tensor, other in zip(
        a.network.state_dict().values(), b.network.state_dict().values(), strict=True
    ):
        other.copy_(tensor)
    found = compared(a, b)
    assert found.parted == "layer 6 of a, layer 6 of b: [convolutional] against [maxpool]"
    assert found.complete and found.agrees
    assert found.to_text().endswith("they agree within 0.0001, relative to the largest magnitude")


def test_networks_that_return_other_shapes_do_not_agree() -> None:
    other = HEAD.replace("filters=14", "filters=21").replace("num=2", "num=3")
    other = other.replace("14,12", "14,12, 30,20")
    found = compared(model_of(NET + BODY + HEAD), model_of(NET + BODY + other))
    assert found.parted == (
        "layer 6 of a, layer 6 of b: [convolutional] gives 14 x 8 x 12 against 21 x 8 x 12"
    )
    assert found.first_departure is None
    assert not found.agrees
    assert found.to_text().endswith(
        "not all that they return can be compared; what was compared agrees"
    )


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        (BODY, "layer 6 of a: the other network ends before it"),
        (
            BODY.replace("from=-2", "from=-1") + HEAD,
            "layer 2 of a, layer 2 of b: [shortcut] reads other layers",
        ),
    ],
)
def test_the_reason_why_networks_part_is_given(text: str, parted: str) -> None:
    assert compared(model_of(NET + BODY + HEAD), model_of(NET + text)).parted == parted


def test_only_values_that_are_still_read_are_held() -> None:
    chain = NET + 12 * conv(4)
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    for _, value in TorchSide(model_of(chain), "a").values(torch.rand(1, 3, 32, 48)):
        alive.append(weakref.ref(value))
        del value
        most = max(most, sum(reference() is not None for reference in alive))
    assert len(alive) == 12 and most <= 2


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """A network and its ONNX file, suppression inside."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    model = model_of(SMALL)
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    report = export_onnx(model, path, OnnxSettings(nms=True))
    assert report.outputs == ("detections",)
    return model, path


def onnx_source(path: Path) -> ModelSource:
    return ModelSource(weights=path)


def test_onnx_is_compared_layer_by_layer_even_behind_suppression(
    exported: tuple[Model, Path],
) -> None:
    model, path = exported
    found = compare(TorchSide(model, "a"), open_side(onnx_source(path)), PLAIN)
    assert found.agrees and found.notes == ()
    assert kinds(found) == kinds(compared(model, model))
    assert 0 < max(value.difference.relative for value in found.values) < 1e-5


@pytest.mark.parametrize("layer", [0, 1])
def test_the_layer_of_an_onnx_file_that_was_damaged_departs_first(
    exported: tuple[Model, Path], tmp_path: Path, layer: int
) -> None:
    import onnx

    model, path = exported
    proto = onnx.load(str(path))
    name = f"network.convolutional_{layer}.convolution.weight"
    (weight,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
    changed = onnx.numpy_helper.to_array(weight).copy()
    changed[0, 0, 1, 1] += 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, name))
    onnx.save(proto, str(tmp_path / "damaged.onnx"))
    for sides in (
        (TorchSide(model, "a"), open_side(onnx_source(tmp_path / "damaged.onnx"))),
        (open_side(onnx_source(path)), open_side(onnx_source(tmp_path / "damaged.onnx"))),
    ):
        found = compare(*sides, PLAIN)
        assert found.first_departure is not None
        assert found.first_departure.label == f"layer {layer} [convolutional]"
        assert found.hint == "its inputs agree, but its convolution.weight differs by up to 5.0e-01"


def test_a_hint_does_not_vouch_for_weights_that_a_file_does_not_name(
    exported: tuple[Model, Path], tmp_path: Path
) -> None:
    import onnx

    model, path = exported
    proto = onnx.load(str(path))
    old, new = "network.convolutional_1.convolution.bias", "shared"
    for tensor in proto.graph.initializer:
        if tensor.name == old:
            changed = onnx.numpy_helper.to_array(tensor) + np.float32(0.5)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, new))
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    onnx.save(proto, str(tmp_path / "shared.onnx"))
    found = compare(TorchSide(model, "a"), open_side(onnx_source(tmp_path / "shared.onnx")), PLAIN)
    assert found.first_departure is not None
    assert found.first_departure.label == "layer 1 [convolutional]"
    assert found.hint == (
        "its inputs agree, and so do its settings; not all its weights can be compared"
    )


def without_metadata(path: Path, target: Path, outputs: list[tuple[str, list[int]]]) -> Path:
    """The file as another exporter would have made it, with these outputs."""
    import onnx

    proto = onnx.load(str(path))
    del proto.metadata_props[:]
    del proto.graph.output[:]
    for name, shape in outputs:
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *shape])
        proto.graph.output.append(value)
    onnx.save(proto, str(target))
    return target


def test_of_other_exporters_files_outputs_of_equal_shape_are_compared(
    exported: tuple[Model, Path], tmp_path: Path
) -> None:
    model, path = exported
    outputs = [("scores", [240, 2]), ("convolutional_5", [14, 4, 6])]
    outputs += [("convolutional_2", [14, 8, 12])]
    foreign = without_metadata(path, tmp_path / "other.onnx", outputs)
    found = compare(TorchSide(model, "a"), open_side(onnx_source(foreign)), PLAIN)
    assert [value.label for value in found.values] == [
        *("layer 2 [convolutional]", "layer 5 [convolutional]")
    ]
    assert all(value.b is None for value in found.values)
    assert found.agrees
    assert found.notes == (
        f"{foreign} does not say what its layers are: only outputs are compared",
        f"an output of {foreign} has no partner of its shape, 240 x 2",
    )
    twice = compare(open_side(onnx_source(foreign)), open_side(onnx_source(foreign)), PLAIN)
    assert [each.label for each in twice.values] == [
        *("output scores", "output convolutional_5", "output convolutional_2")
    ]
    convolution(other := model_of(SMALL), 1).convolution.weight.data += 0.1
    wrong = compare(TorchSide(other, "a"), open_side(onnx_source(foreign)), PLAIN)
    assert wrong.hint == (
        "a file does not say what its layers are, so look into it with other tools"
    )


def test_a_file_that_lacks_an_output_is_no_match(
    exported: tuple[Model, Path], tmp_path: Path
) -> None:
    model, path = exported
    foreign = without_metadata(path, tmp_path / "one.onnx", [("convolutional_2", [14, 8, 12])])
    found = compare(TorchSide(model, "a"), open_side(onnx_source(foreign)), PLAIN)
    assert found.first_departure is None and not found.agrees
    assert "an output of a has no partner of its shape, 14 x 4 x 6" in found.notes


def test_files_without_a_common_shape_are_refused(
    exported: tuple[Model, Path], tmp_path: Path
) -> None:
    model, path = exported
    foreign = without_metadata(path, tmp_path / "other.onnx", [("scores", [240, 2])])
    with pytest.raises(WeightsError) as caught:
        compare(TorchSide(model, "a.weights"), open_side(onnx_source(foreign)), PLAIN)
    assert str(caught.value) == (
        f"a.weights and {foreign} have no values of the same shape to compare\n"
        f"a.weights: 14 x 8 x 12, 14 x 4 x 6\n{foreign}: 240 x 2\n"
        "expected: two files of the same network, or of similar ones"
    )


def test_layers_that_a_file_keeps_to_itself_are_counted_out_loud(
    exported: tuple[Model, Path], tmp_path: Path
) -> None:
    import onnx

    model, path = exported
    proto = onnx.load(str(path))
    (values,) = (entry for entry in proto.metadata_props if entry.key == "yolo_gp.values")
    values.value = json.dumps({"0": "convolutional_0", "1": "no such value"})
    onnx.save(proto, str(tmp_path / "few.onnx"))
    found = compare(TorchSide(model, "a"), open_side(onnx_source(tmp_path / "few.onnx")), PLAIN)
    assert kinds(found) == ["convolutional", *2 * ["yolo boxes", "yolo scores"]]
    assert found.agrees
    assert found.notes == (f"{tmp_path / 'few.onnx'} does not show the values of all its layers",)


def image_input(
    shape: list[int | str], kind: str = "FLOAT", inputs: int = 1
) -> Callable[[Path], None]:
    """Write an ONNX file that returns its input."""

    def write(path: Path) -> None:
        import onnx

        element = getattr(onnx.TensorProto, kind)
        values = [
            onnx.helper.make_tensor_value_info(f"x{i}", element, shape) for i in range(inputs)
        ]
        out = onnx.helper.make_tensor_value_info("y", element, shape)
        node = onnx.helper.make_node("Identity", ["x0"], ["y"])
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", values, [out])), path)

    return write


EXPECTED = "expected: float32 images, N x C x H x W, with known C, H and W and any N, or 1"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (None, "cannot read weights {}: no such file or directory"),
        (
            lambda path: path.write_bytes(b"<!doctype html><html>"),
            "{} is no ONNX file: Error parsing message",
        ),
        (lambda path: path.write_bytes(b""), "{} has 0 inputs\nexpected: one, images (N, C, H, W)"),
        (
            image_input(["n", 3, 8, 8], inputs=2),
            "{} has 2 inputs\nexpected: one, images (N, C, H, W)",
        ),
        (image_input(["n", 3, "h", 8]), f"{{}} takes ? x 3 x ? x 8 as input\n{EXPECTED}"),
        (image_input([4, 3, 8, 8]), f"{{}} takes 4 x 3 x 8 x 8 as input\n{EXPECTED}"),
        (image_input([1, 10]), f"{{}} takes 1 x 10 as input\n{EXPECTED}"),
    ],
)
def test_files_that_are_no_onnx_network_for_images_are_refused(
    write: Callable[[Path], None] | None, message: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    if write:
        write(path)
    with pytest.raises(WeightsError) as caught:
        open_side(onnx_source(path))
    assert str(caught.value).startswith(message.format(path))


def test_an_input_of_other_numbers_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    image_input(["n", 3, 8, 8], "DOUBLE")(tmp_path / "x.onnx")
    with pytest.raises(WeightsError) as caught:
        open_side(onnx_source(tmp_path / "x.onnx"))
    assert EXPECTED in str(caught.value)


def test_a_network_that_onnxruntime_cannot_run_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    image_input(["n", 3, 8, 8])(path)
    proto = onnx.load(str(path))
    proto.graph.node[0].op_type = "Teleport"
    onnx.save(proto, str(path))
    with pytest.raises(WeightsError, match=r"^onnxruntime cannot run .*x\.onnx: .*Teleport"):
        open_side(onnx_source(path))


def test_a_cfg_or_another_size_for_an_onnx_file_is_refused(exported: tuple[Model, Path]) -> None:
    _, path = exported
    with pytest.raises(UsageError) as caught:
        open_side(ModelSource(weights=path, cfg="x.cfg"))
    assert str(caught.value) == f"{path} is an ONNX file, so no cfg can be given for it"
    with pytest.raises(UsageError) as caught:
        open_side(ModelSource(weights=path, size=(64, 64)))
    assert str(caught.value) == (
        f"{path} takes images of 32x48 only\n"
        "help: leave the size out, or export the network again at another"
    )
    assert open_side(ModelSource(weights=path, size=(32, 48))).input_shape == (3, 32, 48)


def test_networks_for_images_of_other_sizes_are_refused() -> None:
    a, b = model_of(NET + BODY), model_of(NET.replace("48", "64") + BODY)
    with pytest.raises(UsageError) as caught:
        compared(a, b)
    assert str(caught.value) == (
        "a.weights takes images of 3 x 32 x 48, b.weights of 3 x 32 x 64\nexpected: the same\n"
        "help: --size HxW runs a cfg at another size; an ONNX file has one"
    )


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.inf, math.nan])
def test_a_tolerance_that_is_no_positive_number_is_refused(tolerance: float) -> None:
    with pytest.raises(
        UsageError, match=f"^the tolerance is {tolerance:g}\nexpected: a number above"
    ):
        CompareSettings(tolerance=tolerance)


def write_image(path: Path, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def test_of_several_images_the_largest_difference_counts(tmp_path: Path) -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, 3).convolution.weight.data[0] *= 1.5
    files = tuple(write_image(tmp_path / f"{seed}.png", seed) for seed in (1, 2))
    alone = [compared(a, b, CompareSettings(images=(file,))) for file in files]
    both = compared(a, b, CompareSettings(images=files))
    assert both.images == files
    for value, *parts in zip(both.values, *(found.values for found in alone), strict=True):
        assert value.difference.largest == max(part.difference.largest for part in parts)
    assert alone[0].values[3].difference != alone[1].values[3].difference
    assert "input: 2 images, 3 x 32 x 48" in both.to_text()


@pytest.mark.parametrize(("letter_box", "largest"), [(0, 0.0), (1, 0.5)])
def test_images_are_letterboxed_where_the_cfg_asks_for_it(
    letter_box: int, largest: float, tmp_path: Path
) -> None:
    # On white, 1, the two give 1; on the grey bars beside a letterboxed picture, 0.5, they
    # give 0.5 and 1.
    text = f"{NET}letter_box={letter_box}\n[convolutional]\nfilters=1\nactivation=linear\n"
    a, b = model_of(text), model_of(text)
    for model, weight, bias in ((a, 1 / 3, 0.0), (b, 0.0, 1.0)):
        module = convolution(model, 0).convolution
        module.weight.data.fill_(weight)
        assert module.bias is not None
        module.bias.data.fill_(bias)
    Image.new("RGB", (40, 40), "white").save(tmp_path / "white.png")
    found = compared(a, b, CompareSettings(images=(str(tmp_path / "white.png"),)))
    assert found.values[0].difference.largest == pytest.approx(largest, abs=1e-6)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    model = model_of(NET + BODY)
    with pytest.raises(DataError, match=r"^cannot read .*none\.jpg: no such file or directory$"):
        compared(model, model, CompareSettings(images=(str(tmp_path / "none.jpg"),)))


def test_the_tolerance_decides_what_departs() -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, 3).convolution.weight.data[0] *= 1.001
    strict = compared(a, b, CompareSettings(tolerance=1e-6))
    loose = compared(a, b, CompareSettings(tolerance=0.1))
    assert not strict.agrees and loose.agrees
    assert [v.difference for v in strict.values] == [v.difference for v in loose.values]


def test_the_table_marks_the_first_to_depart() -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, 5).convolution.weight.data[1, 2, 0, 0] += 0.25
    text = compared(a, b).to_text()
    rows = [line.split() for line in text.split("\n\n")[1].splitlines()]
    assert rows[0] == ["a", "b", "section", "largest", "relative"]
    assert rows[1] == ["0", "0", "convolutional", "0.0e+00", "0.0e+00"]
    assert rows[5][:3] == ["5", "5", "convolutional"] and rows[5][5:] == ["<-", "departs", "first"]
    assert [row[-1] for row in rows[6:]] == ["departs"] * 3
    assert text.endswith(
        "layer 5 [convolutional] departs first: its inputs agree, but its convolution.weight "
        "differs by up to 2.5e-01"
    )
    assert "input: one image of random numbers, 3 x 32 x 48" in text


def test_json_holds_what_the_table_holds() -> None:
    a, b = model_of(NET + BODY + HEAD), model_of(NET + BODY + HEAD)
    convolution(b, 5).convolution.weight.data[:] = torch.inf
    found = compared(a, b)
    data = json.loads(found.to_json())
    assert data["schema_version"] == 1
    assert (data["a"], data["b"], data["agrees"]) == ("a.weights", "b.weights", False)
    assert (data["images"], data["input_shape"]) == ([], [3, 32, 48])
    assert data["first_departure"] == 4
    assert data["values"][4] == {
        "kind": "convolutional",
        "part": None,
        "a": {"index": 5, "written": 5},
        "b": {"index": 5, "written": 5},
        "largest": None,  # infinite
        "relative": None,
        "departs": True,
    }
    assert data["values"][6]["part"] == "boxes"
    assert data["hint"] == found.hint


def test_numbers_that_are_not_finite_agree_with_the_same_only() -> None:
    inf, nan = math.inf, math.nan
    a = torch.tensor([[1.0, inf, -inf, nan]])
    assert difference(a, a.clone()) == Difference(0.0, 0.0)
    for wrong in ([1.0, 2.0, -inf, nan], [1.0, inf, inf, nan], [1.0, inf, -inf, 0.0]):
        assert difference(a, torch.tensor([wrong])) == Difference(inf, inf)


def test_a_difference_is_relative_to_the_largest_number_of_its_image() -> None:
    a = torch.tensor([[[1.0, 200.0]], [[0.5, 0.25]]])
    b = torch.tensor([[[3.0, 200.0]], [[0.5, 0.2]]])
    # 2 of 200 in the first image, 0.05 of 0.5 in the second.
    found = difference(a, b)
    assert found.largest == pytest.approx(2)
    assert found.relative == pytest.approx(0.1)
    # At least 1: 0.01, 0.05. Row by row there is one row an image.
    assert difference(a, b, floor=1.0).relative == pytest.approx(0.05)


def test_the_heads_of_a_real_model_agree_in_onnxruntime_within_a_ten_thousandth(
    shared: Path, tmp_path: Path
) -> None:
    # The other models of that folder: 1.6e-5 to 4e-5, by `yolo-gp convert X.weights X.onnx`.
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    name = shared / "data" / "models" / "yolo-fastest-1.1"
    source = ModelSource(cfg=f"{name}.cfg", weights=f"{name}.weights")
    model = load_model(source)
    export_onnx(model, tmp_path / "fastest.onnx", OnnxSettings())
    image = next((shared / "data" / "coco-mini" / "images").rglob("*.jpg"))
    settings = CompareSettings(images=(str(image),))
    found = compare(
        TorchSide(model, "weights"), open_side(onnx_source(tmp_path / "fastest.onnx")), settings
    )
    assert found.agrees and found.notes == ()
    heads = [value for value in found.values if value.a and value.a.written in (120, 129)]
    assert len(heads) == 2
    assert all(0 < value.difference.largest < 1e-4 for value in heads)
    # All layers that compute a map of their own, and the two parts of each head.
    layers = (node.layer for node in model.graph.nodes)
    own = sum(not layer.is_identity() and not layer.passes_input() for layer in layers)
    assert len(found.values) == own + 2 * 2
