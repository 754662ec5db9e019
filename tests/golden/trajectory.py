"""200 optimizer steps in float64 and in float32: weight decay, clipping, accumulation, schedule.

Writes into trajectory/: config.json + model.safetensors (initial weights, float32),
final_float64.safetensors, final_float32.safetensors, and facts.json (settings; losses and gradient
norms of each step; how far float32 ends from float64).

torch.optim.AdamW and clip_grad_norm_ are used as they are; the latter adds 1e-6 to the norm, which
moves the final float64 weights by 4e-8 of their norm, a tenth of float32's rounding.
Batches are not stored: integers alone define them, so that any language repeats them.
  state <- state * 6364136223846793005 + 1442695040888963407 (mod 2^64), first state = seed
  draw(n) = advance, then (state >> 33) mod n
For each step, each micro-batch m = 0, 1, each of its sequences, in this order:
  tokens[0] = draw(V)
  tokens[i + 1] = draw(8) == 0 ? draw(V) : (5 tokens[i] + 7) mod V,  i = 0 .. T - 1
  ignored = m == 0 ? 0 : draw(T - 1);  the first `ignored` of the T targets do not count
So micro-batches hold unequal numbers of targets, and only a mean over the whole global batch comes
out right.
"""

import json
import math

import torch
from safetensors.numpy import save_file

import gpt2_reference as gpt2

SHAPE = gpt2.Shape(2, 2, 24, 16, 97, True)
SETTINGS = {
    "seed": 20190214,
    "steps": 200,
    "micro_batches": 2,
    "micro_sequences": 3,
    "length": 16,
    "learning_rate": 3.0e-3,
    "warmup_steps": 20,
    "final_fraction": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1.0e-8,
    "weight_decay": 0.1,
    "gradient_clip": 1.0,
}


class Generator:
    def __init__(self, seed):
        self.state = seed

    def draw(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def micro_batch(generator, index):
    """tokens and targets, each (B, T)."""
    length, vocabulary = SETTINGS["length"], SHAPE.vocabulary_size
    all_tokens, all_targets = [], []
    for _ in range(SETTINGS["micro_sequences"]):
        row = [generator.draw(vocabulary)]
        for i in range(length):
            follow = generator.draw(8) != 0
            row.append((5 * row[i] + 7) % vocabulary if follow else generator.draw(vocabulary))
        ignored = 0 if index == 0 else generator.draw(length - 1)
        all_tokens.append(row[:-1])
        all_targets.append([gpt2.IGNORED] * ignored + row[1 + ignored :])
    return torch.tensor(all_tokens), torch.tensor(all_targets)


def learning_rate(step):
    peak, warmup, final = (
        SETTINGS[key] for key in ("learning_rate", "warmup_steps", "final_fraction")
    )
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (SETTINGS["steps"] - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))


def run(weights, dtype):
    """Final weights; for each step the loss before the update and the norm before clipping."""
    w = gpt2.parameters(weights, dtype)
    decayed = [p for p in w.values() if p.dim() >= 2]
    others = [p for p in w.values() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": SETTINGS["weight_decay"]},
         {"params": others, "weight_decay": 0.0}],
        lr=0.0, betas=(SETTINGS["beta1"], SETTINGS["beta2"]), eps=SETTINGS["epsilon"],
    )
    generator = Generator(SETTINGS["seed"])
    losses, norms = [], []
    for step in range(SETTINGS["steps"]):
        batches = [micro_batch(generator, m) for m in range(SETTINGS["micro_batches"])]
        valid = sum((targets != gpt2.IGNORED).sum().item() for _, targets in batches)
        loss = 0.0
        for tokens, targets in batches:
            part = gpt2.loss_sum(gpt2.forward(SHAPE, w, tokens), targets) / valid
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(w.values(), SETTINGS["gradient_clip"])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
        norms.append(norm.item())
    final = {name: parameter.detach() for name, parameter in w.items()}
    return {"final": final, "losses": losses, "norms": norms, "generator_state": generator.state}


def without_key_bias(tensors):
    """A key's bias shifts all scores of a query alike, so no output depends on it: its gradient is
    rounding noise, which AdamW's division by its own size turns into steps. Distances are therefore
    given without it too."""
    width = SHAPE.width
    cut = {}
    for name, tensor in tensors.items():
        if name.endswith("c_attn.bias"):
            tensor = torch.cat([tensor[:width], tensor[2 * width :]])
        cut[name] = tensor
    return cut


def flattened(tensors):
    return torch.cat([tensor.double().flatten() for tensor in tensors.values()])


def distances(rounded, exact):
    """Of losses (over the steps) and of final weights."""
    gaps = [abs(a - b) for a, b in zip(rounded["losses"], exact["losses"])]
    return {
        "loss_max": max(gaps),
        "loss_rms": math.sqrt(sum(gap * gap for gap in gaps) / len(gaps)),
        "weights": gpt2.distance(flattened(rounded["final"]), flattened(exact["final"])),
        "weights_without_key_bias": gpt2.distance(
            flattened(without_key_bias(rounded["final"])),
            flattened(without_key_bias(exact["final"]))),
    }


def write(folder):
    folder.mkdir(exist_ok=True)
    weights = gpt2.initial_weights(SHAPE, seed=2)
    exact, rounded = run(weights, torch.float64), run(weights, torch.float32)
    (folder / "config.json").write_text(json.dumps(SHAPE.config_json(), indent=1) + "\n")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name, result in (("final_float64", exact), ("final_float32", rounded)):
        save_file({key: value.numpy() for key, value in result["final"].items()},
                  folder / f"{name}.safetensors")
    facts = SETTINGS | {
        "first_tokens": micro_batch(Generator(SETTINGS["seed"]), 0)[0][0].tolist(),
        "final_generator_state": str(exact["generator_state"]),
        "learning_rates": [learning_rate(step) for step in range(SETTINGS["steps"])],
        "losses_float64": exact["losses"],
        "losses_float32": rounded["losses"],
        "gradient_norms_float64": exact["norms"],
        "clipped_steps": sum(norm > SETTINGS["gradient_clip"] for norm in exact["norms"]),
        "pytorch_float32_distance": distances(rounded, exact),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
