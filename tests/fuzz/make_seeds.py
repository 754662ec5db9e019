#!/usr/bin/env python3
"""Writes the seed files of tests/fuzz/seeds: small valid files of each kind, and some with one fault.

    tests/fuzz/make_seeds.py

Files named found-* were found by fuzzing, and stay as they are.
"""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import struct
import tarfile
import zipfile
import zlib

SEEDS = pathlib.Path(__file__).parent / "seeds"


def write(target, name, data):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def join(files):
    """One input that stands for several files (split_sections in fuzz_target.h)."""
    out = b""
    for name, data in files.items():
        out += b"=== " + name.encode() + b"\n" + (data.encode() if isinstance(data, str) else data) + b"\n"
    return out


def config_seeds():
    full = """run: {name: demo, directory: runs, seed: 1337}
device: {kind: cpu, threads: 2}
precision: float32
model: {layers: 2, heads: 2, width: 32, context_length: 64, vocabulary_size: 257, dropout: 0.1, tied_head: true}
initialize_from: null
data: {train: [a_*.bin, b.bin], validation: [c.bin], order: sequential, weights: [0.25, 0.75]}
batch: {sequences: 8, micro_sequences: 4, length: 64}
optimizer: {learning_rate: 6.0e-4, beta1: 0.9, beta2: 0.95, epsilon: 1.0e-8, weight_decay: 0.1, gradient_clip: 1.0}
schedule: {kind: warmup_stable_decay, warmup_steps: 7, final_fraction: 0.1}
training: {steps: 100}
validation: {every_steps: 25, sequences: 8}
checkpoint: {every_steps: 50, keep_last: 3}
samples: {every_steps: 50, prompt: "a \\u00e9 \\x41\\n", tokens: 16}
recompute: block
distributed: {zero_stage: 0, reduction: fast}
"""
    write("config", "full", join({"run.yaml": full}))
    write("config", "blocks", join({"run.yaml": """# a comment
model:
  preset: gpt2-124m
  dropout: 0.0
data:
  train:
    - a.bin
    - 'b c.bin'
  validation: []
training:
  steps: 10
samples:
  prompt: |
    two
    lines
"""}))
    write("config", "overrides", join({
        "run.yaml": "data: {train: a.bin}\nmodel: {preset: distilgpt2}\n",
        "overrides": "optimizer.learning_rate=1e-3\ndata.train=[x.bin, y.bin]\nrun.name=\"q\"\nbatch.micro_sequences=auto"}))
    write("config", "include", join({
        "run.yaml": "include: [base.yaml, other.yaml]\ntraining: {steps: 3}\n",
        "base.yaml": "include: other.yaml\ndata: {train: a.bin}\nrun: {seed: 1}\n",
        "other.yaml": "model: {layers: 1, heads: 1, width: 8}\n"}))
    write("config", "include_itself", join({"run.yaml": "include: run.yaml\n"}))
    write("config", "mistakes", join({"run.yaml": """optimizer: {learning_rat: 6e-4, beta1: 2, beta1: 0.9}
batch: {sequences: 10, micro_sequences: 4, length: 0x10}
model: {width: 100, heads: 3, layers: 1e99}
run: &anchor {seed: -1, name: "../x"}
device: !!str *anchor
training:
\tsteps: 012
"""}))
    write("config", "numbers", join({"run.yaml": """data: {train: a.bin}
run: {seed: 18446744073709551615}
optimizer: {learning_rate: .inf, epsilon: 1e-400, weight_decay: -0.0, beta2: .nan}
training: {steps: 9223372036854775807}
batch: {sequences: 4611686018427387904, length: 4611686018427387904, micro_sequences: 99999999999999999999}
"""}))
    write("config", "deep", join({"run.yaml": "a: " + "[" * 40 + "]" * 40 + "\n"}))


def shard(tokens, magic=20240520, version=1, count=None, width=2):
    header = [magic, version, len(tokens) if count is None else count] + [0] * 253
    body = struct.pack("<%d%s" % (len(tokens), "H" if width == 2 else "B"), *tokens)
    return struct.pack("<256i", *header) + body


