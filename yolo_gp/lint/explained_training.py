"""Paragraphs on the rules about training, and about silencing: 52x and 59x."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_gp.rules import Rule

TRAINING: Mapping[Rule, str] = {
    Rule.TEST_BATCH: """Published files often have batch=1 and subdivisions=1, for detection, with
        batch=64 in a comment below. Darknet refuses to train with one image per update; programs
        that do not refuse learn from noise, as batch norm sees one image at a time. Looked for in
        files that seem to be yours to train: with --data and a list of training images, or with a
        number of classes that is no public data set's (20, 80, 601 and 9418 are).""",
    Rule.BATCH_PARTS: """An update takes batch images in so many subdivisions, each of batch //
        subdivisions images. What does not divide is left out: batch=64 and subdivisions=24 make
        updates of 48 images, and schedules and learning rates meant for 64 are off.""",
    Rule.LATE_STEP: """With policy=steps the learning rate falls at each of steps=, counted in
        updates. A step at or past max_batches is never reached, so the last, slow part of the
        training, which often brings the best of it, does not happen. It comes of lowering
        max_batches and leaving steps. Darknet's advice is 80 and 90 % of max_batches.""",
    Rule.LONG_BURN_IN: """During the first burn_in updates the learning rate rises from 0. If it
        rises until the training ends, or until the first step lowers it, the full rate is never
        used, and little is learned. 1000 is usual, less for short trainings.""",
    Rule.SHORT_TRAINING: """Darknet's README advises max_batches of 2000 for each class, at least
        6000 and at least as many as there are training images. Detectors that are trained for much
        less seldom find much. No more than 500,000, which the models of thousands of classes had,
        is asked for here. Looked for in the same files as YG520.""",
    Rule.UNREAD_BY_POLICY: """Each policy of [net] reads keys of its own: steps and scales belong to
        policy=steps (and sgdr), gamma to exp and sigmoid, power to poly and to a burn_in, B1 and B2
        to adam=1. The key has no effect under the policy that is set, so the schedule may not be
        the one that was meant.""",
    Rule.CLASSIFIER_KEY: """Darknet rotates images (angle) and changes their aspect for classifiers
        only, as it would have to turn the boxes too. In a detector's file the key says something
        that does not happen.""",
    Rule.LAST_HEAD_COUNTS: """jitter, resize, random and max concern whole images, not a head, and
        Darknet takes those of the last head in the file. A value in an earlier head that differs
        has no effect.""",
    Rule.UNUSED_SILENCE: """The comment silences a code that is not found there, so it can hide a
        finding to come. Perhaps what it was for has been mended, or a line was put in between: it
        concerns the line it stands on, or the next one that is no comment.""",
    Rule.UNKNOWN_SILENCE: """A comment that starts with `lint:` is an order to this program. This
        one has no code that exists. It is written `# lint: ignore YG408`, more codes separated by
        blanks or commas, and any text behind them.""",
}
