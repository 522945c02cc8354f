"""Where an order is. A change of this file makes the task that uses the tool run again."""

from __future__ import annotations

from crewai.tools import BaseTool

ORDERS = {"K-2207": "left the warehouse on 3 June", "K-2210": "waits for a part"}


class OrderStatus(BaseTool):
    """Looks an order up."""

    name: str = "order_status"
    description: str = "Say where an order is, by its number."

    def _run(self, order: str) -> str:
        return in_words(order, ORDERS.get(order, "is not known"))


def in_words(order: str, status: str) -> str:
    """The tool's answer."""
    return f"Order {order} {status}."
