"""The short table at the end: what was right, what was not, and the figures."""

_ERRORS = 6  # A stage shows no more.


def table(rows: list[dict], seconds: dict[str, float]) -> str:
    """rows: of results.jsonl. seconds: that each stage took."""
    lines = []
    for stage in seconds:
        found = [row for row in rows if row["stage"] == stage]
        wrong = [row for row in found if row.get("error")]
        lines.append(f"== {stage}: {len(found) - len(wrong)} done, {len(wrong)} failed, {seconds[stage]:.0f} s")
        lines += [f"   FAILED {row['item']}: {row['error'][:160]}" for row in wrong[:_ERRORS]]
        lines += [
            f"   {text}"
            for text in _FIGURES.get(stage, lambda found: [])([row for row in found if not row.get("error")])
        ]
    return "\n".join(lines)


def _machine(found):
    for row in found:
        if "device" in row:
            yield (
                f"{row['device']}, sm_{row['arch']}, {row['multiprocessors']} multiprocessors, driver "
                f"{row['driver']}; {row['smi']}"
            )
        elif "samples" in row:
            yield f"digits: {row['samples']} answers are the CPU's bytes"


def _ours(found):
    return [
        f"{row['item']:24} {row['ms']:9.4f} ms, with transfers {row['ms_with_transfers']:9.4f}, {row['launches']} "
        "launches"
        for row in found
    ]


def _networks(found):
    return [
        f"{row['item']:38} ours {row['octet_ms']:9.4f} ms, fp16 {row['torch_fp16_ms']:9.4f}, ratio {row['ratio']:.2f}"
        for row in found
    ]


def _products(found):
    return [
        f"{row['item'][:44]:44} ours {row['octet_us']:8.1f} us ({row['octet_tops']:.0f} Top/s), _int_mm "
        f"{row['int_mm_us']:8.1f}, Triton {row.get('triton_us', 0):8.1f}, "
        f"fp16 {row['fp16_us']:8.1f}, {row['share']:.0%} of the best"
        for row in found
    ]


def _tiles(found):
    """Of each layer the best tiles and the worst."""
    every = sorted((row for row in found if "us" in row), key=lambda row: row["us"])
    lines = []
    for widens in (False, True):
        timed = [row for row in every if (row["kind"] == "widens") == widens]
        lines += timed if len(timed) <= 12 else [*timed[:8], *timed[-3:]]
    return [f"{row['item']:40} {row['us']:8.1f} us {row['tops']:6.1f} Top/s" for row in lines]


def _micro(found):
    return [
        f"{row['item']:38} {row['figure']} {row['unit']}" + (f", {row['gb_s']:g} GB/s" if "gb_s" in row else "")
        for row in found
    ]


def _profile(found):
    return [
        f"{row['item']}: {row['us']} us: " + ", ".join(f"{name} {us}" for name, us in list(row["families"].items())[:7])
        for row in found
    ]


def _tuning(found):
    return [
        f"{row['item']}: {row['measured']} measured, {row['failed']} failed, best {row['best']}"
        for row in found
        if "best" in row
    ]


def _words(found):
    return [f"{row['item']}: {row['summary']}" for row in found if row.get("summary")]


_FIGURES = {
    "machine": _machine,
    "ours": _ours,
    "networks": _networks,
    "products": _products,
    "tiles": _tiles,
    "micro": _micro,
    "profile": _profile,
    "tuning": _tuning,
    "memcheck": _words,
    "racecheck": _words,
    "ncu": _words,
}
