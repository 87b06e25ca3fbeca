"""Darknet's [yolo] loss once more: cell by cell, in Python's floats, straight from its description.

A second reading of darknet.md 6.6, kept apart from the code under test: no tensors, no sharing.
Boxes are (x, y, w, h), relative to the network input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Box = tuple[float, float, float, float]


@dataclass
class Truth:
    image: int
    class_id: int
    box: Box


@dataclass
class Keys:
    """The keys of [yolo] under Darknet's own names and defaults."""

    classes: int
    anchors: list[tuple[float, float]]
    mask: list[int]
    network: tuple[int, int]  # width, height
    scale_x_y: float = 1.0
    new_coords: bool = False
    iou_loss: str = "mse"
    iou_normalizer: float = 0.75
    obj_normalizer: float = 1.0
    cls_normalizer: float = 1.0
    ignore_thresh: float = 0.5
    truth_thresh: float = 1.0
    iou_thresh: float = 1.0
    iou_thresh_kind: str = "iou"
    max_delta: float = math.inf
    label_smooth_eps: float = 0.0
    objectness_smooth: bool = False
    focal_loss: bool = False
    counters_per_class: list[int] = field(default_factory=list)
    show_details: bool = True


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def edges(box: Box) -> Box:
    """top, bottom, left, right"""
    x, y, w, h = box
    return y - h / 2, y + h / 2, x - w / 2, x + w / 2


def overlap(kind: str, a: Box, b: Box) -> float:
    at, ab, al, ar = edges(a)
    bt, bb, bl, br = edges(b)
    iw, ih = min(ar, br) - max(al, bl), min(ab, bb) - max(at, bt)
    shared = iw * ih if iw > 0 and ih > 0 else 0.0
    union = a[2] * a[3] + b[2] * b[3] - shared
    iou = shared / union if shared and union else 0.0
    cw, ch = max(ar, br) - min(al, bl), max(ab, bb) - min(at, bt)
    if kind == "iou":
        return iou
    if kind == "giou":
        return iou - (cw * ch - union) / (cw * ch) if cw * ch else iou
    d2, c2 = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2, cw**2 + ch**2
    if not c2:
        return iou
    if kind == "diou":
        return iou - (d2 / c2) ** 0.6
    v = 4 / math.pi**2 * (math.atan(b[2] / b[3]) - math.atan(a[2] / a[3])) ** 2
    return iou - (d2 / c2 + v / (1 - iou + v + 1e-6) * v)


def box_gradient(kind: str, p: Box, truth: Box) -> Box:
    """6.6.1: g by x, y, w, h; p has no zero sizes."""
    t, b, l, r = edges(p)  # noqa: E741
    tt, tb, tl, tr = edges(truth)
    x_area = (b - t) * (r - l)
    iw, ih = min(r, tr) - max(l, tl), min(b, tb) - max(t, tt)
    i = iw * ih
    u = x_area + (tb - tt) * (tr - tl) - i
    dx = {"t": -(r - l), "b": r - l, "l": -(b - t), "r": b - t}
    di = {
        "t": -iw if t > tt else 0.0,
        "b": iw if b < tb else 0.0,
        "l": -ih if l > tl else 0.0,
        "r": ih if r < tr else 0.0,
    }
    cw, ch = max(r, tr) - min(l, tl), max(b, tb) - min(t, tt)
    dc = {
        "t": -cw if t < tt else 0.0,
        "b": cw if b > tb else 0.0,
        "l": -ch if l < tl else 0.0,
        "r": ch if r > tr else 0.0,
    }
    c = cw * ch
    q = {}
    for edge in "tblr":
        du = dx[edge] - di[edge]
        q[edge] = (u * di[edge] - i * du) / u**2 if u > 0 else 0.0
        if kind == "giou":
            e = (c * du - u * dc[edge]) / c**2 if c > 0 else 0.0
            q[edge] = e if iw <= 0 or ih <= 0 else q[edge] + e
    g = [q["l"] + q["r"], q["t"] + q["b"], q["r"] - q["l"], q["b"] - q["t"]]
    if kind in ("iou", "giou"):
        return g[0], g[1], g[2], g[3]
    s = (truth[0] - p[0]) ** 2 + (truth[1] - p[1]) ** 2
    d = cw**2 + ch**2
    cw_x, cw_w = (r > tr) - (l < tl), 0.5 * (r > tr) + 0.5 * (l < tl)
    ch_y, ch_h = (b > tb) - (t < tt), 0.5 * (b > tb) + 0.5 * (t < tt)
    extra = [
        (2 * (truth[0] - p[0]) * d - 2 * cw * cw_x * s) / d**2,
        (2 * (truth[1] - p[1]) * d - 2 * ch * ch_y * s) / d**2,
        2 * cw * cw_w * s / d**2,
        2 * ch * ch_h * s / d**2,
    ]
    if kind == "ciou":
        turn = math.atan(truth[2] / truth[3]) - math.atan(p[2] / p[3])
        v = 4 / math.pi**2 * turn**2
        alpha = v / (1 - i / u + v + 1e-6)
        extra[2] += alpha * 8 / math.pi**2 * turn * p[3]
        extra[3] -= alpha * 8 / math.pi**2 * turn * p[2]
    if iw <= 0 or ih <= 0:
        return extra[0], extra[1], extra[2], extra[3]
    return g[0] + extra[0], g[1] + extra[1], g[2] + extra[2], g[3] + extra[3]


