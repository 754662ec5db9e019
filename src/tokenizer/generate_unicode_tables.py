#!/usr/bin/env python3
"""Writes unicode_ranges.h: the code points of \\p{L}, \\p{N} and \\s in tiktoken's pattern engine.

    pip install tiktoken==0.14.0 && ./generate_unicode_tables.py > unicode_ranges.h

tiktoken is the reference that everybody's GPT-2 tokens are held against, so its engine is asked
about every code point, and not a Unicode database of some other version. Needs no vocabulary.
"""
import sys

import tiktoken

SURROGATES = range(0xD800, 0xE000)
PROPERTIES = (("kLetterRanges", r"\p{L}"), ("kNumberRanges", r"\p{N}"), ("kSpaceRanges", r"\s"))
COLUMNS = 100


def ranges_of(pattern):
    """Maximal [first, last] runs of code points that `pattern` matches."""
    ranks = {bytes([value]): value for value in range(256)}
    encoding = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    ranges = []
    for code_point in range(0x110000):
        if code_point in SURROGATES or not encoding.encode_ordinary(chr(code_point)):
            continue
        if ranges and ranges[-1][1] == code_point - 1:
            ranges[-1][1] = code_point
        else:
            ranges.append([code_point, code_point])
    return ranges


def print_array(name, pattern):
    ranges = ranges_of(pattern)
    print(f"\n// {pattern}: {sum(last - first + 1 for first, last in ranges)} code points")
    print(f"inline constexpr std::array<CodePointRange, {len(ranges)}> {name}{{{{")
    line = "   "
    for first, last in ranges:
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > COLUMNS:
            print(line)
            line = "   "
        line += item
    print(line + "\n}};")


def main():
    version = f"tiktoken {tiktoken.__version__} (Unicode 16)"
    print(f"// Made by generate_unicode_tables.py with {version}. Do not edit.")
    print("#pragma once\n\n#include <array>\n#include <cstdint>\n\nnamespace ovid::tokenizer {")
    print("\nstruct CodePointRange {\n  std::uint32_t first, last;  // both included\n};")
    print("\n// clang-format off")
    for name, pattern in PROPERTIES:
        print_array(name, pattern)
    print("\n// clang-format on\n\n}  // namespace ovid::tokenizer")


if __name__ == "__main__":
    sys.exit(main())
