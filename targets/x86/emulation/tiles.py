"""Portable spellings of the tile instructions (AMX): the eight tiles and their configuration are memory of the thread.

Source: Intel SDM vol. 2 (LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILESTORED, TDPBUSD, TDPBF16PS).
What a processor refuses with #UD, tiles that
are not configured or do not fit each other, ends in a trap here too."""

from .floats import FLUSH, FMA, MULTIPLY_BF16
from .instruction import Instruction, dot4

_TRAP = "declare void @llvm.trap()"
_COPY, _SET = (
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
)

# The 64 bytes hold the palette at 0, bytes of a row as 16-bit numbers from 16 and rows as bytes from 48.
_CONFIG = "@octet.tile_config = internal thread_local global [64 x i8] zeroinitializer, align 64"
_DATA = "@octet.tile_data = internal thread_local global [8 x [1024 x i8]] zeroinitializer, align 64"

_TILE = """
define internal ptr @octet.tile(i8 %tile) noinline nounwind {
  %number = zext i8 %tile to i64
  %at = getelementptr [8 x [1024 x i8]], ptr @octet.tile_data, i64 0, i64 %number
  ret ptr %at
}"""

_ROWS = """
define internal i64 @octet.tile_rows(i8 %tile) noinline nounwind {
  %number = zext i8 %tile to i64
  %offset = add i64 %number, 48
  %at = getelementptr i8, ptr @octet.tile_config, i64 %offset
  %rows = load i8, ptr %at
  %configured = icmp ne i8 %rows, 0
  call void @octet.demand(i1 %configured)
  %wide = zext i8 %rows to i64
  ret i64 %wide
}"""

_BYTES = """
define internal i64 @octet.tile_bytes(i8 %tile) noinline nounwind {
  %number = zext i8 %tile to i64
  %twice = shl i64 %number, 1
  %offset = add i64 %twice, 16
  %at = getelementptr i8, ptr @octet.tile_config, i64 %offset
  %bytes = load i16, ptr %at
  %configured = icmp ne i16 %bytes, 0
  call void @octet.demand(i1 %configured)
  %wide = zext i16 %bytes to i64
  ret i64 %wide
}"""

_DEMAND = """
define internal void @octet.demand(i1 %holds) noinline nounwind {
  br i1 %holds, label %fine, label %refused
refused:
  call void @llvm.trap()
  unreachable
fine:
  ret void
}"""

# Products raise #UD unless they have three different tiles whose rows and columns fit.
_FIT = """
define internal void @octet.tiles_fit(i8 %acc, i8 %data, i8 %weights) noinline nounwind {
  %one = icmp ne i8 %acc, %data
  %two = icmp ne i8 %data, %weights
  %three = icmp ne i8 %acc, %weights
  call void @octet.demand(i1 %one)
  call void @octet.demand(i1 %two)
  call void @octet.demand(i1 %three)
  %rows = call i64 @octet.tile_rows(i8 %acc)
  %data.rows = call i64 @octet.tile_rows(i8 %data)
  %same.rows = icmp eq i64 %rows, %data.rows
  call void @octet.demand(i1 %same.rows)
  %bytes = call i64 @octet.tile_bytes(i8 %acc)
  %weight.bytes = call i64 @octet.tile_bytes(i8 %weights)
  %same.bytes = icmp eq i64 %bytes, %weight.bytes
  call void @octet.demand(i1 %same.bytes)
  %data.bytes = call i64 @octet.tile_bytes(i8 %data)
  %weight.rows = call i64 @octet.tile_rows(i8 %weights)
  %depth = shl i64 %weight.rows, 2
  %same.depth = icmp eq i64 %depth, %data.bytes
  call void @octet.demand(i1 %same.depth)
  ret void
}"""

_STATE = (_CONFIG, _DATA, _TRAP, _COPY, _SET, _DEMAND, _TILE, _ROWS, _BYTES)
# A machine may have the tiles of int8 and hide those of bfloat16: all are emulated or none, as they share the tiles.
_FEATURES = (frozenset({"amx_tile", "amx_int8", "amx_bf16"}),)


def _tiles(name: str, arguments: str, body: str, uses: tuple[str, ...] = ()) -> Instruction:
    return Instruction(
        f"x86.{name}",
        _FEATURES,
        f"\ndefine internal void @octet.x86.{name}({arguments}) noinline nounwind {{{body}  ret void\n}}",
        (*_STATE, *uses),
    )


_CLEAR = """
  call void @llvm.memset.p0.i64(ptr @octet.tile_data, i8 0, i64 8192, i1 false)
"""


def _by_rows(copy: str) -> str:
    """`copy` for every row of tile %tile, which lies at %tile.row, in memory at %memory.row."""
    return f"""
start:
  %at = call ptr @octet.tile(i8 %tile)
  %rows = call i64 @octet.tile_rows(i8 %tile)
  %bytes = call i64 @octet.tile_bytes(i8 %tile)
  br label %next
next:
  %row = phi i64 [ 0, %start ], [ %following, %next ]
  %memory.offset = mul i64 %row, %stride
  %memory.row = getelementptr i8, ptr %memory, i64 %memory.offset
  %tile.offset = shl i64 %row, 6
  %tile.row = getelementptr i8, ptr %at, i64 %tile.offset
{copy}
  %following = add i64 %row, 1
  %more = icmp ult i64 %following, %rows
  br i1 %more, label %next, label %done
done:
"""


