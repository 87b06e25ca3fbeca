"""What a cfg's keys, a user's wishes and the size of the data make of the two recipes."""

from __future__ import annotations

import re

import pytest

from yolo_gp.data.augmentation import DarknetAugmentation, ModernAugmentation
from yolo_gp.errors import UsageError
from yolo_gp.graph import Graph, compile_text, read_graph
from yolo_gp.losses.modern_settings import ModernLossSettings
from yolo_gp.training.recipe import (
    DarknetEma,
    ModernEma,
    Recipe,
    darknet_recipe,
    fit_to_data,
    modern_recipe,
    with_mosaic_closed,
    with_overrides,
)
from yolo_gp.training.schedule import DarknetSchedule, OneCycle, WarmedUp
from yolo_gp.zoo import packaged_cfgs

SIZE = "width=64\nheight=64\nchannels=3\n"
HEAD = "[convolutional]\nfilters=7\nactivation=linear\n[yolo]\nclasses=2\nanchors=10,13\n"
LENGTH = "batch=64\nsubdivisions=16\nmax_batches=1000\n"


def graph(net: str = LENGTH, *, yolo: str = "", layers: str = "") -> Graph:
    return compile_text(f"[net]\n{SIZE}{net}{layers}{HEAD}{yolo}", "x.cfg")


def darknet(net: str = LENGTH, *, yolo: str = "", layers: str = "") -> Recipe:
    return darknet_recipe(graph(net, yolo=yolo, layers=layers))


def refusal(net: str = LENGTH, *, yolo: str = "") -> str:
    with pytest.raises(UsageError) as caught:
        darknet(net, yolo=yolo)
    return str(caught.value)


# -- Darknet's recipe --------------------------------------------------------------------------


def test_the_keys_of_net_are_the_recipe() -> None:
    recipe = darknet(
        f"{LENGTH}learning_rate=.25\nmomentum=.5\ndecay=.125\nema_alpha=.75\npolicy=poly\n"
    )
    assert (recipe.name, recipe.loss) == ("darknet", "darknet")
    assert (recipe.batch, recipe.subdivisions, recipe.images_per_pass) == (64, 16, 4)
    assert (recipe.iterations, recipe.epochs) == (1000, None)
    assert recipe.decay == 0.125 and recipe.ema == DarknetEma(0.75)
    assert isinstance(recipe.schedule, DarknetSchedule)
    assert recipe.schedule.keys.learning_rate == 0.25
    # Gradients are sums over images, and Darknet divides them by all of the batch.
    assert recipe.divide_by == 64.0
    assert (recipe.nesterov, recipe.adam, recipe.gradient_clip) == (False, None, None)
    assert recipe.remarks == ()


def test_the_augmentation_comes_from_net_and_from_the_last_head() -> None:
    recipe = darknet(
        f"{LENGTH}flip=0\nsaturation=1.5\nexposure=1.25\nhue=.25\nblur=1\ngaussian_noise=20\n"
        "mixup=1\nletter_box=1\nresize_step=64\n",
        yolo="jitter=.5\nresize=1.5\nrandom=1\nmax=90\n" + HEAD + "jitter=.25\nmax=80\nrandom=2\n",
    )
    assert recipe.augmentation == DarknetAugmentation(
        flip=False,
        saturation=1.5,
        exposure=1.25,
        hue=0.25,
        blur=1,
        gaussian_noise=20,
        mixup=True,
        letter_box=True,
        jitter=0.25,
        resize=1.0,
        max_boxes=80,
        random=2.0,
        resize_step=64,
    )
    # LENGTH and SIZE take lines 2 to 7, the nine keys up to 16, each head seven lines.
    assert recipe.remarks == tuple(
        f"[yolo] {key} (line {line}) has no effect: that of the last [yolo] counts"
        for key, line in (("jitter", 23), ("resize", 24), ("random", 25), ("max", 26))
    )


