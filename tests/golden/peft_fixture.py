"""An adapter as PEFT saves it, with its answers.

peft_adapter/: adapter_config.json and adapter_model.safetensors of PEFT's save_pretrained for the
model in transformers_tied/, which adapter_config.json names, beside them expected.json: rows of
tokens with the logits (float32) of the model with the adapters beside its linears, not merged.
README.md, which PEFT writes too, is left out. "c_proj" is a linear of the attention and one of the
MLP: PEFT adapts both.
"""

import json

import peft
import torch
import transformers

VERSION = peft.__version__
BASE = "transformers_tied"


@torch.no_grad()
def write(parent):
    base = transformers.GPT2LMHeadModel.from_pretrained(parent / BASE).eval()
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, fan_in_fan_out=True,
                             target_modules=["c_attn", "c_proj"])
    model = peft.get_peft_model(base, config).eval()
    generator = torch.Generator().manual_seed(11)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.peft_config["default"].base_model_name_or_path = f"../{BASE}"
    folder = parent / "peft_adapter"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    vocabulary = base.config.vocab_size
    rows = [[(5 * i * (r + 2) + 7 * r) % vocabulary for i in range(12)] for r in range(2)]
    expected = {"rows": rows, "logits": model(input_ids=torch.tensor(rows)).logits.tolist()}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
