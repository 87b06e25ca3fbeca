"""Paragraphs on the rules about references, shapes and heads: 2xx and 3xx."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.rules import Rule

NETWORKS: Mapping[Rule, str] = {
    Rule.BAD_REFERENCE: """layers= and from= name earlier layers: by their number, 0 being the first
        section after [net], or counted back from the section itself, -1 being the one before.
        Darknet hardly checks them: a number that is too large reads an empty layer, one that is too
        small memory that is not the network's. Sections that were put in or taken out shift the
        numbers behind them.""",
    Rule.SIZE_MISMATCH: """Maps can only be joined or added where rows and columns agree. The usual
        reasons are a lost [upsample], a reference to a layer of another stage, and an input size
        that is no multiple of 32, so that a map that was halved and doubled again is not as large
        as it was.""",
    Rule.CHANNEL_MISMATCH: """The numbers of channels do not fit: groups that do not divide them, or
        layers that must have equally many and do not. Darknet often goes on, and reads across the
        borders of maps.""",
    Rule.EMPTY_OUTPUT: """The window is larger than the map, or the strides before it have left
        nothing of the input, so the layer would have no output. Enlarge the input, or take a
        stride, a size or the padding back.""",
    Rule.EMPTY_GROUP: """groups= and group_id= of [route] cut channels into equal parts, counted
        from 0, and take one of them. The part named here holds nothing or does not exist.""",
    Rule.TOO_LARGE: """A map, a list, the layers or the parameters are more than any real network
        has, and more than most machines hold. Mostly a digit too many, or a list without
        commas.""",
    Rule.SHARED_LAYER: """share_index= lets a convolution use the weights of another one. Both must
        have the same kernel, filters and, in general, input channels, and the other one must come
        first.""",
    Rule.REPEATED_NAME: """name= is what later sections refer to as @name, so it can stand once
        only.""",
    Rule.STOPPED_GRADIENT: """stop_gradient=block keeps the loss from reaching the layers between a
        source and the layer that joins it. That needs exactly one source besides the previous
        layer, and at least one layer in between.""",
    Rule.HEAD_FILTERS: """A head splits the channels of its map among anchors, boxes and classes, so
        their number is fixed: (classes + 5) * anchors in the mask for [yolo]. Whoever changes
        classes has to change the filters of the convolution before every head. Darknet stops with a
        message that has neither the number nor the line; OpenCV reads wrong boxes. --fix sets the
        filters where all heads agree on the classes.""",
    Rule.HEAD_MASK: """mask= chooses from the list of anchors, counted from 0. One that is not in
        the list makes Darknet read past it, and the boxes of that anchor have arbitrary sizes.""",
    Rule.HEAD_ANCHORS: """anchors= lists a width and a height for each of num= anchors. If it is
        shorter, Darknet fills up with 0.5 or reads past its end, without a word. --fix sets num
        where the list is of whole pairs and a mask chooses among them.""",
    Rule.HEAD_BRANCHES: """A head that reads several maps, such as boxes and classes apart, needs
        each of them once, in the order that its section's page says.""",
    Rule.UNUSED_OUTPUT: """No layer reads this one, and it is neither a head nor the network's
        output. It costs time and memory, its weights stand in the weights file, and nothing depends
        on them. Mostly a head was deleted without the layers before it, a reference points one
        layer too far, or a [softmax] or [avgpool] was left in the middle. Weights files for the
        network become wrong if you remove it.""",
    Rule.CLASSES_DISAGREE: """All heads of a detector answer the same question. If their classes
        differ, one of them was forgotten when the number was changed; class 3 of one head is then
        compared with class 3 of another that means something else. Darknet takes the last head's
        number for the names.""",
    Rule.CLASS_LIST: """The heads' classes are not as many as the lines of the names file, or as
        classes= of the .data file. A blank line in a names file counts as a class, in Darknet too.
        Darknet refuses to compute a mAP then, but it does train and detect, with wrong names. Only
        looked for with --names or --data.""",
    Rule.UNEVEN_INPUT: """Each cell of a head's map stands for a square of the input, 32 pixels wide
        for the coarsest head of most networks. If the strides do not divide the input, sizes are
        rounded on the way: the cells do not cover the image evenly, boxes near the far edges are
        off, and in networks that enlarge maps again they no longer fit together. Darknet only
        prints a line. Sizes that are multiples of 32 (64 for P6 networks) work.""",
    Rule.ANCHOR_UNIT: """[yolo] takes anchors in pixels of the network's input, [region] in cells of
        its map, as training tools print them. Anchors in the other unit, or relative to the image,
        give a network that trains to an mAP near 0: no box can reach the size of the objects.""",
    Rule.ANCHOR_TOO_LARGE: """The anchors are more than one and a half times as large as the input,
        so nothing in an image can resemble them, and the head learns next to nothing. They come
        from a network with a larger input. Make new ones from your data for this input size.""",
    Rule.ANCHOR_INPUT: """These are the anchors that a published model was given for COCO and its
        own input size. Anchors are pixels of the input, so at twice or half that size all of them
        are too small or too large for the same objects. Make new ones from your data, or scale
        these.""",
    Rule.ANCHOR_USE: """Every anchor of the list should belong to one head. One that no mask names
        is never predicted, and objects like it are matched to a worse one; one that two heads name
        is learned by both. The published yolov4-tiny.cfg has 1,2,3 in its second mask and so never
        uses anchor 0; weights trained so need it so, which is a case for silencing.""",
    Rule.ANCHOR_ORDER: """A head with few, large cells sees large objects best, so it should have
        the large anchors. YOLOv3's heads come coarse to fine and YOLOv4's fine to coarse, and masks
        copied from one to the other end up at the wrong heads. The network trains, and stays
        bad.""",
    Rule.ANCHORS_DISAGREE: """All heads list the same anchors, and mask= says which of them are a
        head's own: an object is given to the anchor of the whole list that it resembles most. If
        the lists differ, an object may belong to two heads or to none. Mostly new anchors were put
        into some of the heads only.""",
    Rule.HEAD_ACTIVATION: """A head applies its own sigmoids to the map, so the convolution before
        it is linear; [yolo] with new_coords=1 applies none and needs activation=logistic. Any other
        activation, leaky say, cuts off values that the head needs, and a second sigmoid squeezes
        them: the network trains badly, or pretrained weights give no boxes.""",
    Rule.HEAD_BATCH_NORM: """The convolution before a head has a bias, which sets how sure the
        network is by default, and no batch norm, which would make each channel's scores depend on
        the other images of the batch. A batch_normalize=1 there is mostly copied from the layer
        above.""",
}
