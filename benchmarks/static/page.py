"""The page that holds our kernels' static figures beside those of llm.c and FlashAttention-2."""
import json
import pathlib

import step_model

PEERS = pathlib.Path(__file__).resolve().parent / "peers.json"


def figure(value):
    return "-" if value is None else f"{value:g}"


def our_rows(table):
    rows = []
    for name, by_arch in sorted(table.items()):
        for arch, f in sorted(by_arch.items()):
            model = f"{f['teraflops']:.0f} TF/s" if "teraflops" in f else figure(f.get("streaming_ratio"))
            rows.append(f"| `{name}` | {arch} | {f['registers']} | {f['spills']} | {f['shared']} | {f['threads']} x {f['blocks']} | "
                        f"{f['occupancy']:.0%} | {figure(f['wide'])} | {f['hot_loop']['instructions']} | {f['clocks']:.0f} | {model} |")
    return rows


def text(table):
    peers = json.loads(PEERS.read_text())
    lines = ["# The kernels' machine code, judged without a GPU", "",
             "Written by `benchmarks/static/judge.py --page`; what the figures mean and how far the model can be trusted stands in",
             "`benchmarks/static/README.md`. Nothing here was measured on a GPU.", "", "## Ours", "",
             "Model: for kernels on tensor cores the rate of the hot loop alone, all of its products counted; for the others the multiprocessor's time over the",
             "memory's for the same bytes (below 1: memory is the limit).", "",
             "| kernel | target | registers | spills | shared bytes | threads x blocks | occupancy | 128-bit accesses | hot loop | clocks | model |",
             "|---|---|---|---|---|---|---|---|---|---|---|", *our_rows(table), ""]
    for title, peer in peers.items():
        lines += [f"## {title}", "", peer["source"], "", "| " + " | ".join(peer["columns"]) + " |",
                  "|" + "---|" * len(peer["columns"])]
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in peer["rows"]] + [""]
    lines += ["## A step of 124M, modelled", "",
              "Milliseconds of 524,288 tokens, 64 sequences a GPU; `benchmarks/static/step_model.py` says what went in. Off by 2 to 8 %",
              "where it can be checked; Ovid's figures are promises of the same model, and several GPUs are not yet in Ovid.", "",
              *step_model.table(), ""]
    return "\n".join(lines)
