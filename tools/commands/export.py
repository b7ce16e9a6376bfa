"""octet export: a package as a C library, for programs without Python."""

import click

from ..console import say
from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    help="The folder to make; one that exists is empty or an earlier export.",
)
@click.option(
    "--target", metavar="NAME", help="Which of the package's targets [default: the best one for this machine]."
)
@click.option("--name", metavar="NET", help="Of the library and its functions [default: as the package's file].")
@click.option("--static", is_flag=True, help="libNET.a instead of libNET.so.")
@click.option(
    "--io",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help=(
        "int8: the caller quantises; inputs and outputs that the network quantises are int8 codes, their scales are "
        "constants."
    ),
)
@click.option(
    "--embed/--mmap",
    default=True,
    help="Weights inside the library (default), or in NET.weights beside it, which is mapped into memory.",
)
def export(package, output, target, name, static, io, embed):
    """Write a package as a C library with its headers (C99, C++17), a CMakeLists.txt and a program that runs the
    self-test. Needs gcc or clang."""
    from pathlib import Path

    from ...targets.package import read_package
    from ...targets.standalone.c_names import check_c_name, name_of_file
    from ...targets.standalone.export import ExportForm, export as write

    name = check_c_name(name) if name is not None else name_of_file(Path(package).stem)
    variant, sizes = write(read_package(package), output, name, target, ExportForm(static, not embed, io == "int8"))
    listed = ", ".join(
        f"{file} {size:,}"
        for file, size in sizes.items()
        if file.startswith("lib") or file.endswith((".weights", ".selftest"))
    )
    vectors = "" if f"{name}.selftest" in sizes else "; the package has no self-test, so main.c has nothing to compare"
    tensors = (
        ""
        if io == "float" or variant.integer is None
        else f" {'; '.join(f'{one.name} {one.dtype}' for one in (*variant.integer.inputs, *variant.integer.outputs))};"
    )
    say(f"{output}: {variant.target};{tensors} {listed} bytes; {name}.h, {name}.hpp, main.c, CMakeLists.txt{vectors}")
