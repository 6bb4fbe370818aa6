"""Single instructions that Numba has no name for: a sum in any order, and stores that pass by the caches."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

LINE = 64  # bytes of a cache line, where each point begins: stores across two lines cost double


def sum_up(total: Any, term: Any) -> Any:
    """One step of a sum whose order is free, so that it vectorises; nothing else in a pass may be rearranged."""
    return total + term


@overload(sum_up)
def _sum_up_compiled(total, term):
    def add(total, term):
        return _add_freely(total, term)

    return add


@intrinsic
def _add_freely(typingctx: Any, total: Any, term: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fadd(*values, flags=("reassoc",))

    return types.float64(types.float64, types.float64), generate


@intrinsic
def stream(typingctx: Any, target: Any, source: Any, lines: Any) -> Any:
    """Copy cache lines to an address on a line, past the caches (an ordinary store would read the line before)."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word, line = ir.IntType(64), ir.VectorType(ir.IntType(64), LINE // 8)
        kind = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range(builder, values[2]) as loop:
            offset = builder.mul(loop.index, ir.Constant(word, LINE))
            to, origin = (builder.inttoptr(builder.add(v, offset), line.as_pointer()) for v in values[:2])
            builder.store(builder.load(origin, align=1), to, align=LINE).set_metadata("nontemporal", kind)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.intp), generate


@intrinsic
def settle(typingctx: Any) -> Any:
    """What was streamed is seen by every thread from here on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate
