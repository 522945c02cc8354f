"""Secrets that no name gives away, and prose that only looks like them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crew_repo.canonical import private_digest
from crew_repo.hashing import digest, hash_value, text_hash
from crew_repo.secrets import forms, is_secret_name, masked, names

SECRET = "q7Zp4mX2" * 3
FORMS = [
    "Bearer {}",
    "Authorization: Basic {}",
    "https://host.example/v1?lang=en&key={}",
    "postgresql://me:{}@db.example/x",
    "me:{}@tcp(127.0.0.1:3306)/db",
    "Server=tcp:db;Database=x;User Id=me;Password={};Encrypt=yes",
    '{{"api_key": "{}"}}',
    "dbPassword={}",
    "login with password '{}' failed",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "sk-ant-api03-{}",
    "ghp_{}",
    "github_pat_{}",
    "glpat-{}",
    "xoxb-{}",
    "AIzaSy{}",
    "hf_{}",
    "sk_live_{}",
    "npm_{}",
    "eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl",
]
MORE = [
    "{{'Authorization': 'Bearer {}', 'Accept': 'x'}}",
    "headers=[(b'authorization', b'Bearer {}')]",
    "GET /v1?api_key={}&q=cats HTTP/1.1",
    "https://account.blob.core.windows.net/c?sv=2020&sig={}",
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=core",
    "jdbc:postgresql://host/db?user=me&password={}",
    "mongodb+srv://me:{}@cluster.example.net/db",
    "redis://:{}@localhost:6379/0",
    "https://{}@o0.ingest.sentry.io/1",
    "Incorrect API key provided: {}",
    "curl -H 'X-Api-Key: {}' https://host",
    "tool --api-key {} --verbose",
    'body: {{\\"client_secret\\": \\"{}\\"}}',
    "secret = '{}'",
    "https://hooks.slack.com/services/T0/B0/{}",
    "GOCSPX-{}",
    "sk-{}",
    "sk-proj-{}",
    "gsk_{}",
    "pypi-{}",
    "AKIA" + "Q7ZP4MX2Q7ZP",
]
PROSE = """
Bearer authentication is required, and Basic authentication is not.
password: required. token: expected a string. Authorization: required
sk-learn-compatible-estimators and key-value-storage-systems work. Token expired yesterday.
The key is important, the token is invalid and the secret is out.
Contact: john@example.com or mailto:john@example.com, at 10:30@home; the ratio is 3:4.
def f(password=None, token=self.token, api_key=os.environ["X"]): return get(token=get_token(1))
max_tokens=4096 sort_key=name key=lambda author=john tokens: 12345 primary_key: customer4
File "/home/u/secret/app.py", line 12, in run
https://host.example/?key=customers&page=12
"""


@pytest.mark.parametrize("form", [*FORMS, *MORE])
def test_a_secret_is_known_by_its_form(form):
    """Nothing of it is left, and of the rest enough to know what it was."""
    text = masked(f"before {form.format(SECRET)} after")
    assert SECRET not in text
    assert "Q7ZP4MX2Q7ZP" not in text
    assert "[secret]" in text
    assert text.startswith("before ")
    assert text.endswith(" after") or "Authorization" in form  # of a header's line nothing is left
    assert masked(text) == text


@pytest.mark.parametrize("line", PROSE.strip().splitlines())
def test_prose_stays_as_it_is(line):
    """Words about keys are no keys."""
    assert masked(line) == line


def test_a_key_does_not_act_wherever_it_stands(monkeypatch):
    """Known by its form, or by the variable that has it; another text of the kind is a change."""
    assert hash_value({"a": "ghp_" + "a1" * 12}, "v") == hash_value({"a": "ghp_" + "b2" * 12}, "v")
    monkeypatch.setenv("DB_PASS", "correct-horse-1")
    first = hash_value(["correct-horse-1", "x"], "v")
    monkeypatch.setenv("DB_PASS", "correct-horse-2")
    assert hash_value(["correct-horse-2", "x"], "v") == first
    assert hash_value(["correct-horse-1", "x"], "v") != first


_PIECES = st.sampled_from([
    *(form.format(SECRET) for form in [*FORMS, *MORE]), *PROSE.split(), *PROSE.strip().splitlines(),
    "=", ": ", " is ", "--", "'", '"', "@", "://", "&", "?", "sig", "code", "dbpass", "API_KEY", "Pat", "userPwd",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=6).map("".join) | st.text(max_size=40))
def test_a_form_that_is_not_tried_would_not_have_matched(text):
    """A text is masked as if each form were tried, whatever words it has."""
    whole = text
    for _, form, instead in forms._FORMS:
        whole = form.sub(instead, whole)
    assert masked(text) == whole


_WORDS = [*names._PASSWORDS, *names._KEYS, *names._MANY, *names._CARRIERS, "Api", "REFRESH", "account", "3"]


@given(st.lists(st.sampled_from(_WORDS) | st.from_regex(names._FUSED, fullmatch=True), max_size=4), st.sampled_from("_-."))
def test_the_name_of_a_secret_has_a_stem(words, between):
    """Where a text has none of the stems, no name in it is one of a secret."""
    name = between.join(words)
    assert not is_secret_name(name) or any(stem in name.lower() for stem in names.STEMS)


NAMES = [
    ("jina-embeddings-v2-base-en", "jina-embeddings-v2-base-de"),
    ("key_metrics_2024_quarterly", "key_metrics_2025_quarterly"),
    ("fw-llama-v3p1-70b-instruct", "fw-llama-v3p1-8b-instruct"),
    ("secret_santa_2024_participants", "secret_santa_2025_participants"),
    ("re-ranker-v2-base-multilingual", "re-ranker-v3-base-multilingual"),
    ("gho_life_expectancy_2024", "gho_life_expectancy_2025"),
    ("glc_2024_land_cover_europe", "glc_2025_land_cover_europe"),
    ("app-config-2024.release.one", "app-config-2024.release.two"),
    ("https://alice@host.example/db", "https://bob.smith@host.example/db"),
]


@pytest.mark.parametrize(("one", "other"), NAMES)
def test_a_name_that_begins_like_a_key_acts(one, other):
    """Of a model, a table or a person: what is built of words and short numbers is no key, and is not left out."""
    assert hash_value({"a": one}, "v") != hash_value({"a": other}, "v")


@pytest.mark.parametrize("form", [*FORMS[10:19], *MORE[15:20], "https://{}@o0.ingest.sentry.io/1", "key-{}", "fc-{}"])
def test_a_rotated_key_is_no_change(form):
    """Whatever its prefix is, and whoever made it."""
    rotated = SECRET.replace("q7Zp", "u3Xw")
    assert hash_value({"a": form.format(SECRET)}, "v") == hash_value({"a": form.format(rotated)}, "v")


def test_a_private_digest_is_no_plain_one():
    """It depends on its salt, and is none of the hashes that anybody has a table of."""
    one, other = private_digest("text", SECRET, salt="a"), private_digest("text", SECRET, salt="b")
    assert (
        len({one, other, digest("text", SECRET), text_hash(SECRET), hashlib.sha256(SECRET.encode()).hexdigest()}) == 4
    )
    assert one == private_digest("text", SECRET, salt="a")
