"""The report in a browser: headless Chromium, where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from yolo_gp.analysis.gradient_paths import gradient_paths
from yolo_gp.analysis.path_tables import Analysis
from yolo_gp.drawing.palette import timestamp_colour
from yolo_gp.drawing.report import report_html
from yolo_gp.families import FamilySettings, family_cfg
from yolo_gp.graph import compile_text

# Runs in the page, as a user's hand would; each step notes what is to be seen afterwards.
VISIT = """
<pre id="seen"></pre>
<script>
(async () => {
  const seen = {};
  const byId = (name) => document.getElementById(name);
  const rest = () => new Promise((resolve) => setTimeout(resolve, 30));
  const click = async (target) => {
    target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await rest();
  };
  const press = async (key) => {
    const drawing = byId("view-0").firstElementChild;
    drawing.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await rest();
  };
  const panel = () => {
    const names = [...byId("panel").querySelectorAll("dt")].map((name) => name.textContent);
    const values = [...byId("panel").querySelectorAll("dd")].map((value) => value.innerText);
    return Object.fromEntries(names.map((name, n) => [name, values[n]]));
  };
  const lit = (kind) => [...document.querySelectorAll("#network-0 .edge" + kind)].map(
    (edge) => [Number(edge.id.split("edge-")[1]), edge.style.stroke]).sort((a, b) => a[0] - b[0]);
  const marked = (kind) => [...document.querySelectorAll("#network-0 .layer." + kind)].map(
    (box) => Number(box.id.split("layer-")[1]));
  const column = (table, n) => [...byId(table).tBodies[0].rows].map(
    (row) => row.cells[n].textContent);
  const heading = (table, name) => [...byId(table).tHead.rows[0].cells].find(
    (cell) => cell.textContent === name);
  await rest();
  seen.start = byId("panel").querySelector("h2").textContent;
  await click(byId("n0-layer-0").querySelector("rect"));
  seen.title = byId("panel").querySelector("h2").textContent;
  seen.panel = panel();
  seen.all = lit(".lit");
  seen.sources = marked("source");
  await click(byId("n0-layer-2").querySelector("text"));
  seen.third = { panel: panel(), sources: marked("source"), features: marked("feature") };
  await press("ArrowUp");
  seen.above = byId("panel").querySelector("h2").textContent;
  await press("ArrowUp");
  await press("ArrowRight");
  seen.first_step = [byId("now").textContent, lit(".now").map((edge) => edge[0])];
  await click(byId("later"));
  seen.second_step = [byId("now").textContent, lit(".now").map((edge) => edge[0])];
  await click(byId("path-longest"));
  seen.longest = {
    edges: lit(".now").map((edge) => edge[0]),
    path: [...byId("path").children].map((step) => step.firstChild.textContent),
  };
  await click(byId("path-shortest"));
  seen.shortest = lit(".now").map((edge) => edge[0]);
  await click(byId("path-shortest"));
  await click(byId("play"));
  await new Promise((resolve) => setTimeout(resolve, 1300));
  seen.played = byId("now").textContent;
  await press("Escape");
  const width = () => byId("n0-layer-0").querySelector("rect").getBoundingClientRect().width;
  const before = width();
  await click(byId("larger"));
  seen.enlarged = width() / before;
  await click(byId("fit-page"));
  seen.fits = byId("network-0").getBoundingClientRect().height
    <= byId("view-0").getBoundingClientRect().height;
  await click(byId("fit-width"));
  seen.restored = width() === before;
  seen.none = [byId("panel").querySelector("h2").textContent, lit(".lit").length];
  await click(byId("tab-compare"));
  seen.tabs = ["view-0", "view-1", "view-compare"].map((name) => byId(name).hidden);
  seen.plots = document.querySelectorAll("#plots canvas").length;
  seen.legend = [...document.querySelectorAll("#plot-longest .u-series th")].map(
    (name) => name.textContent);
  const over = document.querySelector("#plot-longest .u-over");
  const area = over.getBoundingClientRect();
  const at = { clientX: area.left + 1, clientY: area.top + 5, bubbles: true };
  over.dispatchEvent(new MouseEvent("mouseenter", at));
  over.dispatchEvent(new MouseEvent("mousemove", at));
  await rest();
  seen.hover = [...document.querySelectorAll("#plot-longest .u-value")].map(
    (value) => value.textContent);
  for (const kind of ["mousedown", "mouseup", "click"]) {
    over.dispatchEvent(new MouseEvent(kind, at));
  }
  await rest();
  seen.plotted = location.hash;
  await click(byId("tab-compare"));
  seen.unsorted = column("layers-0", 6);
  await click(heading("layers-0", "longest"));
  seen.ascending = column("layers-0", 6);
  await click(heading("layers-0", "longest"));
  seen.descending = column("layers-0", 6);
  await click(heading("comparison", "network"));
  seen.networks = column("comparison", 0);
  await click(byId("layers-0").querySelector("a"));
  seen.linked = [location.hash, byId("panel").querySelector("h2").textContent];
  location.hash = "#1/0";
  await rest();
  for (let n = 0; n < 5; n++) await click(byId("larger"));
  const scrolled = [byId("view-1").firstElementChild.scrollTop];
  await click(byId("later"));
  seen.scrolled = [...scrolled, byId("view-1").firstElementChild.scrollTop];
  byId("seen").textContent = JSON.stringify(seen);
})();
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What was seen in the page, and what Chromium's console said."""

    seen: dict[str, Any]
    console: list[str]


