"""The kill matrix: each case lives until it is done, killed at every request and in every tool on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.journal.cases import CASES
from tests.crash.journal.lives import Life, live, live_plainly, lived
from tests.crash.journal.model_server import TOKENS, Model, Server

__all__ = ["Row", "kill_everywhere"]

@dataclass(frozen=True)
class Row:
    """What a case came to. `again` and `repeated` are beyond those that a kill between a thing and its row costs."""

    name: str
    requests: int  # that a plain kickoff makes
    effects: int  # that it has
    kills: int
    again: int  # answered requests that were bought again
    repeated: int  # effects that were had again
    cut: int  # moments at which a client died between an answer, or an effect, and the end of its call
    last: Life
    reused: Life


def kill_everywhere(name: str, url: str, server: Server, folder: Path) -> Row:
    """Live, be killed and live again until the run is done, then once more; nothing is killed twice at one moment."""
    case = CASES[name]
    server.model = plain = model_of(name)
    assert lived(server, folder, live_plainly, url, name, server.address) is not None
    server.model = model = model_of(name, fates=case.fates)
    most = 1 + sum(len(fates) * plain.met.count(kind) for kind, fates in case.fates.items())
    for _ in range(most):
        answered = len(model.answered)
        last = lived(server, folder, live, url, name, server.address)
        if last is not None:
            break
    else:
        raise AssertionError(f"not done after {most} lives; asked {len(model.asked)}, answered {len(model.answered)}, "
                             f"effects {len(model.effects)}")  # fmt: skip
    assert last.spent == TOKENS * (len(model.answered) - answered), "the run paid for something else than it asked for"
    assert model.mixed() == []
    kills, asked = len(model.struck), len(model.answered)
    reused = lived(server, folder, live, url, name, server.address)
    assert reused is not None
    assert len(model.answered) == asked, "a finished task asked a model"
    return Row(
        name, len(plain.answered), len(plain.effects), kills,
        again=asked - len(plain.answered) - model.cut_off.count("request"),
        repeated=len(model.effects) - len(plain.effects) - model.cut_off.count("effect"),
        cut=len(model.cut_off), last=last, reused=reused,
    )  # fmt: skip


def model_of(name: str, fates: Mapping[str, Sequence[str]] | None = None) -> Model:
    """The model of a case, new."""
    case = CASES[name]
    more = {"effect": case.effect} if case.effect else {}
    return Model(case.script, together=case.together, fates=fates or {}, **more)
