"""What a run imports as it goes, for processes that are forked: each would import it again."""

from __future__ import annotations

import crew_repo.adapter.running.kickoff
import crew_repo.runner.engine
import crew_repo.runner.running
import crew_repo.store.store  # noqa: F401
