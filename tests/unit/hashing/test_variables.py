"""The rule for secret names, tried on the environment variables of public projects, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from crew_repo.hashing import hash_value
from crew_repo.secrets import is_secret, is_secret_name, masked, may_be_secret_name

LINES = Path(__file__).with_name("variables.txt").read_text(encoding="utf-8").splitlines()
LINE = LINES.index("----")
PUBLIC_SECRETS = " ".join(line for line in LINES[:LINE] if not line.startswith("#")).split()
PUBLIC_OTHERS = " ".join(LINES[LINE + 1 :]).split()

# Kinds that single projects show, beside those that many do.
SECRETS = """
SECRET_REFRESH SECRET_EMAIL RESET_PASSWORD_RANDOM PASSWORD_HASH TEST_EMAIL_PW GMAIL_APP_PW LLM_KEY_PRIMARY LLM_KEYS
API_KEY_SECONDARY RABBITMQ_DEFAULT_PASS DEFAULT_PASS AWS_BEARER_TOKEN_BEDROCK AWS_ACCESS_KEY_ID_2 SECRET_KEY_BASE_2
RECAPTCHA_SECRET_KEY_V3 TLS_KEY_BASE64 SSH_PRIVATE_KEY_B64 privateKeyBase64 PRIVATE_KEY_PEM idToken id_token
GOOGLE_ID_TOKEN TELEGRAM_API_HASH WALLET_MNEMONIC BROWSER_USE_API_KEY QWEN_MAX_API_KEY MAX_BOT_TOKEN
STRIPE_PUBLISHABLE_KEY NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY
"""
OTHERS = """
MAX_CONCURRENT_WEBHOOKS MIN_WEBHOOKS maxWebhooks ALLOW_EMPTY_PASSWORD CORS_ALLOW_CREDENTIALS allowCredentials
FEATURE_ENABLE_API_AUTH DISABLE_METRICS_AUTH BACKUP_INCLUDE_SECRETS HF_HUB_DISABLE_IMPLICIT_TOKEN ENFORCE_AUTH
BASE_TOKEN QUOTE_TOKEN gas_token rewardToken tiktoken default_key id_key DEFAULT_TOKEN pw API_KEY_TIER API_KEY_MODEL
ACCESS_TOKEN_EMAIL API_TOKEN_EMAIL AUTH_EMAIL AUTH_ADMIN SECRET_NAME SECRET_ARN PASSWORD_RESET_EMAIL sort_key_primary
key_primary file_hash hash mnemonic LANGFUSE_PUBLIC_KEY TOKEN_ADDRESS TOKEN_SYMBOL SERVICE_HOST_V2 base64 MODEL_V3
PASSWORD_HASHERS TOKEN_HASH ENCRYPTION_SALT CREDS_IV
"""


@pytest.mark.parametrize("names", [PUBLIC_SECRETS, SECRETS.split()], ids=["many", "single"])
def test_what_lets_somebody_in_never_counts(names):
    """No name of a public project's secret is missed."""
    assert [name for name in names if not is_secret_name(name)] == []


@pytest.mark.parametrize("names", [PUBLIC_OTHERS, OTHERS.split()], ids=["many", "single"])
def test_what_may_act_counts(names):
    """No name that may choose a model, an endpoint, a limit or a place is taken for a secret's."""
    assert [name for name in names if is_secret_name(name)] == []


def test_texts_are_masked_by_what_hashes_leave_out():
    """A text `NAME=value` loses its value where a hash leaves it out, and keeps it where the hash counts it."""
    every = [*PUBLIC_SECRETS, *SECRETS.split(), *PUBLIC_OTHERS, *OTHERS.split()]
    texts = {name: f"{name}=some,thing" for name in every}
    assert [name for name, text in texts.items() if (masked(text) == text) == is_secret_name(name)] == []
    assert masked("token=ETH use_auth=basic") == "token=ETH use_auth=[secret]"
    assert masked("https://host/?token=ETH") == "https://host/?token=ETH"


def test_what_counts_in_doubt_is_kept_out_of_texts():
    """A salt, an initial vector and a phrase of words are kept out of texts, though they count."""
    for name in ("TG_BOT_SALT_PHOTO", "CREDS_IV", "ENCRYPTION_SALT", "MNEMONIC", "STRIPE_SK", "NEO4J_PASSWORD_AURA"):
        assert may_be_secret_name(name)
        assert not is_secret_name(name)


def test_a_coin_counts_and_a_token_does_not():
    """A trading tool's `token` is what it looks up, if it is a few capitals."""
    assert not is_secret("token", "ETH")
    assert not is_secret("payToken", "USDC")
    assert is_secret("token", "abc")
    assert is_secret("API_TOKEN", "XOXB-123")
    assert is_secret("password", "ETH")
    assert hash_value({"token": "ETH"}, "v") != hash_value({"token": "BTC"}, "v")


@pytest.mark.parametrize("source", ["WAREHOUSE", "localhost/freepdb1", "db:1521/orders", "postgresql://me:one@host/db"])
def test_the_name_of_a_data_source_counts(source):
    """A DSN says where the data is, also as a plain name; left out is one that is nothing but a key."""
    assert not is_secret("dsn", source)
    assert hash_value({"dsn": source}, "v") != hash_value({"dsn": source.replace("o", "u").replace("O", "U")}, "v")
    assert is_secret("SENTRY_DSN", "0123456789abcdef0123456789")
