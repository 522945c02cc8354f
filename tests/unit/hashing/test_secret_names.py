"""Which names are secrets."""

from __future__ import annotations

import pytest

from crew_repo.hashing import is_secret, is_secret_name

SECRET = """
api_key apikey apiKey API_KEY x-api-key X-Api-Key OPENAI_API_KEY openai_apikey _api_key secret client_secret secret_key
token _token access_token auth_token refresh_token accessToken SLACK_BOT_TOKEN github_token bearer bearer_token
password passwd db_password PASSWORD Authorization authorization credentials credential private_key privateKey
cookie cookies Set-Cookie aws_access_key_id aws_secret_access_key aws_session_token passphrase auth
access_key api_key_value authorization_header access_tokens api_keys subscription_key jwt
"""
NOT_SECRET = """
max_tokens token_count tokenizer secretary n_tokens tokens total_tokens prompt_tokens key keys name monkey keyword
cache_key sort_key author authority stop_token eos_token pad_token keyboard passenger bypass cookiecutter
primary_key foreign_key key_value max_token tokens_per_minute compass laws _ 1
aws_region aws_bucket answer_token delimiter_token word_token
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_secret_names(name):
    """The value under this name never counts."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", [*NOT_SECRET.split(), ""])
def test_other_names(name):
    """The value under this name counts."""
    assert not is_secret_name(name)


def test_numbers_are_no_keys():
    """A token that is a number is one of text, and acts; a password may be a number."""
    assert is_secret("token", "abc")
    assert is_secret("password", 4711)
    assert not is_secret("token", 4711)
    assert not is_secret("api_key", 0.5)
