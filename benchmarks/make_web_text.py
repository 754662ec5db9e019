#!/usr/bin/env python3
"""Makes a synthetic archive in the nesting of OpenWebText, with duplicates planted in it.

    python3 benchmarks/make_web_text.py --gigabytes 5 --output web.tar.xz

An outer tar.xz holds openwebtext/urlsf_subsetNN-K_data.xz, each an xz tar of NNNNNNN-md5.txt. Each
inner archive has a pool of 150 sentences, from which its documents draw without repeating one: so
there are as many different documents as one likes, and xz packs them fast (some 20 times,
where it packs web text 3 times). The outer stream holds its bytes as they are, in the chunks that
xz itself writes where nothing can be gained. Everything is a function of the arguments.
web.tar.xz.planted.json tells what was planted: how many documents of each kind, and by member name
what each repeats. The kinds:

    plain      English sentences of common words, another draw for each document
    exact      an earlier plain document again, with other spaces
    near       an earlier plain document with 4 words replaced: a Jaccard similarity of 5-word runs
               of 0.9 to 0.95
    related    half of an earlier plain document and half of a new one: below 0.5, to be kept
    wikipedia  with the signs of a Wikipedia article
    foreign    German
    short      ten words
"""
import argparse
import functools
import hashlib
import io
import json
import lzma
import multiprocessing
import random
import tarfile
import zlib

WORDS = (
    "the of and to in a that is was for it with as his on be at by i had not are but from or have "
    "they which one you were her all she there would their we him been has when who will more no "
    "if out so said what up its about into than them can only other new some could time these two "
    "may then do first any my now such like our over man me even most made after also did many "
    "before must through back years where much your way well down should because each just those "
    "people mr how too little state good very make world still own see men work long get here "
    "between both life being under never day same another know while last might us great old year "
    "off come since against go came right used take three small large house city school country "
    "night water children family morning government company street market paper story reason "
    "music window summer winter mountain village question answer history science weather"
).split()
GERMAN = (
    "der die das und ist nicht ein eine mit auf für von dem den im zu sich es er sie wir war haben "
    "werden auch nach bei einer um am sind noch wie über einen so aus zum kann nur wenn aber mehr "
    "jahre zeit immer schon wieder gegen durch menschen leben welt stadt strasse wasser kinder"
).split()
SENTENCES = 30000
POOL = 150
PER_ARCHIVE = 500
SHARES = (  # of a hundred documents, by their number modulo 100
    ("exact", 3), ("near", 3), ("related", 2), ("wikipedia", 1), ("foreign", 1), ("short", 1))


def make_sentences():
    draw = random.Random(20190214)
    return [
        " ".join(draw.choices(WORDS, k=draw.randint(8, 26))).capitalize() + "."
        for _ in range(SENTENCES)
    ]


@functools.lru_cache(maxsize=64)
def pool_of(archive):
    return random.Random(f"pool {archive}").sample(make_archive.sentences, POOL)