def family(name: str, layers: int) -> Analysis:
    graph = compile_text(family_cfg(name, FamilySettings(layers=layers, channels=4)), f"{name}.cfg")
    return Analysis(f"{name}.cfg", graph, gradient_paths(graph))


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not here: the report is not tested in a browser")
    folder = tmp_path_factory.mktemp("page")
    page = report_html([family("residual", 5), family("plain", 5)])
    (folder / "report.html").write_text(page.replace("</body>", VISIT + "</body>"))
    result = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000"),
            *("--enable-logging=stderr", "--dump-dom", f"file://{folder / 'report.html'}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(folder)},
    )
    found = re.search(r'<pre id="seen">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    assert found[1], console
    return Visit(json.loads(unescape(found[1])), console)


def rgb(timestamp: int) -> str:
    """The colour of a timestamp of 5, as a browser gives it."""
    colour = timestamp_colour(timestamp, 5)
    return f"rgb({', '.join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))})"


def test_nothing_goes_wrong_in_the_console(visit: Visit) -> None:
    assert visit.console == []


def test_the_page_opens_with_the_first_network(visit: Visit) -> None:
    assert visit.seen["start"] == "residual.cfg"


def test_a_click_on_a_layer_shows_its_timestamps(visit: Visit) -> None:
    assert visit.seen["title"] == "Layer 0"
    panel = visit.seen["panel"]
    assert panel["timestamps"] == "1, 3, 5"
    assert (panel["shortest path"], panel["longest path"]) == ("1", "5")
    assert panel["combinations"] == "1"


def test_a_click_on_a_layer_lights_its_paths_by_timestamp(visit: Visit) -> None:
    # wires: 0 input-0, 1 0-1, 2 1-2, 3 2-3, 4 0-3, 5 3-4, 6 4-5, 7 5-6, 8 3-6, 9 6-loss; their
    # timestamps are counted in test_lighting.py
    first = {1: 3, 2: 2, 3: 1, 4: 1, 5: 3, 6: 2, 7: 1, 8: 1, 9: 1}
    assert visit.seen["all"] == [[wire, rgb(time)] for wire, time in first.items()]


def test_a_click_on_a_layer_marks_its_sources_and_features(visit: Visit) -> None:
    assert sorted(visit.seen["sources"]) == [1, 4, 7]  # two weight layers, and the loss
    third = visit.seen["third"]
    assert third["panel"]["sources"].split("\n") == ["4 conv 1x1/1 linear", "loss"]
    assert (sorted(third["sources"]), third["features"]) == ([4, 7], [1])


def test_arrow_keys_move_between_layers_and_timestamps(visit: Visit) -> None:
    assert visit.seen["above"] == "Layer 1"
    # gradient of layer 0 at timestamp 1: everything that it reaches without a weight layer
    assert visit.seen["first_step"] == ["1", [3, 4, 7, 8, 9]]
    assert visit.seen["second_step"] == ["2", [2, 6]]


def test_actual_paths_light_up(visit: Visit) -> None:
    assert visit.seen["longest"]["edges"] == [1, 2, 3, 5, 6, 7, 9]
    # from the loss on: the last add, 5, 4, the add, 2, 1, 0
    assert visit.seen["longest"]["path"] == ["1", "1", "2", "3", "3", "4", "5"]
    assert visit.seen["shortest"] == [4, 8, 9]


def test_playing_steps_through_the_timestamps(visit: Visit) -> None:
    assert visit.seen["played"] == "2"  # one step in 0.6 s


def test_the_drawing_scrolls_to_where_the_gradient_is(visit: Visit) -> None:
    # plain, three times its size: layer 0 is on top, timestamp 1 is at the loss, out of sight
    before, after = visit.seen["scrolled"]
    assert before == 0
    assert after > 200


def test_the_drawing_can_be_enlarged_and_fitted(visit: Visit) -> None:
    assert visit.seen["enlarged"] == pytest.approx(1.25, rel=0.03)
    assert visit.seen["fits"]
    assert visit.seen["restored"]


def test_escape_puts_the_lights_out(visit: Visit) -> None:
    assert visit.seen["none"] == ["residual.cfg", 0]


def test_networks_are_compared_in_plots_with_a_legend(visit: Visit) -> None:
    assert visit.seen["tabs"] == [True, True, False]
    assert visit.seen["plots"] == 2
    assert visit.seen["legend"] == ["weight layer", "residual.cfg", "plain.cfg"]
    # the first of five weight layers: 5 crossed by either network's longest path
    assert visit.seen["hover"] == ["1", "5", "5"]


def test_a_click_on_a_plot_leads_to_the_layer(visit: Visit) -> None:
    # both lines begin at the same point; the first network's counts
    assert visit.seen["plotted"] == "#0/0"


def test_tables_sort_by_a_click_on_a_heading(visit: Visit) -> None:
    # the longest paths of layers 0, 1, 2, 4 and 5 of the residual network
    assert visit.seen["unsorted"] == ["5", "4", "3", "2", "1"]
    assert visit.seen["ascending"] == ["1", "2", "3", "4", "5"]
    assert visit.seen["descending"] == ["5", "4", "3", "2", "1"]
    assert visit.seen["networks"] == ["plain.cfg", "residual.cfg"]


def test_a_row_of_a_table_leads_to_its_layer(visit: Visit) -> None:
    assert visit.seen["linked"] == ["#0/0", "Layer 0"]
