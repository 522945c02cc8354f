"""Secrets that no name gives away, found in a text by their form: prefixes of providers, schemes, URLs, assignments.

A text of prose has none of these: `Bearer authentication` and `password: required` stay, since what follows there is a
plain word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from crew_repo.secrets.names import STEMS, is_secret, is_secret_name

__all__ = ["MASK", "SHORTEST_KEY", "is_key", "is_secret_parameter", "masked"]

MASK = "[secret]"
SHORTEST_KEY = 16  # characters
_SHORT = 100  # characters

_KEY_PARAMETER = re.compile(r"(.*[-_])?(key|sig|signature)|code", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z]?[a-z]{1,19}(?:[-_./][A-Za-z]?[a-z]{1,19}){0,9}[-_.,:;!?)\]}>'\"]*")
_PLACEHOLDER = re.compile(
    r"\[secret\].*|[{<$%*.(\[].*|(?:none|null|true|false|undefined|self\..*|os\..*|\W*)", re.IGNORECASE | re.DOTALL
)
_WHOLE = [
    re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END).){0,20000}"
        r"(?:-----END [A-Z0-9 ]{0,60}-----)?",
        re.DOTALL,
    ),
    re.compile(r"(?<![A-Za-z0-9_-])eyJ[\w-]{10,}\.[\w-]{6,}(?:\.[\w-]*){0,3}"),  # a JSON web token
    re.compile(
        r"(?<![A-Za-z0-9])(?:"
        # A hyphenated word of prose may begin like these, and has no digit: sk-learn-compatible-estimators.
        r"(?:sk|pk|rk|key|xai|pplx|tvly|nvapi|fc|csk|jina|voyage|pa|ak|e2b|fw|app|re|r8|lsv2|gsk|hf|sq0|ops|dop|doo|npm|pypi"
        r"|whsec|shpat|shpss|shpca|shppa|glsa|glc|lin_api|secret|ntn|pat|sntrys|sntryu|vercel|figd|phc|phx|rnd|tskey|dckr_pat"
        r"|ATATT3|NRAK|PMAK|EAA|GOCSPX|ya29|hvs|hvb|rk_live|sk_live|sk_test|pk_live|pk_test)[-_.]"
        r"(?=[\w.-]{0,400}\d)[\w.-]{16,}"
        r"|gh[pousr]_\w{16,}|github_pat_\w{16,}|gl(?:pat|dt|rt|ptt|ft|soat|cbt|imt|agent)-[\w.-]{16,}"
        r"|xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-[\w-]{8,}"
        r"|A(?:KIA|SIA|ROA|IDA|BIA|CCA)[A-Z0-9]{12,}|AIza[\w-]{20,}|SG\.[\w-]{10,}\.[\w-]{10,}|dapi[0-9a-f]{32}\S{0,4}"
        r"|(?:SK|AC)[0-9a-f]{32}|hf_[A-Za-z0-9]{16,}|gsk_[A-Za-z0-9]{16,}|EAAC[A-Za-z0-9]{20,}|AGE-SECRET-KEY-1\w{20,}"
        r"|\d{8,11}:AA[\w-]{30,}|[MNO][\w-]{22,}\.[\w-]{6,7}\.[\w-]{27,}"
        r")"
    ),
    re.compile(
        r"(?<=hooks\.slack\.com/)[\w/-]{10,}|(?<=/api/webhooks/)[\w/-]{10,}|(?<=\.webhook\.office\.com/)\S{10,}"
    ),
]
# Prefixes that are words as well, and what only a generator of keys writes behind them.
_SPOKEN = re.compile(
    r"(?:sk|pk|rk|key|fc|jina|voyage|pa|ak|e2b|fw|app|re|r8|ops|dop|doo|npm|secret|pat|vercel|rnd"
    r"|gh[pousr]|glc|phc|phx|ntn|EAA)[-_.]"
)
_RANDOM = re.compile(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-")
_SCHEME = re.compile(
    r"\b((?:bearer|basic|token|apikey|api-key|digest|negotiate|bot)\s+)([^\s'\",;<>(){}]{8,})", re.IGNORECASE
)
_AUTHORIZATION = re.compile(
    r"((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s{0,3}[:=,]\s{0,3}(?:b(?=['\"]))?['\"]?)([^'\"\r\n]{4,})",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(://[^/@\s?#:'\"]{0,200}):([^/\s'\"]{1,300})(?=@)")
_USER_ALONE = re.compile(r"(?<=https://)([^/@\s?#:'\"]{6,300})(?=@)|(?<=http://)([^/@\s?#:'\"]{6,300})(?=@)")
_BARE_USER = re.compile(
    r"(?<![\w/:.@-])(?!mailto:|sip:|xmpp:|acct:)([A-Za-z][\w.-]{0,60}:)([^\s:@/'\"]{3,120})(?=@(?:[\w.-]+:\d|[\w-]+\(|[\w.-]+/))"
)
_PARAMETER = re.compile(r"([?&])([^=&#\s?'\"]{1,100})=([^&#\s'\"<>)]{1,2000})")
_QUOTED = re.compile(
    r"(?<![\w.-])([A-Za-z_][\w.-]{1,80})(\\?['\"]?\]?\s{0,3}(?:=>|[:=,])\s{0,3}[bur]?(\\?['\"]))((?:(?!\3)[^\r\n]){1,2000}?)(?=\3)"
)
_EQUALS = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]{1,80}(?: [A-Za-z]{2,20})?)(\s{0,3}=\s{0,3})([^\s'\",;&)}]{3,2000})")
_COLON = re.compile(
    r"(?<![\w.-])([A-Za-z_][\w.-]{1,80}(?: key| token)?)(\s?:\s{0,3}|\s+is\s+|\s+provided:\s+)([^\s'\",;&)}]{4,2000})",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\b(password|passphrase|secret|token|api[ _-]?key|credentials?)(\s+['\"`])([^\s'\"`]{4,2000})(?=['\"`])",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?<!\S)(--[A-Za-z][\w-]{1,60})([ =])([^\s'\"-][^\s'\"]{2,2000})")


def masked(text: str) -> str:
    """The text with `[secret]` for each secret that its form gives away."""
    return _masked_again(text) if len(text) <= _SHORT else _masked(text)


def _masked(text: str) -> str:
    """The text masked; a form is not tried where the text has none of the words that it needs: most are not."""
    folded = text.casefold()
    said = {word for word in _NEEDED if word in folded}
    for needed, form, instead in _FORMS:
        if not any(said.isdisjoint(words) for words in needed):
            text = form.sub(instead, text)
    return text


_masked_again = lru_cache(maxsize=4096)(_masked)  # names, roles and places are asked for with every task


def is_key(text: str) -> bool:
    """Whether a text is a key as a whole, as providers make them: `ghp_...`, `AKIA...`, a JSON web token.

    Names begin like keys, and act: `jina-embeddings-v2-base-en`, `key_metrics_2024_quarterly`. Their parts are short.
    """
    whole = SHORTEST_KEY <= len(text) <= 4000 and any(whole.fullmatch(text) for whole in _WHOLE)
    return whole and (_SPOKEN.match(text) is None or _RANDOM.search(text) is not None)


def is_secret_parameter(name: str, value: str) -> bool:
    """Whether a parameter of a URL's query is a secret: also `?key=...`, unless that is a plain word."""
    if _under_name(name, value):
        return True
    return bool(_KEY_PARAMETER.fullmatch(name) and not (value.isalpha() and value.islower()))


