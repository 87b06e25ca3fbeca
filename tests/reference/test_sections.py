"""The reference says what the code says: every key, its default, its range, where it acts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from yolo_gp.errors import Diagnostics
from yolo_gp.options import Options
from yolo_gp.reference.exploring import explore
from yolo_gp.reference.page import reference_page
from yolo_gp.reference.sections import KeyFacts, SectionFacts, all_sections, missing_words
from yolo_gp.rules import Rule
from yolo_gp.spec import specify
from yolo_gp.syntax import parse_cfg

UNKNOWN = {Rule.UNKNOWN_KEY, Rule.UNSUPPORTED, Rule.UNKNOWN_SECTION}
PAGE = Path(__file__).parent.parent.parent / "docs/cfg-reference.md"


@pytest.fixture(scope="module")
def sections() -> dict[str, SectionFacts]:
    return {name: facts for facts in all_sections() for name in (facts.kind, *facts.aliases)}


@pytest.fixture(scope="module")
def page() -> str:
    return reference_page()


def key(sections: dict[str, SectionFacts], kind: str, name: str) -> KeyFacts:
    return next(facts for facts in sections[kind].keys if facts.key == name)


def test_every_key_has_a_meaning_and_every_meaning_a_key(sections: dict[str, SectionFacts]) -> None:
    missing = sorted(set(missing_words(sections.values())))
    assert not missing, "\n".join(["the reference lacks words:", *missing])


def test_the_committed_page_is_the_one_that_the_code_gives(page: str) -> None:
    written = PAGE.read_text(encoding="utf-8")
    if written != page:
        pairs = itertools.zip_longest(written.splitlines(), page.splitlines())
        old, new = next(pair for pair in pairs if pair[0] != pair[1])
        pytest.fail(
            "docs/cfg-reference.md is not current: run yolo-gp reference > docs/cfg-reference.md\n"
            f"it says: {old}\nit should say: {new}",
            pytrace=False,
        )


# -- facts, against darknet.md and the code's own documentation ------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "default"),
    [
        ("convolutional", "filters", "1"),
        ("convolutional", "activation", "logistic"),
        ("convolutional", "stride_x", "`stride`"),
        ("maxpool", "size", "`stride`"),
        ("yolo", "classes", "20"),
        ("yolo", "ignore_thresh", "0.5"),
        ("yolo", "iou_loss", "mse"),
        ("yolo", "max_delta", ""),  # no bound
        ("net", "learning_rate", "0.001"),
        ("net", "decay", "0.0001"),
        ("net", "flip", "1"),
        ("upsample", "stride", "2"),
        ("dropout", "probability", "0.2"),
        ("elan", "block_hidden", "`hidden`"),
        ("csp", "width", ""),  # hidden, which the meaning says
    ],
)
def test_a_default_is_the_one_of_the_language(
    sections: dict[str, SectionFacts], kind: str, name: str, default: str
) -> None:
    assert key(sections, kind, name).default == default


def test_a_default_that_is_computed_names_the_keys_it_comes_from(
    sections: dict[str, SectionFacts],
) -> None:
    # the padding of a pool is size - 1, and size is stride
    assert key(sections, "maxpool", "padding").default_from == ("stride", "size")
    assert "filters" in key(sections, "csp", "hidden").default_from


def test_keys_that_act_in_training_only_are_told_from_the_others(
    sections: dict[str, SectionFacts],
) -> None:
    acts = {
        (kind, name): key(sections, kind, name).acts
        for kind, name in [
            ("yolo", "iou_loss"),
            ("yolo", "new_coords"),
            ("yolo", "beta_nms"),
            ("shortcut", "stop_gradient"),
            ("csp", "stop_gradient"),
            ("net", "steps"),
            ("net", "width"),
            ("every section", "learning_rate"),
            ("every section", "dontload"),
            ("convolutional", "sway"),
        ]
    }
    assert acts == {
        ("yolo", "iou_loss"): "training",
        ("yolo", "new_coords"): "always",
        ("yolo", "beta_nms"): "always",
        ("shortcut", "stop_gradient"): "training",
        ("csp", "stop_gradient"): "training",
        ("net", "steps"): "training",
        ("net", "width"): "always",
        ("every section", "learning_rate"): "training",
        ("every section", "dontload"): "always",
        ("convolutional", "sway"): "ignored",
    }


def test_a_key_is_required_always_or_beside_another(sections: dict[str, SectionFacts]) -> None:
    assert key(sections, "route", "layers").required == ""
    assert key(sections, "net", "steps").required == "policy=steps"
    assert key(sections, "yolo", "prototypes").required == "masks"
    assert key(sections, "convolutional", "filters").required is None


def test_the_order_of_weights_is_that_of_the_file(sections: dict[str, SectionFacts]) -> None:
    # darknet.md 4.2: bias, then with batch norm scale, mean, variance, then the weights
    plain, normalised, *_ = sections["convolutional"].weights
    assert (plain.settings, plain.tensors) == ((), ("convolution.bias", "convolution.weight"))
    assert "batch_normalize=1" in normalised.settings
    assert normalised.tensors == (
        "batch_norm.bias",
        "batch_norm.weight",
        "batch_norm.running_mean",
        "batch_norm.running_var",
        "convolution.weight",
    )
    assert [stored.tensors for stored in sections["maxpool"].weights] == [()]


def test_a_value_that_is_one_of_several_lists_them(page: str) -> None:
    yolo = page.partition("\n### [yolo]\n")[2]
    row = next(line for line in yolo.splitlines() if line.startswith("| `iou_thresh_kind` "))
    assert "`iou`, `giou`, `diou`, `ciou`" in row


# -- a key that is read in one case only -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sample:
    mode: str
    depth: int
    size: int

    @classmethod
    def parse(cls, options: Options) -> _Sample:
        mode = options.choice("mode", "flat", ("flat", "deep"))
        depth = options.integer("depth", 3, minimum=2, maximum=9) if mode == "deep" else 0
        return cls(mode, depth, options.integer("size", depth + 1))


def test_a_key_that_is_read_beside_one_setting_only_is_found() -> None:
    found = explore("sample", _Sample.parse)
    assert found.keys() == ["mode", "size", "depth"]
    (read,) = found.reads("depth")
    assert (read.minimum, read.maximum) == (2, 9)
    assert found.changed_fields("depth") == {"depth", "size"}
    assert found.default_from("size") == ["mode"]


# -- the corpus ------------------------------------------------------------------------------------


def test_every_key_of_the_corpus_is_on_the_page_or_reported_as_unknown(
    shared: Path, sections: dict[str, SectionFacts]
) -> None:
    common = {facts.key for facts in sections["every section"].keys}
    on_page = {
        name: {facts.key for facts in facts_of.keys} | (common if name != "net" else set())
        for name, facts_of in sections.items()
    }
    files = sorted((shared / "data/cfg-corpus").rglob("*.cfg"))
    assert len(files) == 141
    written = {pair for path in files for pair in kinds_and_keys(path)}
    assert ("convolutional", "filters") in written
    unknown = {pair for pair in written if pair[1] not in on_page.get(pair[0], set())}
    assert not {pair for pair in unknown if not is_reported(*pair)}


def kinds_and_keys(path: Path) -> Iterator[tuple[str, str]]:
    """Every option of a file, read without our parser."""
    kind = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = "".join(line.split())
        if text.startswith("["):
            kind = text.partition("]")[0].removeprefix("[")
        elif "=" in text and text[0] not in "#;":
            yield kind, text.partition("=")[0]


def is_reported(kind: str, key: str) -> bool:
    """Whether the compiler says that it does not know such a key, or such a kind."""
    net = "[net]\nwidth=32\nheight=32\nchannels=3\n"
    own = f"{key}=1\n" if kind == "net" else f"[{kind}]\n{key}=1\n"
    found = Diagnostics()
    specify(parse_cfg(net + own, "x.cfg", found), found)
    return any(finding.rule in UNKNOWN for finding in found)
