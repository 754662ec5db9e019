"""Writes what llm.c's train_gpt2 reads, so that it can be timed without its downloads.

  python llmc_files.py FOLDER

FOLDER/gpt2_124M.bin is a GPT-2 of 124 million parameters with random weights (llm.c's model file,
magic 20240326, version 3: float32), FOLDER/dev/data/tinyshakespeare/ two token shards of random
tokens (magic 20240520). small_programs.py writes a smaller model under the same name. Run
train_gpt2 with FOLDER as its working directory. Its batch and length are constants of train_gpt2.c
(B = 4, T = 64): change them there and build it anew to compare another shape.
"""

import argparse
import pathlib
from typing import NamedTuple

import numpy


class Shape(NamedTuple):
    layers: int = 12
    heads: int = 12
    width: int = 768
    context: int = 1024
    vocabulary: int = 50257

    @property
    def padded(self):
        return (self.vocabulary + 127) // 128 * 128


def header(*values):
    words = numpy.zeros(256, dtype="<i4")
    words[:len(values)] = values
    return words.tobytes()


def model(random, shape):
    """The model file in parts of bytes."""
    def normal(*dimensions):
        return (0.02 * random.standard_normal(dimensions, dtype=numpy.float32)).tobytes()

    def constant(value, *dimensions):
        return numpy.full(dimensions, value, dtype="<f4").tobytes()

    L, C, V, P = shape.layers, shape.width, shape.vocabulary, shape.padded
    yield header(20240326, 3, shape.context, V, L, shape.heads, C, P)
    yield normal(V, C) + constant(0, P - V, C)  # wte
    yield normal(shape.context, C)              # wpe
    for gain, weight in ((True, (3 * C, C)), (False, (C, C)),
                         (True, (4 * C, C)), (False, (C, 4 * C))):
        if gain:  # the layernorm before: gains, then biases
            yield constant(1, L, C) + constant(0, L, C)
        yield normal(L, *weight)
        yield constant(0, L, weight[0])
    yield constant(1, C) + constant(0, C)  # lnf


def write_files(folder, shape, train, validation):
    """FOLDER as train_gpt2 wants its working directory; the tokens are arrays of uint16."""
    data = folder / "dev/data/tinyshakespeare"
    data.mkdir(parents=True, exist_ok=True)
    with open(folder / "gpt2_124M.bin", "wb") as file:
        for part in model(numpy.random.default_rng(1), shape):
            file.write(part)
    for name, tokens in (("train", train), ("val", validation)):
        (data / f"tiny_shakespeare_{name}.bin").write_bytes(
            header(20240520, 1, len(tokens)) + tokens.astype("<u2").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    random, shape = numpy.random.default_rng(2), Shape()
    train, validation = (
        random.integers(shape.vocabulary, size=count, dtype=numpy.uint16)
        for count in (1 << 20, 1 << 16))
    write_files(parser.parse_args().folder, shape, train, validation)


if __name__ == "__main__":
    main()
