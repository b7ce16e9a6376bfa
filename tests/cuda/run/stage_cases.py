"""Every case of the device test, twice, byte for byte. A module holds ten; each case has memory of its own."""

from carried import read
from launching import Loaded, Module


def run(work) -> None:
    for path in sorted((work.folder / "cases").glob("*.zip")):
        if "files" in work.options and path.stem not in work.options["files"]:
            continue
        cases, code = read(path)
        items = {f"{path.stem}: {case.name}": case for case in cases if work.wanted(f"{path.stem}: {case.name}")}
        if not items:
            continue
        work.at(next(iter(items)))
        module = Module(code)
        work.each(items, lambda case, module=module: _checked(module, case))
        module.close()


def _checked(module, case):
    loaded = Loaded(module, case)
    wrong = loaded.twice()
    loaded.close()
    return {"families": case.families, **({"error": wrong} if wrong else {"right": True})}
