"""Changes to the graph that tf2onnx writes, one module a family.

The passes of `simplify` say the same in fewer nodes. The others, which `export/convert.py` applies
by name, give the graph what tf2onnx cannot know: where texts end (`recurrent.py`), and the names
by which it is used (`naming.py`).
"""

from __future__ import annotations

from export.graph import Graph
from export.passes.arithmetic import use_mod, use_where
from export.passes.comparisons import compare_integers
from export.passes.convolution import convolve_by_gemm
from export.passes.early_exit import skip_certain_rows
from export.passes.frames import frame_directly, unfold_directly
from export.passes.gathering import gather_column, gather_directly, mask_by_table, sort_directly
from export.passes.products import multiply_directly
from export.passes.recurrent import pool_directly


def simplify(graph: Graph) -> None:
    """Say in one node what tf2onnx says in many.

    Every result stays what it was; only `convolve_by_gemm` sums in another order, and rounds
    otherwise.

    Some passes build on others: `gather_directly` looks for the comparison that `compare_integers`
    leaves inside the Where that `use_where` leaves, and `unfold_directly` for the Gather that
    `gather_directly` leaves; `gather_column` looks for that too, and `skip_certain_rows` for all of
    them. The others may stand anywhere.
    """
    compare_integers(graph)
    use_where(graph)
    use_mod(graph)
    gather_directly(graph)
    mask_by_table(graph)
    sort_directly(graph)
    frame_directly(graph)
    unfold_directly(graph)
    convolve_by_gemm(graph)
    multiply_directly(graph)
    pool_directly(graph)
    gather_column(graph)
    skip_certain_rows(graph)
