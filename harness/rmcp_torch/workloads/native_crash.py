"""Operators that really crash some PyTorch: real signals without a GPU, fixed in later versions.

With two runtimes side by side these rows give a true comparison: the older torch dies, the newer one raises
or computes. All run on the CPU; all but `depthwise-wide-kernel` get arguments that the documentation forbids.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

import torch


def _mkldnn_groups() -> Any:
    """Groups that do not fit the weight: integer division by zero in the mkldnn wrapper of torch 1.13."""
    return torch.mkldnn_convolution(torch.randn(1, 4, 8, 8), torch.randn(4, 4, 3, 3), None, [1], [1], [1], 1)


def _channel_shuffle() -> Any:
    """groups = 0: SIGFPE in torch 1.13, an exception later."""
    return torch.native_channel_shuffle(torch.randn(1, 4, 8, 8), 0)


def _reorder_weight() -> Any:
    """A weight reordered with 0 groups and stride 0: SIGFPE in 1.13 and in 2.13."""
    return torch.ops.aten.mkldnn_reorder_conv2d_weight(torch.randn(2, 2, 3, 3).to_mkldnn(), [0], [0], [0], 0)


def _qkv_heads() -> Any:
    """Attention with 0 heads: SIGFPE in 1.13 and in 2.13."""
    return torch._transform_bias_rescale_qkv(torch.randn(1, 3, 12), torch.randn(12), 0)


def _sparse_coo() -> Any:
    """An index far outside a sparse tensor, made dense: refused by 1.13, SIGSEGV in 2.13."""
    index = torch.tensor([[10**7]])
    return torch.sparse_coo_tensor(index, torch.tensor([1.0]), (3,)).to_dense()


def _sparse_csr() -> Any:
    """Row pointers beyond the values of a CSR matrix: SIGSEGV in 1.13."""
    pointers, index = torch.tensor([0, 10**6]), torch.tensor([0])
    matrix = torch._sparse_csr_tensor_unsafe(pointers, index, torch.tensor([1.0]), (1, 1))
    return matrix.matmul(torch.randn(1, 1))


def _depthwise_wide() -> Any:
    """A sound bfloat16 depthwise convolution, channels last, with a kernel 1 x 16: in 2.13 oneDNN's code generator
    (jit_brdgmm_kernel_base_t::brdgmm_microkernel) never ends on a CPU with AVX512_BF16, seen with 8 and 16 channels
    and every width from 15 that was tried; float16 does the same on one with AVX512_FP16, in both layouts. Right
    in 1.13.1."""
    x, weight = torch.randn(4, 16, 1, 80), torch.randn(16, 1, 1, 16)
    x, weight = (each.bfloat16().contiguous(memory_format=torch.channels_last) for each in (x, weight))
    return torch.nn.functional.conv2d(x, weight, padding=(0, 8), groups=16)


OPERATORS: Dict[str, Callable[[], Any]] = {
    "mkldnn-convolution": _mkldnn_groups,
    "native-channel-shuffle": _channel_shuffle,
    "mkldnn-reorder-weight": _reorder_weight,
    "qkv-zero-heads": _qkv_heads,
    "sparse-coo-index": _sparse_coo,
    "sparse-csr-pointers": _sparse_csr,
    "depthwise-wide-kernel": _depthwise_wide,
}


def run(ctx: Any, operator: str) -> None:
    """Call one of the operators; a clean exception is its own outcome (`error`). ValueError for another name."""
    found = OPERATORS.get(operator)
    if found is None:
        raise ValueError("operator %r is none of %s" % (operator, ", ".join(OPERATORS)))
    ctx.phase("launch")
    found()
    ctx.metric("survived", True)
