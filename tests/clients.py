"""The user's own code in sessions of requests: what it sends along acts, and its tokens do not."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

__all__ = ["Adapter", "Auth", "mounted", "session"]


class Adapter(HTTPAdapter):
    """Sends a note along, and counts what it sent."""

    def __init__(self, note: str) -> None:
        super().__init__()
        self.note, self.sent = note, 0

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        self.sent += 1
        request.headers["x-note"] = self.note
        return super().send(request, *args, **options)


class Auth(AuthBase):
    """Sends a note along, and signs with a token."""

    def __init__(self, note: str, token: str = "one") -> None:
        self.note, self.token = note, token

    def __call__(self, request: Any) -> Any:
        request.headers.update({"x-note": self.note, "x-signature": self.token})
        return request


def session(**members: Any) -> requests.Session:
    """A session with these members."""
    made = requests.Session()
    for name, value in members.items():
        setattr(made, name, value)
    return made


def mounted(note: str) -> requests.Session:
    """A session with an adapter of the user's own."""
    made = requests.Session()
    made.mount("http://", Adapter(note))
    return made
