"""`yolo-gp zoo`: lists and shows models, rebuilds the paper's tables and the README's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yolo_gp import zoo
from yolo_gp.zoo import find_card

from .conftest import Run

PROJECT = Path(__file__).parent.parent.parent
MARKERS = ("<!-- models: yolo-gp zoo table readme -->\n", "<!-- end of models -->")

# One 3x3 convolution of 3 channels to 1000 with batch norm, same size: 27,000 weights, 1,000
# filters; 27,000 multiply-adds a pixel.
CFG = """[net]
width=64
height=32
channels=3
[convolutional]
batch_normalize=1
filters=1000
size=3
pad=1
activation=leaky
[avgpool]
"""
CARD = """name = "NAME"
cfg = "wide.cfg"
description = "one wide convolution"
classes = 1000
input_size = [32, 64]
status = "exact"
recipe = "yolo-gp train --cfg wide.cfg"
NOTE
[expected]
params = 29000
macs = 55296000
"""


MANIFEST = {
    "schema_version": 2,
    "class_lists": {"things": ["cup", "pan"]},
    "models": [
        {
            "name": "wide-net",
            "cfg": "wide.cfg",
            "fingerprint": None,
            "input_size": [32, 64],
            "classes": "things",
            "published": [
                {
                    "figure": "AP50",
                    "value": 24.4,
                    "unit": "%",
                    "data": "COCO val",
                    "size": None,
                    "source": "its README",
                }
            ],
            "files": [
                {
                    "name": "wide-net.weights",
                    "format": "darknet",
                    "urls": ["https://a.example/w", "https://b.example/w"],
                    "bytes": 112020,
                    "sha256": None,
                    "sha1": "c" * 40,
                    "licence": "MIT",
                    "source": "https://a.example",
                }
            ],
        }
    ],
}


def row(table: str, label: str, more: str = "") -> str:
    return f'[[published]]\ntable = "{table}"\nrow = "{label}"\nsource = "its PDF"\n{more}\n'


@pytest.fixture
def own_zoo(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of two cards for the network above; gives the folder of cards."""
    root = tmp_path_factory.mktemp("data")
    (root / "cfg").mkdir()
    (root / "cfg/wide.cfg").write_text(CFG)
    (root / "zoo").mkdir()
    # At 32x64 pixels F0 is 110.592 M; at 64x128 442.368 M.
    printed = 'params = 0.028\nparams_count = "P_fused"\nflops = 0.11\nflops_count = "F0"'
    larger = 'flops = 0.441\nflops_count = "F0"\nat = [64, 128]\nposition = 1'
    (root / "zoo/wide.toml").write_text(
        CARD.replace("NAME", "wide").replace("NOTE", 'note = "the paper rounds down"')
        + row("ELAN paper, table 3", "Wide", f"{printed}\nposition = 2")
        + row("ELAN paper, table 3", "Wide, larger", larger)
        + row("ELAN paper, table 10", "Wide", 'flops = 0.11\nflops_count = "F0"')
        + row("Another paper, table 1", "Wide", 'flops = 0.2\nflops_count = "T2"')
    )
    (root / "zoo/wider.toml").write_text(
        CARD.replace("NAME", "wider").replace("NOTE", "")
        + row("ELAN paper, table 3", "Wider", 'params = 0.03\nparams_count = "P_w"\nposition = 3')
    )
    (root / "weights_manifest.json").write_text(json.dumps(MANIFEST))
    monkeypatch.setattr(zoo, "data_root", lambda: root)
    monkeypatch.setenv("YOLO_GP_HOME", str(root / "home"))
    return root / "zoo"


@pytest.fixture
def cached_weights(own_zoo: Path) -> Path:
    """The weights of wide-net, as far as their length shows."""
    path = own_zoo.parent / "home/models/wide-net/wide-net.weights"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(112020))
    return path


