"""Phases and progress, as a command shows them and as callers of the library are told."""

from octet.tools.reporter import CallingReporter, Reporter, reporting


def test_phases_add_up_by_name():
    reporter = Reporter()
    for name in ("import", "build", "import", None):
        reporter.phase(name)
    assert list(reporter.seconds) == ["import", "build"] and all(value >= 0 for value in reporter.seconds.values())
    reporter.progress(1), reporter.advance(), reporter.message("nobody sees it")


def test_the_functions_of_a_caller_are_called():
    begun, told = [], []
    reporter = CallingReporter(begun.append, lambda done, total: told.append((done, total)))
    for name in ("calibrate", None):
        reporter.phase(name)
    reporter.progress(3)
    reporter.progress(4, 8)
    assert begun == ["calibrate"] == list(reporter.seconds) and told == [(3, None), (4, 8)]
    CallingReporter(begun.append).progress(1, 2)


def test_a_line_for_several_phases():
    with reporting() as reporter:
        reporter.phase("one")
        reporter.progress(3, 10)
        reporter.message("one, in\ntwo lines")
        reporter.phase("two")
        reporter.advance()
    assert set(reporter.seconds) == {"one", "two"}
