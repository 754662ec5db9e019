#!/usr/bin/env python3
"""Writes english_trigrams.h beside itself: log odds of trigrams of letters, English against others.

    python3 generate_english_trigrams.py FOLDER

FOLDER has novels-en.tar.xz and openwebtext-mini.tar.xz (English), and udhr2.zip (the Universal
Declaration of Human Rights in some 300 languages). Only every second language of these is used, so
that the test can measure on the others.
"""
import collections
import io
import math
import pathlib
import sys
import tarfile
import unicodedata
import zipfile

LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVW"  # -8 to 8 bits in steps of a half
SYMBOLS = 28  # a space, a to z, any other letter
NEAR_ENGLISH = {"eng", "sco"}


def symbols(text):
    out, last = [], 0
    for c in text.lower():
        if "a" <= c <= "z":
            last = ord(c) - ord("a") + 1
        elif c.isalpha() or unicodedata.category(c).startswith("M"):
            last = 27
        elif c in "'\u2019":
            continue
        elif last == 0:
            continue
        else:
            last = 0
        out.append(last)
    return out


def count(texts):
    counts = collections.Counter()
    for text in texts:
        s = symbols(text)
        counts.update(zip(s, s[1:], s[2:]))
    return counts


def shares(counts_of_sources):
    """The mean of the sources' distributions, each smoothed by half a count a trigram."""
    total = collections.Counter()
    for counts in counts_of_sources:
        size = sum(counts.values()) + 0.5 * SYMBOLS**3
        for trigram, number in counts.items():
            total[trigram] += number / size
        total[None] += 0.5 / size
    return lambda t: (total[t] + total[None]) / len(counts_of_sources)


def english(folder):
    with tarfile.open(folder / "novels-en.tar.xz") as tar:
        yield [tar.extractfile(member).read(200_000).decode("utf-8", "ignore")
               for member in tar if member.isfile()]
    with tarfile.open(folder / "openwebtext-mini.tar.xz") as outer:
        texts = []
        for member in outer:
            if member.isfile():
                with tarfile.open(fileobj=io.BytesIO(outer.extractfile(member).read())) as inner:
                    texts += [inner.extractfile(m).read().decode("utf-8", "ignore")
                              for m in inner if m.isfile()]
        yield texts


def others(folder):
    with zipfile.ZipFile(folder / "udhr2.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".txt"))
        for name in names[::2]:
            if pathlib.PurePath(name).stem not in NEAR_ENGLISH:
                text = archive.read(name).decode("utf-8", "ignore")
                # A language in another script is told by its letters; here it would only blur.
                if sum(1 for s in symbols(text) if s == 27) < 0.5 * len(symbols(text)):
                    yield [text]


def main(folder):
    target = shares([count(texts) for texts in english(folder)])
    background = shares([count(texts) for texts in others(folder)])
    rows = []
    for a in range(SYMBOLS):
        for b in range(SYMBOLS):
            row = ""
            for c in range(SYMBOLS):
                bits = math.log2(target((a, b, c)) / background((a, b, c)))
                row += LEVELS[round(2 * max(-8.0, min(8.0, bits))) + 16]
            rows.append(row)
    with open(pathlib.Path(__file__).parent / "english_trigrams.h", "w", encoding="utf-8") as out:
        out.write("""\
// Made by generate_english_trigrams.py. Do not edit.
#pragma once

#include <string_view>

namespace ovid::data_tools::filters {

inline constexpr int kTrigramSymbols = 28;  // a space, a to z, any other letter

// For each trigram of symbols log2 of its share in English over its mean share in other languages,
// a character of kTrigramLevels: from -8 to 8 in steps of a half.
inline constexpr std::string_view kTrigramLevels = "%s";

// clang-format off
inline constexpr std::string_view kEnglishTrigrams =
""" % LEVELS)
        lines = ["".join(rows[i:i + 3]) for i in range(0, len(rows), 3)]
        out.write("\n".join(f'    "{line}"' for line in lines) + ";\n// clang-format on\n")
        out.write("static_assert(kEnglishTrigrams.size() == 28 * 28 * 28);\n")
        out.write("\n}  // namespace ovid::data_tools::filters\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
