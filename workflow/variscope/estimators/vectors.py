"""Vectors of `LANES` neighbouring units, for kernels that numba compiles.

A kernel that holds a chunk of units in vectors keeps its intermediate values in registers: loops
over arrays would write and read each of them. Vectors take ``+``, ``-`` and ``*``, lane by lane;
multiplications and additions may be fused, additions keep their order. The compiler splits a vector
where the processor's registers are shorter. Importing the module teaches numba the type.

numba's cache of a compiled kernel notices changes of the kernel's own file alone: after a change
here, touch it.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

from variscope.estimators.layout import DROPPED_BITS

# Units of one vector: 64 bytes of float32, a cache line and the longest register of today.
LANES = 16

_FAST = ("contract", "nsz")

# What numba declares of a decorated function is for its own tests.
_intrinsic: Any = intrinsic


class Vector(types.Type):
    """numba's type of `LANES` numbers of a floating type."""

    def __init__(self, of: types.Float) -> None:
        self.of = of
        super().__init__(f"Vector({of})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        number = ir.FloatType() if fe_type.of == types.float32 else ir.DoubleType()
        super().__init__(dmm, fe_type, ir.VectorType(number, LANES))


def _operate(function: Any, instruction: str) -> None:
    """Teach numba an operator of two vectors of one type."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(function, Vector, Vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=_FAST)


_operate(operator.add, "fadd")
_operate(operator.sub, "fsub")
_operate(operator.mul, "fmul")


def _place(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Return a pointer to entry ``at`` of a contiguous array of one dimension."""
    return cgutils.gep(builder, make_array(array)(context, builder, value).data, at)


def _flat(array: Any) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


@_intrinsic
def load(typingctx: Any, array: Any, at: Any, like: Any) -> Any:
    """Return entries ``at`` to ``at + LANES`` of a contiguous array as numbers of ``like``'s type.

    Array and type are float32 or float64. The place is not checked.
    """
    if not (_flat(array) and isinstance(like, types.Float)):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        held = context.get_data_type(Vector(array.dtype))
        place = builder.bitcast(_place(context, builder, array, *args[:2]), held.as_pointer())
        vector = builder.load(place, align=array.dtype.bitwidth // 8)
        if array.dtype == like:
            return vector
        convert = builder.fptrunc if array.dtype > like else builder.fpext
        return convert(vector, context.get_data_type(Vector(like)))

    return signature(Vector(like), array, at, like), generate


@_intrinsic
def store(typingctx: Any, array: Any, at: Any, vector: Any) -> Any:
    """Write a vector to entries ``at`` to ``at + LANES`` of a contiguous array of its numbers."""
    if not (_flat(array) and isinstance(vector, Vector) and array.dtype == vector.of):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _place(context, builder, array, *args[:2])
        place = builder.bitcast(place, args[2].type.as_pointer())
        builder.store(args[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature(types.none, array, at, vector), generate


@_intrinsic
def every(typingctx: Any, number: Any) -> Any:
    """Return a vector that holds a number in each lane."""
    if not isinstance(number, types.Float):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _every(context.get_data_type(Vector(number)), builder, args[0])

    return signature(Vector(number), number), generate


@_intrinsic
def join_bits(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return vectors' bits, joined by or: 0 or -0 where all three are."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        whole = ir.IntType(32 if isinstance(kind.element, ir.FloatType) else 64)
        bits = [builder.bitcast(arg, ir.VectorType(whole, LANES)) for arg in args]
        return builder.bitcast(builder.or_(builder.or_(bits[0], bits[1]), bits[2]), kind)

    return (signature(a, a, b, c), generate) if isinstance(a, Vector) and a == b == c else None


@_intrinsic
def is_nonzero(typingctx: Any, a: Any) -> Any:
    """Return 1 where a lane is not 0 (so too where it is NaN), 0 elsewhere."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        zero, one = ir.Constant(kind, None), _every(kind, builder, ir.Constant(kind.element, 1.0))
        return builder.select(builder.fcmp_unordered("!=", args[0], zero), one, zero)

    return (signature(a, a), generate) if isinstance(a, Vector) else None


@_intrinsic
def less(typingctx: Any, a: Any, b: Any) -> Any:
    """Return 1 where a lane is less than the other's, 0 elsewhere (so too where one is NaN)."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        one = _every(kind, builder, ir.Constant(kind.element, 1.0))
        return builder.select(builder.fcmp_ordered("<", *args), one, ir.Constant(kind, None))

    return (signature(a, a, b), generate) if isinstance(a, Vector) and a == b else None


@_intrinsic
def where_zero(typingctx: Any, mask: Any, a: Any) -> Any:
    """Return a vector where another is 0, and 0 elsewhere."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("==", args[0], zero), args[1], zero)

    return (signature(a, mask, a), generate) if isinstance(a, Vector) and a == mask else None


@_intrinsic
def any_nonzero(typingctx: Any, a: Any) -> Any:
    """Return whether any lane is not 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        unequal = builder.fcmp_unordered("!=", args[0], ir.Constant(args[0].type, None))
        lanes = builder.bitcast(unequal, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 0))

    return (signature(types.boolean, a), generate) if isinstance(a, Vector) else None


@_intrinsic
def round_bits(typingctx: Any, a: Any) -> Any:
    """Round float64 to 24 significant bits, half to even: `moments.with_float32_bits`."""
    if not (isinstance(a, Vector) and a.of == types.float64):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = ir.VectorType(ir.IntType(64), LANES)

        def number(value: int) -> Any:
            return ir.Constant(whole, [value] * LANES)

        bits = builder.bitcast(args[0], whole)
        odd = builder.and_(builder.lshr(bits, number(DROPPED_BITS)), number(1))
        bits = builder.add(bits, builder.add(odd, number(2 ** (DROPPED_BITS - 1) - 1)))
        bits = builder.and_(bits, number(-(2**DROPPED_BITS)))
        return builder.bitcast(bits, args[0].type)

    return signature(a, a), generate


@_intrinsic
def fetch(typingctx: Any, array: Any, at: Any) -> Any:
    """Tell the processor that entry ``at`` of a contiguous array will be read soon.

    An entry beyond the array's end is not an error.
    """
    if not _flat(array):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        place = builder.bitcast(_place(context, builder, array, *args), byte)
        # To read, into the second level: the first is full of sums.
        builder.call(function, [place, number(0), number(2), number(1)])
        return context.get_dummy_value()

    return signature(types.none, array, at), generate


def _every(kind: Any, builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)
