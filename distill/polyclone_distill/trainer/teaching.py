"""Each method on a batch: which vectors, states and masks its pure function is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import methods
from .architecture import EncoderConfig, masked_mean
from .batches import Batch
from .losses import Ratio
from .reading import Outputs
from .settings import DistillConfig

#: Methods that compare states of layers, and so need them.
OF_STATES = frozenset({"fitnets", "pkd", "ckd"})


def layer_pairs(student: int, teacher: int) -> list[tuple[int, int]]:
    """Student layer → teacher layer, numbered from 1 and evenly spread (Sun et al. 2019, skip)."""
    return [(layer, max(1, round(layer * teacher / student))) for layer in range(1, student + 1)]


def map_sizes(student: EncoderConfig, teacher: EncoderConfig, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The linear maps that the methods `names` train along: what each is for → (width in, width out)."""
    sizes: dict[str, tuple[int, int]] = {}
    if "fitnets" in names:
        sizes["hint"] = (student.width, teacher.width)
    if "contrastive" in names:
        sizes["contrast"] = (student.width + student.lexical_width, teacher.width + teacher.lexical_width)
    if "pkd" in names:
        layers = range(len(layer_pairs(student.layers, teacher.layers)))
        sizes |= {f"patient{layer}": (student.width, teacher.width) for layer in layers}
    return sizes


@dataclass(frozen=True)
class Lesson:
    """What a method is given: what the student and one teacher made of a batch, constants, and the student's maps."""

    student: Outputs
    teacher: Outputs
    batch: Batch
    constants: DistillConfig
    temperature: float
    """That of the contrastive loss: cosines over it take the place of class logits."""
    maps: Mapping[str, nn.Module]
    """Linear maps from the student's width to this teacher's, by what they are for."""

    def logits(self) -> tuple[Tensor, Tensor]:
        """Scaled cosines of all rows, (b, b), of the student and of the teacher."""
        return (
            self.student.combined @ self.student.combined.T / self.temperature,
            self.teacher.combined @ self.teacher.combined.T / self.temperature,
        )

    def others(self) -> Tensor:
        """Every row the teacher knows against every other one: bool (b, b)."""
        known = self.teacher.known
        return known[:, None] & known[None, :] & ~torch.eye(len(known), dtype=torch.bool, device=known.device)


Method = Callable[[Lesson], Ratio]


def _kd(lesson: Lesson) -> Ratio:
    return methods.kd(*lesson.logits(), lesson.constants.temperature, lesson.others())


def _max_softmax(lesson: Lesson) -> Ratio:
    return methods.max_softmax(*lesson.logits(), lesson.others())


def _dist(lesson: Lesson) -> Ratio:
    given = lesson.constants
    return methods.dist(*lesson.logits(), given.temperature, given.beta, given.gamma, lesson.others())


def _fitnets(lesson: Lesson) -> Ratio:
    mine, yours = lesson.student.states, lesson.teacher.states
    middle, hinted = layer_pairs(len(mine) - 1, len(yours) - 1)[(len(mine) - 2) // 2]
    return methods.hint(lesson.maps["hint"](mine[middle]), yours[hinted], lesson.batch.attention_mask)


def _rkd_distance(lesson: Lesson) -> Ratio:
    return methods.rkd_distance(lesson.student.combined, lesson.teacher.combined, lesson.teacher.known)


def _rkd_angle(lesson: Lesson) -> Ratio:
    kept = slice(0, lesson.constants.rows)
    student, teacher = lesson.student.combined[kept], lesson.teacher.combined[kept]
    return methods.rkd_angle(student, teacher, lesson.teacher.known[kept])


def _pkd(lesson: Lesson) -> Ratio:
    mine, yours = lesson.student.states, lesson.teacher.states
    mapped, wanted = [], []
    for number, (i, j) in enumerate(layer_pairs(len(mine) - 1, len(yours) - 1)):
        mapped.append(lesson.maps[f"patient{number}"](masked_mean(mine[i], lesson.batch.attention_mask)))
        wanted.append(masked_mean(yours[j], lesson.batch.attention_mask))
    states = methods.patient(torch.stack(mapped), torch.stack(wanted), lesson.teacher.known)
    soft = _kd(lesson)
    return Ratio((soft.mean() + lesson.constants.beta * states.mean()) * soft.terms, soft.terms)


def _ckd(lesson: Lesson) -> Ratio:
    given, kept = lesson.constants, slice(0, lesson.constants.rows)
    mine, yours = ([layer[kept] for layer in side.states] for side in (lesson.student, lesson.teacher))
    present = lesson.batch.attention_mask[kept]
    tokens = methods.contextual(mine[-1], yours[-1], present, given.window)
    flat = present.bool().flatten()
    pairs = [(0, 0), *layer_pairs(len(mine) - 1, len(yours) - 1)]
    rising = [torch.stack([layers[i].flatten(0, 1)[flat] for i in chosen], dim=1)
              for layers, chosen in zip((mine, yours), zip(*pairs, strict=True), strict=True)]  # fmt: skip
    layers = methods.contextual(rising[0], rising[1], torch.ones_like(rising[0][..., 0]), len(pairs))
    soft = _kd(lesson)
    total = soft.mean() + given.beta * tokens.mean() + given.gamma * layers.mean()
    return Ratio(total * soft.terms, soft.terms)


def _contrastive(lesson: Lesson) -> Ratio:
    mapped = F.normalize(lesson.maps["contrast"](lesson.student.combined), dim=-1, eps=1e-6)
    teacher = lesson.teacher
    return methods.contrastive(mapped, teacher.combined, lesson.temperature, lesson.batch.labels, teacher.known)


def _similarity(lesson: Lesson) -> Ratio:
    return methods.similarity(lesson.student.combined, lesson.teacher.combined, lesson.teacher.known)


TAUGHT: Mapping[str, Method] = MappingProxyType(
    {
        "kd": _kd,
        "max_softmax": _max_softmax,
        "dist": _dist,
        "fitnets": _fitnets,
        "rkd_distance": _rkd_distance,
        "rkd_angle": _rkd_angle,
        "pkd": _pkd,
        "ckd": _ckd,
        "contrastive": _contrastive,
        "similarity": _similarity,
    }
)
