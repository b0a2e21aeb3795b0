"""Reading a model's graph as far as to know that nothing in it is unknown here.

ONNX Runtime runs whatever operators a file names: loops without an end, weights out of files that
no hash covers. So the file is walked once before it is loaded. Its format is Protocol Buffers:
a message is a row of fields, each a tag (number x 8 + how its value is stored) and a value. What is
not listed here is refused, so that there is nothing that ONNX Runtime reads and this does not.
`onnx` itself would cost a start a third of a second.
"""

from __future__ import annotations

import math

from handler.errors import ArtefactError
from handler.inference.checks import show

# Operators that a bundle may have, one list for all recipes. Those of a new layer kind are added
# here. Left out are graphs inside of nodes (If, Loop, Scan), state, chance, texts, and what makes
# a tensor as large as a number says (ConstantOfShape, Expand, Range, Tile, Resize, OneHot).
OPERATORS = frozenset(
    # numbers and comparisons
    "Abs Add And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Clip Cos Div Equal "
    "Erf Exp Floor Greater GreaterOrEqual Identity IsNaN Less LessOrEqual Log Max Mean Min Mod Mul "
    "Neg Not Or Pow Reciprocal Round Sign Sin Sqrt Sub Sum Where Xor "
    # activations and normalizations
    "Elu Gelu HardSigmoid HardSwish LayerNormalization LeakyRelu LogSoftmax PRelu Relu Selu "
    "Sigmoid Softmax Softplus Softsign Tanh "
    # shapes and places
    "Concat Constant CumSum Flatten Gather GatherElements GatherND Pad Reshape ScatterND Shape "
    "Slice Split Squeeze TopK Transpose Trilu Unsqueeze ArgMax ArgMin "
    # sums, products, layers
    "AveragePool BatchNormalization Conv GlobalAveragePool GlobalMaxPool GRU Gemm LSTM MatMul "
    "MaxPool ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum RNN "
    # integers
    "ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QuantizeLinear "
    # ONNX Runtime's own, which its optimizer and our quantization write
    "com.microsoft.Attention com.microsoft.BiasGelu com.microsoft.DynamicQuantizeLSTM "
    "com.microsoft.DynamicQuantizeMatMul com.microsoft.FastGelu com.microsoft.FusedConv "
    "com.microsoft.FusedGemm com.microsoft.FusedMatMul com.microsoft.Gelu "
    "com.microsoft.MatMulIntegerToFloat com.microsoft.QAttention com.microsoft.QuickGelu "
    "com.microsoft.SkipLayerNormalization".split()
)
# Fields that a message may have (onnx.proto): tag -> name, "" of what is passed over.
MODEL = {0x08: "", 0x12: "", 0x1A: "", 0x22: "", 0x28: "", 0x32: "", 0x42: "", 0x3A: "graph"}
GRAPH = {0x12: "", 0x52: "", 0x5A: "", 0x62: "", 0x6A: "", 0x0A: "node", 0x2A: "initializer"}
NODE = {0x0A: "", 0x12: "", 0x1A: "", 0x32: ""}
NODE |= {0x22: "op_type", 0x2A: "attribute", 0x3A: "domain"}
# Neither a graph (g, graphs), a sparse tensor nor a type.
ATTRIBUTE = {0x0A: "", 0x15: "", 0x18: "", 0x22: "", 0x3A: "", 0x3D: "", 0x40: "", 0x42: ""}
ATTRIBUTE |= {0x4A: "", 0x6A: "", 0xA0: "", 0x2A: "tensor"}
# Not external_data: ONNX Runtime would read it from the working folder.
TENSOR = {0x42: "", 0x62: "", 0x08: "dims", 0x10: "data_type", 0x22: "float_data"}
TENSOR |= {0x2A: "int32_data", 0x3A: "int64_data", 0x4A: "raw_data", 0x52: "double_data"}
TENSOR |= {0x5A: "uint64_data", 0x70: "data_location"}
TYPED_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
# Bytes of an element: float, uint8, int8, uint16, int16, int32, int64, bool, float16, double,
# uint32, uint64. Texts and complex numbers are in no graph of ours.
ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
# A typed element takes a byte or more of the file and up to eight of memory. ONNX Runtime writes
# raw ones; a few small constants come typed.
MAX_TYPED_ELEMENTS = 65_536
MAX_DIMS = 8  # of a tensor; a convolution's weights have 4
MAX_FIELDS = 200_000  # in all messages together: a tenth of a second; the shipped graph has 2,600
AS_BYTES, AT_FULL_WIDTH = 2, 5  # how a value is stored: after its length; as a float32