def token_shard_seeds():
    tokens = [256, 10, 20, 30, 256, 40, 50, 65535]
    mask = shard([0, 1, 1, 1, 0, 1, 1, 0], magic=20240521, width=1)
    description = json.dumps({"format_version": 1, "tokenizer": "tokenizer", "vocabulary_size": 257,
                              "end_of_text": 256, "train": {"documents": 2, "tokens": 8}})
    write("token_shard", "masked", join({"train_0.bin": shard(tokens), "train_0.mask": mask,
                                         "dataset.json": description}))
    write("token_shard", "two", join({"train_0.bin": shard(tokens[:4]), "train_1.bin": shard(tokens)}))
    write("token_shard", "headerless", join({"train_0.bin": struct.pack("<4H", 1, 2, 3, 256)}))
    write("token_shard", "empty", join({"train_0.bin": shard([])}))
    write("token_shard", "count_too_large", join({"train_0.bin": shard(tokens, count=2**31 - 1)}))
    write("token_shard", "count_negative", join({"train_0.bin": shard(tokens, count=-1)}))
    write("token_shard", "mask_of_another", join({"train_0.bin": shard(tokens),
                                                  "train_0.mask": shard([1], magic=20240521, width=1)}))
    write("token_shard", "bytes_description", join({
        "train_0.bin": shard(tokens),
        "dataset.json": '{"format_version":1,"tokenizer":"bytes","vocabulary_size":18446744073709551615,"end_of_text":1e3}'}))


def safetensors(tensors, metadata=None, header=None):
    """tensors: name to (dtype, shape, bytes)."""
    entries, data = {}, b""
    if metadata is not None:
        entries["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(entries, separators=(",", ":")).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + data


def floats(*shape):
    count = 1
    for extent in shape:
        count *= extent
    return ("F32", list(shape), struct.pack("<%df" % count, *[0.5] * count))


def safetensors_seeds():
    some = {"a": floats(2, 3), "b": ("BF16", [2], b"\x80\x3f\x00\x40"), "c": ("F16", [], b"\x00\x3c"),
            "d": ("F64", [1], struct.pack("<d", 1e300)), "e@0:4": ("I64", [0, 7], b""),
            "f": ("F4", [2, 1], b"\x12"), "g": ("BOOL", [3], b"\x00\x01\x02")}
    write("safetensors", "dtypes", safetensors(some, {"format": "pt", "a": "b"}))
    write("safetensors", "one", safetensors({"x@3:9": floats(6)}))
    write("safetensors", "none", safetensors({}))
    write("safetensors", "long_header", struct.pack("<Q", 2**63) + b"{}")
    huge = b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'
    write("safetensors", "overflow", safetensors({}, header=huge))
    overlap = b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}'
    write("safetensors", "overlap", safetensors({}, header=overlap) + b"abc")
    gap = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
    write("safetensors", "gap", safetensors({}, header=gap) + b"ab")
    twice = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    write("safetensors", "twice", safetensors({}, header=twice) + b"a")
    write("safetensors", "deep", safetensors({}, header=b'{"a":' * 60 + b"[" * 60))


def gpt2(width=2, vocabulary=3, context=2, prefix="transformer.", head=False):
    c = width
    tensors = {"wte.weight": (vocabulary, c), "wpe.weight": (context, c), "h.0.ln_1.weight": (c,),
               "h.0.ln_1.bias": (c,), "h.0.attn.c_attn.weight": (c, 3 * c), "h.0.attn.c_attn.bias": (3 * c,),
               "h.0.attn.c_proj.weight": (c, c), "h.0.attn.c_proj.bias": (c,), "h.0.ln_2.weight": (c,),
               "h.0.ln_2.bias": (c,), "h.0.mlp.c_fc.weight": (c, 4 * c), "h.0.mlp.c_fc.bias": (4 * c,),
               "h.0.mlp.c_proj.weight": (4 * c, c), "h.0.mlp.c_proj.bias": (c,), "ln_f.weight": (c,),
               "ln_f.bias": (c,)}
    named = {prefix + name: floats(*shape) for name, shape in tensors.items()}
    if head:
        named["lm_head.weight"] = floats(vocabulary, c)
    return named


