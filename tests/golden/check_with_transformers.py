"""Holds a checkpoint that Ovid wrote against transformers, which loads it as it stands.

  python check_with_transformers.py CHECKPOINT --ovid build/release/ovid [--shard SHARD.bin]

1. from_pretrained finds every parameter and knows every one it finds.
2. Log-probabilities: `ovid eval` scores the shard (or made-up tokens) as a whole, and windows of it
   one by one; each loss must be transformers' within --tolerance. A window of two tokens is one
   log-probability, so that a wrong logit cannot hide in a mean.
3. Greedy text: `ovid generate --temperature 0` from several prompts chooses transformers' tokens; a
   different choice is let pass only where the two logits are closer than the tolerance.

Run by hand with PyTorch, transformers and numpy; exits with 1 where something differs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers

SHARD_MAGIC, SHARD_VERSION, HEADER_INTS = 20240520, 1, 256


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--ovid", default="build/release/ovid", help="the program under test")
    parser.add_argument("--shard", type=pathlib.Path, help="a token shard to score")
    parser.add_argument("--tokens", type=int, default=2048, help="how much of the shard to score")
    parser.add_argument("--windows", type=int, default=8, help="windows scored one by one")
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--tolerance", type=float, default=2e-5, help="in nats and in logits")
    return parser.parse_args()


def load(checkpoint):
    """The model, after a look at what from_pretrained says of its parameters."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint, output_loading_info=True, dtype=torch.float32)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if report.get(kind):
            raise SystemExit(f"FAILED: {kind}: {report[kind]}")
    print(f"loaded as {type(model).__name__}: tied={model.config.tie_word_embeddings}, "
          f"{sum(p.numel() for p in model.parameters()):,} parameters, no missing or unknown key")
    return model.eval()


def run_json(command):
    """The JSON lines that a program printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: {' '.join(map(str, command))}: exit code {done.returncode}\n"
                         f"{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def read_shard(path):
    header = numpy.fromfile(path, dtype="<i4", count=HEADER_INTS)
    if header.size != HEADER_INTS or header[0] != SHARD_MAGIC:
        raise SystemExit(f"FAILED: {path} is not a token shard")
    return numpy.fromfile(path, dtype="<u2", offset=4 * HEADER_INTS, count=header[2])


def write_shard(path, tokens):
    header = numpy.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = SHARD_MAGIC, SHARD_VERSION, len(tokens)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def made_up_tokens(count, vocabulary_size):
    return numpy.random.default_rng(5).integers(0, vocabulary_size, count).astype(numpy.uint16)


def mean_loss(model, tokens, length, predicted):
    """Over consecutive windows of `length` tokens until `predicted` targets were scored."""
    total = 0.0
    for start in range(0, predicted, length):
        count = min(length, predicted - start)
        window = torch.from_numpy(tokens[start : start + count + 1].astype(numpy.int64))
        logits = model(window[None, :-1]).logits[0].double()
        total += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
    return total / predicted


def check_losses(arguments, model, folder):
    context, vocabulary = model.config.n_positions, model.config.vocab_size
    if arguments.shard:
        tokens = read_shard(arguments.shard)[: arguments.tokens]
    else:
        tokens = made_up_tokens(arguments.tokens, vocabulary)
    generator = numpy.random.default_rng(6)
    pieces = [("all", tokens, context)]
    for index in range(arguments.windows):
        # Half of the windows hold two tokens: one log-probability each.
        length = 1 if index % 2 else int(generator.integers(2, context + 1))
        start = int(generator.integers(0, max(1, len(tokens) - length)))
        pieces.append((f"window {index}", tokens[start : start + length + 1], length))
    worst = 0.0
    for name, piece, length in pieces:
        length = min(length, len(piece) - 1)
        shard = folder / "piece.bin"
        write_shard(shard, piece)
        [ours] = run_json([arguments.ovid, "eval", "--model", arguments.checkpoint, "--data", shard,
                           "--length", length, "--json"])
        theirs = mean_loss(model, piece, length, ours["tokens"])
        worst = max(worst, abs(ours["loss"] - theirs))
        print(f"{name}: {ours['tokens']} targets, ovid {ours['loss']:.7f}, "
              f"transformers {theirs:.7f}, difference {ours['loss'] - theirs:+.1e}")
    return worst <= arguments.tolerance


def follow(model, prompt, chosen, tolerance):
    """Walks along the tokens that Ovid chose; says where transformers would have left them."""
    logits = model(torch.tensor([prompt + chosen])).logits[0, len(prompt) - 1 : -1]
    for position, token in enumerate(chosen):
        best = int(logits[position].argmax())
        gap = (logits[position, best] - logits[position, token]).item()
        if best != token and gap > tolerance:
            return f"token {position}: ovid {token}, transformers {best} (ahead by {gap:.2e})"
    return None


def check_greedy(arguments, model):
    context, vocabulary = model.config.n_positions, model.config.vocab_size
    generator = numpy.random.default_rng(7)
    equal = True
    for length in (1, 2, 7):
        if length >= context:
            continue
        prompt = generator.integers(0, vocabulary, length).tolist()
        count = min(arguments.new_tokens, context - length)
        [ours] = run_json([arguments.ovid, "generate", "--model", arguments.checkpoint,
                           "--prompt-ids", ",".join(map(str, prompt)), "--temperature", 0,
                           "--max-new-tokens", count, "--json"])
        chosen = ours["tokens"]
        if ours["finish_reason"] == "length" and len(chosen) != count:
            difference = f"{len(chosen)} tokens instead of {count}"
        else:
            difference = follow(model, prompt, chosen, arguments.tolerance) if chosen else None
        equal = equal and difference is None
        print(f"greedy from {length} tokens: {difference or f'{len(chosen)} tokens equal'}")
    return equal


@torch.no_grad()
def main():
    arguments = parse_arguments()
    model = load(arguments.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        losses_agree = check_losses(arguments, model, pathlib.Path(folder))
    text_agrees = check_greedy(arguments, model)
    print("passed" if losses_agree and text_agrees else "FAILED")
    return 0 if losses_agree and text_agrees else 1


if __name__ == "__main__":
    sys.exit(main())
