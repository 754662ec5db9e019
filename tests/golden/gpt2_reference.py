"""GPT-2 in plain PyTorch, in any float type: the oracle of the golden vectors.

Weights are a dictionary of Hugging Face names ("transformer.h.0.attn.c_attn.weight", shape
(in, out)). The head is "lm_head.weight" (V, C) where the model has one of its own, otherwise the
token embedding.
Sources: Radford et al. 2019; Hendrycks and Gimpel 2016 (GELU, tanh form).
"""

import dataclasses

import numpy
import torch
import torch.nn.functional as F

IGNORED = -100


@dataclasses.dataclass(frozen=True)
class Shape:
    layers: int
    heads: int
    width: int
    context_length: int
    vocabulary_size: int
    tied_head: bool
    layernorm_epsilon: float = 1e-5

    def config_json(self):
        """config.json of a Hugging Face model directory."""
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": self.layers,
            "n_head": self.heads,
            "n_embd": self.width,
            "n_inner": None,
            "n_positions": self.context_length,
            "n_ctx": self.context_length,
            "vocab_size": self.vocabulary_size,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": self.layernorm_epsilon,
            "tie_word_embeddings": self.tied_head,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "resid_pdrop": 0.0,
        }


def parameter_shapes(shape):
    """Name -> extents, in the order of the network."""
    c = shape.width
    shapes = {
        "transformer.wte.weight": (shape.vocabulary_size, c),
        "transformer.wpe.weight": (shape.context_length, c),
    }
    for layer in range(shape.layers):
        block = f"transformer.h.{layer}."
        shapes |= {
            block + "ln_1.weight": (c,),
            block + "ln_1.bias": (c,),
            block + "attn.c_attn.weight": (c, 3 * c),
            block + "attn.c_attn.bias": (3 * c,),
            block + "attn.c_proj.weight": (c, c),
            block + "attn.c_proj.bias": (c,),
            block + "ln_2.weight": (c,),
            block + "ln_2.bias": (c,),
            block + "mlp.c_fc.weight": (c, 4 * c),
            block + "mlp.c_fc.bias": (4 * c,),
            block + "mlp.c_proj.weight": (4 * c, c),
            block + "mlp.c_proj.bias": (c,),
        }
    shapes |= {"transformer.ln_f.weight": (c,), "transformer.ln_f.bias": (c,)}
    if not shape.tied_head:
        shapes["lm_head.weight"] = (shape.vocabulary_size, c)
    return shapes


def random_weights(shape, seed, scale):
    """float32 weights drawn by PCG64 of numpy, which repeats on every machine. Gains vary around
    1 and biases around 0, so that no term of the forward or backward pass meets a zero factor."""
    generator = numpy.random.default_rng(seed)
    weights = {}
    for name, extents in parameter_shapes(shape).items():
        values = scale * generator.standard_normal(extents)
        if ".ln_" in name and name.endswith(".weight"):
            values += 1.0
        weights[name] = values.astype(numpy.float32)
    return weights


def initial_weights(shape, seed):
    """GPT-2's initialisation: normal with deviation 0.02, residual projections divided by
    sqrt(2 x layers), gains 1, biases 0."""
    generator = numpy.random.default_rng(seed)
    weights = {}
    for name, extents in parameter_shapes(shape).items():
        if len(extents) == 1:
            values = numpy.full(extents, 1.0 if name.endswith(".weight") else 0.0)
        else:
            values = 0.02 * generator.standard_normal(extents)
            if name.endswith("c_proj.weight"):
                values /= numpy.sqrt(2.0 * shape.layers)
        weights[name] = values.astype(numpy.float32)
    return weights


def parameters(weights, dtype):
    """Leaves that collect gradients, in the given float type."""
    return {
        name: torch.from_numpy(values).to(dtype).clone().requires_grad_(True)
        for name, values in weights.items()
    }


def forward(shape, w, tokens):
    """Logits (B, T, V) of tokens (B, T)."""
    batch, length = tokens.shape
    c, head_dim, epsilon = shape.width, shape.width // shape.heads, shape.layernorm_epsilon

    def norm(x, name):
        return F.layer_norm(x, (c,), w[name + ".weight"], w[name + ".bias"], epsilon)

    def linear(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    x = w["transformer.wte.weight"][tokens] + w["transformer.wpe.weight"][:length]
    for layer in range(shape.layers):
        block = f"transformer.h.{layer}."
        qkv = linear(norm(x, block + "ln_1"), block + "attn.c_attn")
        q, k, v = qkv.view(batch, length, 3, shape.heads, head_dim).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(attended.transpose(1, 2).reshape(batch, length, c), block + "attn.c_proj")
        hidden = F.gelu(linear(norm(x, block + "ln_2"), block + "mlp.c_fc"), approximate="tanh")
        x = x + linear(hidden, block + "mlp.c_proj")
    head = w["transformer.wte.weight" if shape.tied_head else "lm_head.weight"]
    return norm(x, "transformer.ln_f") @ head.T


def loss_sum(logits, targets):
    """Sum over the targets that count, in nats."""
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def distance(value, exact):
    """How far a float32 result lies from the float64 one."""
    difference = value.double() - exact
    norm = exact.norm().item()
    return {
        "max_abs": difference.abs().max().item(),
        "relative_l2": difference.norm().item() / norm if norm > 0 else 0.0,
        "norm": norm,
    }
