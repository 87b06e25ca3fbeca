"""One test for each row of docs/darknet-differences.md."""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx

from yolo_gp.data.class_opening import open_classified
from yolo_gp.errors import CfgError, WeightsError
from yolo_gp.graph import Graph, compile_text
from yolo_gp.network import compile_network, initialise, read_as_sequences
from yolo_gp.rules import Rule
from yolo_gp.tasks.val_classifier import validate_classifier
from yolo_gp.weights.darknet import load_weights, save_weights
from yolo_gp.weights.header import read_header

from .tasks.classifier_sets import NAMES, grey_classifier, write_grey

NET = "[net]\nwidth=4\nheight=4\nchannels=2\n"
CONV = "[convolutional]\nfilters=2\nactivation=linear\n"


def compiled(text: str) -> tuple[Graph, list[Rule]]:
    graph = compile_text(text, "x.cfg")
    return graph, [warning.rule for warning in graph.warnings]


def errors(text: str) -> list[Rule]:
    with pytest.raises(CfgError) as caught:
        compile_text(text, "x.cfg")
    return [d.rule for d in caught.value.diagnostics if d.severity == "error"]


def run(text: str, image: Tensor) -> Tensor:
    graph, _ = compiled(text)
    network = compile_network(graph)
    initialise(network, seed=0)
    with torch.no_grad():
        (output,) = network(image)
    assert isinstance(output, Tensor)
    return output


def with_unit_weights(network: fx.GraphModule) -> None:
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.fill_(0.0 if name.endswith("bias") else 1.0)


def test_a_byte_order_mark_is_skipped() -> None:
    graph = compile_text(b"\xef\xbb\xbf" + (NET + CONV).encode(), "x.cfg")
    assert [w.rule for w in graph.warnings] == [Rule.BYTE_ORDER_MARK]
    assert graph.input_shape.size == (4, 4)


def test_lines_that_end_in_cr_are_split() -> None:
    graph, rules = compiled((NET + CONV).replace("\n", "\r"))
    assert rules == [Rule.LINE_ENDS]
    assert graph.nodes[0].output_shape.channels == 2


def test_a_comment_behind_a_value_is_a_comment() -> None:
    graph, rules = compiled(
        NET + "[convolutional] # one\nfilters=3 # two\nactivation=leaky # a, b\n"
    )
    assert rules == [Rule.INLINE_COMMENT, Rule.INLINE_COMMENT]  # a number is read as we read it
    assert graph.nodes[0].output_shape.channels == 3
    assert graph.nodes[0].layer.label() == "1x1/1 leaky"


def test_relu6_clamps() -> None:
    text = NET.replace("channels=2", "channels=1") + "[convolutional]\nactivation=relu6\n"
    assert compiled(text)[1] == [Rule.RELU6]
    network = compile_network(compiled(text)[0])
    with_unit_weights(network)
    image = torch.tensor([-1.0, 2.0, 9.0, 6.0]).reshape(1, 1, 2, 2)
    with torch.no_grad():
        assert network(image)[0].flatten().tolist() == [0.0, 2.0, 6.0, 6.0]


def test_activations_work_in_every_section() -> None:
    text = NET + CONV + "[sam]\nfrom=-1\nactivation=swish\n"
    assert compiled(text)[1] == [Rule.ACTIVATION_ZERO]
    network = compile_network(compiled(text)[0])
    with_unit_weights(network)
    image = torch.full((1, 2, 4, 4), 0.5)  # the convolution gives 1, its product with itself 1
    with torch.no_grad():
        output = network(image)[0]
    assert torch.allclose(output, torch.full_like(output, 1 / (1 + np.exp(-1.0))))


