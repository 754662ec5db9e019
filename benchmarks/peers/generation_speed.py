"""Tokens per second of greedy decoding: Ovid and its peers, generation by generation in turns.

  python generation_speed.py --ovid build/release/benchmark_generation --peers transformers [...]

All decode the same shape of GPT-2 (124M unless told otherwise) with random weights in float32, the
same pseudo-random prompts and the same number of new tokens; none stops early. Every contender is
one process that waits for a line before each generation, so that all of them meet the same state of
the machine. The first round is not counted. The weights' bytes times the generations of a token per
second tell how much of the memory's bandwidth a contender uses: at batch 1 that is the limit.

Peers: transformers (generate with its cache, eager), ctranslate2 and llama.cpp (the package
xllamacpp), each where its package is there.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEERS = ("transformers", "ctranslate2", "llama.cpp")


def synthetic_prompts(arguments):
    """The prompts of benchmarks/generation.cpp: a linear congruential generator of 31 bits."""
    state, prompts = 1, []
    for _ in range(arguments.batch):
        prompt = []
        for _ in range(arguments.prompt):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            prompt.append((state >> 8) % arguments.vocabulary)
        prompts.append(prompt)
    return prompts


def random_model(arguments):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.manual_seed(1)
    config = GPT2Config(n_layer=arguments.layers, n_head=arguments.heads, n_embd=arguments.width,
                        n_positions=arguments.context, vocab_size=arguments.vocabulary,
                        bos_token_id=arguments.vocabulary - 1,
                        eos_token_id=arguments.vocabulary - 1)
    return GPT2LMHeadModel(config).eval()


def transformers_generator(arguments):
    import torch
    torch.set_num_threads(arguments.threads)
    model = random_model(arguments)
    tokens = torch.tensor(synthetic_prompts(arguments))
    mask = torch.ones_like(tokens)

    def generate():
        with torch.inference_mode():
            result = model.generate(tokens, attention_mask=mask, do_sample=False,
                                    min_new_tokens=arguments.new_tokens,
                                    max_new_tokens=arguments.new_tokens,
                                    pad_token_id=arguments.vocabulary - 1)
        return result.shape[1] - arguments.prompt

    return generate


def ctranslate2_generator(arguments):
    import ctranslate2
    from ctranslate2.specs import transformer_spec
    from ctranslate2.converters.transformers import GPT2Loader
    folder = pathlib.Path(tempfile.mkdtemp(dir=arguments.folder))
    spec = GPT2Loader().get_model_spec(random_model(arguments))
    assert isinstance(spec, transformer_spec.TransformerDecoderModelSpec)
    spec.register_vocabulary([f"t{i}" for i in range(arguments.vocabulary - 1)]
                             + ["<|endoftext|>"])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "<|endoftext|>"
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(str(folder))
    generator = ctranslate2.Generator(str(folder), device="cpu", compute_type="float32",
                                      intra_threads=arguments.threads, inter_threads=1)
    prompts = [[f"t{i}" for i in prompt] for prompt in synthetic_prompts(arguments)]

    def generate():
        results = generator.generate_batch(
            prompts, beam_size=1, max_length=arguments.new_tokens,
            min_length=arguments.new_tokens, include_prompt_in_result=False)
        return len(results[0].sequences_ids[0])

    return generate


def save_gguf(path, arguments):
    """The random model in llama.cpp's format, float32."""
    import gguf
    model = random_model(arguments)
    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_block_count(arguments.layers)
    writer.add_context_length(arguments.context)
    writer.add_embedding_length(arguments.width)
    writer.add_feed_forward_length(4 * arguments.width)
    writer.add_head_count(arguments.heads)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(arguments.vocabulary - 1)] + ["<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * (arguments.vocabulary - 1)
                           + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(arguments.vocabulary - 1)
    writer.add_eos_token_id(arguments.vocabulary - 1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, arguments.layers)
    for name, tensor in model.state_dict().items():
        if name.endswith((".attn.bias", ".attn.masked_bias")) or name == "lm_head.weight":
            continue
        # Hugging Face's Conv1D keeps (in, out); llama.cpp wants (out, in).
        conv1d = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
        values = (tensor.t() if conv1d else tensor).contiguous().numpy()
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp_generator(arguments):
    import xllamacpp
    path = pathlib.Path(tempfile.mkdtemp(dir=arguments.folder)) / "model.gguf"
    save_gguf(path, arguments)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = arguments.batch * (arguments.prompt + arguments.new_tokens + 8)
    params.n_parallel = arguments.batch
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    params.warmup = False
    server = xllamacpp.Server(params)
    prompts = synthetic_prompts(arguments)

    def generate():
        from concurrent.futures import ThreadPoolExecutor

        def one(prompt):
            return server.handle_completions({
                "prompt": prompt, "n_predict": arguments.new_tokens, "temperature": 0.0,
                "top_k": 1, "ignore_eos": True, "cache_prompt": False})

        with ThreadPoolExecutor(arguments.batch) as pool:
            results = list(pool.map(one, prompts))
        result = results[0]
        if isinstance(result, (str, bytes)):
            result = json.loads(result)
        return result["usage"]["completion_tokens"] if "usage" in result \
            else result["tokens_predicted"]

    return generate


def peak_bytes():
    for line in pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def be_contender(arguments):
    """One peer, in the form of benchmarks/generation.cpp's output."""
    makers = {"transformers": transformers_generator, "ctranslate2": ctranslate2_generator,
              "llama.cpp": llama_cpp_generator}
    # What a library says about itself must not stand between our lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    generate = makers[arguments.contender](arguments)
    out.write(json.dumps({"event": "ready", "program": arguments.contender}) + "\n")
    for _ in sys.stdin:
        start = time.perf_counter()
        tokens = generate()
        seconds = time.perf_counter() - start
        if tokens != arguments.new_tokens:
            raise SystemExit(f"{arguments.contender} made {tokens} tokens instead of "
                             f"{arguments.new_tokens}")
        out.write(json.dumps({"event": "step", "ms": seconds * 1e3}) + "\n")
    out.write(json.dumps({"event": "done", "peak_bytes": peak_bytes()}) + "\n")


class Contender:
    """A process that generates once for each line it is given."""

    def __init__(self, name, command):
        self.name, self.steps = name, []
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.read("ready")

    def read(self, event):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with code {self.process.wait()} before '{event}'")
        values = json.loads(line)
        if values.get("event") != event:
            raise SystemExit(f"{self.name} said {line.strip()} instead of '{event}'")
        return values

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.steps.append(self.read("step"))

    def finish(self):
        self.process.stdin.close()
        peak = self.read("done")["peak_bytes"]
        self.process.wait()
        times = [step["ms"] for step in self.steps[1:]]  # the first warms up
        return {"name": self.name, "median_ms": statistics.median(times), "times_ms": times,
                "steps": self.steps[1:], "peak_bytes": peak}


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def print_table(arguments, results):
    tokens = arguments.batch * arguments.new_tokens
    print(f"{processor()}, {arguments.threads} threads, {arguments.layers} x {arguments.width}, "
          f"batch {arguments.batch}, prompt {arguments.prompt}, {arguments.new_tokens} new tokens, "
          f"{arguments.rounds} rounds in turns")
    print(f"{'':14}{'median ms':>11}{'fastest ms':>12}{'tokens/s':>10}{'ratio':>8}"
          f"{'peak MiB':>10}")
    for result in results:
        print(f"{result['name']:14}{result['median_ms']:>11,.1f}{min(result['times_ms']):>12,.1f}"
              f"{1e3 * tokens / result['median_ms']:>10,.1f}"
              f"{result['median_ms'] / results[0]['median_ms']:>8.2f}"
              f"{result['peak_bytes'] / 2**20:>10,.0f}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ovid", help="build/release/benchmark_generation; left out: peers only")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["transformers"])
    for key, value in (("layers", 12), ("heads", 12), ("width", 768), ("vocabulary", 50257),
                       ("context", 1024), ("batch", 1), ("prompt", 32), ("new-tokens", 128),
                       ("threads", 2), ("rounds", 5)):
        parser.add_argument(f"--{key}", type=int, default=value)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    parser.add_argument("--contender", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.contender:
        be_contender(arguments)
        return
    shared = []
    for key in ("layers", "heads", "width", "vocabulary", "context", "batch", "prompt",
                "new_tokens", "threads"):
        shared += ["--" + key.replace("_", "-"), getattr(arguments, key)]
    with tempfile.TemporaryDirectory() as folder:
        contenders = []
        if arguments.ovid:
            contenders.append(Contender("ovid", [arguments.ovid, "--step-on-input", "--steps",
                                                 arguments.rounds + 1, *shared]))
        for name in arguments.peers:
            contenders.append(Contender(name, [arguments.python, "-B", __file__, "--contender",
                                               name, "--folder", folder, *shared]))
        if not contenders:
            raise SystemExit("nothing to time: give --ovid or --peers")
        for turn in range(arguments.rounds + 1):
            for index in range(len(contenders)):
                time.sleep(0.5)
                contenders[(turn + index) % len(contenders)].step()
        results = [contender.finish() for contender in contenders]
    print_table(arguments, results)
    if arguments.json:
        setup = {key: value for key, value in vars(arguments).items() if isinstance(value, int)}
        arguments.json.write_text(json.dumps(
            {"processor": processor(), "setup": setup, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
