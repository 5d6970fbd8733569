"""`polyclone-distill traces`: ask a teacher about every pair; stop, resume and count at any time."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from polyclone.errors import UsageError

if TYPE_CHECKING:
    from .client import Endpoint
    from .collect import Outcome, Pace
    from .plan import Question
    from .prompts import Prompt
    from .store import TraceStore
    from .values import Price

STORE = "traces.jsonl"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `traces`."""
    parser = commands.add_parser(
        "traces",
        help="a teacher's reasoning over pairs",
        description="Asks any OpenAI-compatible server about every pair. The key is read from the environment; the "
        "same command goes on where a run ended, and pays for no answer twice.",
    )
    parser.add_argument("--pairs", type=Path, required=True, metavar="JSONL", help="what `pairs` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"{STORE} and report.json go there")
    parser.add_argument("--base-url", default="https://api.deepseek.com/v1", metavar="URL")
    parser.add_argument("--model", default="deepseek-reasoner")
    parser.add_argument("--key-variable", metavar="NAME",
                        help="environment variable that holds the key; without it DEEPSEEK_API_KEY at DeepSeek, "
                        "OPENAI_API_KEY elsewhere")  # fmt: skip
    parser.add_argument("--prompt", default="v1", metavar="VERSION")
    parser.add_argument("--temperature", type=float, default=0.3, help="negative: leave it to the server")
    parser.add_argument("--max-tokens", type=int, default=8192, help="of one answer, reasoning included")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one whole request")
    parser.add_argument("--concurrency", type=int, default=8, help="requests under way at a time")
    parser.add_argument("--per-minute", type=float, default=120.0, help="requests that leave in a minute")
    parser.add_argument("--tries", type=int, default=6, help="requests for one answer when there is passing trouble")
    parser.add_argument("--asks", type=int, default=1, help="paid answers of a pair while they are unusable")
    parser.add_argument("--price-prompt", type=float, default=0.0, metavar="DOLLARS", help="a million tokens")
    parser.add_argument("--price-completion", type=float, default=0.0, metavar="DOLLARS", help="a million tokens")
    parser.add_argument("--budget", type=float, metavar="DOLLARS", help="of all runs into --out together")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pairs")
    parser.add_argument("--dry-run", action="store_true", help="show prompts and the estimated cost; send nothing")
    parser.add_argument("--show", type=int, default=1, metavar="N", help="prompts that --dry-run prints")
    parser.add_argument("--expected-tokens", type=int, default=2000, help="of one answer, for --dry-run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exit code 0 if every question is settled, 1 if some are left. Effect: requests; writes below `--out`."""
    from ..pairs.jsonl import read_pairs
    from .client import Endpoint
    from .plan import questions
    from .prompts import prompt_of
    from .values import Price

    _check(options)
    prompt = prompt_of(options.prompt)
    endpoint = Endpoint(
        base_url=options.base_url,
        model=options.model,
        temperature=options.temperature if options.temperature >= 0 else None,
        max_tokens=options.max_tokens,
        timeout_s=options.timeout,
    )
    price = Price(prompt=options.price_prompt, completion=options.price_completion)
    asked = questions(read_pairs(options.pairs, options.limit), prompt, endpoint)
    if options.dry_run:
        return _dry_run(options, asked, endpoint, price)
    return _collect(options, asked, endpoint, price, prompt)


def _check(options: argparse.Namespace) -> None:
    for name in ("concurrency", "per_minute", "tries", "asks", "timeout", "max_tokens"):
        if getattr(options, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be more than 0.")
    if options.budget is not None and not (options.price_prompt or options.price_completion):
        raise UsageError("--budget needs --price-prompt and --price-completion, or it would count nothing.")
    if min(options.price_prompt, options.price_completion, options.budget or 0.0) < 0:
        raise UsageError("prices and the budget must not be negative.")


def _key(options: argparse.Namespace) -> str:
    host = urlsplit(options.base_url).hostname or ""
    own = host == "deepseek.com" or host.endswith(".deepseek.com")
    name = options.key_variable or ("DEEPSEEK_API_KEY" if own else "OPENAI_API_KEY")
    key = os.environ.get(name, "").strip()
    if options.key_variable and not key:
        raise UsageError(f"the environment variable {name} is empty; put the key there.")
    if not key and own:
        raise UsageError(f"{host} needs a key; put it into the environment variable {name}.")
    return key


def _dry_run(options: argparse.Namespace, asked: list[Question], endpoint: Endpoint, price: Price) -> int:
    from .plan import expected, most_expensive, pending
    from .store import read_events

    rest = pending(asked, read_events(options.out / STORE), options.asks)
    for question in rest[: options.show]:
        print(f"== {question.pair.id} ==")
        for message in question.messages:
            print(f"[{message['role']}]\n{message['content']}\n")
    usage, dollars = expected(rest, options.expected_tokens, price)
    most = sum(most_expensive(question, endpoint, price) for question in rest)
    print(f"{len(rest):,} requests to {endpoint.base_url} for {len(asked):,} pairs")
    print(f"tokens, estimated: {usage.prompt:,} sent, {usage.completion:,} received")
    print(f"cost, estimated: ${dollars:,.2f}; if every answer takes all it may: ${most:,.2f}")
    return 0


def _collect(
    options: argparse.Namespace, asked: list[Question], endpoint: Endpoint, price: Price, prompt: Prompt
) -> int:
    import asyncio

    from ..pairs.jsonl import write_atomically
    from .collect import Pace
    from .plan import pending
    from .report import summarise
    from .store import TraceStore

    key = _key(options)
    pace = Pace(
        concurrency=options.concurrency, per_minute=options.per_minute, tries=options.tries, asks=options.asks
    )
    with TraceStore(options.out / STORE) as store:
        if store.set_aside:
            print(f"a torn last line of {store.set_aside} bytes was set aside.", file=sys.stderr)
        rest = pending(asked, store.events, options.asks)
        outcome = asyncio.run(_run(rest, endpoint, store, price, prompt, pace, key, options.budget))
        left = len(pending(asked, store.events, options.asks))
        own = {question.key: store.events[question.key] for question in asked if question.key in store.events}
        report = {**summarise(own, len(asked)), "questions left": left, "this run": _plain(outcome)}
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(options.out / "report.json", text + "\n")
    print(text)
    if outcome.stopped:
        print(f"polyclone-distill: stopped: {outcome.stopped}", file=sys.stderr)
    elif left:
        trouble = f" ({outcome.last_trouble})" if outcome.last_trouble else ""
        print(
            f"polyclone-distill: left without an answer: {left:,}{trouble}; the same command asks again.",
            file=sys.stderr,
        )
    return 1 if left else 0


async def _run(
    rest: list[Question],
    endpoint: Endpoint,
    store: TraceStore,
    price: Price,
    prompt: Prompt,
    pace: Pace,
    key: str,
    limit: float | None,
) -> Outcome:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from .budget import Budget
    from .client import Client
    from .collect import collect
    from .report import spent

    budget = Budget(limit, spent(store.events))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("${task.fields[spent]:.4f}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("traces", total=len(rest), spent=budget.spent)

        def step() -> None:
            progress.update(task, advance=1, spent=budget.spent)

        async with Client(endpoint, key, concurrency=pace.concurrency) as client:
            return await collect(
                rest, client, endpoint, store, prompt, price=price, budget=budget, pace=pace, step=step
            )


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "usable answers": outcome.answered,
        "unusable answers": outcome.unusable,
        "refused": outcome.refused,
        "given up for now": outcome.given_up,
        "passing trouble": dict(outcome.trouble),
        "cost in dollars": round(outcome.spent, 6),
        "stopped": outcome.stopped or None,
    }