def _product(step: tuple[str, str], finish: str, first: str) -> str:
    """For every row of tile %acc, whose elements are called `first`: step[1] for each 32 bits of %data's row and the
    row of %weights that belongs to them, with the
    sums of step[0], then `finish`, which makes %result."""
    return f"""
start:
  call void @octet.tiles_fit(i8 %acc, i8 %data, i8 %weights)
  %to = call ptr @octet.tile(i8 %acc)
  %a.at = call ptr @octet.tile(i8 %data)
  %b.at = call ptr @octet.tile(i8 %weights)
  %rows = call i64 @octet.tile_rows(i8 %acc)
  %depth = call i64 @octet.tile_rows(i8 %weights)
  br label %next
next:
  %row = phi i64 [ 0, %start ], [ %row.following, %row.done ]
  %row.offset = shl i64 %row, 6
  %to.row = getelementptr i8, ptr %to, i64 %row.offset
  %a.row = getelementptr i8, ptr %a.at, i64 %row.offset
  %before = load <16 x {first}>, ptr %to.row, align 64
  br label %deeper
deeper:
  %k = phi i64 [ 0, %next ], [ %k.following, %deeper ]
{step[0]}
  %a.word.at = getelementptr i32, ptr %a.row, i64 %k
  %a.word = load i32, ptr %a.word.at
  %a.one = insertelement <16 x i32> poison, i32 %a.word, i64 0
  %a = shufflevector <16 x i32> %a.one, <16 x i32> poison, <16 x i32> zeroinitializer
  %b.offset = shl i64 %k, 6
  %b.row = getelementptr i8, ptr %b.at, i64 %b.offset
  %b = load <16 x i32>, ptr %b.row, align 64
{step[1]}
  %k.following = add i64 %k, 1
  %k.more = icmp ult i64 %k.following, %depth
  br i1 %k.more, label %deeper, label %row.done
row.done:
{finish}
  store <16 x {first}> %result, ptr %to.row, align 64
  %row.following = add i64 %row, 1
  %row.more = icmp ult i64 %row.following, %rows
  br i1 %row.more, label %next, label %done
done:
"""


_INT8 = _product(
    ("  %sum = phi <16 x i32> [ %before, %next ], [ %result, %deeper ]", dot4("sum", "a", "b", "result", 16)), "", "i32"
)
# Even and odd products are summed apart from zero, then both sums, then the total.
_BF16 = _product(
    (
        "  %even = phi <16 x float> [ zeroinitializer, %next ], [ %even.sum, %deeper ]\n  %odd = phi <16 x float> [ "
        "zeroinitializer, %next ], [ %odd.sum, %deeper ]",
        "  %even.sum = call <16 x float> @octet.multiply_bf16(<16 x float> %even, <16 x i32> %a, <16 x i32> %b, i1 "
        "false)\n"
        "  %odd.sum = call <16 x float> @octet.multiply_bf16(<16 x float> %odd, <16 x i32> %a, <16 x i32> %b, i1 true)",
    ),
    """  %both = fadd <16 x float> %even.sum, %odd.sum
  %both.normal = call <16 x float> @octet.flush(<16 x float> %both)
  %before.normal = call <16 x float> @octet.flush(<16 x float> %before)
  %total = fadd <16 x float> %before.normal, %both.normal
  %result = call <16 x float> @octet.flush(<16 x float> %total)""",
    "float",
)

TILES = (
    _tiles(
        "ldtilecfg",
        "ptr %config",
        "\n  call void @llvm.memcpy.p0.p0.i64(ptr @octet.tile_config, ptr %config, i64 64, i1 false)" + _CLEAR,
    ),
    _tiles(
        "sttilecfg",
        "ptr %config",
        "\n  call void @llvm.memcpy.p0.p0.i64(ptr %config, ptr @octet.tile_config, i64 64, i1 false)\n",
    ),
    _tiles(
        "tilerelease", "", "\n  call void @llvm.memset.p0.i64(ptr @octet.tile_config, i8 0, i64 64, i1 false)" + _CLEAR
    ),
    _tiles(
        "tilezero",
        "i8 %tile",
        "\n  %rows = call i64 @octet.tile_rows(i8 %tile)\n  %at = call ptr @octet.tile(i8 %tile)\n"
        "  call void @llvm.memset.p0.i64(ptr %at, i8 0, i64 1024, i1 false)\n",
    ),
    _tiles(
        "tileloadd64",
        "i8 %tile, ptr %memory, i64 %stride",
        _by_rows("  call void @llvm.memcpy.p0.p0.i64(ptr %tile.row, ptr %memory.row, i64 %bytes, i1 false)"),
    ),
    _tiles(
        "tilestored64",
        "i8 %tile, ptr %memory, i64 %stride",
        _by_rows("  call void @llvm.memcpy.p0.p0.i64(ptr %memory.row, ptr %tile.row, i64 %bytes, i1 false)"),
    ),
    _tiles("tdpbusd", "i8 %acc, i8 %data, i8 %weights", _INT8, (_FIT,)),
    _tiles("tdpbf16ps", "i8 %acc, i8 %data, i8 %weights", _BF16, (_FIT, FMA, FLUSH, MULTIPLY_BF16)),
)