Field = tuple[str, int, int]  # name; value, or where the value begins; where it ends


def check_graph(model: bytes) -> None:
    """Check that `model` is an ONNX model of known operators, whose weights are all inside.

    Raises:
        ArtefactError: It is not; says what was found.
    """
    reader = _Reader(model)
    try:
        graphs = [field for field in reader.read(0, len(model), MODEL) if field[0] == "graph"]
        if len(graphs) != 1:
            raise ArtefactError(f"has {len(graphs)} graphs, wanted one ONNX graph.")
        for name, begin, end in reader.read(*graphs[0][1:], GRAPH):
            if name == "node":
                _check_node(reader, begin, end)
            elif name == "initializer":
                _check_tensor(reader, begin, end)
    except (IndexError, UnicodeDecodeError) as error:
        raise ArtefactError("is no ONNX model, or is damaged.") from error


def name_operator(domain: str, op_type: str) -> str:
    """Return an operator as OPERATORS has it: "Add", "com.microsoft.FusedGemm"."""
    return f"{domain}.{op_type}" if domain else op_type


class _Reader:
    """The fields of messages in one file, which may have so many in all."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fields_left = MAX_FIELDS

    def read(self, position: int, end: int, known: dict[int, str]) -> list[Field]:
        """Return the fields that are named; IndexError if they do not end at `end`."""
        data = self.data
        fields: list[Field] = []
        left = self._fields_left
        while position < end and left >= 0:
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = self._read_number(position - 1)
            name = known.get(tag)
            if name is None:
                raise ArtefactError(
                    f"is no ONNX model, or has a field {tag >> 3} that no graph of Minnow's has: "
                    "functions, inner graphs, sparse or external tensors are not read."
                )
            stored = tag & 7
            if stored == AT_FULL_WIDTH:
                value, position = position, position + 4
            else:
                value = data[position]
                position += 1
                if value > 127:
                    value, position = self._read_number(position - 1)
                if stored == AS_BYTES:
                    value, position = position, position + value
            if name:
                fields.append((name, value, position))
            left -= 1
        if left < 0:
            raise ArtefactError(f"has over {MAX_FIELDS} fields, wanted a small graph.")
        if position != end:
            raise IndexError
        self._fields_left = left
        return fields

    def read_text(self, start: int, end: int) -> str:
        return self.data[start:end].decode()

    def _read_number(self, position: int) -> tuple[int, int]:
        """Return a number of up to ten bytes, the lowest seven bits first, and where it ends."""
        number = shift = 0
        while shift < 70:
            byte = self.data[position]
            position += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number, position
            shift += 7
        raise IndexError


def _check_node(reader: _Reader, start: int, end: int) -> None:
    domain = op_type = ""
    for name, value, stop in reader.read(start, end, NODE):
        if name == "op_type":
            op_type = reader.read_text(value, stop)
        elif name == "domain":
            domain = reader.read_text(value, stop)
        elif name == "attribute":
            for _, first, last in reader.read(value, stop, ATTRIBUTE):
                _check_tensor(reader, first, last)
    operator = name_operator(domain, op_type)
    if operator not in OPERATORS:
        raise ArtefactError(
            f"has the operator {show(operator)}, which is none that a bundle may have "
            "(handler/inference/graph.py lists them)."
        )


def _check_tensor(reader: _Reader, start: int, end: int) -> None:
    """Refuse a tensor that takes more memory than the file gives it, or lies elsewhere."""
    dims: list[int] = []
    data_type, raw, typed = 0, -1, 0
    for name, value, stop in reader.read(start, end, TENSOR):
        if name == "dims":
            dims.append(value)
        elif name == "data_type":
            data_type = value
        elif name == "raw_data":
            raw = stop - value
        elif name in TYPED_DATA:
            typed += stop - value
        elif name == "data_location" and value:
            raise ArtefactError("has a tensor in another file, wanted all weights inside.")
    if len(dims) > MAX_DIMS:
        raise ArtefactError(f"has a tensor of {len(dims)} dimensions, wanted at most {MAX_DIMS}.")
    if data_type not in ELEMENT_BYTES:
        raise ArtefactError(f"has a tensor of the type {data_type}, wanted plain numbers.")
    elements = math.prod(dims)
    is_whole = elements * ELEMENT_BYTES[data_type] == raw and not typed
    if not is_whole and (raw >= 0 or elements > min(typed, MAX_TYPED_ELEMENTS)):
        raise ArtefactError(
            f"has a tensor of {show(elements)} numbers that has another size in the file."
        )
