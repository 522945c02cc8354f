"""The secrets that hashing leaves out are handed over, and kept nowhere."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
import requests
from pydantic import BaseModel, SecretBytes, SecretStr

from crew_repo.hashing import hash_callable, hash_value
from crew_repo.secrets import handing_over, secrets_in

GLOBALS = """
API_KEY = "MARK-global"
HEADERS = {"Authorization": "Bearer MARK-bearer", "X-Tenant": "MARK-tenant", "Accept": "application/json"}
DATABASE = "postgresql://user:MARK%2Bpassword@host/db?api_key=MARK-in-query"
GTOKEN = "MARK-fused"

class Client:
    LIMIT_TOKEN = "MARK-class"

    def __init__(self):
        self.api_key = "MARK-client"
        self.seen = {}

    def get(self, q):
        self.seen[q] = {"secret": q}
        self.seen["first"] = {"secret": "MARK-written"}
        return self.seen

CLIENT = Client()
CLIENT.get("MARK-kept")

def bind(password):
    def search(q, token="MARK-default"):
        return q, token, password, API_KEY, HEADERS, DATABASE, GTOKEN, CLIENT.get(q)
    return search

search = bind("MARK-closure")
"""


def handed_over(value: object, path: str = "v") -> set[str]:
    """What hashing a value hands over."""
    into: set[str] = set()
    with handing_over(into):
        hash_value(value, path)
    return into


def test_what_code_leads_to_is_handed_over(project):
    """Secrets in globals, headers, URLs, closures, defaults, class attributes, clients, and what those write."""
    project.write(crewmodule=GLOBALS)
    into: set[str] = set()
    with handing_over(into):
        hash_callable(project.load("crewmodule").search, "tool")
    assert into == {
        *("MARK-global", "Bearer MARK-bearer", "Bearer%20MARK-bearer", "MARK-bearer", "MARK-tenant"),
        *("MARK%2Bpassword", "MARK%252Bpassword", "MARK+password", "MARK-in-query", "MARK-fused", "MARK-class"),
        *("MARK-client", "MARK-written", "MARK-kept", "MARK-default", "MARK-closure"),
    }


def test_no_hash_depends_on_the_handing_over(project):
    """The hash is the same whether anybody asks for the secrets or not, and neither it nor its repr has any."""
    project.write(crewmodule=GLOBALS)
    search = project.load("crewmodule").search
    alone = hash_callable(search, "tool")
    with handing_over(set()):
        assert hash_callable(search, "tool") == alone
    assert "MARK" not in repr(alone)


def test_what_is_handed_over_is_kept_nowhere_else():
    """Hashed again without anybody asking, or by who asks first, nothing of it stays behind."""
    secret, into = "".join(["MARK-", "alone-", "here"]), set[str]()
    with handing_over(into):
        hash_value({"auth": [secret]}, "v")
    assert into == {secret}
    hash_value({"auth": ["MARK-later"]}, "v")
    assert into == {secret}
    assert [each for each in gc.get_referrers(secret) if each is not into and not isinstance(each, FrameType)] == []


class Settings(BaseModel):
    """Of a tool's own."""

    key: SecretStr = SecretStr("MARK-wrapped")


class Login(NamedTuple):
    user: str
    password: str