def test_list_names_every_card_on_a_line(yolo_gp: Run, own_zoo: Path) -> None:
    lines = yolo_gp("zoo", "list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        "model input parameters MACs status".split(),
        "wide 32x64 29,000 55,296,000 exact one wide convolution".split(),
        "wider 32x64 29,000 55,296,000 exact one wide convolution".split(),
        [],
        "pretrained input classes weights, bytes cached licence".split(),
        "wide-net 32x64 2 things 112,020 no MIT".split(),
    ]


def test_list_says_what_is_cached(yolo_gp: Run, cached_weights: Path) -> None:
    line = yolo_gp("zoo", "list").stdout.splitlines()[-1]
    assert line.split() == "wide-net 32x64 2 things 112,020 yes MIT".split()
    cached_weights.write_bytes(b"half")
    assert "no MIT" in " ".join(yolo_gp("zoo", "list").stdout.split())


def test_list_as_json(yolo_gp: Run, own_zoo: Path) -> None:
    found = json.loads(yolo_gp("zoo", "list", "--json").stdout)
    assert found["schema_version"] == 1
    assert found["models"][0] == {
        "name": "wide",
        "cfg": "wide.cfg",
        "description": "one wide convolution",
        "classes": 1000,
        "input_size": [32, 64],
        "status": "exact",
        "recipe": "yolo-gp train --cfg wide.cfg",
        "weights": None,
        "trained": None,
        "note": "the paper rounds down",
        "params": 29000,
        "macs": 55296000,
    }


def test_show_tells_of_weights_that_come_with_a_card(yolo_gp: Run) -> None:
    shown = yolo_gp("zoo", "show", "elan-nano").stdout
    trained = find_card("elan-nano").trained
    assert trained is not None
    assert "elan-nano-shapes.safetensors, which comes with yolo-gp\n" in shown
    assert f"knows    {trained.knows}, nothing else\n" in shown
    figures = ", ".join(f"{found.figure} {found.value} %" for found in trained.accuracy)
    assert f"reaches  {figures} on 500 unseen scenes\n" in shown
    assert all(f"made by  {command}\n" in f"{shown}\n" for command in trained.commands)
    data = json.loads(yolo_gp("zoo", "show", "elan-nano", "--json").stdout)["trained"]
    assert data["commands"] == list(trained.commands)
    assert data["accuracy"][1]["figure"] == "AP50"


def test_show_prints_the_card_its_counts_and_what_was_published(
    yolo_gp: Run, own_zoo: Path
) -> None:
    lines = [" ".join(line.split()) for line in yolo_gp("zoo", "show", "wide").stdout.splitlines()]
    assert lines[0] == "wide: one wide convolution"
    assert "train yolo-gp train --cfg wide.cfg" in lines
    assert "note the paper rounds down" in lines
    assert any(line.startswith("P_fused 28,000 ") for line in lines)
    # T2: 110,592,000 and 4 for each of 1000 x 32 x 64 numbers.
    assert "Another paper, table 1" in lines
    assert "Wide wide 32x64 0.2 G 0.119 G T2 -40.61 % exact [1]" in lines


def test_show_as_json(yolo_gp: Run, own_zoo: Path) -> None:
    found = json.loads(yolo_gp("zoo", "show", "wide", "--json").stdout)
    assert (found["name"], found["counts"]["p_file"]) == ("wide", 27000 + 4 * 1000)
    assert [row["table"] for row in found["published"]][2:] == [
        "ELAN paper, table 10",
        "Another paper, table 1",
    ]


PRETRAINED = """wide-net: pretrained weights

cfg      wide.cfg (comes with yolo-gp)
classes  2 (things)
input    32x64 (height x width)

wide-net.weights
address  https://a.example/w
address  https://b.example/w
bytes    112,020
sha256   none known
sha1     cccccccccccccccccccccccccccccccccccccccc
licence  MIT
source   https://a.example
cached   no

published          input  data      source
AP50       24.4 %         COCO val  its README
"""


def test_show_of_a_pretrained_model_prints_its_entry(yolo_gp: Run, own_zoo: Path) -> None:
    assert yolo_gp("zoo", "show", "wide-net").stdout == PRETRAINED


