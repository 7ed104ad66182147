"""Small models, planted directions, our exports of them, and what our own hooks give: run in our own environment.

    python tests/readers/prepare.py FOLDER

The tests beside it read that folder with other people's programs, in environments that do not have this package.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/, whose small models these are

import torch
from jaxtyping import Float, Int
from odd_vectors import write_odd_vectors
from safetensors.torch import save_file
from tiny_models import save_model
from torch import Tensor

from creativity_lens.activations import Source
from creativity_lens.directions import Directions
from creativity_lens.dosing import dose
from creativity_lens.exports import export
from creativity_lens.models import Model, load_model
from creativity_lens.steering import Steering, edit_table, steered

SHAPES = ("llama", "gpt2")
CONDITIONS = {"0": (0,), "1": (1,), "2": (2,), "1-2": (1, 2)}  # the layers, of three; several share the dose
STRENGTH = 0.5


def main(folder: Path) -> None:
    for shape in SHAPES:
        model = load_model(save_readable(folder / shape / "model", shape))
        directions = plant(model)
        ids = torch.randint(2, 4096, (1, 16), generator=torch.Generator().manual_seed(3))
        reference = {"ids": ids, "clean": logits(model, ids)}
        for condition, layers in CONDITIONS.items():
            write_files(directions, layers, folder / shape / condition)
            edits = dose(directions, layers, STRENGTH)
            reference[f"steered.{condition}"] = logits(model, ids, edits)
            reference |= {f"vector.{condition}.{edit.layer}": edit.vector for edit in edits}
        save_file(reference, folder / shape / "reference.safetensors")
    write_odd_vectors(folder / "odd")


def save_readable(folder: Path, shape: str) -> Path:
    """A small random model, its tokenizer named by a class that transformers 4 knows too."""
    config = save_model(folder, shape) / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


def plant(model: Model) -> Directions:
    """Random unit vectors, another one at each layer, on a scale at which a push moves logits far."""
    vectors = torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(7))
    norms = torch.full((model.n_layers,), 20.0)
    hashes = (model.config_hash, model.weights_hash)
    source = Source(model.name, None, *hashes, "float32", model.template_hash, "p" * 64, 1, "response")
    return Directions(
        vectors=torch.nn.functional.normalize(vectors, dim=-1),
        gaps=norms,
        residual_norms=norms,
        centers=torch.zeros_like(vectors),
        layers=tuple(range(model.n_layers)),
        method="planted",
        n_layers=model.n_layers,
        source=source,
    )


def logits(model: Model, ids: Int[Tensor, "batch pos"], edits: tuple[Steering, ...] = ()) -> Float[Tensor, "pos vocab"]:
    """Of the first row, with the edits made by our own hooks at every position."""
    with steered(model, edit_table([edits], model)):
        return model.forward(ids)[0].contiguous()


def write_files(directions: Directions, layers: tuple[int, ...], folder: Path) -> None:
    """Every file that the readers are asked to read, where the format has a place for the layers."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(to: str, name: str, **options: str) -> None:
        export(directions, to, folder / name, layers=layers, scale=STRENGTH, force=True, **options)

    if 0 not in layers:
        write("gguf", "vector.gguf")
    if directions.n_layers - 1 not in layers:
        write("svec", "activation_steering.svec", dialect="activation-steering")
    write("svec", "aisteer360.svec")
    write("lm-eval", "lm_eval.pt")
    write("steering-vectors", "steering_vectors.pt")
    write("snippet", "snippet.py")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
