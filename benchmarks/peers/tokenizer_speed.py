"""Encoding speed of Ovid beside tiktoken and Hugging Face tokenizers, round by round in turns.

  python tokenizer_speed.py --ovid build/release/benchmark_tokenizer --vocabulary FOLDER
      --input novels/ [--peers tiktoken tokenizers] [--rounds 5] [--json OUT.json]

The texts are files of UTF-8 (a folder: all of its .txt files, sorted), in memory before the clock
starts. In each round every contender encodes all of them once, one after the other in an order that
rotates, so that all meet the same state of the machine. FOLDER holds GPT-2's encoder.json and
vocab.bpe (or vocab.json and merges.txt), from which all contenders read the same vocabulary. The
ids of all contenders are compared, every one of them. Ovid runs on 1 and 2 threads; tiktoken on one
thread by encode_ordinary and on 2 by encode_ordinary_batch, tokenizers by encode_batch with
RAYON_NUM_THREADS = 1.
"""

import argparse
import array
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def vocabulary_files(folder):
    for names in (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")):
        files = [folder / name for name in names]
        if all(file.exists() for file in files):
            return files
    raise SystemExit(f"{folder} holds neither encoder.json and vocab.bpe nor vocab.json and "
                     "merges.txt")


def byte_of_character():
    """The byte that each character of GPT-2's printable alphabet stands for."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + i): byte for i, byte in enumerate(others)})
    return table


class Tiktoken:
    def __init__(self, vocabulary, threads):
        import tiktoken
        table = byte_of_character()
        tokens = json.loads(vocabulary_files(vocabulary)[0].read_text())
        ranks = {bytes(table[character] for character in token): number
                 for token, number in tokens.items() if token != "<|endoftext|>"}
        self.encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks,
                                          special_tokens={"<|endoftext|>": len(ranks)})
        self.threads = threads
        self.name = f"tiktoken {tiktoken.__version__}, {threads} thread{'s' * (threads > 1)}"

    def encode(self, texts):
        if self.threads > 1:
            return self.encoding.encode_ordinary_batch(texts, num_threads=self.threads)
        return [self.encoding.encode_ordinary(text) for text in texts]


class HuggingFace:
    def __init__(self, vocabulary, _):
        import tokenizers
        self.tokenizer = tokenizers.ByteLevelBPETokenizer.from_file(
            *(str(file) for file in vocabulary_files(vocabulary)))
        self.name = f"tokenizers {tokenizers.__version__}, 1 thread"

    def encode(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]


class InProcess:
    """A peer that runs in this interpreter."""

    def __init__(self, peer):
        self.peer, self.name, self.seconds, self.ids = peer, peer.name, [], None

    def round(self, texts):
        start = time.perf_counter()
        ids = self.peer.encode(texts)
        self.seconds.append(time.perf_counter() - start)
        if self.ids is None:
            self.ids = array.array("H")
            for of_text in ids:
                self.ids.extend(of_text)


class Ovid:
    """benchmark_tokenizer on one number of threads, a process that waits for a line a round."""

    def __init__(self, options, threads, rounds):
        self.name = f"Ovid, {threads} thread{'s' * (threads > 1)}"
        self.seconds, self.ids = [], None
        self.file = tempfile.NamedTemporaryFile(suffix=".ids")
        command = [options.ovid, "--input", options.input, "--tokenizer", options.vocabulary,
                   "--threads", threads, "--rounds", rounds, "--step-on-input",
                   "--ids", self.file.name]
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.facts = json.loads(self.process.stdout.readline() or "{}")
        if self.facts.get("event") != "ready":
            raise SystemExit(f"{self.name} ended with code {self.process.wait()}")

    def round(self, _):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(json.loads(self.process.stdout.readline())["seconds"])
        if self.ids is None:
            self.ids = array.array("H", pathlib.Path(self.file.name).read_bytes())


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ovid", required=True, help="build/release/benchmark_tokenizer")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True)
    parser.add_argument("--input", type=pathlib.Path, required=True, help="a text or a folder")
    parser.add_argument("--peers", nargs="*", choices=["tiktoken", "tokenizers"],
                        default=["tiktoken", "tokenizers"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    return parser.parse_args()


def read_texts(where):
    files = sorted(where.rglob("*.txt")) if where.is_dir() else [where]
    return [file.read_bytes().decode() for file in files]


def main():
    options = parse_arguments()
    texts = read_texts(options.input)
    total = sum(len(text.encode()) for text in texts)
    contenders = [Ovid(options, threads, options.rounds + 1) for threads in options.threads]
    if "tiktoken" in options.peers:
        contenders += [InProcess(Tiktoken(options.vocabulary, n)) for n in options.threads]
    if "tokenizers" in options.peers:
        contenders.append(InProcess(HuggingFace(options.vocabulary, 1)))
    if contenders[0].facts["bytes"] != total:
        raise SystemExit(f"Ovid read {contenders[0].facts['bytes']} bytes, this script {total}: "
                         "does the folder hold other files than .txt?")
    for number in range(options.rounds + 1):  # the first warms up, and is not counted
        for i in range(len(contenders)):
            contenders[(number + i) % len(contenders)].round(texts)
    reference = contenders[0].ids
    rows = []
    for contender in contenders:
        seconds = contender.seconds[1:]
        speed = [total / 1e6 / value for value in seconds]
        rows.append({"name": contender.name, "median_mb_per_second": statistics.median(speed),
                     "mb_per_second": speed,
                     "fastest": max(speed), "slowest": min(speed),
                     "ids_equal": contender.ids == reference, "tokens": len(contender.ids)})
    print(f"{total / 1e6:.1f} MB in {len(texts)} texts, {options.rounds} rounds in turns\n")
    print("| program | MB/s, median | slowest to fastest | Ovid's 1 thread is | ids equal |")
    print("|---|---|---|---|---|")
    for row in rows:
        ratio = rows[0]["median_mb_per_second"] / row["median_mb_per_second"]
        print(f"| {row['name']} | {row['median_mb_per_second']:.1f} | {row['slowest']:.1f} to "
              f"{row['fastest']:.1f} | {ratio:.2f} times | {row['ids_equal']} |")
    if options.json:
        options.json.write_text(json.dumps({"bytes": total, "rows": rows}, indent=1) + "\n")
    sys.exit(0 if all(row["ids_equal"] for row in rows) else 1)


if __name__ == "__main__":
    main()
