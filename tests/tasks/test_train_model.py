"""What a run begins with: weights that move, heads that fit the data, sections that stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from yolo_gp.errors import DataError, UsageError, WeightsError
from yolo_gp.graph import compile_text, read_graph
from yolo_gp.network import compile_network, initialise
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.train_memory import bytes_kept, images_that_fit
from yolo_gp.tasks.train_model import build_network
from yolo_gp.tasks.train_settings import RecipeName
from yolo_gp.tasks.train_setup import Prepared, begin
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import describe
from yolo_gp.weights.darknet import save_weights

from .train_sets import CFG, begun, finished, tiny_settings, write_tiny

FIRST = "convolutional_0.convolution.weight"
HEAD = "convolutional_5.convolution.weight"
EIGHTY = CFG.replace("classes=2 ", "classes=80 ").replace("filters=14 ", "filters=170 ")


def prepared(folder: Path, **changes: object) -> Prepared:
    if not (folder / "tiny.cfg").exists():
        write_tiny(folder)
    return begin(tiny_settings(folder, **changes), Ranks(), save_dir=folder / "run")


def pretrained(path: Path, cfg: str = CFG, names: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """A weights file of the cfg with numbers of its own; in our form with names, else Darknet's."""
    graph = compile_text(cfg, "tiny.cfg")
    network = compile_network(graph)
    initialise(network, seed=99)
    if path.suffix == ".safetensors":
        save_checkpoint(path, graph, network, describe(graph, class_names=names))
    else:
        save_weights(path, graph, network)
    return network.state_dict()


def test_weights_of_the_same_network_move_whole(tmp_path: Path) -> None:
    own = pretrained(tmp_path / "own.weights")
    ready = prepared(tmp_path, weights=str(tmp_path / "own.weights"))
    state = ready.run.network.state_dict()
    floats = [name for name in own if own[name].is_floating_point()]
    assert all(torch.equal(state[name], own[name]) for name in floats)
    assert "moved 6 of 6 layers with weights" in "\n".join(ready.notes)


@pytest.mark.parametrize("name", ["coco.weights", "coco.safetensors"])
def test_eighty_classes_become_two_and_all_else_moves(tmp_path: Path, name: str) -> None:
    write_tiny(tmp_path, EIGHTY)
    own = pretrained(tmp_path / name, EIGHTY)
    ready = prepared(tmp_path, weights=str(tmp_path / name))
    state = ready.run.network.state_dict()
    assert torch.equal(state[FIRST], own[FIRST])
    assert state[HEAD].shape[0] == 14
    said = "\n".join(ready.notes)
    assert f"the cfg is trained with 2 classes at 64x64; it lies in {tmp_path}/run/tiny.cfg" in said
    assert "moved 5 of 6 layers with weights" in said
    trained = read_graph(ready.run.folder.cfg)
    assert trained.heads[0][1].num_classes == 2
    assert "# 2 anchors of 5 + 2" in ready.run.folder.cfg.read_text()  # comments stay
    assert ready.run.folder.names.read_text() == "square\nbar\n"


def test_darknet_weights_of_the_changed_cfg_are_taken_too(tmp_path: Path) -> None:
    write_tiny(tmp_path, EIGHTY)
    own = pretrained(tmp_path / "two.weights", CFG)
    ready = prepared(tmp_path, weights=str(tmp_path / "two.weights"))
    assert torch.equal(ready.run.network.state_dict()[HEAD], own[HEAD])


def test_weights_that_fit_neither_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "odd.weights").write_bytes(bytes(20 + 4 * 77))
    with pytest.raises(WeightsError, match=r"odd\.weights"):
        prepared(tmp_path, weights=str(tmp_path / "odd.weights"))
    assert not (tmp_path / "run").exists()


def test_a_cutoff_takes_the_first_sections_only(tmp_path: Path) -> None:
    own = pretrained(tmp_path / "own.weights")
    ready = prepared(tmp_path, weights=str(tmp_path / "own.weights"), cutoff=2)
    state = ready.run.network.state_dict()
    moved = [torch.equal(state[n], own[n]) for n in own if n.endswith("convolution.weight")]
    assert moved == [True, True, False, False, False, False]


def test_a_cutoff_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--cutoff has no effect without --weights"):
        tiny_settings(tmp_path, cutoff=3)


def test_classes_go_by_the_names_of_the_weights(tmp_path: Path) -> None:
    pretrained(tmp_path / "own.safetensors", names=("bar", "square"))
    ready = prepared(tmp_path, weights=str(tmp_path / "own.safetensors"))
    assert ready.run.data.names == ("bar", "square")
    truth = ready.run.data.training.ground_truth(0, (64, 64))
    assert truth.class_ids.tolist() == [1, 0]  # a square, a bar


def test_a_names_file_with_other_names_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "cats.names").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"the classes of .* are not the model's"):
        prepared(tmp_path, names=str(tmp_path / "cats.names"))