def test_a_batch_that_cannot_be_cut_evenly_is_rounded_down_as_in_darknet() -> None:
    recipe = darknet("batch=64\nsubdivisions=6\nmax_batches=10\n")
    # 64 // 6 = 10 images at a time, six times.
    assert (recipe.batch, recipe.images_per_pass, recipe.divide_by) == (60, 10, 60.0)
    assert recipe.remarks == (
        "[net] batch=64 is no multiple of subdivisions=6: an update takes 60 images, as in Darknet",
    )


def test_more_subdivisions_than_images_take_one_each() -> None:
    assert darknet("batch=2\nsubdivisions=4\nmax_batches=10\n").batch == 4


def test_adam_is_honoured_with_an_epsilon_for_means() -> None:
    recipe = darknet(f"{LENGTH}adam=1\nB1=.5\nB2=.75\neps=.5\n")
    assert recipe.adam is not None and recipe.decays_all
    # m / (sqrt(v) + e) of sums over 64 images is that of means with e / 64.
    assert recipe.adam.betas == (0.5, 0.75) and recipe.adam.epsilon == 0.5 / 64
    smaller = with_overrides(recipe, batch=16)
    assert smaller.adam is not None and smaller.adam.epsilon == 0.5 / 16
    assert recipe.remarks == (
        "[net] adam=1 is honoured as by Darknet's GPU build, where biases decay too; its CPU build "
        "ignores it",
    )


NET_REMARKS = [
    ("angle=7", "angle", "it concerns classifiers only"),
    ("adversarial_lr=1", "adversarial_lr", "adversarial passes are not made"),
    ("contrastive=1", "contrastive", "it belongs to contrastive training"),
    ("track=1", "track", "it belongs to training on video"),
    ("try_fix_nan=1", "try_fix_nan", "a loss that is no number stops the run"),
    ("dynamic_minibatch=1", "dynamic_minibatch", "the batch keeps its size while the input's size "
     "varies"),
    ("optimized_memory=1", "optimized_memory", "it concerns Darknet's own memory use"),
    ("gamma=.5", "gamma", "policy=constant does not read it"),
    ("steps=1,2", "steps", "policy=constant does not read it"),
    ("power=2", "power", "policy=constant without burn_in does not read it"),
    ("B1=.5", "B1", "only adam=1 reads it"),
    ("cutmix=1", "cutmix", "Darknet joins images so for classifiers only"),
    ("mixup=2", "mixup", "Darknet joins images so for classifiers only"),
    ("mosaic_bound=1", "mosaic_bound", "there is no mosaic"),
    ("resize_step=64", "resize_step", "the last [yolo] has random=0"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "key", "reason"), NET_REMARKS)
def test_a_key_of_net_without_effect_is_said_aloud(line: str, key: str, reason: str) -> None:
    assert darknet(f"{LENGTH}{line}\n").remarks == (
        f"[net] {key} (line 8) has no effect: {reason}",
    )


@pytest.mark.parametrize(
    ("lines", "key", "reason"),
    [
        ("adam=1\nmomentum=.5\n", "momentum", "adam=1 has moments of its own"),
        ("mosaic=1\nmixup=1\n", "mixup", "mosaic and cutmix take its place, as in Darknet"),
    ],
)
def test_a_key_that_another_one_switches_off_is_said_aloud(
    lines: str, key: str, reason: str
) -> None:
    assert darknet(LENGTH + lines).remarks[-1] == f"[net] {key} (line 9) has no effect: {reason}"


@pytest.mark.parametrize(
    "lines",
    [
        "power=2\nburn_in=10\n",
        "power=2\npolicy=poly\n",
        "gamma=2\nstep=5\npolicy=sigmoid\n",
        "policy=sgdr\nlearning_rate_min=.001\nsgdr_mult=2\nsgdr_cycle=100\n",
        "mosaic=1\nmosaic_bound=1\n",
        "mixup=1\n",
    ],
)
def test_nothing_is_said_of_keys_that_count(lines: str) -> None:
    assert darknet(LENGTH + lines).remarks == ()