def model_config(**changes):
    config = {"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": 2, "n_positions": 2, "vocab_size": 3,
              "activation_function": "gelu_new", "tie_word_embeddings": True, "layer_norm_epsilon": 1e-5,
              "embd_pdrop": 0.0, "n_inner": None}
    config.update(changes)
    return json.dumps(config)


def index_of(parts):
    return json.dumps({"metadata": {"total_size": 1},
                       "weight_map": {name: file for file, tensors in parts.items() for name in tensors}})


def model_directory_seeds():
    whole = gpt2()
    write("model_directory", "tied", join({"config.json": model_config(), "model.safetensors": safetensors(whole)}))
    write("model_directory", "untied", join({
        "config.json": model_config(tie_word_embeddings=False),
        "model.safetensors": safetensors(gpt2(prefix="", head=True))}))
    names = sorted(whole)
    parts = {"part-1.safetensors": {n: whole[n] for n in names[:8]},
             "part-2.safetensors": {n: whole[n] for n in names[8:]}}
    files = {"config.json": model_config(), "model.safetensors.index.json": index_of(parts)}
    files.update({name: safetensors(tensors) for name, tensors in parts.items()})
    write("model_directory", "index", join(files))
    write("model_directory", "index_leads_out", join({
        "config.json": model_config(),
        "model.safetensors.index.json": '{"weight_map":{"a":"../a.safetensors","b":"/etc/passwd","c":"."}}'}))
    write("model_directory", "index_of_folder", join({
        "config.json": model_config(), "model.safetensors.index.json": '{"weight_map":{"a":"none.safetensors"}}'}))
    write("model_directory", "huge", join({
        "config.json": model_config(n_embd=1 << 20, n_layer=10000, n_positions=1 << 24, vocab_size=65536),
        "model.safetensors": safetensors(whole)}))
    write("model_directory", "odd_values", join({
        "config.json": '{"model_type":"gpt2","n_layer":1e3,"n_head":-1,"n_embd":"2","layer_norm_epsilon":1e999}'}))


def state(**changes):
    text = {"format_version": 1, "step": 1, "sequences_consumed": 8, "tokens": 512, "best_validation_loss": 2.5,
            "best_step": 1, "guard": {"losses": [2.0, 2.5], "gradient_norms": [1.0], "skips_in_a_row": 0, "skips": 0},
            "validations": {"lowest": 2.5, "without_improvement": 0}, "seed": 1337, "data_fingerprint": "ab",
            "order": "shuffled", "length": 64,
            "model": {"layers": 1, "heads": 1, "width": 2, "context_length": 2, "vocabulary_size": 3,
                      "tied_head": True}}
    text.update(changes)
    return json.dumps(text, indent=2)


def manifest(files, **changes):
    """The hashes are zeros: the target makes only the manifest's own checksum right."""
    entries = {name: {"bytes": len(data if isinstance(data, bytes) else data.encode()), "xxh3_128": "0" * 32}
               for name, data in files.items()}
    text = {"format": "ovid-checkpoint", "format_version": 1, "step": 1, "files": entries,
            "metadata": {"version": "0.1.0", "ranks": "1"}}
    text.update(changes)
    text["checksum"] = "0" * 32
    return json.dumps(text, indent=2) + "\n"


def checkpoint_seeds():
    model = gpt2()
    optimizer = {"exp_avg." + name: value for name, value in list(model.items())[:3]}
    optimizer["exp_avg_sq.transformer.wte.weight@0:6"] = floats(6)
    files = {"config.json": model_config(), "model.safetensors": safetensors(model),
             "optimizer-00000.safetensors": safetensors(optimizer), "state.json": state()}
    write("checkpoint", "whole", join({**files, "manifest.json": manifest(files)}))
    average = {"average/config.json": model_config(), "average/model.safetensors": safetensors(model)}
    write("checkpoint", "average", join({**files, **average,
                                         "manifest.json": manifest({**files, **average}, format_version=2)}))
    write("checkpoint", "state", join({"state.json": state()}))
    write("checkpoint", "odd_state", join({"state.json": state(step=1e300, tokens=-1, seed=2**64 - 1, best_step=None)}))
    write("checkpoint", "version_1_state", join({"state.json": json.dumps(
        {k: v for k, v in json.loads(state()).items() if k not in ("guard", "validations")})}))
    write("checkpoint", "names_lead_out", join({"manifest.json": manifest({"../x": b"", "a/b": b"", "average/../y": b""})}))
    write("checkpoint", "no_whole_numbers", join({"manifest.json": manifest({}, step=1e300)}))
    write("checkpoint", "later_version", join({"manifest.json": manifest({}, format_version=99, step=2**63)}))


