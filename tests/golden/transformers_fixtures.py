"""Two model directories as transformers' save_pretrained writes them, with its answers.

transformers_tied/, transformers_untied/: config.json, generation_config.json and model.safetensors
untouched, beside them expected.json: rows of tokens with their logits (float32), and prompts with
their greedy continuations. The smallest gap between the best and the second logit on the way is
stored too: it must dwarf float32's rounding.
"""

import json

import torch
import transformers

import gpt2_reference as gpt2

VERSION = transformers.__version__
NEW_TOKENS = 20
FIXTURES = {
    "transformers_tied": (gpt2.Shape(2, 2, 16, 32, 67, True), 7),
    "transformers_untied": (gpt2.Shape(1, 3, 24, 32, 45, False), 8),
}


def build(shape, seed):
    config = transformers.GPT2Config(
        n_layer=shape.layers, n_head=shape.heads, n_embd=shape.width,
        n_positions=shape.context_length, vocab_size=shape.vocabulary_size,
        tie_word_embeddings=shape.tied_head, bos_token_id=0, eos_token_id=None,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    weights = gpt2.random_weights(shape, seed, scale=0.4)
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    if shape.tied_head:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    model.load_state_dict(tensors)
    return model


def greedy(model, prompt):
    """transformers' own greedy text, and the smallest lead of a chosen token over the next best."""
    tokens = model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0,
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
    )[0].tolist()
    scores = model(torch.tensor([tokens])).logits[0, len(prompt) - 1 : -1]
    best = scores.topk(2).values
    return {"prompt": prompt, "tokens": tokens[len(prompt) :],
            "smallest_lead": (best[:, 0] - best[:, 1]).min().item()}


@torch.no_grad()
def write(parent):
    for name, (shape, seed) in FIXTURES.items():
        model = build(shape, seed)
        folder = parent / name
        model.save_pretrained(folder)
        v = shape.vocabulary_size
        rows = [[(7 * i * (r + 1) + 3 * r) % v for i in range(12)] for r in range(2)]
        prompts = [[1], [2, 3, 5, 7, 11], [v - 1, 0, v // 2]]
        expected = {
            "rows": rows,
            "logits": model(torch.tensor(rows)).logits.tolist(),
            "greedy": [greedy(model, prompt) for prompt in prompts],
        }
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")
