"""Layers, losses and initial values: pure functions of tensors, without state.

Layouts are PyTorch's: images (N, C, H, W), sequences (N, C, L), weights (O, I, *window). What a
layer needs is an argument: parameters, a random key, statistics to normalise with.
"""

from autograd_core.nn import init
from autograd_core.nn.activation import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from autograd_core.nn.attention import (
    AttentionWeights,
    attention_weights,
    dot_product_attention,
    multi_head_attention,
)
from autograd_core.nn.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from autograd_core.nn.dropout import dropout
from autograd_core.nn.images import gather_images
from autograd_core.nn.linear import embedding, linear
from autograd_core.nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber,
    kl_divergence,
    l1,
    mse,
    nll,
    one_hot,
)
from autograd_core.nn.norm import (
    Statistics,
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    running_statistics,
)
from autograd_core.nn.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool,
    max_pool1d,
    max_pool2d,
)

__all__ = [
    "AttentionWeights",
    "Statistics",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "attention_weights",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dot_product_attention",
    "dropout",
    "elu",
    "embedding",
    "gather_images",
    "gelu",
    "global_avg_pool",
    "group_norm",
    "hardtanh",
    "huber",
    "init",
    "instance_norm",
    "kl_divergence",
    "l1",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse",
    "multi_head_attention",
    "nll",
    "one_hot",
    "relu",
    "running_statistics",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