class Broken(Mapping[str, Any]):
    """Cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise OSError

    def __iter__(self) -> Any:
        raise OSError

    def __len__(self) -> int:
        return 1


def session() -> requests.Session:
    """With a key in its headers, a password beside a user, and what requests itself puts there."""
    made = requests.Session()
    made.headers["X-Api-Key"] = "MARK-session"
    made.auth = ("username", "MARK-auth")
    return made


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        (Settings(), {"MARK-wrapped"}),
        ({"credentials": {"username": "somebody", "project_id": "project-1", "private_key": "MARK-key"}}, {"MARK-key"}),
        ({"cookies": {"session_id": "MARK-cookie"}}, {"MARK-cookie"}),
        ({"api_keys": ["MARK-one", "MARK-two"]}, {"MARK-one", "MARK-two"}),
        ({"auth": Login("somebody", "MARK-login")}, {"MARK-login"}),
        ({"auth": SimpleNamespace(username="somebody", password="MARK-object")}, {"MARK-object"}),
        ({"headers": [("X-Tenant", "MARK-pair"), "X-Team: MARK-line"]}, {"MARK-pair", "MARK-line"}),
        ({"url": "https://MARK-token@host/path?key=MARK-key-1"}, {"MARK-token", "MARK-key-1"}),
        ({"headers": Broken()}, set()),
        ({"secret": 471147114711, "password": b"MARK-bytes", "token": True, "auth": len, "key": SecretBytes(b"MARK-bytes")}, set()),
    ],
)
def test_where_secrets_are_found(value, secrets):
    """Texts under a secret's name however they are wrapped, headers, and what URLs hold."""
    assert handed_over(value) == secrets


def test_a_session_of_requests_hands_over_its_headers():
    """Its headers are a mapping that is no dict."""
    found = handed_over({"session": session()})
    assert {"MARK-session", "MARK-auth"} <= found
    assert not {"username", "keep-alive", "gzip, deflate"} & found


@pytest.mark.parametrize(
    "value",
    [
        {"max_tokens": "unlimited", "token_limit": "generous", "keyboard": "qwertyuiop", "stop_token": "<|end|>", "key": "sorted"},
        {"api_key": "short"},
        {"api_key": "{api_key}", "token": "<your token>", "secret": "${SECRET_TOKEN}", "password": "%(password)s"},
        {"auth_header": "Authorization", "api_key_header": "X-API-Key", "api_key": "api_key", "token": "PATH_OF_TOKEN"},
        {"headers": {"Content-Type": "application/json", "Accept": "text/html"}},
        {"headers": ["customer", "amount due"], "header": "Customers", "header_text": "Summary of all findings"},
        {"columns_header": ("customer", "amounts")},
        {"url": "postgresql://somebody@host/db", "search": "https://host/?key=customers", "form": "a://{user}:{password}@h"},
    ],
)
def test_words_that_are_no_secrets_are_not_handed_over(monkeypatch, value):
    """They may stand in any text, which is kept."""
    monkeypatch.setenv("PATH_OF_TOKEN", "x")
    assert handed_over(value) == set()


@pytest.mark.parametrize("text", ["correct horse battery 4staple", "Bearer MARK+x", "it's\nMARK"])
def test_the_forms_of_a_secret(text):
    """As it is, in a URL, in a repr, and without its scheme; no plain word of a longer one."""
    found = secrets_in({"secret": text})
    assert text in found
    assert found - {text} == {
        "correct horse battery 4staple": {"correct%20horse%20battery%204staple", "4staple"},
        "Bearer MARK+x": {"Bearer%20MARK%2Bx", "MARK+x", "MARK%2Bx"},
        "it's\nMARK": {"it%27s%0AMARK", "it's\\nMARK"},
    }[text]


@pytest.mark.parametrize("part", ["word", "://", "a://b:", "?a=", "a_", "&", "{"])
def test_long_texts_take_no_longer_than_they_are_long(part):
    """A text of a million characters that begins many a URL, and ends none: with a square of steps it would not end."""
    handed_over({"text": "https://" + part * (1_000_000 // len(part)), part * (1_000_000 // len(part)): "x"})


def test_passwords_in_urls_do_not_act():
    """Rotating one changes nothing; another user, host or query does."""
    base = hash_value({"dsn": "postgresql://me:one@host/db"}, "v")
    assert hash_value({"dsn": "postgresql://me:two@host/db"}, "v") == base
    for other in ("you:one@host/db", "me:one@other/db", "me:one@host/db?a=b", "me:one@host/db2"):
        assert hash_value({"dsn": f"postgresql://{other}"}, "v") != base
    assert hash_value("http://a.com?x=b:c@d", "v") != hash_value("http://a.com?x=b:e@d", "v")