def test_a_padded_pointwise_convolution_is_computed() -> None:
    text = NET + CONV.replace("filters=2", "filters=1\nsize=1\npadding=1")
    assert compiled(text)[1] == [Rule.POINTWISE_PADDING]
    network = compile_network(compiled(text)[0])
    with_unit_weights(network)
    with torch.no_grad():
        output = network(torch.ones(1, 2, 4, 4))[0]
    assert output.shape == (1, 1, 6, 6)
    assert output[0, 0, 0].tolist() == [0.0] * 6
    assert output[0, 0, 1].tolist() == [0.0, 2.0, 2.0, 2.0, 2.0, 0.0]


def test_shortcut_weights_work_without_normalization() -> None:
    text = NET + CONV + CONV + "[shortcut]\nfrom=-2\nweights_type=per_feature\n"
    graph, rules = compiled(text)
    assert rules == [Rule.PLAIN_SHORTCUT_WEIGHTS]
    network = compile_network(graph)
    with_unit_weights(network)
    network.get_submodule("shortcut_2").weight.data = torch.tensor([[2.0], [-3.0]])
    with torch.no_grad():
        output = network(torch.ones(1, 2, 4, 4))[0]
    assert output.unique().tolist() == [2.0 * 4.0 - 3.0 * 2.0]


def test_a_shortcut_between_sizes_follows_pjreddie() -> None:
    text = NET + CONV + "[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\n"
    graph, rules = compiled(text)
    assert rules == [Rule.RESIZED_SHORTCUT]
    network = compile_network(graph)
    with_unit_weights(network)
    image = torch.zeros(1, 2, 4, 4)
    image[0, 0] = torch.arange(16.0).reshape(4, 4)
    with torch.no_grad():
        output = network(image)[0]
    # Pooled 5 7 13 15, plus every second pixel of the larger map, 0 2 8 10.
    assert output[0, 0].flatten().tolist() == [5.0, 9.0, 21.0, 25.0]


def test_spatial_softmax_is_honoured() -> None:
    text = NET + CONV + "[softmax]\nspatial=1\n"
    assert compiled(text)[1] == [Rule.SPATIAL_SOFTMAX]
    sums = run(text, torch.rand(1, 2, 4, 4)).sum(1)
    assert torch.allclose(sums, torch.ones_like(sums))


def test_a_network_without_a_spatial_layer_compiles() -> None:
    text = "[net]\ninputs=6\n[connected]\noutput=3\nactivation=linear\n"
    assert compiled(text)[1] == [Rule.NO_SPATIAL_LAYER]
    assert run(text, torch.ones(2, 6, 1, 1)).shape == (2, 3, 1, 1)


HEAD = "[convolutional]\nfilters=12\nactivation=linear\n[yolo]\nclasses=1\n"


def test_anchors_beyond_num_can_be_masked() -> None:
    text = NET + HEAD + "num=2\nmask=1,2\nanchors=1,2,3,4,5,6\n"
    graph, rules = compiled(text)
    assert rules == [Rule.SURPLUS_ANCHORS]
    assert graph.nodes[1].layer.anchors.masked_wh == ((3.0, 4.0), (5.0, 6.0))  # type: ignore[attr-defined]


def test_a_blank_between_anchors_separates() -> None:
    text = NET + HEAD + "num=2\nanchors=1,2  3,4\n"
    graph, rules = compiled(text)
    assert rules == [Rule.MISSING_COMMA]
    assert graph.nodes[1].layer.anchors.all_wh == ((1.0, 2.0), (3.0, 4.0))  # type: ignore[attr-defined]


def test_an_antialiased_map_is_read_blurred() -> None:
    pool = "[maxpool]\nsize=1\nstride=2\nantialiasing=2\n"
    text = NET + pool + "[avgpool]\n[route]\nlayers=0\n"
    assert compiled(text)[1] == [Rule.ANTIALIASED_SOURCE]
    output = run(text, torch.arange(32.0).reshape(1, 2, 4, 4))
    assert output[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]  # means of 2 x 2


def test_convolutions_of_other_input_channels_get_weights_of_their_own() -> None:
    wide = CONV.replace("filters=2", "filters=3")
    graph, rules = compiled(NET + CONV + wide + CONV + "share_index=0\n")
    assert rules == [Rule.UNSHARED_WEIGHTS]
    shapes = {name: tuple(p.shape) for name, p in compile_network(graph).named_parameters()}
    assert shapes["convolutional_2.convolution.weight"] == (2, 3, 1, 1)


