"""Near-duplicates found by Ovid beside the Python package datasketch: precision, recall and time.

  python near_duplicates.py --ovid build/release/benchmark_near_duplicates --novels novels-en.tar.xz
      --web openwebtext-mini.tar.xz [--passages 3000] [--copies 2000] [--json OUT.json]

The corpus: the documents of the web archive and passages of the novels, 150 to 800 words each,
in random order, and behind them edited copies of some, at several rates (fixed seed). Both programs
have the same settings: shingles of 5 words in one normal form, 128 permutations, the same bands and
rows, and the rule that a document is dropped where it is like an earlier one that was kept.
The truth is exact: the Jaccard similarity of all pairs of documents that share a shingle, found by
an index of all shingles. A document is a near-duplicate where that of an earlier one is at least
the threshold. datasketch runs with its own optimum of bands and rows, and with Ovid's; both without and
with a check of its estimate, since MinHashLSH itself makes none.
"""

import argparse
import collections
import io
import json
import pathlib
import random
import re
import subprocess
import tarfile
import tempfile
import time

RATES = [0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.1, 0.2]
BLOCKS = ["a tenth cut off", "a notice added", "capitals and punctuation"]
SHINGLE = 5


def web_documents(path):
    with tarfile.open(path) as outer:
        for member in outer:
            if not member.isfile():
                continue
            with tarfile.open(fileobj=io.BytesIO(outer.extractfile(member).read())) as inner:
                for text in inner:
                    if text.isfile():
                        yield inner.extractfile(text).read().decode("utf-8", "replace")


def passages(path, number, source):
    words = []
    with tarfile.open(path) as tar:
        books = [m for m in tar if m.isfile()]
        for member in books:
            words.append(tar.extractfile(member).read().decode("utf-8", "replace").split())
    pieces = []
    for book in words:
        begin = 0
        while begin + 800 < len(book):
            length = source.randint(150, 800)
            pieces.append(" ".join(book[begin:begin + length]))
            begin += length
    source.shuffle(pieces)
    return pieces[:number]


