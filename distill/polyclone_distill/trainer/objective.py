"""What a step minimises: a module from a batch to a loss and its parts, so that one call is all a device needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import methods
from .batches import MUTANT, Batch
from .cross_encoder import CrossEncoder, pair_inputs
from .errors import TrainerError
from .losses import Ratio, block_info_nce, info_nce
from .masking import IGNORED, MaskedBatch
from .model import Encoder
from .reading import Outputs, read
from .settings import DistillConfig, TrainConfig
from .tables import Table
from .teaching import OF_STATES, TAUGHT, Lesson, map_sizes
from .vectors import VectorTeacher

Parts = dict[str, Ratio]
HARD_LABELS = DistillConfig()


def hard_label_parts(student: Outputs, batch: Batch, config: TrainConfig) -> Parts:
    """Contrastive losses of both channels and of the vector that ships. Mutants are no matter of words."""

    def loss(vectors: Tensor, rows: Tensor) -> Ratio:
        labels, languages = batch.labels[rows], batch.languages[rows]
        if config.blocks:
            return block_info_nce(vectors[rows], labels, languages, config.temperature)
        return info_nce(vectors[rows], labels, config.temperature)

    every = torch.ones_like(batch.labels, dtype=torch.bool)
    return {
        "dense": loss(student.dense, every),
        "combined": loss(student.combined, every),
        "lexical": loss(student.lexical, batch.labels > MUTANT),
    }


def hard_label_loss(parts: Parts, config: TrainConfig) -> Tensor:
    """Weighted sum of the means of `hard_label_parts`."""
    return (
        config.dense_weight * parts["dense"].mean()
        + config.combined_weight * parts["combined"].mean()
        + config.lexical_weight * parts["lexical"].mean()
    )


class MaskedObjective(nn.Module):
    """Cross-entropy of hidden tokens, with the input table as output (Devlin et al. 2019, §3.1)."""

    def __init__(self, model: Encoder, config: TrainConfig) -> None:
        super().__init__()
        if model.config.architecture == "static":
            raise TrainerError(
                "a static body sees one token at a time and cannot guess hidden ones; drop that stage."
            )
        self.model, self.config = model, config

    def forward(self, batch: MaskedBatch) -> tuple[Tensor, Parts]:
        hidden = batch.targets != IGNORED
        with torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=self.config.bf16):
            states = self.model.body.states(batch.input_ids, batch.attention_mask)[-1]
            scores = self.model.body.scores(states[hidden]).float()
        total = F.cross_entropy(scores, batch.targets[hidden], reduction="sum")
        part = Ratio(total, hidden.sum().to(total.dtype))
        return part.mean(), {"hidden": part}


class ContrastiveObjective(nn.Module):
    """Hard labels, teachers, or both, as `distill.methods` says; without methods hard labels alone.

    Linear maps from the student's width to a teacher's are trained along and thrown away. Teachers are kept out of
    the module's parameters: they are not trained, saved or averaged. `tables` are of those that are encoders, in
    their order.
    """

    def __init__(
        self,
        model: Encoder,
        config: TrainConfig,
        distill: DistillConfig = HARD_LABELS,
        teachers: Sequence[Encoder | VectorTeacher] = (),
        pair_teacher: CrossEncoder | None = None,
        tables: Sequence[Table] = (),
    ) -> None:
        super().__init__()
        self.model, self.config, self.distill = model, config, distill
        self.methods = distill.methods or (("ft", 1.0), *((("kd", 1.0),) if teachers else ()))
        self.maps = nn.ModuleDict()
        # In tuples: an attribute that is a module would become a part of this one.
        self._teachers = tuple(
            teacher if isinstance(teacher, VectorTeacher) else teacher.eval().requires_grad_(False)
            for teacher in teachers
        )
        self._judges: tuple[CrossEncoder, ...] = (pair_teacher,) if pair_teacher is not None else ()
        for judge in self._judges:
            judge.eval().requires_grad_(False)
        self._tables = tuple(tables)
        self._check()
        self._with_states = any(name in OF_STATES for name, _ in self.methods)
        names = [name for name, _ in self.methods]
        for number, teacher in enumerate(self._teachers):
            sizes = map_sizes(model.config, teacher.config, names).items()
            self.maps[str(number)] = nn.ModuleDict({what: nn.Linear(*size, bias=False) for what, size in sizes})

    def forward(self, batch: Batch) -> tuple[Tensor, Parts]:
        student = read(self.model, batch, self.config, states=self._with_states)
        parts: Parts = {}
        total = student.combined.sum() * 0.0
        lessons = self._lessons(student, batch)
        for name, weight in self.methods:
            if name == "ft":
                parts |= hard_label_parts(student, batch, self.config)
                total = total + weight * hard_label_loss(parts, self.config)
                continue
            if name == "margin_mse":
                found = [self._margins(student, batch)]
            else:
                found = [TAUGHT[name](lesson) for lesson in lessons]
            parts[name] = Ratio(
                torch.stack([r.total for r in found]).sum(), torch.stack([r.terms for r in found]).sum()
            )
            total = total + weight * parts[name].mean()
        return total, parts

    def _lessons(self, student: Outputs, batch: Batch) -> list[Lesson]:
        """One a teacher. No gradient goes through what a teacher makes of the batch."""
        with torch.no_grad():
            tables = iter(self._tables)
            seen = [self._seen(teacher, tables, batch) for teacher in self._teachers]
        return [
            Lesson(student, teacher, batch, self.distill, self.config.temperature, self._maps_of(number))
            for number, teacher in enumerate(seen)
        ]

    def _seen(self, teacher: Encoder | VectorTeacher, tables: Iterator[Table], batch: Batch) -> Outputs:
        if isinstance(teacher, VectorTeacher):
            return teacher.look_up(batch)
        if self._tables:
            return next(tables).look_up(teacher, batch)
        return read(teacher, batch, self.config, states=self._with_states)

    def _maps_of(self, number: int) -> dict[str, nn.Module]:
        maps = self.maps[str(number)]
        assert isinstance(maps, nn.ModuleDict)
        return dict(maps.items())

    def _margins(self, student: Outputs, batch: Batch) -> Ratio:
        """Triples: a row, its positive, and the second row of the next pair where that is of another label."""
        count = int(batch.labels.shape[0]) // 2 * 2
        anchor = torch.arange(0, count, 2, device=batch.labels.device)
        positive, negative = anchor + 1, (anchor + 3) % max(2, count)
        valid = (batch.labels[anchor] == batch.labels[positive]) & (batch.labels[anchor] != batch.labels[negative])
        cosines = [(student.combined[anchor] * student.combined[other]).sum(1) for other in (positive, negative)]
        judge = self._judges[0]
        with torch.no_grad():
            judged = [
                judge.symmetric(*pair_inputs(batch.input_ids, batch.attention_mask, anchor, other))
                for other in (positive, negative)
            ]
        # Cosines live between −1 and 1, logits do not: both sides are compared on the scale of the logits.
        scaled = [cosine / self.config.temperature for cosine in cosines]
        return methods.margin_mse((scaled[0], scaled[1]), (judged[0], judged[1]), valid)

    def _check(self) -> None:
        names = {name for name, _ in self.methods}
        if names - {"ft", "margin_mse"} and not self._teachers:
            raise TrainerError(f"method {', '.join(sorted(names - {'ft', 'margin_mse'}))} needs --teacher RUN.")
        if self._tables and names & OF_STATES:
            raise TrainerError("a teacher that has read plain units has no states of views; set teacher_view = same.")
        if "margin_mse" in names and not self._judges:
            raise TrainerError("method margin_mse needs --pair-teacher FILE, a cross-encoder.")
        for teacher in self._teachers:
            if isinstance(teacher, VectorTeacher):
                self._without_layers(teacher, names)
                continue
            known, own = teacher.config.vocabulary, self.model.config.vocabulary
            if known != own:
                raise TrainerError(
                    f"the teacher knows {known} tokens and the student {own}:"
                    " run `prepare --vocabulary` with the vocabulary that the teacher was trained with."
                )
            if self.model.config.architecture == "static" and names & OF_STATES:
                raise TrainerError("a static student has no layers to compare; choose methods without states.")

    def _without_layers(self, teacher: VectorTeacher, names: set[str]) -> None:
        of_layers = sorted(names & OF_STATES)
        if of_layers:
            raise TrainerError(
                f"method {', '.join(of_layers)} compares layers, and the teacher {teacher.name} gives vectors only;"
                f" choose from {', '.join(sorted(set(TAUGHT) - OF_STATES))}."
            )
