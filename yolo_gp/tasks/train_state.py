"""A training run under way: its parts, and how they are written down and read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from yolo_gp.data.training_loader import TrainingLoader
from yolo_gp.errors import UsageError
from yolo_gp.files import write_atomically
from yolo_gp.graph import Graph
from yolo_gp.layers.dropout_modules import DropBlock
from yolo_gp.losses.network_loss import NetworkLoss
from yolo_gp.tasks.ranks import Ranks
from yolo_gp.tasks.train_data import TrainData
from yolo_gp.tasks.train_folder import TrainFolder
from yolo_gp.tasks.train_model import evaluated_copy
from yolo_gp.tasks.train_precision import Precision
from yolo_gp.tasks.train_ranks import merge_statistics, total_of
from yolo_gp.tasks.train_settings import TrainSettings
from yolo_gp.tasks.train_validation import Validation
from yolo_gp.training.checkpoint import Checkpoint, load_state, save_state
from yolo_gp.training.disk import require_space
from yolo_gp.training.ema import Ema
from yolo_gp.training.progress import Progress, to_csv
from yolo_gp.training.recipe import Recipe
from yolo_gp.training.schedule import RunLength
from yolo_gp.weights.checkpoint import save_checkpoint
from yolo_gp.weights.checkpoint_info import CheckpointInfo, describe
from yolo_gp.weights.darknet import save_weights
from yolo_gp.weights.header import WeightsHeader

_SAVE_EVERY = 300.0  # seconds of work that a crash may cost


@dataclass(slots=True)
class Training:
    """Everything that an iteration touches.

    Fields:
        network: the weights that learn; holds their gradients.
        forward: what images go through: the network, or torch's wrapper that shares gradients.
        ema: the moving average of the weights; None if the recipe keeps none.
        passes: parts of a batch that this process takes one after the other.
        validation: how accuracy is measured; None if it is not.
        data: what is trained on and measured on.
        statistics: of batch norms as they were before the step under way; empty if nobody would
            put them back.
        saved_at: when the last checkpoint was written, on the clock of `time.monotonic`.
    """

    settings: TrainSettings
    graph: Graph
    network: fx.GraphModule
    forward: nn.Module
    recipe: Recipe
    passes: int
    loss: NetworkLoss
    optimiser: torch.optim.Optimizer
    ema: Ema | None
    precision: Precision
    loader: TrainingLoader
    validation: Validation | None
    folder: TrainFolder
    data: TrainData
    device: torch.device
    ranks: Ranks
    progress: Progress = field(default_factory=Progress)
    statistics: dict[str, Tensor] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether no iteration is left to make."""
        if self.progress.iteration >= self.length.iterations:
            return True
        epochs, patience = self.progress.epochs, self.settings.patience
        if not patience or not epochs or epochs[-1].ap is None:
            return False
        return 0 < self.progress.best_epoch <= epochs[-1].epoch - patience

    @property
    def ends_epoch(self) -> bool:
        """Whether the last iteration was an epoch's last."""
        iteration = self.progress.iteration
        return iteration % self.per_epoch == 0 or iteration == self.length.iterations

    @property
    def per_epoch(self) -> int:
        """Iterations of an epoch."""
        return max(1, round(self.length.per_epoch))

    @property
    def epochs(self) -> int:
        """How many there will be, unless patience ends first."""
        return -(-self.length.iterations // self.per_epoch)

    @property
    def length(self) -> RunLength:
        """How long the run is, unless patience ends first."""
        assert self.recipe.run is not None  # `fit_to_data` has worked it out
        return self.recipe.run

    @property
    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    @property
    def save_is_due(self) -> bool:
        """Whether a crash would cost more than a few minutes."""
        return time.monotonic() - self.saved_at > _SAVE_EVERY

    def tell_layers(self, iteration: int) -> None:
        """Tell those that act more strongly as the training goes on which iteration comes."""
        for module in self.network.modules():
            if isinstance(module, DropBlock):
                module.follow(iteration / self.length.iterations)

    def keep_statistics(self) -> None:
        """Remember them, if the step that comes may be skipped."""
        if self.settings.non_finite == "skip":
            self.statistics = {n: value.clone() for n, value in self.network.named_buffers()}

    @torch.no_grad()
    def put_statistics_back(self) -> None:
        """Undo what a skipped step has done to the network."""
        for name, value in self.network.named_buffers():
            value.copy_(self.statistics[name])

    def evaluated(self, device: torch.device) -> fx.GraphModule:
        """A network of its own with the weights that are measured and kept."""
        return evaluated_copy(self.graph, self.averaged(), device)

    def averaged(self) -> Mapping[str, Tensor]:
        """The weights that are measured and kept: the moving average where there is one."""
        values = self.network.state_dict()
        return values if self.ema is None else {**values, **self.ema.values}

    def info(self) -> CheckpointInfo:
        """What files of weights say about themselves."""
        seen = self.progress.iteration * self.recipe.batch
        return describe(
            self.graph,
            cfg_name=self.folder.cfg_name,
            class_names=self.data.names,
            header=WeightsHeader(seen=seen),
        )


def merge(run: Training) -> None:
    """Make the statistics of batch norms, and the sums of the epoch, the same in all processes."""
    buffers = dict(run.network.named_buffers())
    averaged = {} if run.ema is None else run.ema.values
    kept = [averaged[name] for name in buffers if name in averaged]
    merge_statistics(run.ranks, [*buffers.values(), *kept])
    sums = total_of(run.ranks, run.progress.sums)
    run.progress.set_sums([value / run.ranks.world for value in sums])


def save(run: Training) -> None:
    """Write down where the run stands; in process 0.

    The weights first, the state last: whatever comes between, the state that is found belongs to
    weights that its next save writes again.

    Raises:
        DataError, WeightsError: there is no room, or the operating system refuses.
    """
    merge(run)
    run.saved_at = time.monotonic()
    if run.ranks.rank:
        return
    folder = run.folder
    needed = 4 * run.graph.total.params
    require_space(folder.path, needed, f"the weights of iteration {run.progress.iteration}")
    network = run.evaluated(torch.device("cpu"))
    save_checkpoint(folder.last, run.graph, network, run.info())
    epochs = run.progress.epochs
    if epochs and epochs[-1].best and epochs[-1].iteration == run.progress.iteration:
        save_checkpoint(folder.best, run.graph, network, run.info())
    write_atomically(folder.metrics, to_csv(epochs))
    save_state(folder.state, _state(run))


def _state(run: Training) -> Checkpoint:
    return Checkpoint(
        token=run.folder.token,
        iteration=run.progress.iteration,
        network=run.network.state_dict(),
        averaged={} if run.ema is None else run.ema.state_dict(),
        optimiser=run.optimiser.state_dict(),
        scaler=run.precision.scaler.state_dict(),
        progress=run.progress.to_entries(),
    )


def save_final(run: Training) -> None:
    """Write the weights at the end in Darknet's format; in process 0.

    Raises:
        WeightsError: the operating system refuses.
    """
    if run.ranks.rank:
        return
    network = run.evaluated(torch.device("cpu"))
    save_weights(run.folder.final, run.graph, network, run.info().darknet_header)


def restore(run: Training) -> None:
    """Put the run where its last checkpoint stands.

    Raises:
        DataError: the checkpoint cannot be read.
        UsageError: it is another run's.
    """
    state: Checkpoint | None = None
    if run.ranks.rank == 0:
        run.folder.sweep()
        state = load_state(run.folder.state)
    state = run.ranks.from_first(state)
    assert state is not None  # process 0 has it, or has gone with an error
    if state.token != run.folder.token:
        raise UsageError(f"{run.folder.state} belongs to another run than its folder")
    run.network.load_state_dict(dict(state.network))
    if run.ema is not None:
        run.ema.load_state_dict(state.averaged)
    run.optimiser.load_state_dict(dict(state.optimiser))
    run.precision.scaler.load_state_dict(dict(state.scaler))
    run.progress = Progress.from_entries(state.progress)


def require_space_for_run(folder: Path, network: nn.Module, recipe: Recipe) -> None:
    """Refuse to begin a run whose files would not fit.

    They are the state (weights, their average, the optimiser's) and its next version beside it,
    and the weights: last, best and final, and the next of them.

    Args:
        folder: where it will be; it need not exist.

    Raises:
        DataError: the disk has less room.
    """
    weights = 4 * sum(tensor.numel() for tensor in network.state_dict().values())
    copies = 2 + (recipe.ema is not None) + (recipe.adam is not None)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    require_space(there, (2 * copies + 4) * weights, "the whole run")