def test_data_without_a_list_of_classes_takes_the_cfgs(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    for number in (1, 2, 3, 4):
        (tmp_path / f"images/{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    data = str(tmp_path / "images")
    ready = prepared(tmp_path, data=data, val_data=data)
    assert ready.run.data.names == ("0", "1")
    assert "has no list of its classes, so the cfg's 2 count" in ready.notes[0]


def test_frozen_sections_keep_weights_and_statistics(tmp_path: Path) -> None:
    run = begun(tmp_path, freeze=2, iterations=3, validate=False)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    after = finished(run).network.state_dict()
    floats = [name for name in before if before[name].is_floating_point()]
    changed = {name.split(".")[0] for name in floats if not torch.equal(before[name], after[name])}
    assert changed == {f"convolutional_{n}" for n in (2, 3, 4, 5)}


def test_freezing_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--freeze 7 leaves nothing to train: there are 7 sections"
    ):
        prepared(tmp_path, freeze=7)


def test_another_size_is_written_into_the_cfg(tmp_path: Path) -> None:
    run = prepared(tmp_path, size=(96, 128)).run
    assert read_graph(run.folder.cfg).input_shape.size == (96, 128)
    batch = next(run.loader.batches(0))
    assert batch.images.shape == (4, 3, 96, 128)


def test_running_statistics_take_the_share_that_is_asked_for(tmp_path: Path) -> None:
    # The mean starts at 0, so after one pass it is the share of the batch's mean.
    found = []
    for share in (0.5, 0.125):
        run = begun(tmp_path, f"run{share}", bn_momentum=share, iterations=1, validate=False)
        finished(run)
        found.append(run.network.state_dict()["convolutional_0.batch_norm.running_mean"])
    torch.testing.assert_close(found[0], found[1] * 4)


@pytest.mark.parametrize(
    ("recipe", "iterations", "share"),
    [
        ("darknet", 100_000, 0.01),
        ("modern", 100_000, 0.03),
        ("darknet", 400, 0.05),  # 20 / 400
        ("modern", 50, 0.1),
    ],
)
def test_statistics_settle_in_short_runs(
    tmp_path: Path, recipe: RecipeName, iterations: int, share: float
) -> None:
    network = prepared(tmp_path, recipe=recipe, iterations=iterations).run.network
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {share}


def test_data_without_a_part_to_measure_on_is_refused(tmp_path: Path) -> None:
    _, scenes = write_tiny(tmp_path)
    with pytest.raises(UsageError) as error:
        prepared(tmp_path, val_data=None)
    assert str(error.value) == (
        f"{scenes} is one part of a data set, so nothing says what to measure on\n"
        "help: --val-data names other images to measure on; --no-val measures nothing"
    )
    assert prepared(tmp_path, val_data=None, validate=False).run.validation is None


def test_a_cfg_without_heads_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path, CFG.split("[yolo]")[0])
    with pytest.raises(UsageError, match="has no detection head, so there is nothing to train"):
        prepared(tmp_path)


def test_data_without_images_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "none.json").write_text(
        json.dumps(
            {
                "images": [],
                "annotations": [],
                "categories": [{"id": 1, "name": "square"}, {"id": 2, "name": "bar"}],
            }
        )
    )
    with pytest.raises(DataError, match="holds no images"):
        prepared(tmp_path, data=str(tmp_path / "none.json"))


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    from yolo_gp.tasks.train_setup import _recipe

    graph = read_graph(tmp_path / "tiny.cfg")
    with pytest.raises(UsageError, match="a batch of 4 images cannot be shared by 3 processes"):
        _recipe(tiny_settings(tmp_path), graph, 4, 3)
    # two parts already: each of two processes takes one, each of four needs four
    shared = tiny_settings(tmp_path, subdivisions=2)
    assert [_recipe(shared, graph, 4, world).subdivisions for world in (1, 2, 4)] == [2, 2, 4]


def test_memory_that_a_pass_keeps_grows_with_the_square_of_the_size(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    found = []
    for size in (64, 128):
        graph = read_graph(tmp_path / "tiny.cfg", input_size=(size, size))
        network = build_network(graph, tiny_settings(tmp_path), None).network
        found.append(bytes_kept(graph, network, torch.device("cpu")))
    # One image keeps at least the 16 x 32 x 32 map after the first convolution, in 4 bytes, twice:
    # for the norm's derivative and the activation's.
    assert found[0] > 2 * 4 * 16 * 32 * 32
    assert found[1] == pytest.approx(4 * found[0], rel=0.05)


def test_the_batch_is_cut_by_the_memory_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path)
    graph = read_graph(tmp_path / "tiny.cfg")
    network = build_network(graph, tiny_settings(tmp_path), None).network
    one = bytes_kept(graph, network, torch.device("cpu")) * 1.6
    weights = 3 * 4 * sum(p.numel() for p in network.parameters())
    free = int((2.5 * one + weights) / 0.8)
    monkeypatch.setattr("yolo_gp.tasks.train_memory.free_memory", lambda device: free)
    assert images_that_fit(graph, network, torch.device("cpu"), 1.0) == 2
    run = prepared(tmp_path, auto_batch=True).run
    assert (run.recipe.batch, run.recipe.subdivisions) == (4, 2)
    monkeypatch.setattr("yolo_gp.tasks.train_memory.free_memory", lambda device: 1000)
    with pytest.raises(UsageError, match=r"one image takes \d+ MB while training, and 0 MB are"):
        images_that_fit(graph, network, torch.device("cpu"), 1.0)
