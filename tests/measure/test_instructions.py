"""Instructions are counted where they are, and kernels have none of those that were too dear."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import instructions

from octet.targets.errors import TargetError

LISTING = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   FADD R0, R0, 1 ;
        /*0020*/              @!P0 BRA `(.L_x_1) ;
        /*0030*/               @P1 BRA `(.L_x_2) ;
        /*0040*/                   EXIT ;
.L_x_2:
        /*0050*/                   MUFU.RCP R0, R0 ;
        /*0060*/                   NOP ;
"""


def test_what_stands_behind_the_last_exit_is_not_counted():
    found = instructions.counted(LISTING)
    assert found.opcodes == Counter(BRA=2, LDC=1, FADD=1, EXIT=1) and found.loops == (2,)


def test_kernels_without_divisions_and_conversions_of_every_element(capsys):
    """A division is a call away, and a conversion to an integer goes through a unit of a quarter of the lanes or
    less."""
    try:
        instructions.main(["--opcodes"])
    except (TargetError, FileNotFoundError) as error:
        pytest.skip(str(error))
    rows = capsys.readouterr().out.splitlines()[1:]
    for title, opcodes in zip(rows[::2], rows[1::2], strict=True):
        count = dict(cell.split() for cell in opcodes.strip().split(", "))
        work = int(title.split(" | ")[3])
        assert int(count.get("F2I", 0)) < 4, title
        assert int(count.get("FCHK", 0)) < max(4, work), title