def plain(number):
    draw = random.Random(number)
    picked = draw.sample(pool_of(number // PER_ARCHIVE), k=draw.randint(20, 68))
    lines = [" ".join(picked[i:i + 4]) for i in range(0, len(picked), 4)]
    return "\n\n".join(lines)


def kind_of(number):
    place = (number * 37) % 100
    for kind, share in SHARES:
        if place < share:
            return kind if number >= 200 else "plain"
        place -= share
    return "plain"


def original_of(number):
    """An earlier document of the kind plain."""
    draw = random.Random(number + (1 << 40))
    while True:
        earlier = draw.randrange(number)
        if kind_of(earlier) == "plain":
            return earlier


def document(number):
    """Its kind, its text, and the number of the document that it repeats."""
    kind = kind_of(number)
    draw = random.Random(number + (2 << 40))
    if kind == "plain":
        return kind, plain(number), None
    if kind == "short":
        return kind, " ".join(draw.choices(WORDS, k=10)), None
    if kind == "foreign":
        return kind, "\n".join(" ".join(draw.choices(GERMAN, k=14)) + "." for _ in range(20)), None
    if kind == "wikipedia":
        return kind, ("From Wikipedia, the free encyclopedia\n\n" + plain(number) +
                      "\n\nHistory[edit]\n\nThis article needs additional citations.\n\n"
                      "See also[edit]\n\nReferences[edit]\n\nExternal links[edit]\n"), None
    original = original_of(number)
    text = plain(original)
    if kind == "exact":
        return kind, "\n" + text.replace("\n\n", "  \r\n\r\n\r\n") + "\n", original
    words = text.split(" ")
    if kind == "near":
        for place in range(4):
            words[(place + 1) * len(words) // 6] = f"changed{number}"
        return kind, " ".join(words), original
    return kind, " ".join(words[:len(words) // 2]) + " " + plain(number), original


def name_of(number, text):
    return f"{number:07}-{hashlib.md5(text.encode()).hexdigest()}.txt"


def make_archive(index):
    tarred = io.BytesIO()
    unpacked = 0
    planted = []
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(index * PER_ARCHIVE, (index + 1) * PER_ARCHIVE):
            kind, text, original = document(number)
            data = text.encode()
            entry = tarfile.TarInfo(name_of(number, text))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
            unpacked += len(data)
            if kind != "plain":
                planted.append([entry.name, kind, original])
    return lzma.compress(tarred.getvalue(), preset=0), unpacked, planted


class StoredXz:
    """An .xz stream of one block, whose chunks hold bytes as they are.

    Source: the .xz file format 1.1.0; chunks of LZMA2: a control byte, 1 for the first one (which
    resets the dictionary) and 2 for the others, the size less one in two bytes, the bytes.
    """
    CHUNK = 1 << 16
    FLAGS = b"\0\x01"  # each block has a CRC32

    def __init__(self, file):
        self.file = file
        self.pending = b""
        self.size = self.packed = self.crc = 0
        # The header is of 12 bytes and has one filter, LZMA2 with a dictionary of 8 MiB.
        header = b"\x02\0\x21\x01\x16" + bytes(3)
        self.header = header + zlib.crc32(header).to_bytes(4, "little")
        file.write(b"\xfd7zXZ\0" + self.FLAGS + zlib.crc32(self.FLAGS).to_bytes(4, "little"))
        file.write(self.header)

    def write(self, data):
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.pending += data
        whole = len(self.pending) - len(self.pending) % self.CHUNK
        for begin in range(0, whole, self.CHUNK):
            self.write_chunk(self.pending[begin:begin + self.CHUNK])
        self.pending = self.pending[whole:]
        return len(data)

    def write_chunk(self, data):
        control = b"\x01" if self.packed == 0 else b"\x02"
        self.file.write(control + (len(data) - 1).to_bytes(2, "big") + data)
        self.packed += 3 + len(data)

    def close(self):
        if self.pending:
            self.write_chunk(self.pending)
        self.packed += 1
        self.file.write(b"\0" + bytes(-self.packed % 4) + self.crc.to_bytes(4, "little"))
        unpadded = len(self.header) + self.packed + 4
        index = b"\0\x01" + variable_length(unpadded) + variable_length(self.size)
        index += bytes(-len(index) % 4)
        index += zlib.crc32(index).to_bytes(4, "little")
        footer = (len(index) // 4 - 1).to_bytes(4, "little") + self.FLAGS
        self.file.write(index + zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ")


def variable_length(number):
    """Seven bits a byte, the lowest first, the upper bit set on all but the last."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def start():
    make_archive.sentences = make_sentences()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True)
    parser.add_argument("--gigabytes", type=float, default=0.1, help="of text, 10^9 bytes")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    target = options.gigabytes * 1e9
    bytes_done = 0
    planted = []
    index = 0
    with multiprocessing.Pool(options.processes, start) as pool, \
            open(options.output, "wb") as file:
        outer = StoredXz(file)
        with tarfile.open(fileobj=outer, mode="w|") as tar:
            while bytes_done < target:
                # In rounds of a fixed size, so that their number depends on the bytes alone.
                for packed, unpacked, some in pool.map(make_archive, range(index, index + 16), 1):
                    subset = f"openwebtext/urlsf_subset{index // 1000:02}-{index % 1000}_data.xz"
                    entry = tarfile.TarInfo(subset)
                    entry.size = len(packed)
                    tar.addfile(entry, io.BytesIO(packed))
                    bytes_done += unpacked
                    planted += some
                    index += 1
        outer.close()
    counts = {}
    for _, kind, _ in planted:
        counts[kind] = counts.get(kind, 0) + 1
    told = {"documents": index * PER_ARCHIVE, "bytes": bytes_done, "archives": index,
            "counts": counts, "planted": planted}
    with open(options.output + ".planted.json", "w", encoding="utf-8") as file:
        json.dump(told, file)
    print(json.dumps({key: told[key] for key in ("documents", "bytes", "archives", "counts")}))


if __name__ == "__main__":
    main()
