"""`python -m octet.targets.measure` where nothing but NumPy is: what it prints where, and its exit status."""

import pytest

from octet.targets.errors import OctetError
from octet.targets.measure import __main__ as command
from octet.targets.measure.measuring_stages import Progress


@pytest.fixture
def measured(monkeypatch):
    """The measuring itself answers `result`, after a task with a faster candidate and one without."""

    def answer(result):
        def measure_job(carrier, progress):
            progress(Progress("first", 1, 2, 4, 1, 0.8127))
            progress(Progress("second", 2, 2, 3, 0, None))
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(command, "Carrier", lambda path: path)
        monkeypatch.setattr(command, "measure_job", measure_job)

    return answer


def test_progress_and_result(measured, capsys):
    measured({"measured": 7})
    assert command.main(["job"]) == 0
    said = capsys.readouterr()
    assert said.out == "{'measured': 7}\n"
    assert said.err.splitlines() == [
        "1/2 first: 4 measured, 1 failed, 0.813 of the default's time",
        "2/2 second: 3 measured, 0 failed, none faster than the default",
    ]


def test_what_goes_wrong_is_one_line(measured, capsys):
    measured(OctetError("job: nothing could be measured: why"))
    assert command.main(["job"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.splitlines()[2:] == ["octet: error: job: nothing could be measured: why"]


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert command.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_one_argument(arguments, capsys):
    assert command.main(arguments) == 2 and capsys.readouterr().err.startswith("usage: ")
