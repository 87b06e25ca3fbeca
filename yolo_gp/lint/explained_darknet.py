"""Paragraphs on the rules about places where Darknet does something else: 4xx."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.rules import Rule

DARKNET: Mapping[Rule, str] = {
    Rule.BYTE_ORDER_MARK: """Some editors put three invisible bytes before the text, a byte-order
        mark. Darknet takes them for a key before the first section, and crashes. `yolo-gp fmt`
        removes them.""",
    Rule.LINE_ENDS: """The lines end in a carriage return alone, as on very old Macs. Darknet reads
        the whole file as one line. `yolo-gp fmt` writes line feeds.""",
    Rule.INLINE_COMMENT: """Darknet knows comments on lines of their own only. Behind a number, text
        is harmless; behind a name it becomes part of the name, so that `activation=leaky # x` is
        ReLU; behind a header it makes an unknown section; its commas count as elements of some
        lists. We read what was meant. --fix puts the comment on a line above.""",
    Rule.RELU6: """relu6 clamps to 0..6 on AlexeyAB's GPU build and here. On his CPU build the
        function is missing, and the output is zero everywhere.""",
    Rule.ACTIVATION_ZERO: """AlexeyAB's CPU build has swish, mish, hard_mish and normalize_* for
        convolutions only ([shortcut] has swish and mish). In other sections the output is zero
        everywhere. Here they are computed.""",
    Rule.POINTWISE_PADDING: """Darknet's CPU build multiplies a 1x1 convolution directly, without
        making room for padding or for different strides along rows and columns, and reads garbage.
        Here it is computed as the shapes say. Remove the padding, or use equal strides.""",
    Rule.PLAIN_SHORTCUT_WEIGHTS: """[shortcut] with weights_type= but without weights_normalization=
        stops Darknet. Here the weights are used as they are.""",
    Rule.RESIZED_SHORTCUT: """Two maps of different size are added. pjreddie's Darknet takes every
        n-th pixel of the larger one, and his resnet50 relies on it; AlexeyAB's stops. Here
        pjreddie's rule counts where one size is a whole multiple of the other.""",
    Rule.SPATIAL_SOFTMAX: """spatial=1 of [softmax] makes a softmax of each pixel. AlexeyAB's CPU
        build ignores it and takes one over the whole map; his GPU build, and we, honour it.""",
    Rule.NO_SPATIAL_LAYER: """When AlexeyAB's Darknet loads a network it divides by the number of
        layers that read a map of more than one pixel, and crashes if there is none, as in networks
        for text. pjreddie's does not, and neither do we.""",
    Rule.SURPLUS_ANCHORS: """anchors= lists more pairs than num= says. Darknet makes room for num of
        them and, where a mask names a later one, reads what lies behind in memory. Heads with a
        mask use the whole list here. --fix sets num to the length of the list.""",
    Rule.NMS_NAME: """Darknet knows the name, but this head reads it as the default suppression, so
        boxes are suppressed otherwise than the file says.""",
    Rule.MISSING_COMMA: """Darknet deletes blanks, so two numbers with only a blank between them are
        one: `45 61` is 4561, and all numbers behind it move up by one place. We read two. --fix
        puts the comma in.""",
    Rule.ANTIALIASED_SOURCE: """With antialiasing, a layer's strided output is made by a blur behind
        it. The next section reads the blurred map, but in Darknet a section that names the layer by
        its number reads the map before the blur, with the wrong size.""",
    Rule.UNSHARED_WEIGHTS: """share_index= names a convolution with other input channels. Darknet
        stops there, and the weights cannot be the same; published files have it nevertheless.""",
    Rule.COORDCONV: """coordconv=1 is to add the pixels' coordinates to the input. Darknet's code
        for it writes a few numbers to the wrong places on the GPU and does nothing on the CPU, so
        no trained network depends on what it should do.""",
    Rule.PJREDDIES_KEY: """pjreddie's Darknet reads the key, AlexeyAB's does not. Weights and
        figures published with the file come from one of the two; see which.""",
    Rule.BLANK_SECTION: """[blank] stands in some published files, but in no Darknet that is
        public.""",
    Rule.ISEG_MAP: """[iseg] of pjreddie's Darknet is trained to separate instances by colours. What
        makes instances of its map is in no Darknet, so the map is all there is.""",
    Rule.RAW_SCORES: """[region] with softmax=0 takes a sigmoid of the class scores in pjreddie's
        Darknet. AlexeyAB's uses the numbers as they are, which are no probabilities.""",
    Rule.GPU_BUILD_ONLY: """AlexeyAB's GPU build computes this; his CPU build stops, or leaves it
        out without a word, so results depend on the machine. Here it is computed.""",
}
