from octet.tools.phases import Phases, phases


def test_phases_add_up_by_name():
    announced = []
    timed = Phases(announced.append)
    for name in ("import", "build", "import", None):
        timed(name)
    assert announced == ["import", "build", "import"]
    assert list(timed.seconds) == ["import", "build"] and all(value >= 0 for value in timed.seconds.values())


def test_display_of_several_phases():
    with phases() as (timed, display):
        timed("one")
        display.update(3, 10)
        timed("two")
        display.advance()
    assert set(timed.seconds) == {"one", "two"}
