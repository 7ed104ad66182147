"""llama.cpp itself: a model and its context by its C interface, and its programs' loader of control vectors."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np

HERE = Path(__file__).parent
INSTALLED = Path(llama_cpp.__file__).parents[1] / "lib"  # where its build leaves the library of its programs
ROOM = 1 << 16  # values of a control vector
F32 = 0  # of ggml's types


class Llama:
    """A model in float32 throughout, its cache included, as far as llama.cpp can be asked for it."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), llama_cpp.llama_model_default_params())
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.type_k, options.type_v = 64, F32, F32
        options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self.n_layers = llama_cpp.llama_model_n_layer(self._model)
        self.width = llama_cpp.llama_model_n_embd(self._model)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """[pos, vocab] of a text that goes in in one piece."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            batch.token[index], batch.pos[index], batch.logits[index] = int(token), index, 1
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
        assert llama_cpp.llama_decode(self._context, batch) == 0
        values = llama_cpp.llama_get_logits(self._context)
        found = np.ctypeslib.as_array(values, (len(ids), self._vocabulary)).copy()
        llama_cpp.llama_batch_free(batch)
        return found

    @contextmanager
    def controlled(self, values: np.ndarray, first: int, last: int) -> Iterator[None]:
        """With a control vector at the layers from `first` to `last`, both included."""
        pointer = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        put = llama_cpp.llama_set_adapter_cvec
        assert put(self._context, pointer, values.size, self.width, first, last) == 0
        try:
            yield
        finally:
            assert put(self._context, None, 0, self.width, first, last) == 0


def build_loader(folder: Path) -> Callable[[Path], np.ndarray | None]:
    """Reads a control vector with the function that llama.cpp's programs use; None where that refuses the file."""
    library = folder / "libloader.so"
    link = [f"-L{INSTALLED}", "-lllama-common", f"-Wl,-rpath,{INSTALLED}", "-Wl,--allow-shlib-undefined"]
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "loader.cpp", *link], check=True)
    function = ctypes.CDLL(str(library)).load_control_vector
    size = ctypes.POINTER(ctypes.c_size_t)
    function.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_void_p, ctypes.c_size_t, size]

    def load(path: Path) -> np.ndarray | None:
        values, length = np.zeros(ROOM, np.float32), ctypes.c_size_t()
        width = function(os.fsencode(path), 1.0, values.ctypes.data, ROOM, ctypes.byref(length))
        assert length.value <= ROOM
        return None if width == -1 else values[: length.value].reshape(-1, width)

    return load