def metrics_seeds():
    rows = [{"step": 1, "loss": 5.5, "gradient_norm": 1.25, "learning_rate": 6e-4, "tokens": 512,
             "tokens_per_second": 1000.0, "flops_per_second": 1e9, "time": 1.5e9},
            {"step": 1, "validation_loss": 5.25, "tokens": 512, "validation_tokens": 64, "time": 1.5e9},
            {"step": 2, "event": "stopped", "message": "SIGTERM", "time": 1.5e9},
            {"step": 2, "loss": "nan", "gradient_norm": "inf", "learning_rate": "-inf", "tokens": -1},
            {"step": 1, "loss": 5.0}]
    write("metrics", "rows", "".join(json.dumps(row) + "\n" for row in rows))
    write("metrics", "many", "".join('{"step":%d,"loss":%d.5}\n' % (s, s) for s in range(1, 40)))
    write("metrics", "torn", '{"step":1,"loss":2.0}\n{"step":2,"lo')
    write("metrics", "odd", '{"step":9223372036854775807,"loss":1e999}\n{"step":-1,"loss":1}\n[]\nnull\n\n'
                            '{"step":18446744073709551615,"loss":1}\n{"step":1.5,"loss":1}\n' + "[" * 100 + "\n")
    write("metrics", "bytes", b"\xff\xfe\x00\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\n{\"step\":1,\"event\":\"\\ud800\"}\n")


def byte_letters():
    """GPT-2's printable character of each byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters, extra = {}, 0
    for byte in range(256):
        letters[byte] = chr(byte) if byte in plain else chr(256 + extra)
        extra += byte not in plain
    return letters


def tokenizer_seeds():
    few = {token: i for i, token in enumerate(["a", "b", "c", "\u0120", "ab", "abc", "<|endoftext|>"])}
    merges = "#version: 0.2\na b\nab c\n"
    write("tokenizer", "hugging_face", join({"hf/vocab.json": json.dumps(few), "hf/merges.txt": merges,
                                             "text": "abc abcab<|endoftext|>cab"}))
    whole = {letter: i for i, letter in enumerate(byte_letters().values())}
    whole.update({"he": 256, "hel": 257, "lo": 258, "\u0120w": 259, "<|endoftext|>": 260})
    write("tokenizer", "openai", join({"openai/encoder.json": json.dumps(whole, ensure_ascii=False),
                                       "openai/vocab.bpe": "#version: 0.2\r\nh e\r\nhe l\r\nl o\r\n\u0120 w\r\n",
                                       "text": b"hello  world's \xff\xf0\x9f\x98 \xe2\x82\xac 12\n"}))
    added = {"added_tokens": [{"id": 6, "content": "<|endoftext|>", "special": True},
                              {"id": 7, "content": "<|a|>", "lstrip": False}, {"id": 8, "content": "<|a|>b"}]}
    write("tokenizer", "added_tokens", join({
        "hf/vocab.json": json.dumps(few), "hf/merges.txt": merges, "hf/tokenizer.json": json.dumps(added),
        "hf/added_tokens.json": '{"<|a|>":7,"<|a|>b":8}', "text": "ab<|a|>b<|a|>c<|endoftext|><|a"}))
    write("tokenizer", "added_list", join({"hf/vocab.json": json.dumps(few), "hf/merges.txt": merges,
                                           "hf/added_tokens.json": '{"x":7,"xx":8}', "text": "axxxabc"}))
    write("tokenizer", "ranks", join({"more.tiktoken": "aGU= 256\naGVs 257\nIHc= 258\n", "text": "hello world"}))
    write("tokenizer", "no_pair", join({"more.tiktoken": "YWJj 256\n"}))
    write("tokenizer", "bad_ranks", join({"ranks.tiktoken": "YQ== 0\nYQ== 4294967296\n!!! 1\n"}))
    write("tokenizer", "bytes", join({"text": b"a\n\n  b\t<|endoftext|>\xed\xa0\x80 it's 3.5 \xc2\xa0\xe3\x80\x80x"}))
    write("tokenizer", "odd_ids", join({"hf/vocab.json": '{"a":-1,"b":1.5,"c":null,"a":{"d":[]}}', "hf/merges.txt": "a b\n"}))
    write("tokenizer", "merge_of_nothing", join({"hf/vocab.json": json.dumps(few), "hf/merges.txt": "a b\nx y\n"}))


def json_lines_seeds():
    write("json_lines", "texts", '{"text": "one\\u00e9\\n", "id": 1}\r\n\n{"id": 2, "text": ""}\n{"text": "last"}')
    write("json_lines", "requests", '{"text":"a"}\n{"base64":"AP8="}\n{"ids":[1,2,2147483647]}\n{"ids":[-1]}\n{"ids":[1e9]}\n')
    write("json_lines", "bad_lines", b'{"text": 1}\n[]\nnull\n{"text": "\xff"}\n{"text": "\\ud800"}\n{"text": null}\n{"a": 1\n')
    write("json_lines", "deep", '{"text":' + "[" * 1500 + "\n")
    write("json_lines", "keys", '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}\n{"\\u001b[2J": 1}\n')


def tar_of(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()[:1024 * (len(members) + 1) + 512]  # less of the zeros at the end


def zip_of(members, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


def zstd_of(data):
    """A frame of one block that is not compressed (RFC 8878), for data below 256 bytes."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


