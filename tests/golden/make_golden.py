"""Makes the golden vectors of this folder: python make_golden.py.

Needs PyTorch, transformers, peft, safetensors and numpy; versions.json names those that made the files.
<case>/         config.json + model.safetensors: a model directory, float32
                reference.safetensors: tokens, targets (int32, -100 = ignored), and in float64 the
                logits and gradient.<name> of the mean loss over the targets that count
                facts.json: loss, and how far PyTorch's float32 lies from float64 for each tensor
trajectory/     see trajectory.py
transformers_*/ see transformers_fixtures.py
peft_adapter/   see peft_fixture.py
Everything is deterministic: a second run on the same versions writes the same bytes.
"""

import json
import pathlib
import sys

import numpy
import torch
from safetensors.numpy import save_file

sys.dont_write_bytecode = True  # this folder holds only what is committed

import gpt2_reference as gpt2
import peft_fixture
import trajectory
import transformers_fixtures

FOLDER = pathlib.Path(__file__).resolve().parent

# Shape, batch, length. Odd vocabularies and head dimensions break code that assumes a multiple of a
# vector; 150 positions cross the edges of attention tiles; a single position has no neighbour.
CASES = {
    "tied": (gpt2.Shape(2, 2, 32, 24, 97, True), 3, 20),
    "untied": (gpt2.Shape(2, 3, 24, 16, 61, False), 2, 16),
    "odd_head_dimension": (gpt2.Shape(2, 3, 21, 13, 50, True), 2, 13),
    "many_positions": (gpt2.Shape(1, 2, 18, 150, 29, False), 2, 150),
    "one_position": (gpt2.Shape(1, 1, 8, 4, 11, True), 1, 1),
}


def make_batch(shape, batch, length, seed):
    """Random tokens; about one target in six is ignored, but never all."""
    generator = numpy.random.default_rng(seed)
    tokens = generator.integers(0, shape.vocabulary_size, (batch, length), dtype=numpy.int32)
    targets = generator.integers(0, shape.vocabulary_size, (batch, length), dtype=numpy.int32)
    targets[generator.random((batch, length)) < 1 / 6] = gpt2.IGNORED
    targets[0, length // 2] = shape.vocabulary_size - 1
    return tokens, targets


def results(shape, weights, tokens, targets, dtype):
    """Loss, logits and gradients of the mean loss, all in one float type."""
    w = gpt2.parameters(weights, dtype)
    logits = gpt2.forward(shape, w, torch.from_numpy(tokens).long())
    wanted = torch.from_numpy(targets).long()
    loss = gpt2.loss_sum(logits, wanted) / (wanted != gpt2.IGNORED).sum()
    loss.backward()
    tensors = {"logits": logits.detach()}
    tensors |= {f"gradient.{name}": parameter.grad for name, parameter in w.items()}
    return loss.item(), tensors


def write_case(name, shape, batch, length, seed):
    weights = gpt2.random_weights(shape, seed, scale=0.15)
    tokens, targets = make_batch(shape, batch, length, seed + 1)
    loss, exact = results(shape, weights, tokens, targets, torch.float64)
    loss_float32, rounded = results(shape, weights, tokens, targets, torch.float32)
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", shape.config_json())
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    reference = {key: value.contiguous().numpy() for key, value in exact.items()}
    save_file(reference | {"tokens": tokens, "targets": targets}, folder / "reference.safetensors")
    write_json(folder / "facts.json", {
        "valid_targets": int((targets != gpt2.IGNORED).sum()),
        "loss": loss,
        "pytorch_float32": {
            "loss": loss_float32,
            "tensors": {key: gpt2.distance(rounded[key], exact[key]) for key in exact},
        },
    })


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    torch.set_num_threads(1)
    transformers_fixtures.transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    for seed, (name, (shape, batch, length)) in enumerate(CASES.items(), start=100):
        write_case(name, shape, batch, length, 10 * seed)
    trajectory.write(FOLDER / "trajectory")
    transformers_fixtures.write(FOLDER)
    peft_fixture.write(FOLDER)
    write_json(FOLDER / "versions.json", {"torch": torch.__version__, "numpy": numpy.__version__,
                                          "transformers": transformers_fixtures.VERSION,
                                          "peft": peft_fixture.VERSION})
    for path in FOLDER.glob("*/*.safetensors"):
        path.chmod(0o644)  # the library writes them for their owner only


if __name__ == "__main__":
    main()