def test_coordconv_does_nothing() -> None:
    image = torch.rand(1, 2, 4, 4)
    assert compiled(NET + CONV + "coordconv=1\n")[1] == [Rule.COORDCONV]
    assert torch.equal(run(NET + CONV + "coordconv=1\n", image), run(NET + CONV, image))


def test_pjreddies_keys_act() -> None:
    image = torch.arange(32.0).reshape(1, 2, 4, 4)
    for section, expected in (
        ("[shortcut]\nfrom=0\nalpha=2\n", 3 * image),
        ("[shortcut]\nfrom=0\nbeta=2\n", 3 * image),
        ("[reorg]\nflatten=1\n", image.permute(0, 2, 3, 1).reshape(1, 2, 4, 4)),
        ("[reorg]\nextra=1\n", torch.cat((image.flatten(), torch.zeros(1))).reshape(1, 33, 1, 1)),
    ):
        text = NET + "[maxpool]\n[maxpool]\n" + section
        assert compiled(text)[1] == [Rule.PJREDDIES_KEY]
        assert torch.equal(run(text, image), expected)


def test_pjreddies_keys_of_recurrent_sections_act() -> None:
    text = NET + "[crnn]\noutput_filters=3\nhidden_filters=4\n[gru]\ntanh=1\n"
    graph, rules = compiled(text)
    assert rules == [Rule.PJREDDIES_KEY] * 2
    assert str(graph.nodes[0].output_shape) == "3 x 4 x 4"
    network = compile_network(graph)
    for name, parameter in network.named_parameters():
        parameter.data.fill_(-1.0 if name.endswith("input_h.linear.bias") else 0.0)
    (h,) = network(torch.zeros(1, 2, 4, 4))  # half of the state, 0, and half of tanh(-1)
    assert h.item() == pytest.approx(np.tanh(-1) / 2)


def test_a_blank_section_passes_its_input_on() -> None:
    assert compiled(NET + "[blank]\n")[1] == [Rule.BLANK_SECTION]
    image = torch.rand(1, 2, 4, 4)
    assert torch.equal(run(NET + "[blank]\n", image), image)


def test_iseg_gives_its_map() -> None:
    text = NET + "[iseg]\nclasses=1\nids=1\n"
    assert compiled(text)[1] == [Rule.ISEG_MAP]
    assert run(text, torch.zeros(1, 2, 4, 4)).unique().tolist() == [0.0, 0.5]


def test_a_region_without_softmax_takes_pjreddies_sigmoid() -> None:
    text = NET + CONV.replace("filters=2", "filters=6") + "[region]\nclasses=1\nanchors=1,1\n"
    graph, rules = compiled(text)
    assert rules == [Rule.RAW_SCORES]
    found = graph.heads[0][1].decode_all([torch.zeros(1, 6, 4, 4)], (4, 4))
    assert found.scores.unique().tolist() == [0.25]  # objectness and class are sigmoid(0) each


def test_conv_lstm_computes_what_the_gpu_build_does() -> None:
    text = NET + "[conv_lstm]\noutput=2\npad=1\nbottleneck=1\nlstm_activation=relu\n"
    graph, rules = compiled(text)
    assert rules == [Rule.GPU_BUILD_ONLY] * 2
    network = compile_network(graph)
    for name, parameter in network.named_parameters():
        parameter.data.fill_(3.0 if name.endswith("ug.convolution.bias") else 0.0)
    (h,) = network(torch.zeros(1, 2, 4, 4))  # gates are 1/2: c = 3/2, and half of that comes out
    assert h.unique().tolist() == [0.75]


