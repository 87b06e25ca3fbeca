"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { view: "0", layer: -1, time: 0, path: "" }; // layer -1: none; time 0: all
  const zooms = data.networks.map(() => 0); // 0: as wide as the window
  const byId = (name) => document.getElementById(name);
  let player = 0;

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "onclick") made.onclick = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // --- what the data says ---

  const network = () => data.networks[state.view];
  const named = (net, index) => {
    const layer = net.layers[index];
    if (!layer) return index < 0 ? "input" : "loss";
    return `${layer.written} ${layer.title}`;
  };

  function timestamps(net, set) {
    const found = [];
    for (const range of net.sets[set].split(",")) {
      if (!range) continue;
      const [first, last] = range.split("-").map(Number);
      for (let t = first; t <= (last || first); t++) found.push(t);
    }
    return found;
  }

  const spaced = (net, set) => net.sets[set].replaceAll(",", ", ") || "none";

  // Timestamps by wire, and by the layer whose output the wire reads.
  function litBy(net, index) {
    const layer = net.layers[index];
    const wires = new Map();
    const layers = new Map();
    layer.wires.forEach((set, place) => {
      if (!set) return;
      const wire = layer.first_wire + place;
      const times = timestamps(net, set);
      wires.set(wire, times);
      const source = net.wires[wire][0];
      layers.set(source, [...new Set([...(layers.get(source) || []), ...times])]);
    });
    for (const times of layers.values()) times.sort((a, b) => a - b);
    return { wires, layers };
  }

  function stepsOf(net, first) {
    const steps = [];
    for (let at = first; at >= 0; at = net.steps[at][3]) steps.push(net.steps[at]);
    return steps;
  }

  const lossWire = (net, source) =>
    net.losses.find((wire) => net.wires[wire][0] === source) ?? -1;

  function litByPath(net, steps) {
    const wires = new Map();
    const layers = new Map();
    steps.forEach(([index, , time], place) => {
      layers.set(index, [time]);
      const next = steps[place + 1];
      const wire = next
        ? net.wires.findIndex((w) => w[0] === index && w[1] === next[0] && !w[2])
        : lossWire(net, index);
      if (wire >= 0) wires.set(wire, [time]);
    });
    return { wires, layers };
  }

  // --- the drawing ---

  const edgeOf = (n, wire) => byId(`n${n}-edge-${wire}`);
  const boxOf = (n, index) => byId(`n${n}-layer-${index}`);

  function clear(n) {
    const svg = byId(`network-${n}`);
    svg.classList.remove("chosen");
    for (const edge of svg.querySelectorAll(".edge.lit")) {
      edge.classList.remove("lit", "now");
      edge.style.stroke = "";
    }
    for (const box of svg.querySelectorAll(".layer")) {
      box.classList.remove("lit", "mark", "source", "feature", "self");
      box.firstChild.nextSibling.style.fill = "";
      for (const words of box.querySelectorAll("text")) words.style.fill = "";
      for (const note of box.querySelectorAll(".note")) {
        if (note.dataset.words !== undefined) note.textContent = note.dataset.words;
      }
    }
  }

  function note(box, words) {
    box.querySelectorAll(".note").forEach((place, number) => {
      if (place.dataset.words === undefined) place.dataset.words = place.textContent;
      place.textContent = number ? "" : words;
    });
  }

  function draw() {
    const n = state.view;
    const net = network();
    clear(n);
    if (state.layer < 0) return;
    const layer = net.layers[state.layer];
    const svg = byId(`network-${n}`);
    svg.classList.add("chosen");
    const steps = state.path ? stepsOf(net, layer[`${state.path}_path`]) : [];
    const lit = state.path ? litByPath(net, steps) : litBy(net, state.layer);
    for (const box of svg.querySelectorAll(".layer")) note(box, "");
    for (const [wire, times] of lit.wires) lightEdge(edgeOf(n, wire), net, times);
    for (const [wire] of lit.wires) {
      const target = boxOf(n, net.wires[wire][1]);
      if (target) target.classList.add("lit");
    }
    for (const [index, times] of lit.layers) lightBox(boxOf(n, index), net, times);
    const mark = (index, kind) => boxOf(n, index)?.classList.add("mark", kind);
    if (!state.path) {
      layer.features.forEach((index) => mark(index, "feature"));
      layer.sources.forEach((index) => mark(index, "source"));
    }
    mark(state.layer, "self");
  }

  const isNow = (times) => !state.time || times.includes(state.time);

  function lightEdge(edge, net, times) {
    edge.classList.add("lit");
    edge.classList.toggle("now", isNow(times));
    if (isNow(times)) {
      edge.style.stroke = net.colours[(state.time || times[0]) - 1];
      edge.parentNode.append(edge); // on top
    }
  }

  function lightBox(box, net, times) {
    box.classList.add("lit");
    const strong = state.time && isNow(times);
    const colours = strong ? net.colours : net.tints;
    const first = strong ? state.time : times[0];
    box.firstChild.nextSibling.style.fill = isNow(times) ? colours[first - 1] : "#efede6";
    if (strong) for (const words of box.querySelectorAll("text")) words.style.fill = "#fff";
    note(box, fitted(times, 29));
  }

  // "1, 3-5, 8", at most so many characters: what is in the middle is left out.
  function fitted(times, room) {
    const runs = [];
    for (const t of times) {
      const last = runs[runs.length - 1];
      if (last && last[1] + 1 === t) last[1] = t;
      else runs.push([t, t]);
    }
    const texts = runs.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`));
    let words = texts.join(", ");
    while (texts.length > 2 && words.length > room) {
      texts.splice(texts.length >> 1, 1);
      const middle = (texts.length + 1) >> 1;
      words = [...texts.slice(0, middle), "..", ...texts.slice(middle)].join(", ");
    }
    return words;
  }

  // The drawing at its scale; its bands reach to the window's edge.
  function zoom() {
    const net = network();
    const room = pane().clientWidth;
    const scale = zooms[state.view] || Math.min(1, Math.max(0.62, room / net.width));
    const width = Math.max(net.width, room / scale);
    const svg = byId(`network-${state.view}`);
    svg.setAttribute("viewBox", `0 0 ${width} ${net.height}`);
    svg.style.width = `${width * scale}px`;
    svg.style.height = `${net.height * scale}px`;
    return scale;
  }

  function zoomBy(step) {
    zooms[state.view] = Math.min(3, Math.max(0.1, zoom() * step));
    zoom();
    reveal();
  }

  const pane = () => byId(`view-${state.view}`).firstElementChild;

  // Scroll as little as needed for the layer to be seen.
  function reveal(index = state.layer) {
    const box = boxOf(state.view, index)?.getBoundingClientRect();
    if (!box) return;
    const room = pane().getBoundingClientRect();
    const away = (low, high, from, to) =>
      low < from + 40 || high > to - 40 ? (low + high) / 2 - (from + to) / 2 : 0;
    pane().scrollBy({
      top: away(box.top, box.bottom, room.top, room.bottom),
      left: away(box.left, box.right, room.left, room.right),
    });
  }

  // Where gradient is now may be far from the layer that it goes to.
  function follow() {
    if (!state.time) return;
    const net = network();
    const room = pane().getBoundingClientRect();
    const now = [...byId(`network-${state.view}`).querySelectorAll(".edge.now")];
    const seen = now.some((edge) => {
      const line = edge.getBoundingClientRect();
      return line.bottom > room.top && line.top < room.bottom;
    });
    if (now.length && !seen) reveal(net.wires[Number(now[0].id.split("edge-")[1])][0]);
  }

  // --- the panel ---

  const term = (list, name, ...value) =>
    list.append(element("dt", {}, name), element("dd", {}, ...value));

  function links(indices) {
    const net = network();
    if (!indices.length) return ["none"];
    return indices.map((index) =>
      net.layers[index]
        ? element("a", { href: `#${state.view}/${index}` }, named(net, index))
        : element("span", {}, named(net, index)),
    );
  }

  function panel() {
    const place = byId("panel");
    place.replaceChildren();
    place.scrollTop = 0;
    if (state.layer < 0) overview(place);
    else details(place, network().layers[state.layer]);
  }

  function overview(place) {
    const rows = byId("comparison").tBodies[0].rows;
    const heads = byId("comparison").tHead.rows[0].cells;
    const row = [...rows].find((r) => r.querySelector("a").hash === `#${state.view}`);
    const list = element("dl");
    for (let n = 1; n < heads.length; n++) {
      term(list, heads[n].textContent, row.cells[n].textContent);
    }
    place.append(
      element("h2", {}, network().name),
      list,
      element("p", {}, "Click a layer to see its gradient paths, or press an arrow key."),
      element("p", { class: "hint" },
        "Weight layers are coloured by their shortest gradient path. In each: its timestamps, " +
          "then shortest / longest path."),
      element("p", { class: "hint" },
        "Up and down: another layer. Left and right: an earlier or later timestamp. Esc: none."),
    );
  }

  function details(place, layer) {
    const net = network();
    const list = element("dl");
    const times = timestamps(net, layer.times);
    term(list, "timestamps", element("span", { id: "timestamps" }, spaced(net, layer.times)));
    if (times.length) {
      term(list, "shortest path", `${times[0]}`);
      term(list, "longest path", `${times[times.length - 1]}`);
    }
    term(list, "combinations", `${layer.combinations}`);
    if (layer.shared) term(list, "shared gradient", layer.shared);
    term(list, "sources", element("span", { class: "links" }, ...links(layer.sources)));
    term(list, "features", element("span", { class: "links" }, ...links(layer.features)));
    place.append(
      element("h2", {}, `Layer ${layer.written}`),
      element("p", { class: "sub" },
        `${layer.title}, ${layer.shape}` +
          (layer.written === state.layer ? "" : `; index ${state.layer}`)),
      list,
    );
    if (!times.length) return;
    place.append(element("h3", {}, "Channels"), channelTable(net, layer));
    if (layer.learned) pathPart(place, net, layer);
  }

  function channelTable(net, layer) {
    const body = element("tbody");
    for (const [first, last, combination, paths, set] of layer.channels) {
      const cells = [`${first}-${last}`, combination, paths, spaced(net, set)];
      body.append(element("tr", {}, ...cells.map((cell) => element("td", {}, `${cell}`))));
    }
    const heads = ["channels", "comb.", "paths", "timestamps"];
    const head = element("tr", {}, ...heads.map((name) => element("th", {}, name)));
    return element("table", {}, element("thead", {}, head), body);
  }

  function pathPart(place, net, layer) {
    place.append(element("h3", {}, "An actual path"));
    const button = (path, name) =>
      element("button", {
        id: `path-${path}`,
        "aria-pressed": `${state.path === path}`,
        onclick: () => set({ path: state.path === path ? "" : path, time: 0 }),
      }, name);
    place.append(
      element("div", { class: "buttons" },
        button("shortest", "a shortest one"), button("longest", "a longest one")),
    );
    if (!state.path) return;
    const list = element("ol", { id: "path" });
    for (const [index, channel, time] of stepsOf(net, layer[`${state.path}_path`]).reverse()) {
      const badge = element("b", {}, `${time}`);
      badge.style.background = net.colours[time - 1];
      const link = element("a", { href: `#${state.view}/${index}` }, named(net, index));
      list.append(element("li", {}, badge, link, element("span", { class: "sub" }, `ch. ${channel}`)));
    }
    place.append(element("p", { class: "hint" }, "From the loss on, with timestamps:"), list);
  }

  // --- tools and legend ---

  function tools() {
    const net = network();
    const layer = net.layers[state.layer];
    const times = layer && !state.path ? timestamps(net, layer.times) : [];
    const last = times.length ? times[times.length - 1] : 0;
    byId("time").max = last;
    byId("time").value = state.time;
    byId("now").textContent = state.time || (last ? "all" : "");
    for (const name of ["all", "earlier", "later", "time", "play"]) byId(name).disabled = !last;
    byId("all").setAttribute("aria-pressed", `${Boolean(last) && !state.time}`);
    byId("play").textContent = player ? "stop" : "play";
    legend(net, layer);
  }

  function legend(net, layer) {
    const place = byId("legend");
    const scale = element("span", { class: "scale" });
    for (const [time, colour] of layer ? net.legend : net.overview_legend) {
      const swatch = element("span", {}, `${time}`);
      swatch.style.background = colour;
      scale.append(swatch);
    }
    const what = layer ? (state.path || state.time ? "timestamp" : "first timestamp") : "shortest path";
    place.replaceChildren(element("span", {}, what, scale));
    if (layer && !state.path) {
      place.append(
        element("span", {}, element("i", { class: "source" }), "source"),
        element("span", {}, element("i", { class: "feature" }), "feature"),
      );
    }
  }

  function stop() {
    clearInterval(player);
    player = 0;
  }

  function play() {
    if (player) {
      stop();
      return tools();
    }
    const last = Number(byId("time").max);
    if (state.time >= last) state.time = 0;
    player = setInterval(() => {
      if (state.time >= last) stop();
      else step(1);
      tools();
    }, 600);
    return tools();
  }

  function step(by) {
    const last = Number(byId("time").max);
    if (last) set({ time: Math.min(last, Math.max(0, state.time + by)) }, true);
  }

  // --- plots ---

  const plots = [];

  function plot(place, key) {
    const weight = data.networks.map((net) =>
      net.layers.flatMap((layer, index) => (layer.learned ? [index] : [])),
    );
    const count = Math.max(...weight.map((w) => w.length));
    const value = (net, index) => {
      const times = timestamps(net, net.layers[index].times);
      return times.length ? (key === "shortest" ? times[0] : times[times.length - 1]) : null;
    };
    const columns = data.networks.map((net, n) =>
      Array.from({ length: count }, (_, k) => (k < weight[n].length ? value(net, weight[n][k]) : null)),
    );
    const colour = (n) => data.colours[n % data.colours.length];
    const series = data.networks.map((net, n) => ({
      label: net.name,
      stroke: colour(n),
      width: 1.6,
      dash: n % 2 ? [8, 4] : undefined, // a line that lies on another does not hide it
      points: { show: count < 90, size: 4 },
    }));
    const axis = { stroke: "#6b6b6b", grid: { stroke: "#e6e3da", width: 1 }, font: "11px sans-serif" };
    const made = new uPlot(
      {
        width: 500,
        height: 260,
        cursor: {
          sync: { key: "depth" },
          focus: { prox: 1e4 },
          drag: { x: false, y: false, click() {} }, // else uPlot may keep clicks to itself
        },
        focus: { alpha: 0.35 },
        scales: { x: { time: false }, y: { range: (u, low, high) => [0, Math.ceil(high * 1.05) || 1] } },
        axes: [
          { ...axis, size: 28, label: "weight layer", labelSize: 16, labelFont: "12px sans-serif" },
          { ...axis, size: 40 },
        ],
        series: [{ label: "weight layer" }, ...series],
      },
      [Array.from({ length: count }, (_, k) => k + 1), ...columns],
      place,
    );
    let focused = 1;
    made.hooks.setSeries = [(u, n) => { if (n) focused = n; }];
    made.over.addEventListener("click", () => {
      const index = weight[focused - 1]?.[made.cursor.idx];
      if (index !== undefined) go(focused - 1, index);
    });
    plots.push(made);
  }

  function sizePlots() {
    for (const made of plots) {
      const width = made.root.parentNode.clientWidth;
      if (width) made.setSize({ width, height: 260 });
    }
  }

  // --- moving about ---

  function go(view, layer) {
    location.hash = layer === undefined || layer < 0 ? `#${view}` : `#${view}/${layer}`;
  }

  // "#0" is a network, "#0/12" a layer in it, "#0/12/3" at timestamp 3, "#compare" the tables.
  function read() {
    const [view, layer, time] = location.hash.slice(1).split("/");
    const known = view === "compare" || data.networks[view];
    const layers = known && view !== "compare" ? data.networks[view].layers : [];
    stop();
    set({
      view: known ? view : "0",
      layer: layers[layer] ? Number(layer) : -1,
      time: Math.max(0, Math.floor(Number(time)) || 0),
      path: "",
    });
  }

  function set(change, playing) {
    if (!playing) stop();
    const moved = "layer" in change || "view" in change;
    if (data.networks[state.view] && change.view !== undefined && change.view !== state.view) {
      clear(state.view);
    }
    Object.assign(state, change);
    const comparing = state.view === "compare";
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const selected = tab.dataset.view === state.view;
      tab.setAttribute("aria-selected", `${selected}`);
      byId(tab.getAttribute("aria-controls")).hidden = !selected;
    }
    byId("canvas").hidden = comparing;
    byId("panel").hidden = comparing;
    if (comparing) return sizePlots();
    zoom();
    draw();
    if (moved || "path" in change) panel();
    tools();
    if (moved) reveal();
    follow();
    return undefined;
  }

  function onKey(event) {
    if (state.view === "compare" || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input, [role=tab], table")) return;
    const count = network().layers.length;
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      const start = state.layer < 0 && event.key === "ArrowUp" ? count : state.layer;
      go(state.view, Math.min(count - 1, Math.max(0, start + moves[event.key])));
    } else if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "Escape") go(state.view);
    else return;
    event.preventDefault();
  }

  function listen() {
    for (const tab of document.querySelectorAll("[role=tab]")) {
      tab.onclick = () => go(tab.dataset.view);
    }
    data.networks.forEach((net, n) => {
      byId(`network-${n}`).onclick = (event) => {
        const box = event.target.closest(".layer");
        const index = box ? Number(box.id.split("layer-")[1]) : -1;
        go(n, net.layers[index] ? index : -1);
      };
    });
    byId("all").onclick = () => set({ time: 0 });
    byId("earlier").onclick = () => step(-1);
    byId("later").onclick = () => step(1);
    byId("time").oninput = (event) => set({ time: Number(event.target.value) });
    byId("play").onclick = play;
    byId("larger").onclick = () => zoomBy(1.25);
    byId("smaller").onclick = () => zoomBy(0.8);
    byId("fit-width").onclick = () => { zooms[state.view] = 0; zoom(); reveal(); };
    byId("fit-page").onclick = () => {
      const { width, height } = network();
      zooms[state.view] = Math.min(pane().clientWidth / width, (pane().clientHeight - 8) / height);
      zoom();
    };
    addEventListener("hashchange", read);
    addEventListener("keydown", onKey);
    addEventListener("resize", () => (state.view === "compare" ? sizePlots() : zoom()));
  }

  plot(byId("plot-shortest"), "shortest");
  plot(byId("plot-longest"), "longest");
  for (const table of document.querySelectorAll("#view-compare table")) new Tablesort(table);
  listen();
  if (!location.hash && data.chosen >= 0) location.replace(`#0/${data.chosen}`);
  read();
})();
