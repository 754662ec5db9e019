#!/usr/bin/env python3
"""Writes unicode_combining_classes.h and unicode_compositions.h, which canonical composition needs,
beside itself from Python's unicodedata.
"""
import contextlib
import pathlib
import sys
import unicodedata

CODE_POINTS = [c for c in range(sys.maxunicode + 1) if not 0xAC00 <= c <= 0xD7A3]


def rows(entries):
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 100:
            yield line
            line = "   "
        line += f" {entry},"
    yield line


def class_ranges():
    ranges = []
    for c in CODE_POINTS:
        combining = unicodedata.combining(chr(c))
        if combining == 0:
            continue
        if ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == combining:
            ranges[-1][1] = c
        else:
            ranges.append([c, c, combining])
    return ranges


CLASS_STRUCT = """\
struct CombiningClassRange {
  std::uint32_t first, last;  // both included
  std::uint8_t combining_class;
};
"""
COMPOSITION_STRUCTS = """\
struct Singleton {
  std::uint32_t from, to;
};
struct Composite {
  std::uint32_t composite, first, second;
};
"""


@contextlib.contextmanager
def header(path, structs):
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"""\
// Made by generate_composition_tables.py with Python's unicodedata (Unicode \
{unicodedata.unidata_version}). Do not edit.
#pragma once

#include <array>
#include <cstdint>

namespace ovid::data_tools::filters {{

{structs}
// clang-format off
""")
        yield out
        out.write("\n// clang-format on\n\n}  // namespace ovid::data_tools::filters\n")


def table(out, name, kind, comment, entries):
    out.write(f"\n// {comment}\n")
    out.write(f"inline constexpr std::array<{kind}, {len(entries)}> {name}{{{{\n")
    out.write("\n".join(rows(entries)) + "\n}};\n")


def main(folder):
    pairs, singletons = [], []
    for c in CODE_POINTS:
        decomposition = unicodedata.decomposition(chr(c))
        if not decomposition or decomposition.startswith("<"):
            continue
        parts = [int(part, 16) for part in decomposition.split()]
        if len(parts) == 1:
            singletons.append((c, parts[0]))
        else:
            composes = unicodedata.normalize("NFC", chr(c)) == chr(c)
            pairs.append((c, parts[0], parts[1], composes))
    with header(folder / "unicode_combining_classes.h", CLASS_STRUCT) as out:
        table(out, "kCombiningClasses", "CombiningClassRange",
              "Canonical combining classes other than 0",
              [f"{{0x{a:X}, 0x{b:X}, {k}}}" for a, b, k in class_ranges()])
    with header(folder / "unicode_compositions.h", COMPOSITION_STRUCTS) as out:
        table(out, "kSingletons", "Singleton", "Characters that are another one",
              [f"{{0x{c:X}, 0x{to:X}}}" for c, to in singletons])
        table(out, "kPrimaryComposites", "Composite", "Characters of two that compose again",
              [f"{{0x{c:X}, 0x{a:X}, 0x{b:X}}}" for c, a, b, composes in pairs if composes])
        table(out, "kExcludedComposites", "Composite", "Characters of two that stay apart",
              [f"{{0x{c:X}, 0x{a:X}, 0x{b:X}}}" for c, a, b, composes in pairs if not composes])


if __name__ == "__main__":
    main(pathlib.Path(__file__).parent)
