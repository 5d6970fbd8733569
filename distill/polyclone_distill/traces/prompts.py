"""What the teacher is asked, by version. A published version never changes: stores name the one they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from polyclone import languages
from polyclone.errors import UsageError

from ..pairs.values import Pair

PARTS = ("functionality", "mathematical_logic", "structural_differences", "similarity", "conclusion")
"""The five parts of an answer, in order (Khajezade et al. 2026, the prompt of their repository)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt with the places `{left_language}`, `{left_code}`, `{right_language}`, `{right_code}`."""

    version: str
    system: str
    user: str

    @property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of what it says."""
        return hashlib.sha256(f"{self.system}\0{self.user}".encode()).hexdigest()[:12]

    def messages(self, pair: Pair) -> list[dict[str, str]]:
        """The chat messages for one pair. Code is put in as it is, braces and all."""
        left, right = pair.left, pair.right
        places = {
            "{left_language}": languages.resolve(left.language).display_name,
            "{right_language}": languages.resolve(right.language).display_name,
            "{left_code}": left.code.strip("\n"),
            "{right_code}": right.code.strip("\n"),
        }
        return [{"role": "system", "content": self.system}, {"role": "user", "content": _fill(self.user, places)}]


def _fill(text: str, places: Mapping[str, str]) -> str:
    """`text` with each place filled once; what is filled in is not searched for places again."""
    rest, done = text, ""
    while rest:
        found = min(((rest.find(key), key) for key in places if key in rest), default=None)
        if found is None:
            break
        position, key = found
        done += rest[:position] + places[key]
        rest = rest[position + len(key) :]
    return done + rest


_V1 = Prompt(
    version="v1",
    system=(
        "You judge whether two programs in different programming languages are code clones: whether they solve the "
        "same problem, so that for every valid input they give the same output. Names, libraries, style and speed "
        "do not matter. Answer with one JSON object and nothing else."
    ),
    user="""\
Program 1 ({left_language}):
```
{left_code}
```

Program 2 ({right_language}):
```
{right_code}
```

Answer with one JSON object that has exactly these five keys, each with a string:
"functionality": what each program computes;
"mathematical_logic": the formulas and algorithms each one uses;
"structural_differences": how their structure differs;
"similarity": what they have in common;
"conclusion": starts with the word Yes if they are clones and with the word No if they are not, then the reason in \
one sentence.""",
)

PROMPTS: Mapping[str, Prompt] = MappingProxyType({prompt.version: prompt for prompt in (_V1,)})
LATEST = _V1.version


def prompt_of(version: str) -> Prompt:
    """`UsageError` names the versions there are."""
    if version not in PROMPTS:
        raise UsageError(f"there is no prompt {version!r}; choose from {', '.join(PROMPTS)}.")
    return PROMPTS[version]