class Head:
    """One head over a batch. `raw[image][slot][entry][row][column]`, and so are the deltas."""

    def __init__(self, keys: Keys, raw: list, truths: list[Truth]) -> None:
        self.keys, self.raw = keys, raw
        self.truths = [t for t in truths if 0 <= t.class_id < keys.classes]
        self.slots, self.entries = len(keys.mask), 5 + keys.classes
        self.rows, self.columns = len(raw[0][0][0]), len(raw[0][0][0][0])
        self.deltas = [
            [[[[0.0] * self.columns for _ in range(self.rows)] for _ in slot] for slot in image]
            for image in raw
        ]
        self.positives = 0
        self.overlaps: list[float] = []  # of the kind that the cost reports

    # One cell and anchor is (image, slot, row, column).

    def activated(self, place: tuple, entry: int) -> float:
        n, a, j, i = place
        value = self.raw[n][a][entry][j][i]
        if not self.keys.new_coords and entry not in (2, 3):
            value = sigmoid(value)
        if entry < 2:
            value = value * self.keys.scale_x_y - 0.5 * (self.keys.scale_x_y - 1)
        return value

    def box(self, place: tuple) -> Box:
        _, a, j, i = place
        x, y, w, h = (self.activated(place, entry) for entry in range(4))
        aw, ah = self.keys.anchors[self.keys.mask[a]]
        nw, nh = self.keys.network
        fw, fh = (4 * w**2, 4 * h**2) if self.keys.new_coords else (math.exp(w), math.exp(h))
        return (i + x) / self.columns, (j + y) / self.rows, fw * aw / nw, fh * ah / nh

    def get(self, place: tuple, entry: int) -> float:
        n, a, j, i = place
        return self.deltas[n][a][entry][j][i]

    def put(self, place: tuple, entry: int, value: float) -> None:
        n, a, j, i = place
        self.deltas[n][a][entry][j][i] = value

    def weight(self, class_id: int) -> float:
        counters = [max(1, count) for count in self.keys.counters_per_class]
        if not counters:
            return 1.0
        return min(max(counters) / counters[class_id], self.keys.max_delta)

    def run(self) -> Head:
        places = [
            (n, a, j, i)
            for n in range(len(self.raw))
            for a in range(self.slots)
            for j in range(self.rows)
            for i in range(self.columns)
        ]
        for place in places:
            self.first_pass(place)
        for truth in self.truths:
            self.second_pass(truth)
        if self.keys.iou_thresh < 1:
            for place in places:
                self.third_pass(place)
        return self

    def first_pass(self, place: tuple) -> None:
        keys = self.keys
        own = [t for t in self.truths if t.image == place[0]]
        best_iou, best = 0.0, None
        for truth in own:
            iou = overlap("iou", self.box(place), truth.box)
            if iou > best_iou:
                best_iou, best = iou, truth
        some_class = any(self.activated(place, 5 + k) > 0.25 for k in range(keys.classes))
        best_match = best_iou if some_class else 0.0
        obj = self.activated(place, 4)
        delta = keys.obj_normalizer * (0 - obj)
        if best_match > keys.ignore_thresh:
            smooth = max(delta, keys.obj_normalizer * (best_match - obj))
            delta = smooth if keys.objectness_smooth else 0.0
        self.put(place, 4, delta)
        if best is None or not best_iou > keys.truth_thresh:
            return
        target = best_iou**2 if keys.objectness_smooth else 1.0
        self.put(place, 4, keys.obj_normalizer * (target - obj))
        self.class_delta(place, best.class_id)
        if keys.objectness_smooth:
            error = best_iou**2 - self.activated(place, 5 + best.class_id)
            self.put(place, 5 + best.class_id, self.weight(best.class_id) * error)
        self.box_delta(place, best)

    def second_pass(self, truth: Truth) -> None:
        keys = self.keys
        nw, nh = keys.network
        shape = (0.0, 0.0, truth.box[2], truth.box[3])
        shapes = [(0.0, 0.0, w / nw, h / nh) for w, h in keys.anchors]
        ious = [overlap("iou", anchor, shape) for anchor in shapes]
        best = ious.index(max(ious))
        i, j = int(truth.box[0] * self.columns), int(truth.box[1] * self.rows)
        if not (0 <= i < self.columns and 0 <= j < self.rows):
            return
        for a, number in enumerate(keys.mask):
            near = overlap(keys.iou_thresh_kind, shapes[number], shape) > keys.iou_thresh
            if number == best or (keys.iou_thresh < 1 and near):
                self.teach((truth.image, a, j, i), truth)

    def teach(self, place: tuple, truth: Truth) -> None:
        keys = self.keys
        self.positives += 1
        kind = "giou" if keys.iou_loss == "giou" else "iou"
        self.overlaps.append(overlap(kind, self.box(place), truth.box))
        self.box_delta(place, truth)
        if not keys.objectness_smooth or self.get(place, 4) == 0:
            error = 1 - self.activated(place, 4)
            self.put(place, 4, self.weight(truth.class_id) * keys.obj_normalizer * error)
        self.class_delta(place, truth.class_id)

    def third_pass(self, place: tuple) -> None:
        taught = sum(self.get(place, 5 + k) > 0 for k in range(self.keys.classes))
        if self.get(place, 4) != 0 and taught:
            for entry in range(4):
                self.put(place, entry, self.get(place, entry) / taught)

    def class_delta(self, place: tuple, own: int) -> None:
        keys, eps = self.keys, self.keys.label_smooth_eps
        m = self.weight(own)
        if self.get(place, 5 + own) != 0:
            target = 1 * (1 - eps) + 0.5 * eps
            self.put(place, 5 + own, (target - self.activated(place, 5 + own)) * m)
            return
        p = self.activated(place, 5 + own) + 1e-15
        focal = 0.5 * -((1 - p) * (2 * p * math.log(p) + p - 1))
        for k in range(keys.classes):
            y = self.activated(place, 5 + k)
            if keys.focal_loss:
                self.put(place, 5 + k, ((k == own) - y) * focal)
                continue
            delta = (k == own) * (1 - eps) + 0.5 * eps - y
            if k == own:
                delta *= m * (keys.cls_normalizer if keys.counters_per_class else 1.0)
            self.put(place, 5 + k, delta)

    def box_delta(self, place: tuple, truth: Truth) -> None:
        keys = self.keys
        n, a, j, i = place
        norm = keys.iou_normalizer * self.weight(truth.class_id)
        if keys.iou_loss == "mse":
            nw, nh = keys.network
            aw, ah = keys.anchors[keys.mask[a]]
            x, y, w, h = truth.box
            rw, rh = w * nw / aw, h * nh / ah
            size = (math.sqrt(rw / 4), math.sqrt(rh / 4))
            if not keys.new_coords:
                size = (math.log(rw), math.log(rh))
            target = (x * self.columns - i, y * self.rows - j, *size)
            step = [
                (2 - w * h) * norm * (target[entry] - self.activated(place, entry))
                for entry in range(4)
            ]
        else:
            x, y, w, h = self.box(place)
            g = box_gradient(keys.iou_loss, (x, y, w or 1.0, h or 1.0), truth.box)
            tw, th = (self.raw[n][a][entry][j][i] for entry in (2, 3))
            ew, eh = (1.0, 1.0) if keys.new_coords else (math.exp(tw), math.exp(th))
            step = [value * norm for value in (g[0], g[1], g[2] * ew, g[3] * eh)]
            step = [value if math.isfinite(value) else 0.0 for value in step]
            step = [max(-keys.max_delta, min(keys.max_delta, value)) for value in step]
        for entry in range(4):
            self.put(place, entry, self.get(place, entry) + step[entry])

    @property
    def cost(self) -> float:
        keys = self.keys
        squares = [
            [
                value**2
                for image in self.deltas
                for slot in image
                for row in slot[e]
                for value in row
            ]
            for e in range(self.entries)
        ]
        boxes, rest = sum(map(sum, squares[:4])), sum(map(sum, squares[4:]))
        if keys.iou_loss == "mse" or not keys.show_details:
            return boxes + rest
        missing = sum(1 - value for value in self.overlaps) / max(1, len(self.overlaps))
        return keys.iou_normalizer * missing + keys.obj_normalizer * rest