def xz_with_window(data, code):
    """An xz file whose header asks for the window of that code (xz format 5.3.1; 40: 4 GiB)."""
    out = bytearray(lzma.compress(data, preset=0))
    end = 12 + (out[12] + 1) * 4
    out[out.index(b"\x21\x01", 12) + 2] = code
    out[end - 4:end] = struct.pack("<I", zlib.crc32(bytes(out[12:end - 4])))
    return bytes(out)


def archive_seeds():
    text = b"a text\nof two lines\n"
    lines = b'{"text": "one"}\n{"text": 2}\n{"text": "three"}\n'
    members = {"a.txt": text, "folder/b.jsonl": lines, ".hidden": text}
    write("archive", "gz", gzip.compress(text, mtime=0))
    write("archive", "bz2", bz2.compress(text))
    write("archive", "xz", lzma.compress(text, preset=0))
    write("archive", "xz_huge_window", xz_with_window(text, 40))
    write("archive", "xz_huge_window_later", lzma.compress(text, preset=0) + xz_with_window(text, 40))
    write("archive", "zst", zstd_of(text))
    write("archive", "tar", tar_of(members))
    write("archive", "tar_gz", gzip.compress(tar_of(members), mtime=0))
    write("archive", "tar_xz", lzma.compress(tar_of(members), preset=0))
    write("archive", "zip", zip_of(members, zipfile.ZIP_DEFLATED))
    write("archive", "zip_stored", zip_of(members, zipfile.ZIP_STORED))
    wrong = bytearray(zip_of(members, zipfile.ZIP_STORED))
    wrong[wrong.index(b"two lines")] ^= 1
    write("archive", "zip_wrong_checksum", bytes(wrong))
    write("archive", "zip_lzma", zip_of(members, zipfile.ZIP_LZMA))
    nested = members
    for depth in range(6):
        nested = {"inner%d.tar" % depth: tar_of(nested), "x.gz": gzip.compress(text, mtime=0)}
    write("archive", "nested", gzip.compress(tar_of(nested), mtime=0))
    write("archive", "inner_zst", tar_of({"a.jsonl.zst": zstd_of(lines), "b.zip": zip_of({"c.txt": text}, 0)}))
    write("archive", "expands", gzip.compress(bytes(4 << 20), 9, mtime=0))
    write("archive", "escape_in_name", tar_of({"\x1b[2J\r/../../x.txt": text, "/etc/y.jsonl": lines}))
    write("archive", "cut", gzip.compress(tar_of(members), mtime=0)[:-40])
    write("archive", "no_archive", text)


