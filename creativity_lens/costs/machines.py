"""A machine's time for a forward pass, bounded by its memory, by its arithmetic, or by the Python that drives it."""

from dataclasses import dataclass, replace

from creativity_lens.costs.dimensions import BYTES, Dimensions, Number, flops_per_token, token_bytes, weight_bytes


@dataclass(frozen=True)
class Machine:
    """What a device can do, how much of it a model reaches, and what runs beside it. Bytes and seconds throughout."""

    name: str
    memory: Number  # bytes of one device
    bandwidth: Number  # bytes a second, of one device's memory
    flops: Number  # a second, of one device, dense, in the dtype of the weights
    devices: int = 1
    of_bandwidth: Number = 0.6  # shares that a pass reaches
    of_flops: Number = 0.4
    lost_tokens: Number = 60  # whose arithmetic a pass of more than one row loses: narrow products are slow
    layer_host: Number = 0.5e-3  # seconds of Python and launches, a layer and pass
    pass_host: Number = 1e-3  # and a pass: sampling, hooks put in place and taken away, copies
    noise: Number = 200e6  # Gumbel numbers a second, drawn on the processor for every prompt and luck of a batch
    storage: Number = 2e9  # bytes a second that weights are read with
    start: Number = 20.0  # seconds from a worker's start to its first byte of weights
    overlaps: bool = True  # whether the host works ahead while the device computes: GPUs do, a CPU is its own host

    def of(self, devices: int) -> "Machine":
        """As many devices of the kind."""
        return replace(self, devices=devices)


# Memory, bandwidth and the arithmetic of bfloat16 without sparsity: NVIDIA's data sheet of the H200 (SXM).
H200 = Machine("H200", memory=141e9, bandwidth=4.8e12, flops=989e12)


def devices_needed(sizes: Dimensions, machine: Machine, dtype: str, *, quantize: str | None = None) -> int:
    """How many devices one worker must hold the model on, so that a fifth of their memory is left for batches."""
    need = weight_bytes(sizes, dtype, quantize=quantize) / 0.8
    return max(1, int(-(-need // machine.memory)))


def pass_seconds(
    sizes: Dimensions,
    machine: Machine,
    tokens: Number,
    *,
    looked_back: Number,
    cached: Number = 0.0,
    dtype: str = "bfloat16",
    quantize: str | None = None,
    logits: Number | None = None,
    noise: Number = 0.0,
) -> Number:
    """Seconds of one forward pass over `tokens` tokens that each look back on `looked_back` positions.

    `cached` is how many cached tokens it reads, `logits` for how many of the tokens it gives logits (None: for all),
    `noise` how many Gumbel numbers are drawn for it. A model over several devices runs them one after the other, so it
    has the speed of one.
    """
    wanted = tokens if logits is None else logits
    unpacked = 0  # in every pass packed weights are read and written out in `dtype` first, each before its product
    if quantize is not None:
        unpacked = weight_bytes(sizes, dtype, quantize=quantize) + sizes.matrices * BYTES[dtype]
    moved = weight_bytes(sizes, dtype) + cached * token_bytes(sizes, dtype) + wanted * sizes.vocabulary * BYTES[dtype]
    lost = machine.lost_tokens * (1 - 1 / max(1, tokens))  # a single row is a vector, and loses nothing
    done = (tokens + lost) * flops_per_token(sizes, looked_back, logits=False) + wanted * 2 * sizes.embedding
    bandwidth = machine.bandwidth * machine.of_bandwidth
    device = unpacked / bandwidth + max(moved / bandwidth, done / (machine.flops * machine.of_flops))
    host = sizes.layers * machine.layer_host + machine.pass_host + noise / machine.noise
    return max(device, host) if machine.overlaps else device + host


def decode_seconds(
    sizes: Dimensions,
    machine: Machine,
    *,
    rows: int,
    prompt: Number,
    new: int,
    lucks: int,
    prompts: int = 1,
    dtype: str = "bfloat16",
    quantize: str | None = None,
) -> Number:
    """Seconds to write `new` tokens in each of `rows` rows after prompts of `prompt` tokens, which run once each.

    `lucks` is how many different pairs of prompt and seed the rows draw from: each has noise of its own at every step.
    """
    first = pass_seconds(
        sizes, machine, prompts * prompt, looked_back=prompt / 2, dtype=dtype, quantize=quantize, logits=prompts
    )
    length = prompt + new / 2
    step = pass_seconds(
        sizes, machine, rows, looked_back=length, cached=rows * length, dtype=dtype, quantize=quantize,
        noise=lucks * sizes.vocabulary,
    )  # fmt: skip
    return first + (new - 1) * step