def _under_name(name: str, value: str) -> bool:
    """Whether a text is one that hashes leave out for its name; where data lives is looked into as a URL."""
    return is_secret_name(name) and is_secret(name, value)


def _plain(value: str) -> bool:
    """Whether a text is what prose would say: words, and what stands for a value."""
    return bool(_PLAIN.fullmatch(value) or _PLACEHOLDER.fullmatch(value))


def _authorization(found: re.Match[str]) -> str:
    words = found[3].split()
    return found[0] if all(_plain(word) for word in words) else f"{found[1]}{found[2]}{MASK}"


def _parameter(found: re.Match[str]) -> str:
    secret = is_secret_parameter(found[2], found[3]) and not _PLACEHOLDER.fullmatch(found[3])
    return f"{found[1]}{found[2]}={MASK}" if secret else found[0]


def _quoted(found: re.Match[str]) -> str:
    name, between, value = found[1], found[2], found[4]
    if not _under_name(name, value) or _PLACEHOLDER.fullmatch(value) or (" " in value and _prose(value)):
        return found[0]
    return f"{name}{between}{MASK}"


def _prose(value: str) -> bool:
    return all(_plain(word) for word in value.split())


def _named(spared: Callable[[str], bool]) -> Callable[[re.Match[str]], str]:
    """A replacement of what stands under a secret's name, but for what is `spared`."""

    def replace(found: re.Match[str]) -> str:
        name, between, value = found[1], found[2], found[3]
        secret = _under_name(name, value) or name.lower() in {"sig", "signature"}
        if not secret or _PLACEHOLDER.fullmatch(value) or spared(value):
            return found[0]
        return f"{name}{between}{MASK}"

    return replace


# Each form with the words of which it needs one, of each tuple.
_FORMS: list[tuple[tuple[tuple[str, ...], ...], re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    ((("-----begin",),), _WHOLE[0], MASK),
    ((("eyj",),), _WHOLE[1], MASK),
    ((), _WHOLE[2], MASK),
    ((("hooks.slack", "webhook"),), _WHOLE[3], MASK),
    ((("authorization", "cookie"),), _AUTHORIZATION, _authorization),
    (
        (("bearer", "basic", "token", "apikey", "api-key", "digest", "negotiate", "bot"),),
        _SCHEME,
        lambda found: found[0] if _plain(found[2]) else found[1] + MASK,
    ),
    ((("://",),), _USER_INFO, rf"\1:{MASK}"),
    ((("://",),), _USER_ALONE, MASK),
    ((("@",),), _BARE_USER, rf"\1{MASK}"),
    ((("=",), (*STEMS, "sig", "code")), _PARAMETER, _parameter),
    (
        (("password", "passphrase", "secret", "token", "api", "credential"),),
        _SAID,
        lambda found: found[0] if _plain(found[3]) else found[1] + found[2] + MASK,
    ),
    ((("'", '"'), STEMS), _QUOTED, _quoted),
    ((("=",), (*STEMS, "sig")), _EQUALS, _named(lambda value: "(" in value)),
    ((("--",), (*STEMS, "sig")), _OPTION, _named(lambda _: False)),
    (((":", "is", "provided"), (*STEMS, "sig")), _COLON, _named(_plain)),
]
_NEEDED = sorted({word for needed, _, _ in _FORMS for words in needed for word in words})