PTX = """.version 9.0
.target sm_90a
.address_size 64
.file 1 "kernel.cu"
.extern .func (.param .b32 result) vprintf (.param .b64 a, .param .b64 b);
.global .align 8 .u64 places[2] = {generic(values)+8, vprintf};
.visible .global .align 4 .f32 values[2][3] = {{1.5, 0f3F800000}, {-2}};
.global .u8 bytes[2] = {0xff(values), 0xff00(values)};
.extern .shared .align 1024 .b8 tile[];
.weak .func (.reg .f32 %out) half(.reg .f32 %in) .noreturn { mul.f32 %out, %in, 0d3FE0000000000000; ret; }
.visible .entry kernel(.param .u64 .ptr .global .align 16 p, .param .align 8 .b8 big[24])
.maxntid 128, 1, 1 .minnctapersm 2 .pragma "nounroll";
{
.reg .b32 %r<10>; .reg .b64 %rd<4>; .reg .f32 %f<8>; .reg .pred %p<2>; .reg .v4 .f32 %v;
.loc 1 3 5, function_name $name+1, inlined_at 1 2 1
@!%p1 ld.global.L1::no_allocate.v4.f32 {%f0, _, %f2, %f3}, [%rd1+-16]; /* comment */
setp.lt.and.s32 %p1|_, %r1, %ntid.x, !%p0; // comment
{ .reg .b32 %r<2>; L: mov.u32 %r1, (1 + 2) * WARP_SZ - -0x1F ? 1U : 0b1; bra L; }
L: mov.f32 %v.x, %v.w;
list: .branchtargets L, M;
M: proto: .callprototype (.param .b32 _) _ (.param .b64 _);
{ .param .b64 a; st.param.b64 [a], %rd1; call (%r1), %rd2, (a), proto; }
cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r2, %r3}], [%r4];
brx.idx %r1, list;
}
.alias other, half;
.section .debug_str { $name: .b8 65, 66, 0 }
"""


def ptx_seeds():
    write("ptx", "forms", PTX)
    head = ".version 8.0 .target sm_80 .address_size 64 "
    write("ptx", "units", join({
        "a": head + ".extern .global .b32 x; .global .b32 y; .entry k() { .reg .b64 %r; mov.u64 %r, y; ret; }",
        "b": head + ".visible .global .b32 x; .global .b32 y = 1; .func f() { ret; } .global .u64 z = y;"}))
    write("ptx", "deep", head + ".entry k() " + "{" * 100)
    write("ptx", "large_array", head + ".global .b8 x[99][1000000000] = {{}, {1}};")


def fat_binary_entry(kind, payload, compressed=0, flags=0, text_bytes=0):
    """An entry for compute_80 with a header of 64 bytes."""
    header = struct.pack("<HHIQIIHHIQQQQ", kind, 0x101, 64, len(payload), compressed, 0, 0, 9, 80, 0, flags, 0,
                         text_bytes)
    return header + payload


def fat_binary_of(entries):
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def fat_binary_seeds():
    text = PTX.encode()
    literals = bytes([0xF0]) + bytes([255] * ((len(text) - 15) // 255) + [(len(text) - 15) % 255]) + text
    plain = fat_binary_entry(1, text)
    machine_code = fat_binary_entry(2, b"machine code")
    lz4 = fat_binary_entry(1, literals, len(literals), 0x2000, len(text))
    short = text[:200]
    zstd = zstd_of(short)
    write("fat_binary", "plain", fat_binary_of([machine_code, plain]))
    write("fat_binary", "lz4", fat_binary_of([lz4]))
    write("fat_binary", "zstd", fat_binary_of([fat_binary_entry(1, zstd, len(zstd), 0x8000, len(short))]))
    write("fat_binary", "units", fat_binary_of([plain]) + bytes(24) + fat_binary_of([]) + fat_binary_of([lz4]))


if __name__ == "__main__":
    for make in (config_seeds, token_shard_seeds, safetensors_seeds, model_directory_seeds, checkpoint_seeds,
                 metrics_seeds, tokenizer_seeds, json_lines_seeds, archive_seeds, ptx_seeds, fat_binary_seeds):
        make()