def test_letter_box_beside_mosaic_is_for_validation_and_detection() -> None:
    recipe = darknet(f"{LENGTH}mosaic=1\nletter_box=1\n")
    assert recipe.augmentation == DarknetAugmentation(mosaic=True, letter_box=False)
    assert recipe.remarks == (
        "[net] letter_box (line 9) counts in validation and detection only: Darknet refuses to "
        "train with it beside mosaic=1, so images are stretched",
    )


YOLO_REMARKS = [
    ("cls_normalizer=.5", "cls_normalizer", "Darknet reads it beside counters_per_class only"),
    ("max_delta=5", "max_delta", "iou_loss=mse does not read it"),
    ("show_details=0", "show_details", "iou_loss=mse has one cost only"),
    ("iou_thresh_kind=giou", "iou_thresh_kind", "iou_thresh is not below 1"),
    (
        "label_smooth_eps=.1\nfocal_loss=1",
        "label_smooth_eps",
        "focal_loss does not read it",
    ),
    ("track_history_size=5", "track_history_size", "belongs to Darknet's video tracking"),
]


@pytest.mark.parametrize(("line", "key", "reason"), YOLO_REMARKS)
def test_a_key_of_yolo_without_effect_is_said_aloud(line: str, key: str, reason: str) -> None:
    assert darknet(yolo=f"{line}\n").remarks == (f"[yolo] {key} (line 14) has no effect: {reason}",)


def test_a_key_of_several_heads_is_named_once_with_its_lines() -> None:
    recipe = darknet(yolo=f"cls_normalizer=.5\n{HEAD}cls_normalizer=.5\n")
    (remark,) = recipe.remarks
    assert remark.startswith("[yolo] cls_normalizer (lines 14, 21) has no effect")


def test_nothing_is_said_of_loss_keys_that_count() -> None:
    yolo = (
        "iou_loss=ciou\ndelta_normalizer=2\nmax_delta=5\nshow_details=0\ncounters_per_class=3,4\ncls_normalizer=.5\n"
        "iou_thresh=.2\niou_thresh_kind=giou\nlabel_smooth_eps=.1\njitter=.3\nrandom=1\n"
    )
    assert darknet(yolo=yolo).remarks == ()


def test_a_training_key_of_another_section_is_said_aloud() -> None:
    layer = "[convolutional]\nfilters=4\nactivation=linear\nassisted_excitation=4000\n"
    assert darknet(layers=layer).remarks == (
        "[convolutional] assisted_excitation (line 11) has no effect: it is not imitated here",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("momentum=1.5", "momentum=1.5 cannot be trained with\nexpected: 0 or more, below 1"),
        ("ema_alpha=1", "ema_alpha=1 cannot be trained with\nexpected: 0 or more, below 1"),
        ("decay=-1", "decay=-1 cannot be trained with\nexpected: 0 or more"),
        ("policy=step\nstep=0", "step=0 cannot be trained with\nexpected: 1 or more"),
        ("policy=sgdr\nsgdr_mult=0", "sgdr_mult=0 cannot be trained with\nexpected: 1 or more"),
        ("policy=sgdr\nsgdr_cycle=0", "sgdr_cycle=0 cannot be trained with\nexpected: 1 or more"),
    ],
)
def test_a_value_that_nothing_can_be_trained_with_is_refused(lines: str, message: str) -> None:
    assert refusal(f"{LENGTH}{lines}\n") == f"x.cfg: [net] {message}"


def test_an_augmentation_out_of_its_range_is_refused_when_training_starts() -> None:
    message = refusal(yolo="jitter=3\n")
    assert message == "the augmentation's jitter is 3.0\nexpected: 0 to 1"


def test_a_network_without_a_head_has_nothing_to_learn() -> None:
    text = f"[net]\n{SIZE}[convolutional]\nfilters=4\nactivation=linear\n"
    for recipe in (darknet_recipe, modern_recipe):
        with pytest.raises(UsageError) as caught:
            recipe(compile_text(text, "x.cfg"))
        assert str(caught.value) == (
            "x.cfg: the network has no detection head, so nothing to learn\n"
            "expected: at least one [yolo] or [anchor_free]"
        )


