"""Sequences that a network with CTC writes: greedy decoding and edit distance."""

import numpy as np

BLANK = 0
_UNREADABLE = -2  # A step whose scores are NaN is equal to no symbol.


def edit(output: np.ndarray, sequences: np.ndarray, blank: int = BLANK) -> float:
    """The part of the reference's symbols that is right: 1 - edit distance / length, both summed over the samples. 1 is
    perfect; below 0 where more is wrong than there is.

    output: float [N, T, C], scores of C symbols at T steps, of which symbol `blank` (negative ones count from the end)
    separates; or whole numbers [N, T], decoded already, negative ones are padding. sequences: whole numbers [N, L],
    negative ones are padding."""
    wrong = total = 0
    for found, wanted in zip(decoded(output, blank), sequences, strict=True):
        wanted = wanted[wanted >= 0]
        wrong += distance(found, wanted)
        total += len(wanted)
    return 1.0 - wrong / max(total, 1)


def decoded(output: np.ndarray, blank: int = BLANK) -> list[np.ndarray]:
    """The symbols of every sample: the best one of each step, repeated ones once, without blanks."""
    if not np.issubdtype(output.dtype, np.floating):
        return [row[row >= 0] for row in output.reshape(len(output), -1)]
    best = np.where(np.isnan(output).any(-1), _UNREADABLE, output.argmax(-1))
    blank = blank % output.shape[-1]
    return [row[np.concatenate([[True], row[1:] != row[:-1]]) & (row != blank)] for row in best]


def sequences_of(output: np.ndarray, blank: int = BLANK) -> np.ndarray:
    """What fp32 answers, where there are no sequences to compare with: int64 [N, L], padded with -1."""
    rows = decoded(output, blank)
    padded = np.full((len(rows), max(1, *map(len, rows))), -1, np.int64)
    for row, symbols in zip(padded, rows):
        row[: len(symbols)] = symbols
    return padded


def distance(symbols: np.ndarray, wanted: np.ndarray) -> int:
    """Levenshtein's: the fewest symbols to insert, remove or replace."""
    columns = np.arange(len(wanted) + 1)
    row = columns
    for number, symbol in enumerate(symbols, 1):
        without = np.minimum(row[1:] + 1, row[:-1] + (wanted != symbol))
        # Insertions run along the row.
        row = np.minimum.accumulate(np.concatenate([[number], without]) - columns) + columns
    return int(row[-1])


def unfit(shape, sequences: np.ndarray) -> str | None:
    """What is wrong with sequences for an output of that shape; None if nothing is."""
    if len(shape) not in (2, 3) or sequences.ndim != 2 or not np.issubdtype(sequences.dtype, np.integer):
        return (
            "edit needs whole numbers [samples, symbols], padded with -1, and an output [samples, steps, symbols], "
            f"which is {list(shape)}"
        )
    return None
