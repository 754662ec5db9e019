"""Times GPT-2's training step in stock PyTorch on the CPU, on made-up tokens.

  python pytorch_gpt2_step.py --batch 4 --length 256 --threads 2 --steps 10
  python pytorch_gpt2_step.py --implementation transformers
  python pytorch_gpt2_step.py --compile

Prints one JSON line when ready (parameters, versions), one for each step (milliseconds, tokens per
second, loss) and one at the end (median, peak resident memory). A step is zero_grad, forward, loss,
backward, AdamW; nothing is tuned beyond what a usual training script does: float32, SDPA, the
stock AdamW, two decay groups. With --step-on-input each step waits for a line on standard input, so
that another process can alternate it with a peer.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.contract(F.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """GPT-2 with a tied head (Radford et al. 2019)."""

    def __init__(self, layers, heads, width, context_length, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context_length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        positions = torch.arange(tokens.shape[1])
        x = self.blocks(self.tokens(tokens) + self.positions(positions))
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class TransformersGpt2(nn.Module):
    """transformers' GPT2LMHeadModel, asked for its loss."""

    def __init__(self, layers, heads, width, context_length, vocabulary):
        super().__init__()
        import transformers

        self.version = transformers.__version__
        self.model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            n_layer=layers, n_head=heads, n_embd=width, n_positions=context_length,
            vocab_size=vocabulary, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0,
            use_cache=False, bos_token_id=0, eos_token_id=0))

    def forward(self, tokens, targets):
        del targets  # the model shifts the labels by itself
        return self.model(tokens, labels=tokens).loss


def peak_resident_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def report(**values):
    print(json.dumps(values), flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--implementation", choices=("own", "transformers"), default="own")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--context-length", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5, help="timed steps")
    parser.add_argument("--warmup", type=int, default=0, help="untimed steps before the first")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--step-on-input", action="store_true")
    return parser.parse_args()


def make_optimizer(model):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8)


def main():
    arguments = parse_arguments()
    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    kind = Gpt2 if arguments.implementation == "own" else TransformersGpt2
    model = kind(arguments.layers, arguments.heads, arguments.width,
                 max(arguments.context_length, arguments.length), arguments.vocabulary)
    optimizer = make_optimizer(model)
    run = torch.compile(model) if arguments.compile else model
    shape = (arguments.batch, arguments.length + 1)

    def step():
        text = torch.randint(arguments.vocabulary, shape)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = run(text[:, :-1].contiguous(), text[:, 1:].contiguous())
        loss.backward()
        optimizer.step()
        value = loss.item()
        return 1e3 * (time.perf_counter() - start), value

    for _ in range(arguments.warmup):
        step()
    parameters = sum(p.numel() for p in model.parameters())
    report(event="ready", parameters=parameters, torch=torch.__version__,
           transformers=getattr(model, "version", None), threads=torch.get_num_threads(),
           cpu_capability=torch.backends.cpu.get_cpu_capability())
    times = []
    for index in range(arguments.steps):
        if arguments.step_on_input and not sys.stdin.readline():
            break
        milliseconds, loss = step()
        times.append(milliseconds)
        tokens_per_second = 1e3 * arguments.batch * arguments.length / milliseconds
        report(event="step", step=index, ms=milliseconds, tokens_per_second=tokens_per_second,
               loss=loss)
    report(event="done", median_ms=statistics.median(times) if times else None,
           peak_bytes=peak_resident_bytes())


if __name__ == "__main__":
    main()
