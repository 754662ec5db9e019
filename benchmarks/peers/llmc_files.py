"""Writes what llm.c's train_gpt2 reads, so that it can be timed without its downloads.

  python llmc_files.py FOLDER

FOLDER/gpt2_124M.bin is a GPT-2 of 124 million parameters with random weights (llm.c's model file,
magic 20240326, version 3: float32), FOLDER/dev/data/tinyshakespeare/ two token shards of random
tokens (magic 20240520). Run train_gpt2 with FOLDER as its working directory. Its batch and length
are constants of train_gpt2.c (B = 4, T = 64): change them there and build it anew to compare another
shape.
"""

import argparse
import pathlib

import numpy

LAYERS, HEADS, WIDTH, CONTEXT, VOCABULARY, PADDED = 12, 12, 768, 1024, 50257, 50304


def header(*values):
    words = numpy.zeros(256, dtype="<i4")
    words[:len(values)] = values
    return words.tobytes()


def model(random):
    def normal(*shape):
        return (0.02 * random.standard_normal(shape, dtype=numpy.float32)).tobytes()

    def constant(value, *shape):
        return numpy.full(shape, value, dtype="<f4").tobytes()

    L, C = LAYERS, WIDTH
    padding = constant(0, PADDED - VOCABULARY, C)
    yield header(20240326, 3, CONTEXT, VOCABULARY, L, HEADS, C, PADDED)
    yield normal(VOCABULARY, C) + padding  # wte
    yield normal(CONTEXT, C)               # wpe
    for gain, weight in ((True, (3 * C, C)), (False, (C, C)), (True, (4 * C, C)), (False, (C, 4 * C))):
        if gain:  # the layernorm before: gains, then biases
            yield constant(1, L, C) + constant(0, L, C)
        yield normal(L, *weight)
        yield constant(0, L, weight[0])
    yield constant(1, C) + constant(0, C)  # lnf


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    random = numpy.random.default_rng(1)
    data = folder / "dev/data/tinyshakespeare"
    data.mkdir(parents=True, exist_ok=True)
    with open(folder / "gpt2_124M.bin", "wb") as file:
        for part in model(random):
            file.write(part)
    for name, count in (("train", 1 << 20), ("val", 1 << 16)):
        tokens = random.integers(VOCABULARY, size=count, dtype=numpy.uint16)
        (data / f"tiny_shakespeare_{name}.bin").write_bytes(
            header(20240520, 1, count) + tokens.astype("<u2").tobytes())


if __name__ == "__main__":
    main()
