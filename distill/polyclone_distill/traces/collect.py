"""The run: asks every open question, some at a time, paced and within a budget, and stores each outcome at once."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from .answer import Answer, parse_answer, split_reasoning
from .budget import Budget
from .client import Client, Endpoint
from .errors import PassingError, RefusedError, StopRunError
from .plan import Question, is_settled, most_expensive
from .prompts import Prompt
from .store import ANSWER, FAILED, SENT, TraceStore
from .values import Price, Reply, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how stubborn."""

    concurrency: int = 8
    per_minute: float = 120.0
    """Requests that leave in a minute, evenly spread."""
    tries: int = 6
    """Requests for one answer before the pair is left for another run."""
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_retry_after_s: float = 600.0
    """A server that asks for more is taken at this."""
    asks: int = 1
    """Paid answers for one pair before an unusable one is accepted as such."""
    patience: int = 16
    """Pairs given up one after the other, without an answer in between, that end the run."""


@dataclass(slots=True)
class Outcome:
    """What one run did. Changes while it runs."""

    usage: Usage = field(default_factory=lambda: Usage(prompt=0, completion=0))
    spent: float = 0.0
    """Dollars of this run."""
    trouble: Counter[str] = field(default_factory=Counter)
    """Kind → requests that failed in a passing way."""
    answered: int = 0
    unusable: int = 0
    refused: int = 0
    given_up: int = 0
    last_trouble: str = ""
    """What the last request that failed in a passing way failed of, for people."""
    stopped: str = ""
    """Why the run ended early, for people; `` if it did not."""


Step = Callable[[], None]


async def collect(
    rest: Sequence[Question],
    client: Client,
    endpoint: Endpoint,
    store: TraceStore,
    prompt: Prompt,
    *,
    price: Price,
    budget: Budget,
    pace: Pace,
    step: Step = lambda: None,
    seed: int | None = None,
) -> Outcome:
    """Asks `rest` and calls `step` after each question. Effect: requests, and events in `store`.

    Ends early, with what is under way brought home first, if the budget has no room or the server shuts the door.
    """
    run = _Run(client, endpoint, store, prompt, price, budget, pace, seed)
    queue = iter(rest)

    async def worker() -> None:
        for question in queue:
            if run.outcome.stopped:
                return
            await run.settle(question)
            step()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(pace.concurrency, len(rest))):
            group.create_task(worker())
    return run.outcome


class _Run:
    """The state that the workers of one run share."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        store: TraceStore,
        prompt: Prompt,
        price: Price,
        budget: Budget,
        pace: Pace,
        seed: int | None,
    ) -> None:
        self.outcome = Outcome()
        self._client, self._endpoint, self._store, self._prompt = client, endpoint, store, prompt
        self._price, self._budget, self._pace = price, budget, pace
        # One request at a time every so often: a limiter of n a minute would let n leave at once.
        self._limiter = AsyncLimiter(1, 60.0 / pace.per_minute)
        self._random = random.Random(seed)
        self._not_before = 0.0
        self._in_a_row = 0

    async def settle(self, question: Question) -> None:
        """Asks until the question is settled, given up or the run stops."""
        try:
            while not self.outcome.stopped and not is_settled(self._store.events[question.key], self._pace.asks):
                if not await self._answer(question):
                    return
        except RefusedError as error:
            self.outcome.refused += 1
            self._fail(question, str(error), final=True)
        except StopRunError as error:
            self._fail(question, str(error), final=False)
            self.outcome.stopped = str(error)
        except PassingError as error:
            self._give_up(error)

    def _give_up(self, error: PassingError) -> None:
        self.outcome.given_up += 1
        self._in_a_row += 1
        if self._in_a_row >= self._pace.patience and not self.outcome.stopped:
            self.outcome.stopped = (
                f"{self._in_a_row} pairs in a row got no answer from {self._endpoint.base_url} ({error}); "
                "check that the server runs, and run the same command again."
            )

    async def _answer(self, question: Question) -> bool:
        """One paid answer, after as many tries as it takes. False if the budget has no room for it."""
        most = most_expensive(question, self._endpoint, self._price)
        if not await self._budget.reserve(most):
            self.outcome.stopped = (
                f"the budget of ${self._budget.limit:.2f} has no room for another request "
                f"(${self._budget.spent:.4f} spent, up to ${most:.4f} each); raise --budget to go on."
            )
            return False
        cost = 0.0
        try:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(PassingError),
                stop=stop_after_attempt(self._pace.tries),
                wait=self._wait,
                reraise=True,
            )
            async for attempt in retrying:
                with attempt:
                    reply = await self._request(question)
            cost = self._price.of(reply.usage)
            self._store_answer(question, reply, cost)
            self._in_a_row = 0
        finally:
            await self._budget.settle(most, cost)
        return True

    async def _request(self, question: Question) -> Reply:
        await self._gate()
        self._store.append(SENT, question.key, pair=question.pair.id)
        try:
            return await self._client.ask(question.messages)
        except PassingError as error:
            self.outcome.trouble[error.kind] += 1
            self.outcome.last_trouble = str(error)
            self._fail(question, str(error), final=False)
            if error.retry_after_s is not None:
                wait = min(error.retry_after_s, self._pace.longest_retry_after_s)
                self._not_before = max(self._not_before, asyncio.get_running_loop().time() + wait)
            raise

    async def _gate(self) -> None:
        """Returns when the next request may leave: what a server asked of one holds for all."""
        while True:
            await self._limiter.acquire()
            wait = self._not_before - asyncio.get_running_loop().time()
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    def _wait(self, state: RetryCallState) -> float:
        """Full jitter (Brooker 2015, "Exponential backoff and jitter"), never less than the server asked for."""
        ceiling = min(self._pace.longest_wait_s, self._pace.first_wait_s * 2 ** (state.attempt_number - 1))
        return self._random.uniform(0.0, ceiling)

    def _fail(self, question: Question, why: str, *, final: bool) -> None:
        self._store.append(FAILED, question.key, pair=question.pair.id, why=why, final=final)

    def _store_answer(self, question: Question, reply: Reply, cost: float) -> None:
        reasoning, text = split_reasoning(reply.content, reply.reasoning)
        answer = parse_answer(text)
        valid = isinstance(answer, Answer)
        self._store.append(
            ANSWER,
            question.key,
            pair=question.pair.id,
            label=int(question.pair.label),
            languages=question.pair.languages,
            prompt_version=self._prompt.version,
            prompt_digest=self._prompt.digest,
            model=self._endpoint.model,
            served_model=reply.model,
            temperature=self._endpoint.temperature,
            reasoning=reasoning,
            text=text,
            finish=reply.finish,
            valid=valid,
            problem="" if isinstance(answer, Answer) else answer.problem,
            verdict=int(answer.verdict) if isinstance(answer, Answer) else None,
            prompt_tokens=reply.usage.prompt,
            completion_tokens=reply.usage.completion,
            tokens_estimated=reply.usage.estimated,
            cost=cost,
            elapsed_s=round(reply.elapsed_s, 3),
        )
        self.outcome.usage = self.outcome.usage + reply.usage
        self.outcome.spent += cost
        self.outcome.answered += valid
        self.outcome.unusable += not valid
