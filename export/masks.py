"""Where the masks of a Keras model go: the graph can do for them only what `sequence_lens` does.

A mask starts at an `Embedding(mask_zero=True)` or a `Masking` layer and is attached to a tensor.
Layers that work step by step pass it on, most others and all of `keras.ops` lose it, and some
layers read it. Conversion takes all masks out of the model. A recurrent layer gets the lengths of
the texts in place of the mask `token_ids != 0`; what else Keras does by a mask is refused here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from export.errors import ExportError
from export.layers import RECURRENT_KINDS, kind_of

# They read the masks of their inputs in call() without an argument for them.
READ_UNASKED = (keras.layers.Maximum, keras.layers.Minimum, keras.layers.Multiply)
# They have an argument for a mask, and read it in training only.
READ_IN_TRAINING = (keras.layers.BatchNormalization,)
# By these operations merging layers join the masks of their inputs, step by step.
JOINING = {"Any", "Concatenate", "ConvertToTensor", "ExpandDims", "LogicalOr"}
RECURRENT = " or ".join(kind.NAME for kind in RECURRENT_KINDS)
ADVICE = (
    "Train without masks (mask_zero=False), or compute with keras.ops from `token_ids != 0` what "
    "they should leave out."
)
Node = Any  # one call of an operation; Keras has no public name for it
Tensor = Any  # keras.KerasTensor


def check_masks(model: keras.Model) -> bool:
    """Say whether the recurrent layers of `model` skip padding, by the mask `token_ids != 0`.

    Raises:
        ExportError: A mask reaches a layer that reads it and is not recurrent; or the recurrent
            layers do not all read that mask where Keras made masks for them. The message names the
            layer, what reached it, and what to do.
    """
    skipping: list[Node] = []
    other: list[Node] = []
    for node in _calls(model):
        if not isinstance(node.operation, keras.Layer):
            continue
        _check_inner_layers(node.operation)
        masks = _masks_read(node)
        if _is_recurrent(node.operation):
            _check_token_masks(model, node, masks)
            (skipping if masks else other).append(node)
        elif masks:
            raise ExportError(
                f"{_say(node.operation)}: a mask reaches it from {_say(_find_origin(node, masks))}"
                f", and only {RECURRENT} layers are exported with a mask. {ADVICE}"
            )
        else:
            _check_reads_no_padding(node)
    for node in other:
        _check_needs_no_mask(node, skipping)
    return bool(skipping)


def _check_inner_layers(layer: keras.Layer) -> None:
    """Raise ExportError if masks are made inside `layer`, where they cannot be followed."""
    if isinstance(layer, (keras.Model, keras.layers.Wrapper)) and _makes_masks(layer.get_config()):
        raise ExportError(
            f"{_say(layer)}: masks are made inside it. Put its layers into the model itself, or "
            "train without masks (mask_zero=False)."
        )


def _makes_masks(config: Any) -> bool:
    if isinstance(config, Mapping):
        is_maker = config.get("mask_zero") is True or config.get("class_name") == "Masking"
        return is_maker or any(_makes_masks(part) for part in config.values())
    return isinstance(config, (list, tuple)) and any(_makes_masks(part) for part in config)


def _check_token_masks(model: keras.Model, node: Node, masks: list[Tensor]) -> None:
    """Raise ExportError if a recurrent layer reads a mask other than `token_ids != 0`."""
    if not all(_is_token_mask(mask, model.inputs[0]) for mask in masks):
        raise ExportError(
            f"{_say(node.operation)}: the mask that reaches it from "
            f"{_say(_find_origin(node, masks))} is not `token_ids != 0` of the model's own input, "
            "by which the graph knows where a text ends. Let an Embedding with mask_zero=True read "
            "token_ids, and nothing that changes the length stand behind it; or train without masks"
            " (mask_zero=False)."
        )


def _is_token_mask(mask: Tensor, token_ids: Tensor) -> bool:
    """Say whether `mask` is `token_ids != 0`, or joins such masks."""
    pending, seen = [mask], set()
    while pending:
        tensor = pending.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        node = _producer(tensor)
        name, axis = type(node.operation).__name__, getattr(node.operation, "axis", -1)
        # Zeros make a mask of one column as wide as what it belongs to.
        parts = [part for part in node.input_tensors if _producer_name(part) != "ZerosLike"]
        if name == "NotEqual":
            compared, number = node.arguments.args
            if not (_is_integer_of(compared, token_ids) and number is not None and number == 0):
                return False
        elif name in JOINING and axis in (-1, [-1], (-1,)) and parts:
            pending += parts
        else:
            return False
    return True


def _is_integer_of(tensor: Any, token_ids: Tensor) -> bool:
    if tensor is token_ids:
        return True
    is_cast = isinstance(tensor, keras.KerasTensor) and _producer_name(tensor) == "Cast"
    return (
        is_cast
        and tensor.dtype in ("int32", "int64")
        and _is_integer_of(_producer(tensor).input_tensors[0], token_ids)
    )


def _check_reads_no_padding(node: Node) -> None:
    """Raise ExportError if a layer loses a mask and reads what a recurrent layer left in padding.

    An operation of `keras.ops` may be the one that puts something else there.
    """
    if any(_has_mask(tensor) for tensor in node.output_tensors):
        return
    for tensor in _walk(node.input_tensors, is_masked=True):
        layer = _producer(tensor).operation
        # In a Bidirectional both directions have it alike.
        inner = getattr(layer, "forward_layer", layer)
        if _is_recurrent(layer) and not inner.zero_output_for_mask:
            raise ExportError(
                f"{_say(node.operation)}: reads what {_say(layer)} writes behind the end of a "
                "text, where Keras repeats the last state and the graph has zeros. Give "
                f"{layer.name} zero_output_for_mask=True, or train without masks "
                "(mask_zero=False)."
            )


def _check_needs_no_mask(node: Node, skipping: list[Node]) -> None:
    """Raise ExportError if a recurrent layer without a mask should have one, by Keras or by us."""
    for tensor in _walk(node.input_tensors, is_masked=False):
        producer = _producer(tensor)
        if _is_recurrent(producer.operation):
            continue  # it drops its mask together with all steps but the last
        if any(_has_mask(source) for source in producer.input_tensors):
            raise ExportError(
                f"{_say(node.operation)}: no mask reaches it, because {_say(producer.operation)} "
                "loses the mask of what it reads. Let only layers that pass masks on, such as "
                "Dropout, stand between them; or train without masks (mask_zero=False)."
            )
    if skipping:
        raise ExportError(
            f"{_say(node.operation)}: no mask reaches it, but one reaches "
            f"{_say(skipping[0].operation)}, and the graph gives the lengths of texts to all "
            f"{RECURRENT} layers or to none. Give the mask to all, or train without masks "
            "(mask_zero=False)."
        )


def _walk(tensors: Iterable[Tensor], is_masked: bool) -> Iterator[Tensor]:
    """Yield the tensors that have a mask, or those that have none, and in turn what they are made
    of that is alike, as far back as the next recurrent layer; each once."""
    pending, seen = list(tensors), set()
    while pending:
        tensor = pending.pop()
        if id(tensor) in seen or _has_mask(tensor) != is_masked:
            continue
        seen.add(id(tensor))
        yield tensor
        node = _producer(tensor)
        if not _is_recurrent(node.operation):
            pending += node.input_tensors


def _masks_read(node: Node) -> list[Tensor]:
    """Return the masks that the call of a layer reads.

    Those that it is given, else those of its inputs, as Keras fills them in: of one argument by
    `mask`, of several by arguments such as `query_mask`.
    """
    layer = node.operation
    if isinstance(layer, READ_IN_TRAINING):
        return []
    if isinstance(layer, READ_UNASKED):
        return _masks(node.input_tensors)
    signature = inspect.signature(layer.call)
    bound = signature.bind(*node.arguments.args, **node.arguments.kwargs)
    given, read = [], {}
    for name, value in bound.arguments.items():
        tensors = [
            part for part in keras.tree.flatten(value) if isinstance(part, keras.KerasTensor)
        ]
        if name == "mask" or (name.endswith("_mask") and name[:-5] in signature.parameters):
            given += tensors
        elif tensors:
            read[name] = tensors
    names = ["mask"] if len(read) == 1 else [f"{name}_mask" for name in read]
    filled_in = [
        mask
        for name, tensors in zip(names, read.values(), strict=True)
        if name in signature.parameters
        for mask in _masks(tensors)
    ]
    return given or filled_in


def _find_origin(node: Node, masks: list[Tensor]) -> Any:
    """Return the operation that made the masks which a call reads, or put them on a tensor."""
    found = (tensor for tensor in node.input_tensors if _has_mask(tensor))
    tensor = next(found, None)
    if tensor is None:
        return _producer(masks[0]).operation
    while True:
        maker = _producer(tensor)
        same = [source for source in maker.input_tensors if _mask(source) is _mask(tensor)]
        if not same:
            return maker.operation
        tensor = same[0]


def _calls(model: keras.Model) -> Iterator[Node]:
    """Yield each call in the model, after those whose results it reads."""
    by_depth = model._nodes_by_depth  # no public way leads to the calls
    for depth in sorted(by_depth, reverse=True):
        yield from by_depth[depth]


def _producer(tensor: Tensor) -> Node:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _producer_name(tensor: Tensor) -> str:
    return type(_producer(tensor).operation).__name__


def _mask(tensor: Tensor) -> Tensor | None:
    return getattr(tensor, "_keras_mask", None)


def _has_mask(tensor: Tensor) -> bool:
    return _mask(tensor) is not None


def _masks(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [_mask(tensor) for tensor in tensors if _has_mask(tensor)]


def _is_recurrent(operation: Any) -> bool:
    kind = kind_of(operation) if isinstance(operation, keras.Layer) else None
    return kind is not None and kind.IS_RECURRENT


def _say(operation: Any) -> str:
    return f"{operation.name} ({type(operation).__name__})"
