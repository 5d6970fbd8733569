"""Architectures by name. A new one is a module with a `Body` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .architecture import Body, EncoderConfig
from .bag import Static
from .convolution import Convolution
from .ensemble import Ensemble
from .errors import TrainerError
from .recurrent import BiGru
from .transformer import MiniLm, Modern

ARCHITECTURES: Mapping[str, Callable[[EncoderConfig], Body]] = MappingProxyType(
    {"minilm": MiniLm, "modernbert": Modern, "bigru": BiGru, "conv": Convolution, "static": Static}
)


def build_body(config: EncoderConfig) -> Body:
    """A body with random weights; `TrainerError` if the sizes do not go together."""
    if config.architecture == "ensemble":
        if not config.members:
            raise TrainerError("an ensemble is no architecture of its own; name its [[members]] beside [encoder].")
        return Ensemble(config, [build_body(member) for member in config.members])
    if config.architecture not in ARCHITECTURES:
        raise TrainerError(
            f"unknown architecture {config.architecture!r}; choose from {', '.join(sorted(ARCHITECTURES))}."
        )
    unit = {"minilm": config.heads, "conv": config.heads, "modernbert": 2 * config.heads, "bigru": 2, "static": 1}
    if config.width % unit[config.architecture]:
        raise TrainerError(
            f"width {config.width} of a {config.architecture} must be a multiple of {unit[config.architecture]}"
            f" ({config.heads} heads); change one of them."
        )
    if config.kernel % 2 == 0:
        raise TrainerError(f"kernel {config.kernel} is even; a window needs a middle, take an odd number.")
    return ARCHITECTURES[config.architecture](config)
