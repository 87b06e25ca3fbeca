"""Names to files, and what every file in cfg/ must be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from yolo_gp import zoo
from yolo_gp.analysis.conventions import counts
from yolo_gp.errors import DataError, UsageError
from yolo_gp.graph import read_graph
from yolo_gp.zoo import (
    cfg_of,
    find_card,
    find_cfg,
    known_weights,
    model_cards,
    packaged_cfgs,
)


@pytest.mark.parametrize("name", packaged_cfgs())
def test_a_packaged_cfg_compiles_without_one_diagnostic(name: str) -> None:
    assert read_graph(packaged_cfgs()[name], strict=True).warnings == ()


@pytest.mark.parametrize("name", model_cards())
def test_a_model_comes_out_as_its_card_says(name: str) -> None:
    card = model_cards()[name]
    graph = read_graph(cfg_of(card))
    found = {**dataclasses.asdict(counts(graph)), "params": graph.total.params}
    found["macs"] = graph.total.macs
    for key, expected in dataclasses.asdict(card.expected).items():
        assert expected in (None, found[key]), key
    assert graph.input_shape.size == card.input_size
    heads = {head.num_classes for _, head in graph.heads}
    assert (heads or {graph.nodes[-1].output_shape.elements}) == {card.classes}
    assert card.weights is None or known_weights(card.weights) is not None


def test_every_packaged_cfg_has_a_card() -> None:
    assert {Path(card.cfg).stem for card in model_cards().values()} == set(packaged_cfgs())


def test_a_path_goes_before_a_packaged_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_cfg("elan-nano.cfg") == packaged_cfgs()["elan-nano"]
    (tmp_path / "elan-nano.cfg").write_text("[net]")
    assert find_cfg("elan-nano.cfg") == Path("elan-nano.cfg")


def test_a_packaged_name_with_a_folder_in_front_is_not_the_packaged_file() -> None:
    with pytest.raises(UsageError, match=r"there is no cfg other/elan-nano.cfg"):
        find_cfg("other/elan-nano.cfg")


def test_the_manifest_gives_the_published_bytes_and_hash(shared: Path) -> None:
    import hashlib

    for weights in (shared / "data/models").glob("*.weights"):
        known = known_weights(weights.stem)
        assert known is not None, weights.stem
        assert known.bytes == weights.stat().st_size
        assert known.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_an_unknown_model_has_no_weights() -> None:
    assert known_weights("elan-nano") is None


CARD = """name = "NAME"
cfg = "CFG"
description = "a model"
classes = 1
input_size = [8, 8]
status = "exact"
recipe = "none"
[expected]
params = 1
macs = 1
"""


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of our own: the folder for its cards."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "cfg").mkdir()
    monkeypatch.setattr(zoo, "data_root", lambda: tmp_path)
    return tmp_path / "zoo"


def test_two_cards_of_one_name_are_an_error(cards: Path) -> None:
    for file in ("a.toml", "b.toml"):
        (cards / file).write_text(CARD.replace("NAME", "tiny"))
    with pytest.raises(DataError, match=r"b\.toml: name = \"tiny\" is another card's name too$"):
        model_cards()


def test_an_unknown_model_is_a_usage_error_with_a_suggestion(cards: Path) -> None:
    (cards / "tiny.toml").write_text(CARD.replace("NAME", "tiny-net"))
    with pytest.raises(UsageError) as caught:
        find_card("tiny-nett")
    assert str(caught.value) == (
        "there is no model tiny-nett in the zoo\n"
        "expected: a name that `yolo-gp zoo list` prints\nhelp: did you mean tiny-net?"
    )


def test_a_card_whose_cfg_is_not_there_is_an_error_once_it_is_needed(cards: Path) -> None:
    (cards / "tiny.toml").write_text(CARD.replace("NAME", "tiny").replace("CFG", "gone.cfg"))
    card = find_card("tiny")
    with pytest.raises(DataError) as caught:
        cfg_of(card)
    assert str(caught.value) == 'the card of tiny says cfg = "gone.cfg", which cfg/ has not'
