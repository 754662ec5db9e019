"""A small GPT-2 trained by Hugging Face's Trainer, for first_step.py and resume.py.

  python trainer_run.py --data FOLDER --output FOLDER --steps 20 [--save-every 10] [--resume]

FOLDER of --data has train.bin, uint16 tokens without a header. Prints "step N loss X" for each
step, as the Trainer's own log has it.
"""

import argparse
import pathlib

import numpy
import torch
import transformers


class Windows(torch.utils.data.Dataset):
    """Consecutive windows; the Trainer draws their order from its seed."""

    def __init__(self, path, length):
        self.tokens = numpy.memmap(path, dtype="<u2", mode="r")
        self.length = length

    def __len__(self):
        return len(self.tokens) // self.length

    def __getitem__(self, index):
        row = self.tokens[index * self.length:(index + 1) * self.length].astype(numpy.int64)
        row = torch.from_numpy(row)
        return {"input_ids": row, "labels": row}


class PrintLosses(transformers.TrainerCallback):
    def on_log(self, arguments, state, control, logs=None, **_):
        if logs and "loss" in logs:
            print(f"step {state.global_step} loss {logs['loss']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--save-every", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    for name, value in (("layers", 4), ("heads", 4), ("width", 128), ("length", 64),
                        ("batch", 12), ("vocabulary", 257)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--dropout", type=float, default=0.1)
    options = parser.parse_args()

    transformers.set_seed(1337)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        n_layer=options.layers, n_head=options.heads, n_embd=options.width,
        n_positions=options.length, vocab_size=options.vocabulary, resid_pdrop=options.dropout,
        embd_pdrop=options.dropout, attn_pdrop=options.dropout, bos_token_id=options.vocabulary - 1,
        eos_token_id=options.vocabulary - 1))
    arguments = transformers.TrainingArguments(
        output_dir=str(options.output), max_steps=options.steps, seed=1337, use_cpu=True,
        per_device_train_batch_size=options.batch, learning_rate=1e-3, adam_beta2=0.99,
        weight_decay=0.1, lr_scheduler_type="constant", logging_steps=1, report_to="none",
        save_strategy="steps" if options.save_every else "no",
        save_steps=options.save_every or 500, disable_tqdm=True)
    trainer = transformers.Trainer(model=model, args=arguments, callbacks=[PrintLosses()],
                                   train_dataset=Windows(options.data / "train.bin",
                                                         options.length))
    trainer.train(resume_from_checkpoint=options.resume or None)


if __name__ == "__main__":
    main()
