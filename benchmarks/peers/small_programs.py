"""The same small training by Ovid, nanoGPT, Hugging Face's Trainer and llm.c, as commands.

Used by first_step.py and resume.py. The model: 4 layers, 4 heads, 128 wide, context 64, 257 tokens
(bytes); 12 sequences a step, dropout 0.1, AdamW with a constant learning rate, float32 on the CPU.
All read the same tokens. llm.c has no dropout, and no config: see LlmC.
"""

import json
import pathlib
import pickle
import re

import numpy

import llmc_files

SHAPE = llmc_files.Shape(layers=4, heads=4, width=128, context=64, vocabulary=257)
BATCH = 12
HERE = pathlib.Path(__file__).resolve().parent


def write_data(folder, text):
    """train.bin, val.bin and nanoGPT's meta.pkl: the bytes of a text as uint16, 9 parts of 10."""
    folder.mkdir(parents=True)
    tokens = numpy.frombuffer(text.read_bytes(), dtype=numpy.uint8).astype("<u2")
    parts = numpy.split(tokens, [len(tokens) * 9 // 10])
    for name, part in zip(("train", "val"), parts):
        part.tofile(folder / f"{name}.bin")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": SHAPE.vocabulary}))
    return parts


class Ovid:
    name = "Ovid"
    first_step = re.compile(r"step 1/")

    def __init__(self, program, folder):
        self.program, self.folder = program.resolve(), folder
        self.directory = folder
        self.config = folder / "ovid.yaml"
        self.config.write_text(f"""\
run:        {{directory: runs, seed: 1337}}
model:      {{layers: {SHAPE.layers}, heads: {SHAPE.heads}, width: {SHAPE.width}, \
context_length: {SHAPE.context}, vocabulary_size: {SHAPE.vocabulary}, dropout: 0.1}}
data:       {{train: [data/train.bin], validation: [data/val.bin], tokenizer: bytes}}
batch:      {{sequences: {BATCH}, length: {SHAPE.context}}}
optimizer:  {{learning_rate: 1.0e-3, beta2: 0.99}}
schedule:   {{kind: constant, warmup_steps: 0}}
validation: {{every_steps: 10, sequences: {BATCH}}}
checkpoint: {{every_steps: 10}}
samples:    {{every_steps: 0}}
""")

    def command(self, run, steps, resume=False):
        return [self.program, "train", self.config, f"run.name={run}", f"training.steps={steps}"]

    def losses(self, run, output):
        """Step number to loss, from the run's record: the last row of a step counts."""
        rows = (self.folder / "runs" / run / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(row) for row in rows]
        return {row["step"]: repr(row["loss"]) for row in rows if "loss" in row}


class NanoGpt:
    name = "nanoGPT"
    first_step = re.compile(r"iter 0:")

    def __init__(self, checkout, python, folder):
        self.directory, self.python, self.folder = checkout.resolve(), python, folder

    def command(self, run, steps, resume=False):
        # An iteration starts at 0. nanoGPT saves where it evaluates, before the iteration of that
        # number, and does one more: --max_iters=10 ends with the checkpoint of ten updates.
        settings = {
            "dataset": self.folder / "data", "out_dir": self.folder / run, "device": "cpu",
            "compile": False, "dtype": "float32", "init_from": "resume" if resume else "scratch",
            "max_iters": steps if steps == 10 else steps - 1, "eval_interval": 10, "eval_iters": 1,
            "gradient_accumulation_steps": 1, "batch_size": BATCH, "block_size": SHAPE.context,
            "n_layer": SHAPE.layers, "n_head": SHAPE.heads, "n_embd": SHAPE.width, "bias": True,
            "dropout": 0.1, "learning_rate": 1e-3, "beta2": 0.99, "decay_lr": False}
        return [self.python, "-u", "train.py"] + [f"--{k}={v}" for k, v in settings.items()]

    def losses(self, run, output):
        found = re.findall(r"^iter (\d+): loss ([\d.]+)", output, re.MULTILINE)
        return {int(iteration) + 1: loss for iteration, loss in found}


class Trainer:
    name = "Hugging Face Trainer"
    first_step = re.compile(r"step 1 loss")

    def __init__(self, python, folder):
        self.python, self.folder, self.directory = python, folder, folder

    def command(self, run, steps, resume=False):
        return [self.python, "-u", HERE / "trainer_run.py", "--data", self.folder / "data",
                "--output", self.folder / f"trainer-{run}", "--steps", str(steps),
                "--save-every", "10"] + (["--resume"] if resume else [])

    def losses(self, run, output):
        found = re.findall(r"^step (\d+) loss ([\d.]+)", output, re.MULTILINE)
        return {int(step): loss for step, loss in found}


class LlmC:
    """train_gpt2.c on a model file of the shape above. Its batch and length are constants: build it
    with B = 12, T = 64. It always makes 41 steps, and 5 batches of validation before the first."""

    name = "llm.c"
    first_step = re.compile(r"step 0: train loss")

    def __init__(self, program, folder, train, validation):
        self.program, self.directory = program.resolve(), folder / "llmc"
        llmc_files.write_files(self.directory, SHAPE, train, validation)

    def command(self, run, steps, resume=False):
        return ["stdbuf", "-oL", self.program]


def add_arguments(parser):
    parser.add_argument("--text", type=pathlib.Path, required=True, help="some MB of text")
    parser.add_argument("--ovid", type=pathlib.Path, required=True, help="build/release/ovid")
    # Not resolved: the link in a virtual environment is what makes it one.
    parser.add_argument("--python", type=lambda path: pathlib.Path(path).absolute(),
                        help="with torch, transformers, accelerate: the Trainer")
    parser.add_argument("--nanogpt", type=pathlib.Path, help="a checkout of nanoGPT; --python too")


def programs(options, folder):
    """Those that the options name; the temporary folder gets what they need."""
    train, validation = write_data(folder / "data", options.text)
    found = [Ovid(options.ovid, folder)]
    if options.nanogpt and options.python:
        found.append(NanoGpt(options.nanogpt, options.python, folder))
    if options.python:
        found.append(Trainer(options.python, folder))
    if getattr(options, "llmc", None):
        found.append(LlmC(options.llmc, folder, train, validation))
    return found
