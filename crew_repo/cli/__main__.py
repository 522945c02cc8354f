"""`python -m crew_repo.cli`, which is `crew-repo`."""

from __future__ import annotations

from crew_repo.cli.start import start

if __name__ == "__main__":
    start()
