"""Times torch.save of the state that Ovid's checkpoint holds: GPT-2 weights and both moments.

  python checkpoint_save.py --directory /some/disk --rounds 3

Prints one JSON line when ready (bytes, versions), one for each save and one with the medians.
"save_ms" is torch.save as scripts use it, which leaves the bytes in the page cache; "durable_ms"
is the same with fsync of the file and of its folder, and a rename over the earlier file. Training
waits for either. The file is removed at the end.
"""

import argparse
import json
import os
import statistics
import time

import torch


def tensor_shapes(layers, width, vocabulary, context):
    shapes = [(vocabulary, width), (context, width)]
    for _ in range(layers):
        shapes += [(width,), (width,), (width, 3 * width), (3 * width,), (width, width), (width,)]
        shapes += [(width,), (width,), (width, 4 * width), (4 * width,)]
        shapes += [(4 * width, width), (width,)]
    return shapes + [(width,), (width,)]


def state_of(shapes):
    """The nested dictionaries that a training script saves: model and optimizer state."""
    generator = torch.Generator().manual_seed(1)
    made = lambda: [torch.randn(shape, generator=generator) for shape in shapes]
    weights, first, second = made(), made(), made()
    moments = {
        i: {"step": torch.tensor(1.0), "exp_avg": m, "exp_avg_sq": v}
        for i, (m, v) in enumerate(zip(first, second))
    }
    return {
        "model": {f"parameter.{i}": w for i, w in enumerate(weights)},
        "optimizer": {"state": moments, "param_groups": []},
    }


def bytes_of(shapes):
    return 3 * 4 * sum(torch.Size(shape).numel() for shape in shapes)


def save(state, path):
    start = time.perf_counter()
    torch.save(state, path)
    return (time.perf_counter() - start) * 1e3


def save_durably(state, path):
    start = time.perf_counter()
    temporary = path + ".tmp"
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return (time.perf_counter() - start) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--directory", default=".")
    arguments = parser.parse_args()
    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    shapes = tensor_shapes(
        arguments.layers, arguments.width, arguments.vocabulary, arguments.context
    )
    state, total = state_of(shapes), bytes_of(shapes)
    path = os.path.join(os.path.abspath(arguments.directory), "benchmark-checkpoint.pt")
    print(json.dumps({"event": "ready", "program": "torch", "version": torch.__version__,
                      "threads": torch.get_num_threads(), "bytes": total}), flush=True)
    plain, durable = [], []
    try:
        for _ in range(arguments.rounds):
            plain.append(save(state, path))
            durable.append(save_durably(state, path))
            print(json.dumps({"event": "save", "save_ms": round(plain[-1], 1),
                              "durable_ms": round(durable[-1], 1)}), flush=True)
    finally:
        for leftover in (path, path + ".tmp"):
            if os.path.exists(leftover):
                os.remove(leftover)
    print(json.dumps({"event": "done", "save_ms": round(statistics.median(plain), 1),
                      "durable_ms": round(statistics.median(durable), 1),
                      "megabytes_per_second": round(total / 1e3 / statistics.median(durable))}))


if __name__ == "__main__":
    main()
