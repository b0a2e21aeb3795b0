"""A layer kind is one module: nothing else in export names the layers or their nodes."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from keras import layers

from export.layers import KINDS, RECURRENT_KINDS, kind_of, kind_of_node

EXPORT = Path(__file__).parents[3] / "export"


def test_every_module_of_a_kind_is_listed_once():
    modules = [import_module(f"export.layers.{path.stem}") for path in EXPORT.glob("layers/*.py")]

    named = {module.NAME for module in modules if hasattr(module, "NAME")}

    assert sorted(kind.NAME for kind in KINDS) == sorted(named)


def test_no_node_type_belongs_to_two_kinds():
    types = [op_type for kind in KINDS for op_type in kind.NODE_TYPES]

    assert len(types) == len(set(types))
    assert [kind_of_node(op_type) for op_type in types] == [
        kind for kind in KINDS for _ in kind.NODE_TYPES
    ]
    assert kind_of_node("Relu") is None


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (layers.Embedding(3, 2), "Embedding"),
        (layers.Dense(3), "Dense"),
        (layers.Conv1D(3, 2), "Conv1D"),
        (layers.LSTM(3), "LSTM"),
        (layers.Bidirectional(layers.LSTM(3), merge_mode="sum"), "LSTM"),
        (layers.Bidirectional(layers.SimpleRNN(3)), "SimpleRNN"),
        (layers.GRU(3), "GRU"),
        (layers.MultiHeadAttention(2, 3), "MultiHeadAttention"),
        (layers.LayerNormalization(), "LayerNormalization"),
        (layers.LayerNormalization(axis=1), None),
        (layers.LayerNormalization(scale=False), None),
        (layers.SeparableConv1D(3, 2), None),
        (layers.Dropout(0.5), None),
    ],
)
def test_layer_is_of_its_kind(layer, name):
    kind = kind_of(layer)

    assert (kind and kind.NAME) == name


def names_in_code(path: Path) -> set[str]:
    """Return every name and text in a module's code, its docstrings apart."""
    tree = ast.parse(path.read_text("utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set() if id(node) in documents else {node.value}
        elif isinstance(node, ast.Name | ast.Attribute):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def test_recurrent_layers_are_named_by_their_kinds_alone():
    names = {word for kind in RECURRENT_KINDS for word in kind.NODE_TYPES}
    files = [path for path in EXPORT.rglob("*.py") if path.parent.name != "layers"]

    found = {
        path.name: text
        for path in files
        for text in names_in_code(path)
        if any(name in text for name in names)
    }

    assert len(files) > 10
    assert found == {}
