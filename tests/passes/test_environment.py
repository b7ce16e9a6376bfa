"""Versions of TVM that were not tested together are refused, and HOME is there for TVM."""

from importlib.metadata import PackageNotFoundError

import pytest

from octet.passes import environment
from octet.targets.errors import OctetError


def installed(**versions):
    def version(name):
        if name not in versions["of"]:
            raise PackageNotFoundError(name)
        return versions["of"][name]

    return version


def test_the_tested_pairs_pass():
    for ffi in environment.TVM_FFI:
        environment.check_tvm(installed(of={"apache-tvm": environment.TVM[0], "apache-tvm-ffi": ffi}))
    environment.check_tvm()


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            {"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.15"},
            "apache-tvm-ffi 0.1.15 is installed, but octet needs 0.1.14.post1",
        ),
        ({"apache-tvm": "0.26.0", "apache-tvm-ffi": "0.1.14.post1"}, "apache-tvm 0.26.0 is installed"),
        (
            {"apache-tvm": "0.27.0.post1"},
            "apache-tvm-ffi is not installed, which compiling needs; run: pip install 'octet[compile]'",
        ),
    ],
)
def test_a_mismatch_is_one_line(of, said):
    with pytest.raises(OctetError) as error:
        environment.check_tvm(installed(of=of))
    assert said in str(error.value) and "\n" not in str(error.value)
