"""How long every kernel of every network takes: what the estimate of schedules is fitted to."""

import json

from packages import feed_of, session_of


def run(work) -> None:
    entries = json.loads((work.folder / "networks.json").read_text())
    work.each({f"kernels of {entry['title']}": entry for entry in entries}, lambda entry: _profile(work, entry))


def _profile(work, entry):
    session = session_of(work, entry)
    rows = session.profile(feed_of(session), repeat=work.options.get("repeat", 7))
    session.close()
    kernels = [
        [step.name, step.kernel, step.schedule, step.macs, step.bytes, round(seconds * 1e6, 3)]
        for step, seconds in rows
    ]
    families: dict = {}
    for _, family, _, _, _, microseconds in kernels:
        families[family] = round(families.get(family, 0.0) + microseconds, 1)
    return {
        "us": round(sum(row[-1] for row in kernels), 1),
        "families": dict(sorted(families.items(), key=lambda pair: -pair[1])),
        "kernels": kernels,
    }