@pytest.mark.parametrize("value", ["3x2", "abc", "1e3", "4.9"])
def test_numbers_that_darknet_half_reads_are_errors(value: str) -> None:
    assert errors(NET + CONV.replace("filters=2", f"filters={value}")) == [Rule.BAD_NUMBER]
    assert errors(NET + CONV + "[route]\nlayers=-1,\n") == [Rule.BAD_NUMBER]


def test_unknown_names_are_errors() -> None:
    assert errors(NET + "[convolutional]\nactivation=leeky\n") == [Rule.UNKNOWN_NAME]
    assert errors(NET + HEAD + "num=2\nanchors=1,2,3,4\nnms_kind=softnms\n") == [Rule.UNKNOWN_NAME]


def test_an_unknown_section_is_an_error() -> None:
    assert errors(NET + CONV + "[maxpol]\n") == [Rule.UNKNOWN_SECTION]


def test_an_unknown_key_in_net_is_a_warning() -> None:
    assert compiled(NET + "widht=3\n" + CONV)[1] == [Rule.UNKNOWN_KEY]


@pytest.mark.parametrize("reference", ["1", "2", "-2"])
def test_a_route_to_a_later_layer_is_an_error(reference: str) -> None:
    assert errors(NET + CONV + f"[route]\nlayers={reference}\n{CONV}") == [Rule.BAD_REFERENCE]


def test_a_route_over_sizes_is_an_error() -> None:
    text = NET + CONV + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,0\n"
    assert errors(text) == [Rule.SIZE_MISMATCH]


def test_groups_that_do_not_divide_are_errors() -> None:
    assert errors(NET + CONV + "[route]\nlayers=-1\ngroups=3\n") == [Rule.EMPTY_GROUP]
    wide = CONV.replace("filters=2", "filters=5")
    assert errors(NET + wide + "[route]\nlayers=-1\ngroups=3\n") == [Rule.CHANNEL_MISMATCH]
    grouped = CONV.replace("filters=2", "filters=6\ngroups=3")
    assert errors(NET + grouped) == [Rule.CHANNEL_MISMATCH]


def test_dilation_that_changes_the_size_is_an_error() -> None:
    text = NET + CONV.replace("filters=2", "filters=2\nsize=3\ndilation=2")
    assert errors(text) == [Rule.EMPTY_OUTPUT]


def test_a_mask_beyond_the_anchors_is_an_error() -> None:
    assert errors(NET + HEAD + "num=2\nmask=1,2\nanchors=1,2,3,4\n") == [Rule.HEAD_MASK]


def test_too_few_anchors_are_an_error() -> None:
    assert errors(NET + HEAD + "num=2\nmask=0,1\nanchors=1,2,3\n") == [Rule.HEAD_ANCHORS]


def test_stride_one_max_pools_are_right_in_the_first_columns() -> None:
    text = "[net]\nwidth=19\nheight=19\nchannels=1\n[maxpool]\nsize=5\nstride=1\n"
    image = torch.rand(1, 1, 19, 19, generator=torch.Generator().manual_seed(0))
    output = run(text, image)
    for column in range(9):
        window = image[0, 0, 7:12, max(0, column - 2) : column + 3]
        assert output[0, 0, 9, column] == window.max()


def test_a_shortcut_never_reads_past_a_narrow_source() -> None:
    # The source has 1 channel but reads 2, as many as the sum has: Darknet's fast path adds two.
    narrow = CONV.replace("filters=2", "filters=1")
    text = NET + narrow + CONV + "[shortcut]\nfrom=0\n"
    network = compile_network(compiled(text)[0])
    with_unit_weights(network)
    with torch.no_grad():
        output = network(torch.ones(1, 2, 4, 4))[0]  # layer 0 gives 2, layer 1 gives 2, 2
    assert output[0, 0].unique().tolist() == [4.0]
    assert output[0, 1].unique().tolist() == [2.0]


