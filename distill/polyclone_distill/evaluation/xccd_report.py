"""X-CCD results for people: Markdown, LaTeX, a plot. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .bootstrap import Estimate
from .report import NOTHING, number
from .xccd import McNemar, Row

_HEAD = ("set", "system", "response", "P", "R", "F1", "accuracy", "MCC", "F1, silence = no", "AUC", "s/pair",
         "tokens/pair")  # fmt: skip
_WIDE = ("set", "system", "F1", "F1, silence = no", "accuracy, silence = no", "MCC, silence = no", "AUC")


def markdown(rows: Sequence[Row], comparisons: Mapping[tuple[str, str], McNemar], notes: Sequence[str]) -> str:
    """The figures, their 95 % intervals, the comparisons, and the notes under them."""
    parts = [_table(_HEAD, [_cells(row) for row in rows]), "95 % intervals:", _table(_WIDE, [_wide(r) for r in rows])]
    if comparisons:
        head = ("McNemar's test", "set", "only the first right", "only the second right", "p")
        found = [
            [*name, str(c.only_first), str(c.only_second), f"{c.p_value:.2g}"] for name, c in comparisons.items()
        ]
        parts.append(_table(head, found))
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|" + "|".join(["---", "---", *["---:"] * (len(head) - 2)]) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)])


def _cells(row: Row) -> list[str]:
    return [
        row.set,
        row.system,
        _percent(row.response_rate),
        *(number(row.judged[name].value) for name in ("precision", "recall", "f1", "accuracy", "mcc")),
        number(row.silent_is_no["f1"].value),
        number(row.auc.value) if row.auc else NOTHING,
        f"{row.seconds:.4f}",
        f"{row.tokens:,.0f}",
    ]


def _wide(row: Row) -> list[str]:
    every = row.silent_is_no
    return [
        row.set,
        row.system,
        *(_interval(e) for e in (row.judged["f1"], every["f1"], every["accuracy"], every["mcc"], row.auc)),
    ]


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.known:
        return NOTHING
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"


def latex(rows: Sequence[Row]) -> str:
    """The same table without intervals, for `booktabs`."""
    head = " & ".join(["Set", "System", r"Resp.\,\%", "P", "R", "F1", "Acc.", "MCC", "F1$_0$", "AUC", "s", "Tokens"])
    body = []
    last = ""
    for row in rows:
        if row.set != last and last:
            body.append(r"\midrule")
        cells = [
            _escape(row.set) if row.set != last else "",
            _escape(row.system),
            f"{100 * row.response_rate.value:.1f}",
            *(number(row.judged[name].value) for name in ("precision", "recall", "f1", "accuracy", "mcc")),
            number(row.silent_is_no["f1"].value),
            number(row.auc.value) if row.auc else NOTHING,
            f"{row.seconds:.4f}",
            f"{row.tokens:.0f}",
        ]
        body.append(" & ".join(cells).replace(NOTHING, "--") + r" \\")
        last = row.set
    return "\n".join(
        [r"\begin{tabular}{llrrrrrrrrrr}", r"\toprule", head + r" \\", r"\midrule", *body, r"\bottomrule",
         r"\end{tabular}", r"% F1$_0$: silence counted as ``no''.", ""]
    )  # fmt: skip


def _escape(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text


def plot(rows: Sequence[Row], path: Path) -> None:
    """Effect: draws F1 (silence = no) with intervals and the response rate of each system, one panel a set."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    sets = list(dict.fromkeys(row.set for row in rows))
    systems = list(dict.fromkeys(row.system for row in rows))
    size = (3.6 * len(sets) + 1.5, 0.45 * len(systems) + 1.6)
    figure, axes = plt.subplots(1, len(sets), figsize=size, sharey=True, squeeze=False)
    for axis, name in zip(axes[0], sets, strict=True):
        for row in (row for row in rows if row.set == name):
            y = len(systems) - systems.index(row.system)
            f1 = row.silent_is_no["f1"]
            axis.plot([f1.low, f1.high], [y, y], color="tab:blue", linewidth=2)
            axis.plot(f1.value, y, "o", color="tab:blue", label="F1, silence = no")
            axis.plot(row.response_rate.value, y, "|", color="tab:orange", markersize=14, label="response rate")
        axis.set_title(name, fontsize=9)
        axis.set_xlim(-0.02, 1.02)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks([len(systems) - i for i in range(len(systems))], systems)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="lower center", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)