def test_show_of_a_pretrained_model_says_where_it_is_and_what_is_pinned(
    yolo_gp: Run, cached_weights: Path
) -> None:
    pins = {"schema_version": 1, "pins": {"wide-net/wide-net.weights": "d" * 64}}
    (cached_weights.parent.parent.parent / "pins.json").write_text(json.dumps(pins))
    output = yolo_gp("zoo", "show", "wide-net").stdout
    assert f"cached   {cached_weights}\n" in output
    assert f"sha256   none known; pinned: {'d' * 64}\n" in output


def test_show_of_a_card_with_weights_prints_both(yolo_gp: Run, own_zoo: Path) -> None:
    card = own_zoo / "wide.toml"
    card.write_text(card.read_text().replace("recipe =", 'weights = "wide-net"\nrecipe ='))
    output = yolo_gp("zoo", "show", "wide").stdout
    assert output.startswith("wide: one wide convolution\n")
    assert output.endswith(PRETRAINED)


def test_show_of_a_pretrained_model_as_json(yolo_gp: Run, cached_weights: Path) -> None:
    found = json.loads(yolo_gp("zoo", "show", "wide-net", "--json").stdout)
    assert (found["schema_version"], found["name"]) == (1, "wide-net")
    assert found["pretrained"] == {
        "name": "wide-net",
        "cfg": "wide.cfg",
        "fingerprint": None,
        "input_size": [32, 64],
        "classes": ["cup", "pan"],
        "cached": True,
        "files": [
            {
                "name": "wide-net.weights",
                "format": "darknet",
                "urls": ["https://a.example/w", "https://b.example/w"],
                "bytes": 112020,
                "sha256": None,
                "sha1": "c" * 40,
                "licence": "MIT",
                "source": "https://a.example",
                "path": str(cached_weights),
            }
        ],
        "published": [
            {
                "figure": "AP50",
                "value": 24.4,
                "unit": "%",
                "data": "COCO val",
                "size": None,
                "source": "its README",
            }
        ],
    }
    assert json.loads(yolo_gp("zoo", "list", "--json").stdout)["pretrained"] == [
        found["pretrained"]
    ]
    assert json.loads(yolo_gp("zoo", "show", "wide", "--json").stdout)["pretrained"] is None


def test_show_of_an_unknown_model_is_a_usage_error(yolo_gp: Run, own_zoo: Path) -> None:
    result = yolo_gp("zoo", "show", "widerr")
    assert result.returncode == 2
    assert result.stderr.startswith("error: there is no model widerr in the zoo\n")
    assert result.stderr.endswith("help: did you mean wider?\n")
    assert "did you mean wide-net?" in yolo_gp("zoo", "show", "wide-nett").stderr


def test_a_wrong_card_is_a_data_error(yolo_gp: Run, own_zoo: Path) -> None:
    (own_zoo / "wider.toml").write_text("name = 3\n")
    result = yolo_gp("zoo", "list")
    assert result.returncode == 5
    assert f"error: {own_zoo / 'wider.toml'}: name = 3 will not do\n" in result.stderr


def test_a_wrong_manifest_is_a_data_error(yolo_gp: Run, own_zoo: Path) -> None:
    (own_zoo.parent / "weights_manifest.json").write_text('{"schema_version": 1}')
    result = yolo_gp("zoo", "list")
    assert result.returncode == 5
    assert "weights_manifest.json: schema_version = 1 will not do\nexpected: 2\n" in result.stderr