def test_darknets_recipe_refuses_heads_that_darknet_lacks() -> None:
    branches = (
        "[convolutional]\nname=boxes\nfilters=64\nactivation=linear\n"
        "[convolutional]\nname=classes\nfilters=2\nactivation=linear\n"
        "[anchor_free]\nfrom=@boxes,@classes\nclasses=2\n"
    )
    with pytest.raises(UsageError) as caught:
        darknet_recipe(compile_text(f"[net]\n{SIZE}{branches}", "x.cfg"))
    assert str(caught.value) == (
        "x.cfg:13:1: Darknet's recipe cannot train [anchor_free]\n"
        "expected: [yolo] heads only\n"
        "help: train it with --recipe modern"
    )
    masks = (
        "[convolutional]\nname=prototypes\nfilters=4\nactivation=linear\n"
        "[convolutional]\nfilters=11\nactivation=linear\n"
        "[yolo]\nclasses=2\nanchors=10,13\nmasks=4\nprototypes=@prototypes\n"
    )
    with pytest.raises(UsageError) as caught:
        darknet_recipe(compile_text(f"[net]\n{SIZE}{masks}", "x.cfg"))
    assert str(caught.value) == (
        "x.cfg:12:1: Darknet's recipe cannot train masks=4\n"
        "expected: [yolo] heads without masks\n"
        "help: train it with --recipe modern"
    )


# -- the modern recipe -------------------------------------------------------------------------


def test_the_modern_recipe_is_yolors() -> None:
    recipe = modern_recipe(graph(""))
    assert (recipe.name, recipe.epochs, recipe.nesterov) == ("modern", 300, True)
    assert recipe.schedule == WarmedUp(
        learning_rate=0.01, final=0.2, course="cosine", momentum=0.937
    )
    assert (recipe.gradient_clip, recipe.divide_by, recipe.ema) == (10.0, 1.0, ModernEma())
    assert recipe.remarks == ()


def test_small_and_large_networks_get_their_own_variety_and_gains() -> None:
    small = modern_recipe(read_graph(packaged_cfgs()["elan-nano"]))
    assert small.loss == ModernLossSettings(box=0.05, objectness=1.0, classes=0.5)
    assert isinstance(small.augmentation, ModernAugmentation)
    assert (small.augmentation.scale, small.augmentation.mixup) == (0.5, 0.0)
    large = modern_recipe(read_graph(packaged_cfgs()["elan"]))
    assert large.loss == ModernLossSettings(box=0.05, objectness=0.7, classes=0.3)
    assert isinstance(large.augmentation, ModernAugmentation)
    assert (large.augmentation.scale, large.augmentation.mixup) == (0.9, 0.1)
    assert large.augmentation.copy_paste == 0.0
    masks = modern_recipe(read_graph(packaged_cfgs()["yolov5l-seg"]))
    assert isinstance(masks.augmentation, ModernAugmentation)
    assert masks.augmentation.copy_paste == 0.1


def test_a_network_without_anchors_learns_along_a_line() -> None:
    recipe = modern_recipe(read_graph(packaged_cfgs()["elan-tiny-11"]))
    assert recipe.schedule == WarmedUp(course="linear", final=0.01)


def test_the_course_can_be_chosen() -> None:
    assert modern_recipe(graph(""), course="one-cycle").schedule == OneCycle()
    assert modern_recipe(graph(""), course="linear").schedule == WarmedUp(course="linear")


def test_the_modern_recipe_says_which_keys_it_does_not_read() -> None:
    cfg = graph("batch=8\nlearning_rate=.1\nmosaic=1\nangle=7\n", yolo="iou_loss=ciou\njitter=.3\n")
    assert modern_recipe(cfg).remarks == (
        "[net] batch, learning_rate, mosaic: the modern recipe has its own, so these keys have no "
        "effect",
        "[yolo] iou_loss, jitter: the modern recipe has its own, so these keys have no effect",
        "[net] angle (line 8) has no effect: it concerns classifiers only",
    )


# -- what the user asks for --------------------------------------------------------------------


