"""Names of C: what a library may be called, and texts as string literals."""

import re

from ..errors import OctetError

_LONGEST = 64
_WORDS = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast
    consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if import inline int long module
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename typeof union unsigned using virtual void
    volatile wchar_t while xor xor_eq main std linux unix i386 errno stdin stdout stderr signbit octet""".split()
)
# Names such as libc.so belong to others.
_LIBRARIES = frozenset("c m dl rt pthread gcc gcc_s util asan tsan ubsan".split())


def check_c_name(name: str) -> str:
    """The name, where functions, a namespace and a library can be called so. Raises OctetError."""
    reason = _reason(name)
    if reason:
        raise OctetError(
            f"--name {name}: {reason}; take letters, digits and single underscores, a letter first, at most {_LONGEST}"
        )
    return name


def _reason(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name, re.ASCII):
        return "is no name of functions in C and C++"
    if len(name) > _LONGEST:
        return f"has {len(name)} characters"
    if name in _WORDS:
        return "is a word of C or C++"
    if name.startswith("octet_"):
        return "is a name of the runtime"
    return "is a library of the system" if name in _LIBRARIES else ""


def name_of_file(stem: str) -> str:
    """A name for the network of a file, like it. Raises OctetError where none can be made."""
    made = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_").lstrip("0123456789_")[:_LONGEST].rstrip("_")
    if _reason(made):
        raise OctetError(f"{stem}: gives no name for a library of C; name one with --name")
    return made


def c_string(text: str) -> str:
    """A C string literal of the text in UTF-8. Whatever could end it, or form a trigraph or a comment, is escaped."""
    plain = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-+.,:;=()[]<>#$&!|~^'{}")
    return (
        '"'
        + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode("utf-8", "surrogatepass"))
        + '"'
    )


def commented(text: str) -> str:
    """The text as it may stand inside a comment of C."""
    return (
        "".join(one if one.isprintable() and one.isascii() and one != "\\" else "?" for one in text)
        .replace("*/", "* /")
        .replace("/*", "/ *")
    )
