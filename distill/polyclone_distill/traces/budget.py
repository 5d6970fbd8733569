"""A budget that cannot be overrun: what a request may cost at most is set aside before it leaves."""

from __future__ import annotations

import asyncio


class Budget:
    """Dollars. `limit` None means no limit; then nothing is ever refused."""

    def __init__(self, limit: float | None, spent: float = 0.0) -> None:
        self.limit, self.spent = limit, spent
        self._reserved = 0.0
        self._settled = asyncio.Condition()

    async def reserve(self, most: float) -> bool:
        """Sets `most` aside; waits for requests under way if only their return would make room. False: no room."""
        if self.limit is None:
            return True
        async with self._settled:
            while self.spent + self._reserved + most > self.limit + 1e-12:
                if self._reserved <= 1e-12:
                    return False
                await self._settled.wait()
            self._reserved += most
            return True

    async def settle(self, most: float, cost: float) -> None:
        """Effect: `most` is set aside no longer, `cost` is spent."""
        async with self._settled:
            self.spent += cost
            if self.limit is not None:
                self._reserved = max(0.0, self._reserved - most)
            self._settled.notify_all()