def test_overrides_replace_what_they_name_and_nothing_else() -> None:
    recipe = darknet(f"{LENGTH}learning_rate=.25\n")
    assert with_overrides(recipe) == recipe
    found = with_overrides(recipe, epochs=3, lr=0.5)
    assert (found.epochs, found.iterations, found.batch) == (3, None, 64)
    assert found.schedule.rates(1, fit_to_data(found, 640).run or pytest.fail()).weights == 0.5
    assert with_overrides(recipe, iterations=7).iterations == 7
    assert with_overrides(modern_recipe(graph("")), iterations=7).epochs is None


@pytest.mark.parametrize(
    ("batch", "subdivisions", "asked", "parts"),
    [
        (64, 16, 32, 8),  # four images at a time as before
        (64, 16, 2, 1),
        (64, 16, 10, 5),  # 10 / 4 is 2.5, and neither 3 nor 4 divide 10
        (64, 1, 16, 1),
        (1, 1, 16, 1),  # a cfg for detection says nothing of how many go together
    ],
)
def test_another_batch_is_cut_into_parts_of_about_the_same_size(
    batch: int, subdivisions: int, asked: int, parts: int
) -> None:
    recipe = darknet(f"batch={batch}\nsubdivisions={subdivisions}\nmax_batches=10\n")
    found = with_overrides(recipe, batch=asked)
    assert (found.batch, found.subdivisions, found.divide_by) == (asked, parts, asked)


