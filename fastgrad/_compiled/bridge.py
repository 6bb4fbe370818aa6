"""Between Python and compiled code: an objective as an address, its extra arguments as a block of memory.

Kernels get two integers for an objective: the address of its compiled wrapper ``(x, block) -> float64``, for a vector
function ``(x, out, block) -> int64``, and the address of the block that holds its extra arguments. So a kernel has one
signature for every objective with every kind of arguments: it is compiled once, lives in the disk cache, and a launch
costs about a microsecond, where a Numba function type costs 20 us and one compilation per kind of arguments.

This room leans on Numba's calling convention and data models, the same calls that Numba makes for its own
first-class functions. Nothing else in the package does.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core.cgutils import unpack_tuple
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload

from fastgrad._compiled.jit import kernel


def evaluate(function: Any, block: Any, point: Any) -> tuple[float, int]:
    """Value of the objective at `point` and 0, or (nan, 1) if it raised.

    This body serves an objective that is a Python callable (or NUMBA_DISABLE_JIT=1); compiled kernels get the
    overload below. Exceptions become a status because inside a parallel loop they would be lost.
    """
    try:
        return float(function(point)), 0
    except Exception:
        return float("nan"), 1


@overload(evaluate)
def _evaluate_compiled(function, block, point):
    def call(function, block, point):
        return _call_objective(function, block, point)

    return call


@intrinsic
def _call_objective(typingctx: Any, function: Any, block: Any, point: Any) -> Any:
    returned = types.Tuple((types.float64, types.int64))

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, block_address, point_value = values
        arguments = ((point, point_value), (types.intp, block_address))
        value, is_error = _call_wrapper(context, builder, address, types.float64, arguments)
        nan = ir.Constant(ir.DoubleType(), float("nan"))
        value = builder.select(is_error, nan, value)
        raised = builder.zext(is_error, ir.IntType(64))
        return context.make_tuple(builder, returned, (value, raised))

    return returned(types.intp, types.intp, point), generate


def evaluate_into(function: Any, block: Any, point: Any, out: Any) -> int:
    """Values of a vector function at `point`, into `out` if they fit; how many they are, or -1 if it raised.

    As `evaluate`, for functions of Python and for compiled ones.
    """
    try:
        return int(function(point, out))
    except Exception:
        return -1


@overload(evaluate_into)
def _evaluate_into_compiled(function, block, point, out):
    def call(function, block, point, out):
        return _call_vector_function(function, block, point, out)

    return call


@intrinsic
def _call_vector_function(typingctx: Any, function: Any, block: Any, point: Any, out: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, block_address, point_value, out_value = values
        arguments = ((point, point_value), (out, out_value), (types.intp, block_address))
        size, is_error = _call_wrapper(context, builder, address, types.int64, arguments)
        return builder.select(is_error, ir.Constant(ir.IntType(64), -1), size)

    return types.int64(types.intp, types.intp, point, out), generate


def _call_wrapper(context: Any, builder: Any, address: Any, returned: Any, arguments: Any) -> tuple[Any, Any]:
    """Call what lives at an address, with (type, value) pairs: its value, and whether it raised."""
    kinds = tuple(kind for kind, _ in arguments)
    pointer = builder.inttoptr(address, context.call_conv.get_function_type(returned, kinds).as_pointer())
    status, value = context.call_conv.call_function(
        builder, pointer, returned, kinds, tuple(value for _, value in arguments)
    )
    with builder.if_then(status.is_python_exc, likely=False):  # raised by Python code that f called
        api = context.get_python_api(builder)
        state = api.gil_ensure()
        api.err_clear()
        api.gil_release(state)
    return value, status.is_error


def load_shape(dimension: int) -> Any:
    """An intrinsic ``(block) -> shape``, for the wrapper of an objective: what a Block begins with."""
    shape = types.UniTuple(types.intp, dimension)

    @intrinsic
    def load(typingctx: Any, block: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return _load(context, builder, shape, values[0])

        return shape(types.intp), generate

    return load


def load_arguments(held: Any) -> Any:
    """An intrinsic ``(x, block) -> (x, *args)`` for a Block that holds (shape, *args), of type `held`.

    With x in front, because Numba takes a tuple that begins with a compiled function for one of function types.
    """

    @intrinsic
    def load(typingctx: Any, x: Any, block: Any) -> Any:
        returned = types.BaseTuple.from_types((x, *tuple(held)[1:]))

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _, *args = unpack_tuple(builder, _load(context, builder, held, values[1]))
            value = context.make_tuple(builder, returned, (values[0], *args))
            return impl_ret_borrowed(context, builder, returned, value)

        return returned(x, types.intp), generate

    return load


def _load(context: Any, builder: Any, kind: Any, address: Any) -> Any:
    model = context.data_model_manager[kind]
    pointer = builder.inttoptr(address, model.get_data_type().as_pointer())
    return model.load_from_data_pointer(builder, pointer)


class Block:
    """The native form of a tuple (shape, *args), of type `held`, owned from construction until collection."""

    def __init__(self, arguments: tuple[Any, ...], held: Any) -> None:
        # Now, because a collection, and with it the release, can come at any moment of another compilation.
        if (held, types.intp) not in _release.overloads:
            _release.compile((held, types.intp))
        self._arguments = arguments
        self._memory = np.zeros(_size_of(arguments) // 8 + 1)
        self.address = self._memory.ctypes.data
        _store(arguments, self.address)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            _release(self._arguments, self.address)


@intrinsic
def _native_size(typingctx: Any, arguments: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.data_model_manager[signature.args[0]].get_data_type()
        return context.get_constant(types.intp, context.get_abi_sizeof(data))

    return types.intp(arguments), generate


@intrinsic
def _store_native(typingctx: Any, arguments: Any, block: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.args[0]
        model = context.data_model_manager[kind]
        context.nrt.incref(builder, kind, values[0])
        pointer = builder.inttoptr(values[1], model.get_data_type().as_pointer())
        builder.store(model.as_data(builder, values[0]), pointer)
        return context.get_dummy_value()

    return types.void(arguments, types.intp), generate


@intrinsic
def _release_native(typingctx: Any, arguments: Any, block: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = signature.args[0]
        model = context.data_model_manager[kind]
        pointer = builder.inttoptr(values[1], model.get_data_type().as_pointer())
        context.nrt.decref(builder, kind, model.load_from_data_pointer(builder, pointer))
        return context.get_dummy_value()

    return types.void(arguments, types.intp), generate


@kernel()
def _size_of(arguments):
    return _native_size(arguments)


@kernel()
def _store(arguments, block):
    _store_native(arguments, block)


@kernel()
def _release(arguments, block):
    _release_native(arguments, block)


def type_of(value: Any) -> Any:
    """Numba's type of an argument, or None if compiled code cannot hold it for the length of a check."""
    try:
        kind = typeof(value)
    except (TypeError, ValueError, NotImplementedError):
        return None
    return kind if _outlives_call(kind) else None


def _outlives_call(kind: Any) -> bool:
    """Whether there is a native form that stays valid after the call that made it (not of lists and records)."""
    if isinstance(kind, types.BaseTuple):
        return all(_outlives_call(member) for member in kind)
    if isinstance(kind, types.Buffer):
        return isinstance(kind, types.Array | types.Bytes)
    return not isinstance(kind, types.List | types.Set | types.Record) and kind != types.float16
