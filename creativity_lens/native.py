"""Running a bridged model by transformers' own code, while nobody looks inside its blocks.

The bridge computes attention and norms itself, without fused kernels, so that every number in a block can be hooked.
The layer sweep needs the residual stream between blocks only. For that the blocks' own code is up to a third faster and
holds no matrix of attention patterns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class Native:
    """The bridge's components inside the blocks, which step aside and come back. Hooks of the blocks stay in force."""

    def __init__(self, bridge: Any) -> None:
        self._inner = [found for block in bridge.blocks for found in _components(block.original_component)]
        self._hookable = [module for *_, component, _ in self._inner for module in component.modules()]
        configs = {id(module.config): module.config for module in bridge.original_model.modules() if _is_eager(module)}
        self._configs = list(configs.values())
        self._attention = bridge.original_model.get_correct_attn_implementation(None)  # transformers' default for it
        self._biases = _added_biases(bridge.original_model.get_output_embeddings())

    @contextmanager
    def run(self) -> Iterator[None]:
        """Inside, blocks run without the bridge's components; with them, while there is a hook on one of them."""
        if any(module._forward_hooks or module._backward_hooks for module in self._hookable):
            yield
            return
        try:
            for config in self._configs:
                config._attn_implementation = self._attention
            for parent, name, _, original in self._inner:
                parent._modules[name] = original
            for buffers, name, _ in self._biases:
                buffers[name] = None
            yield
        finally:
            for parent, name, component, _ in self._inner:
                parent._modules[name] = component
            for buffers, name, bias in self._biases:
                buffers[name] = bias
            for config in self._configs:
                config._attn_implementation = "eager"


def _components(parent: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, nn.Module]]:
    """Where components stand in for modules: the module that holds one, its name, the component, the original."""
    for name, child in parent.named_children():
        original = getattr(child, "original_component", None)
        if original is not None:
            yield parent, name, child, original
        yield from _components(child if original is None else original)


def _is_eager(module: nn.Module) -> bool:
    return getattr(getattr(module, "config", None), "_attn_implementation", None) == "eager"


def _added_biases(head: nn.Module) -> list[tuple[dict[str, Any], str, Any]]:
    """The zeros that the bridge adds to logits as a buffer: adding them costs a pass over rows x vocabulary."""
    return [
        (module._buffers, name, value)
        for module in head.modules()
        for name, value in module._buffers.items()
        if name == "bias" and value is not None and not value.any()
    ]