def test_table_paper_puts_ours_beside_the_papers_in_the_papers_order(
    yolo_gp: Run, own_zoo: Path
) -> None:
    output = yolo_gp("zoo", "table", "paper").stdout
    lines = [" ".join(line.split()) for line in output.splitlines()]
    # 28,000 and 110.592 M are what was printed, to its digits, and so is 27,000, 10 % less than
    # 0.03 M as it is; 442.368 M is 0.31 % more than 441 M. Table 10 prints no parameters.
    assert lines == [
        "ELAN paper, table 3",
        "row card input params ours count dev. FLOPs ours count dev. status",
        "Wide, larger wide 64x128 0.441 G 0.442 G F0 +0.31 % exact [1]",
        "Wide wide 32x64 0.028 M 0.028 M P_fused 0.00 % 0.11 G 0.111 G F0 +0.54 % exact",
        "Wider wider 32x64 0.03 M 0.027 M P_w -10.00 % exact",
        "[1] the paper rounds down",
        "",
        "ELAN paper, table 10",
        "row card input FLOPs ours count dev. status",
        "Wide wide 32x64 0.11 G 0.111 G F0 +0.54 % exact",
    ]


def test_table_paper_as_json(yolo_gp: Run, own_zoo: Path) -> None:
    found = json.loads(yolo_gp("zoo", "table", "paper", "--json").stdout)
    third, tenth = found["tables"]
    assert (third["table"], tenth["table"]) == ("ELAN paper, table 3", "ELAN paper, table 10")
    assert third["rows"][0] == {
        "row": "Wide, larger",
        "table": "ELAN paper, table 3",
        "card": "wide",
        "input_size": [64, 128],
        "status": "exact",
        "params": None,
        "flops": {
            "printed": 0.441,
            "unit": 10**9,
            "count": "F0",
            "ours": 442368000,
            "deviation_percent": 0.3102,
            "agrees": False,
        },
        "agrees": False,
        "note": "the paper rounds down",
        "source": "its PDF",
    }
    assert (third["rows"][1]["agrees"], third["rows"][1]["note"]) == (True, None)


def test_a_row_that_differs_without_a_reason_says_so(yolo_gp: Run, own_zoo: Path) -> None:
    text = (own_zoo / "wider.toml").read_text().replace("0.03\n", "0.05\n")
    (own_zoo / "wider.toml").write_text(text)
    lines = yolo_gp("zoo", "table", "paper").stdout.splitlines()
    assert lines[4].split()[-2:] == ["exact", "[2]"]
    assert lines[6] == "[2] the card gives no reason"
    (own_zoo / "wider.toml").write_text(text + 'note = "a row\'s own note"\n')
    assert "[2] a row's own note" in yolo_gp("zoo", "table", "paper").stdout


def test_table_readme_is_markdown_from_the_cards(yolo_gp: Run, own_zoo: Path) -> None:
    assert yolo_gp("zoo", "table", "readme").stdout.splitlines() == [
        "| model | what it is | input | parameters | FLOPs | published | status |",
        "|---|---|---|---|---|---|---|",
        "| [wide](cfg/wide.cfg) | one wide convolution | 32x64 | 0.03 M | 0.11 G | 0.028 M, 0.11 G "
        "(ELAN paper, table 3); 0.441 G at 64x128 (ELAN paper, table 3); "
        "0.11 G (ELAN paper, table 10); 0.2 G (Another paper, table 1) | exact |",
        "| [wider](cfg/wide.cfg) | one wide convolution | 32x64 | 0.03 M | 0.11 G | 0.03 M "
        "(ELAN paper, table 3) | exact |",
    ]


def test_table_readme_has_no_json(yolo_gp: Run, own_zoo: Path) -> None:
    result = yolo_gp("zoo", "table", "readme", "--json")
    assert result.returncode == 2
    assert result.stderr == "error: zoo table readme is Markdown\nexpected: no --json\n"


def test_the_readme_shows_the_zoo_as_it_is(yolo_gp: Run) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    start, end = MARKERS
    section = readme.partition(start)[2].partition(end)[0]
    assert section.strip() == yolo_gp("zoo", "table", "readme").stdout.strip()


def test_every_row_of_the_packaged_paper_tables_has_a_reason_where_it_differs(yolo_gp: Run) -> None:
    found = json.loads(yolo_gp("zoo", "table", "paper", "--json").stdout)
    for table in found["tables"]:
        for compared in table["rows"]:
            assert compared["note"] != "the card gives no reason", compared