def test_relu_shortcut_weights_have_a_floor_at_inference_only() -> None:
    text = NET + CONV + CONV
    text += "[shortcut]\nfrom=-2\nweights_type=per_feature\nweights_normalization=relu\n"
    module = compile_network(compiled(text)[0]).get_submodule("shortcut_2")
    module.weight.data = torch.tensor([[1.0], [-1.0]])
    expected = [1.0 / (1.001 + 1e-4), 0.001 / (1.001 + 1e-4)]
    assert module.normalized_weight().flatten().tolist() == pytest.approx(expected)
    assert module.train().normalized_weight().flatten().tolist() == pytest.approx([1 / 1.0001, 0])


def test_weights_must_fit_exactly(tmp_path: Path) -> None:
    graph, _ = compiled(NET + CONV)  # 2 biases and 4 weights
    header = struct.pack("<iiiQ", 0, 2, 5, 0)
    for floats in (5, 7):
        path = tmp_path / "x.weights"
        path.write_bytes(header + struct.pack(f"<{floats}f", *range(floats)))
        with pytest.raises(WeightsError, match=r"too (short|long) for this cfg"):
            load_weights(path, graph, compile_network(graph))


def test_flipped_weights_are_written_as_they_are_read(tmp_path: Path) -> None:
    graph, _ = compiled(NET + CONV + "flipped=1\n")
    path, again = tmp_path / "a.weights", tmp_path / "b.weights"
    path.write_bytes(struct.pack("<iiiQ6f", 0, 2, 5, 0, 0, 0, 1, 2, 3, 4))
    network = compile_network(graph)
    save_weights(again, graph, network, load_weights(path, graph, network))
    assert network.get_submodule("convolutional_0").convolution.weight.flatten().tolist() == [
        1.0, 3.0, 2.0, 4.0,
    ]  # fmt: skip
    assert again.read_bytes() == path.read_bytes()


def test_scales_that_are_not_loaded_do_not_change_the_map(tmp_path: Path) -> None:
    graph, _ = compiled(NET + CONV + "batch_normalize=1\ndontloadscales=1\n")
    path = tmp_path / "x.weights"
    path.write_bytes(struct.pack("<iiiQ6f", 0, 2, 5, 0, 0, 0, 1, 0, 0, 1))
    network = compile_network(graph)
    load_weights(path, graph, network)
    image = torch.rand(1, 2, 4, 4)
    with torch.no_grad():
        assert torch.allclose(network(image)[0], image, atol=1e-4)


def test_the_width_of_seen_follows_the_file_size(tmp_path: Path) -> None:
    path = tmp_path / "x.weights"
    path.write_bytes(struct.pack("<iiiI3f", 1001, 0, 0, 7, 1, 2, 3))
    assert (read_header(path, expected_floats=3).wide, read_header(path, 3).seen) == (False, 7)
    path.write_bytes(struct.pack("<iiiQ3f", 1001, 0, 0, 7, 1, 2, 3))
    assert (read_header(path, expected_floats=3).wide, read_header(path, 3).seen) == (True, 7)


def test_images_are_not_remembered() -> None:
    graph, _ = compiled(NET + "[crnn]\noutput=1\nhidden=2\npad=1\nshortcut=1\n")
    network = compile_network(graph)
    initialise(network, seed=0)
    image = torch.rand(1, 2, 4, 4)
    with torch.no_grad():
        assert torch.equal(network(image)[0], network(image)[0])
        read_as_sequences(network, carry_state=True)
        assert not torch.equal(network(image)[0], network(image)[0])


def test_pjreddies_order_of_weights_can_be_read(tmp_path: Path) -> None:
    graph, _ = compiled("[net]\ninputs=1\n[gru]\n")
    path = tmp_path / "x.weights"  # a bias and a weight of each layer, those of the state first
    path.write_bytes(struct.pack("<iiiQ12f", 0, 2, 0, 0, *range(12)))
    network = compile_network(graph)
    load_weights(path, graph, network, "pjreddie")
    assert network.get_submodule("gru_0.parts.input_z").linear.bias.tolist() == [6.0]
    load_weights(path, graph, network)
    assert network.get_submodule("gru_0.parts.input_z").linear.bias.tolist() == [0.0]