def test_batch_and_subdivisions_can_both_be_given() -> None:
    found = with_overrides(darknet(), batch=32, subdivisions=2)
    assert (found.images_per_pass, found.divide_by) == (16, 32.0)
    assert with_overrides(darknet(), subdivisions=4).images_per_pass == 16


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"batch": 10, "subdivisions": 4}, "a batch of 10 images cannot be cut into 4 equal parts\n"
         "expected: a batch that is a multiple of the subdivisions"),
        ({"epochs": 3, "iterations": 9}, "--epochs 3 and --iterations 9 exclude each other\n"
         "expected: one of them"),
        ({"epochs": 0}, "--epochs 0 is out of range\nexpected: a number above 0"),
        ({"iterations": -1}, "--iterations -1 is out of range\nexpected: a number above 0"),
        ({"batch": 0}, "--batch 0 is out of range\nexpected: a number above 0"),
        ({"subdivisions": 0}, "--subdivisions 0 is out of range\nexpected: a number above 0"),
        ({"lr": float("nan")}, "--lr nan is out of range\nexpected: a number above 0"),
        ({"lr": -0.1}, "--lr -0.1 is out of range\nexpected: a number above 0"),
    ],
)  # fmt: skip
def test_overrides_that_make_no_sense_are_refused(asked: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        with_overrides(darknet(), **asked)  # type: ignore[arg-type]


# -- what the data implies ---------------------------------------------------------------------


def test_epochs_become_iterations_of_the_data() -> None:
    # 3 epochs of 205 images are 615; 615 / 64 is 9.6.
    run = fit_to_data(with_overrides(darknet(), epochs=3), 205).run
    assert run is not None
    assert (run.iterations, run.per_epoch) == (10, 205 / 64)


def test_max_batches_count_whatever_the_data() -> None:
    fitted = fit_to_data(darknet(f"{LENGTH}burn_in=100\n"), 205)
    assert fitted.run is not None and fitted.run.iterations == 1000
    assert fitted.remarks == ()


def test_a_run_that_is_not_as_long_as_the_cfg_says_is_remarked_upon() -> None:
    recipe = darknet(f"{LENGTH}burn_in=200\npolicy=steps\nsteps=800,900\nscales=.1,.1\n")
    assert fit_to_data(with_overrides(recipe, iterations=100), 205).remarks == (
        "the run makes 100 updates, [net] says max_batches=1000: steps=80,90 and burn_in=10 "
        "accordingly",
    )


def test_without_max_batches_a_length_must_be_given() -> None:
    recipe = darknet("batch=8\n")
    with pytest.raises(UsageError) as caught:
        fit_to_data(recipe, 205)
    assert str(caught.value) == (
        "[net] has no max_batches, so nothing says how long to train\n"
        "expected: max_batches=N in the cfg, --iterations N or --epochs N"
    )
    fitted = fit_to_data(with_overrides(recipe, iterations=5), 205)
    assert fitted.run is not None and fitted.run.iterations == 5


def test_a_cfg_for_detection_does_not_train_with_one_image_per_update() -> None:
    with pytest.raises(UsageError) as caught:
        fit_to_data(darknet("batch=1\nmax_batches=10\n"), 205)
    assert str(caught.value) == (
        "batch=1: Darknet does not train with one image per update, and neither do we\n"
        "expected: a batch of 2 or more, such as batch=64 with subdivisions=16, or --batch 16\n"
        "help: batch=1 is what cfgs for detection say"
    )


def test_a_rate_without_bounds_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        fit_to_data(darknet(f"{LENGTH}policy=exp\ngamma=3\n"), 205)
    assert str(caught.value) == (
        "the learning rate grows beyond all bounds before iteration 1000\n"
        "expected: gamma and scale of at most 1"
    )


@pytest.mark.parametrize(
    ("images", "batch", "parts", "iterations"),
    [
        (118_287, 64, 4, 554_470),  # COCO: 300 x 118287 / 64 = 554470.3
        (205, 16, 1, 3844),  # BCCD: at 64 it would be 961 updates only
        (640, 64, 4, 3000),
    ],
)
def test_long_modern_runs_accumulate_to_the_nominal_batch(
    images: int, batch: int, parts: int, iterations: int
) -> None:
    fitted = fit_to_data(modern_recipe(graph("")), images)
    assert fitted.run is not None
    assert (fitted.batch, fitted.subdivisions, fitted.run.iterations) == (batch, parts, iterations)
    # 5e-4 is meant for 64 images; a smaller update decays in proportion.
    assert fitted.decay == pytest.approx(5e-4 * batch / 64)


def test_a_batch_that_the_user_names_is_not_enlarged() -> None:
    fitted = fit_to_data(modern_recipe(graph(""), batch=32), 118_287)
    assert (fitted.batch, fitted.subdivisions) == (32, 2)
    assert fitted.decay == pytest.approx(2.5e-4)


@pytest.mark.parametrize(
    ("iterations", "reach", "ramp"),
    [
        (554_470, 10_000, 2000),  # as published
        (1280, 128, 64),  # a tenth of the run, and half of that
        (5, 1, 1),
    ],
)
def test_the_average_spans_at_most_a_tenth_of_the_run(
    iterations: int, reach: int, ramp: float
) -> None:
    fitted = fit_to_data(modern_recipe(graph(""), iterations=iterations, batch=16), 205)
    assert isinstance(fitted.ema, ModernEma)
    assert fitted.ema.decay == pytest.approx(1 - 1 / reach)
    assert fitted.ema.ramp == ramp


@pytest.mark.parametrize(("epochs", "closed"), [(300, 10), (50, 10), (40, 8), (4, 0)])
def test_mosaics_stay_on_for_four_fifths_of_the_epochs(epochs: int, closed: int) -> None:
    fitted = fit_to_data(modern_recipe(graph(""), epochs=epochs, batch=16), 1600)
    assert isinstance(fitted.augmentation, ModernAugmentation)
    assert fitted.augmentation.close_mosaic == closed


def test_mosaics_can_be_closed_for_as_many_epochs_as_a_user_says() -> None:
    fitted = with_mosaic_closed(fit_to_data(modern_recipe(graph(""), epochs=5, batch=16), 1600), 5)
    assert isinstance(fitted.augmentation, ModernAugmentation)
    assert fitted.augmentation.close_mosaic == 5
    with pytest.raises(UsageError) as caught:
        with_mosaic_closed(darknet_recipe(graph("")), 5)
    assert str(caught.value) == (
        "--close-mosaic needs --recipe modern\n"
        "help: with Darknet's recipe, mosaic=0 in [net] trains without mosaics"
    )
