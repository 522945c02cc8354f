"""Which names are those of secrets, whose values are left out of every hash: one rule for fields, keys and variables.

A name is a secret's if its last word is one (`DB_PASS`, `rapidapi_key`, `githubPat`), but for the words before it that
make something else of it (`sort_key`, `max_token`, `date_pat`). Both errors harm: a value that is wrongly left out
makes a real change invisible, and one that is wrongly kept is stored. So a bare `key`, `keys`, `pat` or `tokens`, which
mostly say where to look and what to look for, count; and so does what is a switch or a number by its value.

Left out is what lets somebody in and cannot act otherwise, also a publishable key, which changes with the account's
secret one. In doubt a name counts: a `public_key` may be one to encrypt with, a salt makes other digests, and a word
after a secret's (`API_KEY_TIER`) mostly says something about it. Those few that say whose it is are `_WHOSE`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

__all__ = ["STEMS", "is_secret", "is_secret_name", "is_source_name", "may_be_secret_name"]

_WORDS = re.compile(r"(?:BASE|[Bb]ase|[Bb])64|[A-Za-z][0-9](?![A-Za-z0-9])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What may follow a secret's name without making it something else: api_key_value, auth_header, CREDENTIALS_JSON.
_CARRIERS = {
    *("value", "str", "string", "text", "b64", "base64", "bytes", "header", "headers", "plaintext", "json", "hex"),
    *("prod", "production", "dev", "staging", "test", "live", "sandbox", "old", "new", "backup", "fallback"),
    *("primary", "secondary", "tertiary", "pem"),
}
_NUMBER = re.compile(r"v?[0-9]+")  # OPENAI_API_KEY_2, SITE_KEY_V3
# What may follow these words alone: PASSWORD_HASH, SECRET_REFRESH; of a token an address may be that of its owner.
_WHOSE = {"refresh", "access", "random", "email", "hash", "master", "admin", "root"}
_SURE = {"secret", "password", "passwd", "passphrase"}
# What makes one name with the words before it.
_ENDINGS = [["access", "key", "id"], ["key", "base"], ["bearer", "token", "bedrock"]]
_PASSWORDS = {
    *("secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase", "passphrases", "passcode"),
    *("credential", "credentials", "creds", "authorization", "bearer", "cookie", "cookies", "auth", "jwt"),
    *("webhook", "webhooks"),
}
_KEYS = {"key", "pat", "token", "pass", "pw"}
# Several of them are secrets only of a kind that is known: `api_keys`, and not `required_keys`; `access_tokens`.
_MANY = {
    "keys": {
        *("api", "access", "secret", "private", "signing", "encryption", "ssh", "subscription", "account", "auth"),
        *("license", "master", "service", "shared", "storage", "app", "admin", "openai", "gemini", "anthropic", "groq"),
        *("llm", "ai"),
    },
    "hash": {"api"},  # with which a client of Telegram shows itself
    "mnemonic": {"wallet", "master"},
    "sid": {"account", "twilio", "api", "auth", "session", "connect"},
    "tokens": {"access", "auth", "api", "refresh", "bearer", "session", "secret", "bot", "oauth"},
}
# Words that are written as one: PGPASSWORD, dbpass, MYSQLPWD, GTOKEN; and not compass, monkey, eostoken.
_FUSED = re.compile(
    r"[a-z0-9]*(?:password|passwd|passphrase|secret|apikey|authkey|accesskey|secretkey|privatekey|signingkey|masterkey"
    r"|encryptionkey|licensekey|rapidapikey|writekey|readkey|appkey|userkey|passkey|sharedkey|servicekey|sessionkey"
    r"|clientkey|accountkey|storagekey|sshkey|(?:access|auth|api|refresh|session|secret|bot|id|csrf|xsrf|bearer)token)"
    r"|(?:db|pg|my|sql|smtp|mail|imap|ftp|ssh|user|root|admin|redis|mongo|mysql|app|web|http|proxy|basic|ldap)pass"
    r"|(?!(?:eos|bos|pad|unk|sep|cls|mask|max|min|num|stop|end|next|sub|non|tik)token)[a-z0-9]{1,4}token"
    r"|(?!(?:old|cwd))[a-z0-9]{1,8}pwd"
)
STEMS = (
    *("secret", "pass", "pwd", "pw", "cred", "auth", "bearer", "cookie", "jwt", "webhook"),
    *("key", "pat", "token", "hash", "mnemonic", "sid"),
)
"""Texts of which the name of each secret has one in it, in lower case."""
# Anywhere before: a switch, ENABLE_BASIC_AUTH; before several of them also a limit, MAX_CONCURRENT_WEBHOOKS.
_SWITCHING = {"enable", "disable", "allow", "require", "enforce", "include"}
_LIMITING = {"max", "min"}
# Before each of these words: how many, which, or of what.
_COUNTS = {
    *("n", "num", "number", "max", "min", "total", "count", "per", "is", "has", "no", "by", "use", "with", "first"),
    *("last", "next", "prev", "previous", "start", "end", "begin", "stop", "each", "every", "any", "all", "current"),
    *("type", "name", "input", "output", "text", "image", "missing", "required"),
}
_OTHERS = {
    "key": {
        *("cache", "sort", "primary", "foreign", "partition", "public", "dict", "unique", "index", "composite", "row"),
        *("surrogate", "natural", "range", "group", "grouping", "lookup", "map", "mapping", "json", "yaml", "object"),
        *("s3", "blob", "result", "field", "column", "order", "ordering", "filter", "metadata", "memory", "routing"),
        *("message", "messages", "event", "config", "context", "state", "item", "label", "value", "data", "chat"),
        *("translation", "i18n", "feature", "parent", "child", "left", "right", "join", "merge", "record", "entity"),
        *("doc", "document", "task", "agent", "tool", "model", "hot", "arrow", "answer", "question", "idempotency"),
        *("dedup", "deduplication", "score", "time", "timestamp", "date", "target", "source", "query", "prompt"),
        *("content", "history", "schema", "table", "attribute", "property", "param", "parameter", "argument", "hash"),
        *("bucket", "file", "path", "url", "citation", "bib", "registry", "variable", "var", "env", "dictionary"),
        *("compare", "comparison", "tag", "topic", "step", "node", "edge", "other", "same", "legacy", "story", "issue"),
        *("project", "locale", "language", "theme", "color", "colour", "musical", "tab", "enter", "escape", "kv"),
        *("id", "default"),
    },
    "token": {
        *("eos", "bos", "pad", "unk", "sep", "cls", "mask", "special", "prompt", "completion", "video", "audio"),
        *("cached", "separator", "padding", "unknown", "cost", "price", "answer", "delimiter", "word", "marker"),
        *("boundary", "trigger", "sentinel", "new", "generated", "sub", "stopping", "termination", "finish", "default"),
        *("base", "quote", "native", "gas", "fee", "reward", "buy", "sell", "swap", "collateral"),  # which coin
    },
    "pass": {
        *("second", "third", "one", "two", "single", "multi", "forward", "backward", "final", "low", "high", "band"),
        *("did", "will", "should", "must", "pre", "post", "dry", "render", "compiler", "optimization", "boarding"),
        *("all", "tests", "can", "do", "by", "fail"),
    },
    "pat": {
        *("date", "time", "datetime", "file", "filename", "url", "email", "phone", "word", "line", "re", "regex"),
        *("glob", "path", "ip", "search", "match", "split", "include", "exclude", "header", "html", "tag", "price"),
        *("link", "section", "title", "digit", "compiled"),
    },
    "pwd": {"old"},
}
_BARE = {"key", "pat", "pw"}  # alone: a key of a dict or a table, a pattern, a browser
_LOCATORS = {"url", "uri", "endpoint"}  # who knows where a webhook listens may speak there
_HINTS = {
    *(*_PASSWORDS, *_KEYS, "keys", "tokens", "dsn", "sid", "cred", "sas", "otp", "pin", "apitoken"),
    *("salt", "pepper", "iv", "mnemonic", "sk"),
}

_CODE = (type, FunctionType, MethodType, ModuleType, BuiltinFunctionType, property, classmethod, staticmethod)
_OPAQUE = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}")  # a DSN that is a key, and no WAREHOUSE or host/service
_COIN = re.compile(r"[A-Z]{2,6}")  # by which a trading tool calls what it is to look up: token="ETH"
_SWITCHES = {"true", "false", "yes", "no", "on", "off", "0", "1"}


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, attribute or key of this name holds a secret: `api_key`, `_token`, `X-Api-Key`, `DB_PASS`.

    Judged by the name alone: `max_tokens`, `token_count`, `tokenizer`, `secretary`, `aws_region` and `PWD`, the folder
    that a shell works in, are not secrets.
    """
    words = _words(name)
    if not words or name in {"PWD", "OLDPWD"}:
        return False
    before, last = words[-2] if len(words) > 1 else "", words[-1]
    if not (_SWITCHING | _LIMITING if last.endswith("s") else _SWITCHING).isdisjoint(words[:-1]):
        return False
    if last in _MANY:
        return before in _MANY[last]
    if before in _OTHERS.get(last, ()) or (last in _KEYS and before in _COUNTS) or (not before and last in _BARE):
        return False
    return last in _PASSWORDS or last in _KEYS or _FUSED.fullmatch(last) is not None


