"""A Python file that applies the direction to a plain transformers model, with one forward hook a layer.

The vectors are in the file, as the very bytes of their float32 numbers, so it can be copied anywhere by itself.
"""

import base64
import shlex
import textwrap
from pathlib import Path
from string import Template

from creativity_lens.exports.payload import Payload
from creativity_lens.files import sha256_text, write_text

_PLAIN = sha256_text("none", "")  # the template's hash of a model that is asked in plain text
_PROGRAM = Template('''\
"""Push $model towards "$positive": $dose.

    python $file "Write about a lighthouse."              the text without the push, and with it
    python $file "Write about a lighthouse." --scale 0.5  half the push; a negative scale pushes the other way

In a program:  from $stem import steered
               with steered(model, scale=1.0, positions="all"): model.generate(...)

Written by $writer. Needs torch and transformers.
"""

import argparse
import base64
from contextlib import contextmanager

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

MODEL = $place
REVISION = $revision
CHAT = $chat  # whether the model is asked in its chat template
BLOCKS = $blocks  # where the list of blocks is in model.base_model
STRENGTH = $strength  # what scale 1 stands for: a fraction of the median residual norm, shared by the layers
# What scale 1 adds after each block, counted from 0: float32, little-endian, in base64.
VECTORS = {
$vectors}


@contextmanager
def steered(model, scale=1.0, positions="generated"):
    """Add the vectors to the output of their blocks, until the `with` block ends.

    positions: "generated" leaves the prompt alone, as long as generate() keeps its cache; "all" acts on it too.
    """

    def hook(vector):
        def add(module, inputs, output):
            hidden = output[0] if isinstance(output, tuple) else output
            if positions == "generated" and hidden.shape[1] > 1:  # the prompt comes in one piece, then token by token
                return output
            hidden = hidden + (scale * vector).to(hidden)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return add

    if positions not in ("generated", "all"):
        raise ValueError(f"positions: expected 'generated' or 'all', got {positions!r}")
    handles = []
    try:
        for layer, data in VECTORS.items():
            vector = torch.from_numpy(np.frombuffer(base64.b64decode(data), "<f4").astype(np.float32))
            block = model.base_model.get_submodule(f"{BLOCKS}.{layer}")
            handles.append(block.register_forward_hook(hook(vector)))
        yield model
    finally:
        for handle in handles:
            handle.remove()


def encode(tokenizer, prompt):
    """The prompt as the direction was measured: in the chat template, or as plain text with a line break behind it."""
    if CHAT:
        message = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"]
    else:
        start = next((i for i in (tokenizer.bos_token_id, tokenizer.eos_token_id) if i is not None), 0)
        ids = [start, *tokenizer(prompt + "\\n", add_special_tokens=False)["input_ids"]]
    return torch.tensor([ids])


def main():
    parser = argparse.ArgumentParser(description="Generate with and without the push.")
    parser.add_argument("prompt")
    parser.add_argument("--model", default=MODEL, help="a hub id or a folder")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--positions", choices=["generated", "all"], default="generated")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest token")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    revision = REVISION if given.model == MODEL else None
    tokenizer = AutoTokenizer.from_pretrained(given.model, revision=revision)
    model = AutoModelForCausalLM.from_pretrained(given.model, revision=revision).eval()
    ids = encode(tokenizer, given.prompt)
    luck = {"do_sample": True, "temperature": given.temperature} if given.temperature > 0 else {"do_sample": False}
    for scale in (0.0, given.scale):
        set_seed(given.seed)
        with torch.no_grad(), steered(model, scale, given.positions):
            whole = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=given.max_new_tokens,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
                **luck,
            )
        text = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
        print(f"scale {scale:g}:\\n{text}\\n")


if __name__ == "__main__":
    main()
''')


def write(payload: Payload, path: Path) -> None:
    """Write the program whole. Raises `InputError` where the list of blocks cannot be found in the model."""
    source, host = payload.directions.source, payload.host
    program = _PROGRAM.substitute(
        model=_words(payload.base_model),
        positive=_words(payload.directions.positive),
        dose=payload.dose,
        file=_words(path.name),
        stem=_words(path.stem),
        writer=payload.record()["written_by"],
        place=repr(payload.place),
        revision=repr(source.revision),
        chat=source.template_hash != _PLAIN,
        blocks=repr(host.blocks),
        strength=repr(float(payload.strength)),
        vectors="".join(_entry(layer, vector.astype("<f4").tobytes()) for layer, vector in payload.vectors.items()),
    )
    write_text(path, program)


def _entry(layer: int, data: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(data).decode("ascii"), 100)
    return f"    {layer}: (\n" + "".join(f'        "{line}"\n' for line in lines) + "    ),\n"


def _words(text: str) -> str:
    """A user's name inside the program's docstring: it may neither end it nor escape."""
    return "".join(c if c.isprintable() and c not in '\\"' else "_" for c in text)


def usage(payload: Payload, path: Path) -> str:
    """How to use the file."""
    return (
        f'Python:  python {shlex.quote(str(path))} "Write about a lighthouse."\n'
        "Acts from the first generated token on, as `clens steer` does; --positions all everywhere."
    )
