"""Which names are secrets."""

from __future__ import annotations

import pytest

from crew_repo.secrets import is_secret, is_secret_name

SECRET = """
api_key apikey apiKey API_KEY x-api-key X-Api-Key OPENAI_API_KEY openai_apikey _api_key secret client_secret secret_key
token _token access_token auth_token refresh_token accessToken SLACK_BOT_TOKEN github_token bearer bearer_token
password passwd db_password PASSWORD Authorization authorization credentials credential private_key privateKey
cookie cookies Set-Cookie aws_access_key_id aws_secret_access_key aws_session_token passphrase auth
access_key api_key_value authorization_header access_tokens api_keys subscription_key jwt
GTOKEN dbpassword dbPassword db_pwd pwd dbpass smtpPass githubPat rapidApiKey pass webhook webhook_url
"""
# Of the environments of public projects.
SECRET_VARIABLES = """
RAPIDAPI_KEY OPENAI_KEY GEMINI_KEY GOOGLE_KEY DB_PASS SMTP_PASS MAIL_PASS ES_PASS GITHUB_PAT ADO_PAT DB_PWD MYSQL_PWD
PGPASSWORD REDIS_AUTH APP_KEY SECRET_KEY_BASE DJANGO_SECRET SLACK_WEBHOOK_URL DISCORD_WEBHOOK TEAMS_WEBHOOK_URI
AZURE_BLOB_ACCOUNT_KEY S3_ACCESS_KEY S3_SECRET_KEY HOLOGRES_ACCESS_KEY_SECRET TABLESTORE_ACCESS_KEY_ID ANON_KEY
SUPABASE_SERVICE_ROLE_KEY NEXT_PUBLIC_SUPABASE_ANON_KEY VAULT_ENC_KEY PG_META_CRYPTO_KEY LOGFLARE_PRIVATE_ACCESS_TOKEN
JWT_SECRET JWT_REFRESH_SECRET JWT_SECRET_KEY NEXTAUTH_SECRET CRON_API_KEY CALENDSO_ENCRYPTION_KEY CALCOM_LICENSE_KEY
NEXT_PUBLIC_ZENDESK_KEY NEXT_PUBLIC_HELPSCOUT_KEY TWILIO_TOKEN SMS_TWILIO_AUTH_TOKEN STRIPE_WEBHOOK_SECRET CREDS_KEY
CREDENTIALS_KEY MEILI_MASTER_KEY WEAVIATE_API_KEY UPSTASH_VECTOR_TOKEN CHROMA_AUTH_CREDENTIALS ANALYTICDB_KEY_SECRET
TIDB_PRIVATE_KEY VAPID_PRIVATE_KEY OTP_SECRET SERPAPI_KEY SERPER_API_KEY HA_TOKEN TELEGRAM_ADMIN_SECRET HF_TOKEN
EMAIL_SERVER_PASSWORD PYROSCOPE_BASIC_AUTH_PASSWORD MONGO_INITDB_ROOT_PASSWORD AMQP_PASS PUSHER_APP_KEY NOTION_TOKEN
VITE_KAKAO_MAP_APP_KEY BRAVE_SEARCH_API_KEY AZURE_SEARCH_KEY AZURE_OPENAI_KEY DEEPL_AUTH_KEY SENDGRID_KEY FERNET_KEY
MAIL_AUTH BASIC_AUTH SESSION_SECRET GOOGLE_APPLICATION_CREDENTIALS_JSON OPENAI_API_KEY_2 OPENAI_API_KEY_PROD
WANDB_API_KEY LANGCHAIN_API_KEY SNOWFLAKE_PASSWORD DATABRICKS_TOKEN JIRA_API_TOKEN VONAGE_API_SECRET ROOT_PASSWD
"""
NOT_SECRET = """
max_tokens token_count tokenizer secretary n_tokens tokens total_tokens prompt_tokens key keys name monkey keyword
cache_key sort_key author authority stop_token eos_token pad_token keyboard passenger bypass cookiecutter
primary_key foreign_key key_value max_token tokens_per_minute compass laws _ 1
aws_region aws_bucket answer_token delimiter_token word_token
hotkey partition_key public_key model_key s3_key dict_keys required_keys num_pass first_pass pass_rate pass_count
path pattern pat date_pat url_pat pathname patience turkey donkey whiskey jockey eostoken next_token stopToken
sortKey cacheKey maxTokens encompass trespass surpass passthrough passed oauth_url tokenization secretariat
"""
NOT_SECRET_VARIABLES = """
PWD OLDPWD HOME PATH SORT_KEY PRIMARY_KEY MAX_TOKENS CACHE_KEY PUBLIC_KEY HOTKEY MONKEY COMPASS BYPASS KEYBOARD AUTHOR
ACCESS_TOKEN_EXPIRE_MINUTES REFRESH_TOKEN_EXPIRE_DAYS REDIS_SSL_KEYFILE REDIS_HOST DB_USERNAME S3_BUCKET_NAME S3_REGION
PROMPT_GENERATION_MAX_TOKENS CODE_GENERATION_MAX_TOKENS WEAVIATE_TOKENIZATION HOLOGRES_TOKENIZER COOKIE_DOMAIN
SESSION_COOKIE_SECURE GOOGLE_CLIENT_ID TIDB_PUBLIC_KEY VAPID_PUBLIC_KEY KEYWORD_DATA_SOURCE_TYPE CHROMA_AUTH_PROVIDER
PYROSCOPE_BASIC_AUTH_USER FIREBASE_AUTH_DOMAIN OAUTH_JWT_PRIVATE_KEY_PATH OAUTH_JWT_KEY_ID JWT_ALGORITHM JWT_EXPIRY
GOTRUE_URL API_KEY_PREFIX PLUGIN_BASED_TOKEN_COUNTING_ENABLED INDEXING_MAX_SEGMENTATION_TOKENS_LENGTH MEMORY_TOP_K
LINUX_DO_TOKEN_ENDPOINT NEXTAUTH_URL EMAIL_FROM LOG_LEVEL ENABLE_AUTH_LOGGING MEDIUM_AUTHOR_ID PASSENGER_APP_ENV
WEBHOOK_REQUEST_BODY_MAX_SIZE SQLITE_PATH DATA_DIR OPENAI_BASE_URL OPENAI_MODELS APP_TIMEZONE PUSHER_APP_CLUSTER
"""


@pytest.mark.parametrize("name", [*SECRET.split(), *SECRET_VARIABLES.split()])
def test_secret_names(name):
    """The value under this name never counts."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", [*NOT_SECRET.split(), *NOT_SECRET_VARIABLES.split(), ""])
def test_other_names(name):
    """The value under this name counts."""
    assert not is_secret_name(name)


def test_numbers_and_switches_are_no_keys():
    """A token that is a number is one of text, and acts; a password may be a number. A switch is no secret."""
    assert is_secret("token", "abc")
    assert is_secret("password", 4711)
    assert is_secret("db_pass", 4711)
    assert not is_secret("token", 4711)
    assert not is_secret("api_key", 0.5)
    assert not is_secret("pass", 12)
    assert not is_secret("GET_MEDIA_TOKEN", "true")
