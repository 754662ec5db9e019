"""The loss that PyTorch reaches on tinyshakespeare in nanoGPT's CPU setting, as a yardstick.

  python tiny_shakespeare.py tinyshakespeare.txt.gz --seeds 3

Characters as tokens, the first 90 % for training; 4 layers, 4 heads, 128 wide, context 64, batch
12, 2,000 steps, no dropout, AdamW (0.9, 0.99), weight decay 0.1 on matrices, clipping at 1,
learning rate 1e-3 after 100 steps of warm-up, by a cosine to 1e-4. Validation is the mean over the
whole split in consecutive windows, not over random samples. Prints one JSON line for each seed.
"""

import argparse
import gzip
import json
import math
import pathlib
import statistics
import time

import numpy
import torch

from pytorch_gpt2_step import Gpt2

LAYERS, HEADS, WIDTH, LENGTH, BATCH, STEPS, WARMUP = 4, 4, 128, 64, 12, 2000, 100
PEAK, FINAL = 1e-3, 1e-4


def read_characters(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        text = numpy.frombuffer(file.read(), dtype=numpy.uint8)
    alphabet, tokens = numpy.unique(text, return_inverse=True)
    split = int(0.9 * len(tokens))
    tokens = torch.from_numpy(tokens.astype(numpy.int64))
    return tokens[:split], tokens[split:], len(alphabet)


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return FINAL + 0.5 * (PEAK - FINAL) * (1 + math.cos(math.pi * progress))


def make_model(vocabulary):
    model = Gpt2(LAYERS, HEADS, WIDTH, LENGTH, vocabulary)
    for name, parameter in model.named_parameters():
        if name.endswith(("projection.weight", "contract.weight")):
            torch.nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS))
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    return model


def train(tokens, vocabulary, seed):
    torch.manual_seed(seed)
    model = make_model(vocabulary)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99))
    for step in range(STEPS):
        starts = torch.randint(len(tokens) - LENGTH, (BATCH,))
        rows = torch.stack([tokens[start : start + LENGTH + 1] for start in starts.tolist()])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.zero_grad(set_to_none=True)
        model(rows[:, :-1], rows[:, 1:].contiguous()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def validation_loss(model, tokens):
    windows = (len(tokens) - 1) // LENGTH
    inputs = tokens[: windows * LENGTH].view(windows, LENGTH)
    targets = tokens[1 : windows * LENGTH + 1].view(windows, LENGTH)
    parts = list(zip(inputs.split(64), targets.split(64)))
    return sum(model(x, y).item() * x.numel() for x, y in parts) / (windows * LENGTH)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training, validation, vocabulary = read_characters(arguments.text)
    losses = []
    for seed in range(1, arguments.seeds + 1):
        start = time.perf_counter()
        model = train(training, vocabulary, seed)
        seconds = time.perf_counter() - start
        losses.append(validation_loss(model, validation))
        print(json.dumps({
            "seed": seed, "validation_loss": losses[-1], "training_seconds": seconds,
            "tokens_per_second": STEPS * BATCH * LENGTH / seconds}), flush=True)
    print(json.dumps({"mean_validation_loss": statistics.mean(losses)}))


if __name__ == "__main__":
    main()
