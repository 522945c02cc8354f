"""Which names are those of secrets, whose values are left out of every hash."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_password_name", "is_secret_name"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What may follow a secret's name without making it something else: api_key_value, auth_header.
_CARRIERS = {"value", "str", "string", "text", "b64", "base64", "bytes", "header", "headers", "plaintext"}
_SECRETS = {
    *("secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase", "passphrases", "passcode"),
    *("credential", "credentials", "authorization", "bearer", "cookie", "cookies", "auth", "jwt"),
    *("apikey", "apikeys", "authkey", "authtoken", "accesstoken", "accesskey", "secretkey", "privatekey"),
}
_SECRET_KEYS = {
    *("api", "access", "secret", "private", "signing", "encryption", "ssh", "subscription", "account", "auth"),
    *("license", "master", "service", "shared", "storage", "app", "admin"),
}
_SECRET_TOKENS = {"access", "auth", "api", "refresh", "bearer", "session", "secret", "bot", "oauth"}
# A token of text rather than of admission: stop_token, n_token, eos_token.
_TEXT_TOKENS = {
    *("n", "num", "max", "min", "total", "count", "per", "stop", "eos", "bos", "pad", "unk", "sep", "cls", "mask"),
    *("special", "start", "end", "begin", "first", "last", "next", "prev", "previous", "prompt", "completion"),
    *("image", "video", "audio", "text", "input", "output", "cached", "separator", "padding", "unknown", "by"),
    *("is", "has", "use", "no", "with", "cost", "price", "answer", "delimiter", "word", "marker", "boundary"),
    *("trigger", "sentinel"),
}


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, attribute or key of this name holds a secret: `api_key`, `_token`, `X-Api-Key`.

    Judged by the name alone: `max_tokens`, `token_count`, `tokenizer`, `secretary` and
    `aws_region` are not secrets.
    """
    words = _words(name)
    if not words:
        return False
    before, last = words[-2] if len(words) > 1 else "", words[-1]
    return last in _SECRETS or _is_key(words, before, last) or _is_token(before, last)


def _is_key(words: list[str], before: str, last: str) -> bool:
    return (last in {"key", "keys"} and before in _SECRET_KEYS) or words[-3:] == ["access", "key", "id"]


def _is_token(before: str, last: str) -> bool:
    if last == "token":
        return before not in _TEXT_TOKENS
    return last == "tokens" and before in _SECRET_TOKENS


def is_password_name(name: str) -> bool:
    """Whether a secret of this name may be a number, as a password may; keys and tokens are texts."""
    words = _words(name)
    return bool(words) and words[-1] in _SECRETS


def _words(name: str) -> list[str]:
    """The words of a name, in lower case, without what may follow a secret's name."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _CARRIERS:
        words.pop()
    return words
