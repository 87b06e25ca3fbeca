"""Names to files, and what every file in cfg/ must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolo_gp.errors import UsageError
from yolo_gp.graph import read_graph
from yolo_gp.zoo import find_cfg, known_weights, model_cards, packaged_cfgs


@pytest.mark.parametrize("name", packaged_cfgs())
def test_a_packaged_cfg_compiles_without_one_diagnostic(name: str) -> None:
    assert read_graph(packaged_cfgs()[name], strict=True).warnings == ()


@pytest.mark.parametrize("name", model_cards())
def test_a_model_comes_out_as_its_card_says(name: str) -> None:
    card = model_cards()[name]
    graph = read_graph(packaged_cfgs()[Path(card.cfg).stem])
    assert (graph.total.params, graph.total.macs) == (card.params, card.macs)
    assert graph.input_shape.size == card.input_size
    assert {head.num_classes for _, head in graph.heads} == {card.classes}


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