def is_secret(name: str, value: object) -> bool:
    """Whether a named part is left out for its name: data is, but no code, switch, or number that is no password."""
    if is_source_name(name) and isinstance(value, str):  # where data lives acts; see without_password
        return _OPAQUE.fullmatch(value) is not None
    if not is_secret_name(name) or isinstance(value, (*_CODE, bool)):
        return False
    if isinstance(value, str):
        return value.lower() not in _SWITCHES and not (_COIN.fullmatch(value) and name.lower().endswith("token"))
    return not isinstance(value, (int, float)) or _is_password_name(name)


def _is_password_name(name: str) -> bool:
    """Whether a secret of this name may be a number, as a password may; keys, tokens and what has passed are texts."""
    words = _words(name)
    return bool(words) and (words[-1] in _PASSWORDS or (words[-1] in {"pass", "pw"} and len(words) > 1))


def is_source_name(name: str) -> bool:
    """Whether a text of this name says where data lives and with what key, in one: `SENTRY_DSN`, `dsn`."""
    return name.lower().endswith("dsn")


@lru_cache(maxsize=4096)
def may_be_secret_name(name: str) -> bool:
    """Whether an environment variable of this name is kept out of texts: also `SENTRY_DSN`, `TWILIO_SID`, `TOKEN_2`.

    A wider rule than that of hashes, where a value that is wrongly left out would harm.
    """
    return is_secret_name(name) or (
        name not in {"PWD", "OLDPWD"} and any(word in _HINTS for word in _lower(name))
    )


def _words(name: str) -> list[str]:
    """The words of a name, in lower case, without what may follow a secret's name."""
    words = _lower(name)
    while len(words) > 1 and _only_follows(words):
        words.pop()
    return words


def _lower(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _only_follows(words: list[str]) -> bool:
    """Whether the last word makes nothing else of those before it."""
    before, last = words[-2:]
    if last in _LOCATORS:
        return before in {"webhook", "webhooks"}
    if last in _WHOSE and before in _SURE:
        return True
    return last in _CARRIERS or _NUMBER.fullmatch(last) is not None or any(words[-len(e) :] == e for e in _ENDINGS)