def test_an_image_without_a_label_is_no_error_of_the_classifier(tmp_path: Path) -> None:
    for name, grey in (("white", 1.0), ("unheard-of", 0.5)):
        write_grey(tmp_path / f"{name}.png", grey)
    (tmp_path / "list.txt").write_text("white.png\nunheard-of.png\n")
    data = open_classified(str(tmp_path / "list.txt"), names=NAMES, count=len(NAMES))
    found = validate_classifier(grey_classifier(), data)
    assert found.top_k.top_1 == 1
    (problem,) = found.problems
    assert problem.file.endswith("unheard-of.png")


def test_an_unreadable_image_is_not_a_black_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from yolo_gp.cli import main

    (tmp_path / "x.cfg").write_text(
        NET.replace("channels=2", "channels=3") + HEAD + "num=2\nanchors=1,2,3,4\n"
    )
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff")
    arguments = ["detect", "--cfg", "x.cfg", "--random-weights", "--no-save", "--json", "x.jpg"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["yolo-gp", *arguments])
    with pytest.raises(SystemExit) as stop:
        main.run()
    captured = capsys.readouterr()
    assert stop.value.code == 5
    assert json.loads(captured.out)["images"] == []
    assert "x.jpg: " in captured.err


def test_local_and_reorg3d_refuse_what_darknet_misreads() -> None:
    assert errors(NET + "[local]\nsize=1\npad=1\n") == [Rule.EMPTY_OUTPUT]
    wide = CONV.replace("filters=2", "filters=4")
    assert errors(NET + wide + "[reorg3d]\nstride=2\nreverse=1\n") == [Rule.CHANNEL_MISMATCH]


def test_an_antialiased_pool_needs_no_convolution() -> None:
    output = run(NET + "[maxpool]\nsize=1\nstride=2\nantialiasing=1\n", torch.ones(1, 2, 4, 4))
    # At the upper left 9 of the 16 sixteenths lie inside the map, 12 at the other edges.
    assert output[0, 0].tolist() == [[9 / 16, 12 / 16], [12 / 16, 1]]


def test_sections_without_a_map_of_their_own_can_come_first() -> None:
    image = torch.rand(1, 2, 4, 4)
    for kind in ("dropout", "empty", "silence"):
        assert torch.equal(run(f"{NET}[{kind}]\n", image), image)


def test_l2norm_of_zeros_is_zero() -> None:
    assert not run(NET + "[l2norm]\n", torch.zeros(1, 2, 4, 4)).any()


def test_boxes_of_yolov1_lie_where_they_belong() -> None:
    text = NET + "[connected]\noutput=6\nactivation=linear\n[detection]\nside=1\ncoords=4\n"
    head = compiled(text)[0].heads[0][1]
    # class, confidence, x, y, w, h
    (found,) = head.decode(
        [torch.tensor([1, 1, 0.5, 0.25, 0.1, 0.2])[None, :, None, None]], (4, 4), 0
    )
    assert found.boxes_cxcywh_norm.tolist()[0] == pytest.approx([0.5, 0.25, 0.1, 0.2])


def test_the_docs_name_tests_that_exist() -> None:
    tests = Path(__file__).parent
    page = (tests.parent / "docs/darknet-differences.md").read_text()
    named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", page)
    assert named
    for file, name in named:
        assert f"def {name}(" in (tests / file).read_text(), name


def test_the_table_of_the_docs_names_every_test_here_and_every_quirk() -> None:
    page = (Path(__file__).parent.parent / "docs/darknet-differences.md").read_text()
    named = re.findall(r"`(test_\w+)` \|$", page, flags=re.MULTILINE)
    here = [name for name in globals() if name.startswith("test_")]
    assert named == here[:-2]
    codes = set(re.findall(r"^\| (YG4\d\d)", page, flags=re.MULTILINE))
    same_as_darknet = {Rule.NMS_NAME.code}
    assert codes == {rule.code for rule in Rule if rule.code[2] == "4"} - same_as_darknet
