"""Secrets: which names have them (`names`), how they look (`forms`), where they are held (`finding`).

The values of secrets count in no hash and are stored nowhere; texts are masked before they are kept.
"""

from crew_repo.secrets.finding import handing_over, may_hold_secrets, secrets_in, spoken, spoken_variable
from crew_repo.secrets.forms import masked
from crew_repo.secrets.names import is_secret, is_secret_name, may_be_secret_name

__all__ = [
    "handing_over",
    "is_secret",
    "is_secret_name",
    "masked",
    "may_be_secret_name",
    "may_hold_secrets",
    "secrets_in",
    "spoken",
    "spoken_variable",
]