def edited(text, kind, vocabulary, source):
    words = text.split()
    if kind == "a tenth cut off":
        return " ".join(words[:len(words) * 9 // 10])
    if kind == "a notice added":
        return "We use cookies to improve this page and to count its readers. " + text
    if kind == "capitals and punctuation":
        return re.sub(r"[,;]", " -", text).upper()
    out = []
    for word in words:
        draw = source.random()
        if draw < kind / 3:
            continue
        if draw < 2 * kind / 3:
            out += [word, source.choice(vocabulary)]
        elif draw < kind:
            out.append(source.choice(vocabulary))
        else:
            out.append(word)
    return " ".join(out)


def corpus(arguments):
    source = random.Random(20240520)
    texts = [(t, "original") for t in web_documents(arguments.web)]
    texts += [(t, "original") for t in passages(arguments.novels, arguments.passages, source)]
    vocabulary = sorted({w for t, _ in texts[:500] for w in t.split()})
    copies = []
    kinds = RATES + BLOCKS
    for i in range(arguments.copies):
        kind = kinds[i % len(kinds)]
        text = source.choice(texts)[0]
        copies.append((edited(text, kind, vocabulary, source),
                       kind if isinstance(kind, str) else f"{kind:.1%} of the words"))
    source.shuffle(texts)
    source.shuffle(copies)
    texts += copies
    return [(" ".join(text.split()), kind) for text, kind in texts]


def normalised_words(text):
    """Ovid's form, for Latin text: apostrophes vanish, other signs part."""
    return re.findall(r"[^\W_]+", re.sub("['\u2019\u00ad\u0300-\u036f]", "", text.lower()))


def shingles_of(text):
    words = normalised_words(text)
    if not words:
        return set()
    if len(words) < SHINGLE:
        return {" ".join(words)}
    return {" ".join(words[i:i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def best_earlier_similarity(shingles):
    """For each document the largest exact similarity with an earlier one."""
    index = collections.defaultdict(list)
    best = [0.0] * len(shingles)
    for i, own in enumerate(shingles):
        common = collections.Counter()
        for shingle in own:
            earlier = index[shingle]
            common.update(earlier)
            earlier.append(i)
        for j, number in common.items():
            best[i] = max(best[i], number / (len(own) + len(shingles[j]) - number))
    return best


def datasketch_contenders(arguments, shingles):
    import datasketch
    start = time.perf_counter()
    hashes = []
    for own in shingles:
        minhash = datasketch.MinHash(num_perm=128)
        minhash.update_batch([s.encode() for s in own])
        hashes.append(minhash)
    signature_seconds = time.perf_counter() - start
    optimum = datasketch.MinHashLSH(threshold=arguments.threshold, num_perm=128)
    for bands, rows in [(optimum.b, optimum.r), (arguments.bands, arguments.rows)]:
        for checks in (False, True):
            start = time.perf_counter()
            lsh = datasketch.MinHashLSH(num_perm=128, params=(bands, rows))
            dropped = set()
            for i, minhash in enumerate(hashes):
                found = lsh.query(minhash) if shingles[i] else []
                if any(not checks or minhash.jaccard(hashes[j]) >= arguments.threshold
                       for j in found):
                    dropped.add(i)
                elif shingles[i]:
                    lsh.insert(i, minhash)
            seconds = signature_seconds + time.perf_counter() - start
            name = (f"datasketch {datasketch.__version__}, {bands} x {rows}, "
                    f"{'checked' if checks else 'as it is'}")
            yield {"name": name, "dropped": dropped, "seconds": seconds,
                   "signature_seconds": signature_seconds}


def ovid_contenders(arguments, texts, folder):
    file = pathlib.Path(folder) / "texts.txt"
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    for threads in arguments.threads:
        out = pathlib.Path(folder) / "dropped.txt"
        result = subprocess.run(
            [*arguments.prefix.split(), arguments.ovid, "--texts", file, "--folder",
             pathlib.Path(folder) / "finder",
             "--dropped", out, "--threads", str(threads), "--threshold", str(arguments.threshold),
             "--bands", str(arguments.bands), "--rows", str(arguments.rows)],
            check=True, stdout=subprocess.PIPE, text=True)
        figures = json.loads(result.stdout)
        yield {"name": f"Ovid, {arguments.bands} x {arguments.rows}, {threads} thread"
                       f"{'s' * (threads > 1)}",
               "dropped": {int(line.split()[0]) for line in out.read_text().splitlines()},
               "seconds": figures["seconds"], "signature_seconds": figures["signature_seconds"]}


def report(arguments, contenders, best, kinds, total_bytes):
    truth = {i for i, similarity in enumerate(best) if similarity >= arguments.threshold}
    clear = {i for i, similarity in enumerate(best) if similarity >= arguments.threshold + 0.05}
    far = {i for i, similarity in enumerate(best) if similarity < arguments.threshold - 0.05}
    rows = []
    for contender in contenders:
        dropped = contender["dropped"]
        row = {key: value for key, value in contender.items() if key != "dropped"}
        row |= {"documents_dropped": len(dropped),
                "precision": len(dropped & truth) / max(1, len(dropped)),
                "recall": len(dropped & truth) / len(truth),
                "recall_0.05_above": len(dropped & clear) / len(clear),
                "dropped_0.05_below": len(dropped & far),
                "megabytes_per_second": total_bytes / contender["seconds"] / 1e6,
                "dropped_share_by_kind": {
                    kind: sum(1 for i, k in enumerate(kinds) if k == kind and i in dropped) /
                    kinds.count(kind) for kind in sorted(set(kinds))}}
        rows.append(row)
    print(f"{len(kinds)} documents, {total_bytes / 1e6:.1f} MB; {len(truth)} have a similarity of "
          f"{arguments.threshold} or more with an earlier one, {len(clear)} of "
          f"{arguments.threshold + 0.05:.2f} or more")
    for row in rows:
        print(f"{row['name']:42s} precision {row['precision']:.4f}  recall {row['recall']:.4f}  "
              f"recall 0.05 above {row['recall_0.05_above']:.4f}  dropped 0.05 below "
              f"{row['dropped_0.05_below']:4d}  {row['seconds']:8.3f} s "
              f"({row['signature_seconds']:.3f} s signatures)  "
              f"{row['megabytes_per_second']:.1f} MB/s")
    print("share dropped, by what was planted (mean exact similarity with the nearest earlier one)")
    for kind in sorted(set(kinds)):
        mean = [b for b, k in zip(best, kinds) if k == kind]
        print(f"  {kind:26s} {sum(mean) / len(mean):.3f}  " +
              "  ".join(f"{row['dropped_share_by_kind'][kind]:.3f}" for row in rows))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ovid", required=True)
    parser.add_argument("--novels", required=True)
    parser.add_argument("--web", required=True)
    parser.add_argument("--passages", type=int, default=3000)
    parser.add_argument("--copies", type=int, default=2000)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--bands", type=int, default=16)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--prefix", default="", help="before Ovid's command, such as 'chrt -f 10'")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    documents = corpus(arguments)
    texts = [text for text, _ in documents]
    kinds = [kind for _, kind in documents]
    shingles = [shingles_of(text) for text in texts]
    best = best_earlier_similarity(shingles)
    with tempfile.TemporaryDirectory() as folder:
        contenders = list(ovid_contenders(arguments, texts, folder))
    try:
        contenders += datasketch_contenders(arguments, shingles)
    except ImportError:
        print("SKIPPED: datasketch is not installed")
    rows = report(arguments, contenders, best, kinds, sum(len(t.encode()) for t in texts))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
