"""Money: what tokens cost at the prices that a user gives."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["Cost", "cost_cell", "cost_members"]

_LEAST = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount of money, and the tokens that it leaves out, since nobody has said their price.

    Printed, it is `0.0123 USD`, or `0.0123 USD + 120 tokens without a price`. The amount itself is exact.
    """

    amount: Decimal
    currency: str
    unpriced_tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.amount + other.amount, self.currency, self.unpriced_tokens + other.unpriced_tokens)

    def __str__(self) -> str:
        amount = f"<{_LEAST}" if 0 < self.amount < _LEAST else f"{self.amount:,.4f}"
        tokens = "token" if self.unpriced_tokens == 1 else "tokens"
        unpriced = f"{self.unpriced_tokens:,} {tokens} without a price" if self.unpriced_tokens else ""
        if unpriced and not self.amount:
            return unpriced
        return f"{amount} {self.currency}" + (f" + {unpriced}" if unpriced else "")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict; the amount is a text, so that it stays exact."""
        return {
            "amount": f"{self.amount:f}",
            "currency": self.currency,
            "unpriced_tokens": self.unpriced_tokens,
        }


def cost_cell(cost: Cost | None) -> dict[str, str]:
    """The cell of a table that has a cost; no cell where no prices are given."""
    return {} if cost is None else {"cost": str(cost)}


def cost_members(**costs: Cost | None) -> dict[str, Any]:
    """The members of a JSON-ready dict that are costs; those that are None are left out."""
    return {name: cost.to_dict() for name, cost in costs.items() if cost is not None}
