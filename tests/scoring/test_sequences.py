"""CTC's greedy decoding and the edit distance, against examples worked by hand."""

import numpy as np
import pytest

from octet.tools.scoring.sequences import decoded, distance, edit, sequences_of, unfit


def scores(steps, symbols=5):
    return np.eye(symbols, dtype=np.float32)[np.array(steps)]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("aaaa", "a", 3),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance(one, other, wanted):
    a, b = (np.array([ord(letter) for letter in text], np.int64) for text in (one, other))
    assert distance(a, b) == distance(b, a) == wanted


def test_edit_distance_as_the_textbook_computes_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (rng.integers(0, 3, rng.integers(0, 9)) for _ in range(2))
        table = [[max(i, j) if min(i, j) == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
        for i in range(1, len(a) + 1):
            for j in range(1, len(b) + 1):
                table[i][j] = min(
                    table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
                )
        assert distance(a, b) == table[-1][-1]


def test_decoding_joins_repeated_symbols_and_drops_blanks():
    output = scores([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 0, 0, 0, 4, 4]])
    assert [row.tolist() for row in decoded(output)] == [[1, 1, 2], [3, 4]]
    assert decoded(output, blank=-1)[0].tolist() == [0, 1, 0, 1, 2, 0]


def test_the_part_that_is_right():
    """One symbol of five is missing."""
    output = scores([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 0, 0, 0, 0, 0]])
    assert edit(output, np.array([[1, 1, 2], [3, 4, -1]])) == pytest.approx(0.8)
    assert edit(output, sequences_of(output)) == 1.0
    assert edit(np.array([[1, 1, 2], [3, -1, -1]]), np.array([[1, 1, 2], [3, 4, -1]])) == pytest.approx(0.8), (
        "decoded already"
    )


def test_a_step_that_is_nan_reads_as_no_symbol():
    output = scores([[0, 1, 0, 2]])
    output[0, 1, 3] = np.nan
    assert edit(output, np.array([[1, 2]])) == 0.5


def test_sequences_that_do_not_fit():
    assert unfit((2, 8, 5), np.zeros((2, 3), np.int64)) is None
    assert "padded with -1" in unfit((2, 8, 5), np.zeros((2, 3))) and "padded with -1" in unfit(
        (2, 5), np.zeros(2, np.int64)
    )
