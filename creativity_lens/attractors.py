"""Attractors: whether a model that is made to begin elsewhere comes back to where it goes by itself. Knows no model.

For each prompt there are three groups of texts, as embeddings, and none holds the forced beginning itself:

- *free*: the model's own continuations of the prompt, of which the first k tokens are cut away;
- *perturbed*: what the model writes after k forced tokens, the beginning of another text;
- *followed*: the rest of the very texts that the beginnings were taken from, as their author went on.

**Pull** = 1 - |mean perturbed - mean free| / |mean followed - mean free|: 0 where the model goes on as the beginning's
author did, 1 where it writes what it would have written anyway. The squared lengths are freed of sampling noise: a mean
of six texts lies off its place, and uncorrected a model that comes back entirely would show a pull of 0.2 to 0.5.
They are averaged over prompts before ratio and root.

**Projected pull** = 1 - <perturbed - free, followed - free> / |followed - free|^2, of the same means, asks how far
along the way of the beginning's author the model went. It needs no root and has no bias; it does not see a model that
goes somewhere else altogether, which the pull does: there it falls below 0.

The *return rate* (share of perturbed texts within the free ones' radius) stands beside them with its floor. Alone it
can reverse the conclusion, for it uses each model's own radius: a diffuse model without any pull returns 0.7, a tight
one that is half pulled back 0.1.

What the pull cannot tell: texts of another author differ from the model's in style as well as in where they go. A model
that follows every beginning in its own style is no farther from its free texts than the content takes it, and shows a
pull of 1 - content / |content + style|. Beginnings must therefore be the same for all models that are compared, and
come from authors whose style is that of the models in equal parts (from all of them in turn, say); the pull is to be
read as a difference between models.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from creativity_lens.errors import InputError
from creativity_lens.ratios import SHARE, difference_of, ratio_of_means
from creativity_lens.statistics import FEWEST, Estimate, cluster_bootstrap, t_interval

DISTANCE = "embedding units"  # Euclidean; texts have length 1
ROUNDING = 1e-6  # of a distance between float32 embeddings
FEW = f"fewer than {FEWEST} prompts: not sure that the followed texts lie anywhere else"
UNSURE = "the followed texts lie nowhere else than the free ones for sure: there is nothing to be pulled back from"

Samples = Float[np.ndarray, "prompt sample dim"]
PerPrompt = Float[np.ndarray, " prompt"]


@dataclass(frozen=True, eq=False)
class Pull:
    """How strongly a model comes back after forced beginnings; estimates over prompts, `n` says how many.

    `pull` and `projected` are NaN, and `note` says why, where the followed texts' shift is not surely above 0.
    """

    pull: Estimate  # ratio of the shifts' lengths, at most 1
    projected: Estimate  # how far the perturbed texts stayed behind along the followed ones' shift
    return_rate: Estimate  # share of perturbed texts within the prompt's radius
    return_floor: Estimate  # share of the free texts of other prompts within it
    radius: Estimate  # mean over prompts
    shift: Estimate  # squared length of the followed texts' shift, mean over prompts
    squared: Float[np.ndarray, "2 prompt"]  # squared shifts of perturbed and followed texts; NaN where left out
    left_out: int  # prompts with fewer than two texts of a kind
    note: str = ""

    def __repr__(self) -> str:
        pull = self.pull
        return f"Pull({pull.value:.2f}, {pull.low:.2f} to {pull.high:.2f}, {pull.n} prompts)"


def pull_of(
    free: Float[np.ndarray, "prompt free dim"],
    perturbed: Samples,
    followed: Samples,
    *,
    quantile: float = 0.9,
    seed: int = 0,
) -> Pull:
    """Pull, projected pull, and return rate with floor and radius, from embeddings of the three groups of texts.

    Texts of a group must be independent draws; `perturbed[p, j]` goes on from the beginning of `followed[p, j]`, one
    continuation a beginning, so the two share what the beginning holds. Rows of NaN (empty texts) are left out, a
    pair where one of both is empty. The radius of a prompt is the `quantile` of its free texts' distances to the mean
    of the *other* free texts (their largest, where there are fewer than nine), and perturbed texts are held against
    those same means: texts that are like the free ones return as often as a free one would.

    The pull's interval is Fieller's for the ratio of squared shifts, its ends taken through the root. Simulated (384
    dimensions, 8 to 32 prompts of 4 to 8 texts, shifts of 0.3 and 0.6 at a spread of 0.75, 300 runs a cell): it covers
    0.93 to 0.99 at pulls of 0, 0.5 and 1, the studentised bootstrap of the same 0.90 to 0.99. The estimate is unbiased
    (within 0.004) at 0 and 0.5; near 1, where a length cannot fall below 0, it averages 0.90 to 0.97. The projected
    pull is unbiased everywhere (within 0.002) and covers 0.93 to 0.97.

    Raises `InputError` for groups whose shapes do not belong together and for a quantile outside 0..1.

    >>> rng = np.random.default_rng(0)
    >>> elsewhere = rng.normal(size=(16, 1, 64))  # where the beginnings lead to, for each prompt
    >>> free, perturbed, followed = (share * elsewhere + rng.normal(size=(16, 8, 64)) for share in (0, 0.4, 1))
    >>> pull_of(free, perturbed, followed)
    Pull(0.63, 0.58 to 0.67, 16 prompts)
    """
    _check(free, perturbed, followed, quantile)
    free, perturbed, followed = (np.asarray(group, dtype=float) for group in (free, perturbed, followed))
    mine, pairs = np.isfinite(free).all(-1), np.isfinite(perturbed).all(-1) & np.isfinite(followed).all(-1)
    kept = (mine.sum(-1) >= 2) & (pairs.sum(-1) >= 2)
    squared, along = np.full((2, len(free)), np.nan), np.full(len(free), np.nan)
    squared[:, kept], along[kept] = _shifts(free[kept], mine[kept], perturbed[kept], followed[kept], pairs[kept])
    back, whole = squared[:, kept]
    shift = t_interval(whole, unit=DISTANCE + " squared")
    empty = int((~mine).sum() + (~pairs).sum())
    reason = "" if shift.low > 0 else UNSURE if shift.has_interval else FEW
    unknown = Estimate(np.nan, np.nan, np.nan, len(whole), SHARE)
    rate, floor, radius = _returns(free[kept], mine[kept], perturbed[kept], pairs[kept], quantile)
    return Pull(
        pull=unknown if reason else _rooted(ratio_of_means(back, whole)),
        projected=unknown if reason else _less_than_1(ratio_of_means(along[kept], whole)),
        return_rate=_mean_share(rate, seed),
        return_floor=_mean_share(floor, seed),
        radius=t_interval(radius, unit=DISTANCE),
        shift=shift,
        squared=squared,
        left_out=int((~kept).sum()),
        note="; ".join(filter(None, (reason, f"{empty} texts without an embedding left out" if empty else ""))),
    )


def pull_difference(first: Pull, second: Pull) -> Estimate:
    """Pull of the first - pull of the second, on the prompts that both have: both models' beginnings must be the same.

    The interval is put together from the two pulls' own and from their correlation over prompts. Simulated (96
    dimensions, 8 to 32 prompts of 4 to 8 texts, 100 runs a cell): two models of equal pull, equally or unequally
    diffuse, differ in at most 8 of 100 runs; it covers 0.92 and more, the studentised bootstrap 0.74 to 0.99. A pull
    against itself is 0 with a short interval, not one of no width. NaN where one of the pulls is. Raises `InputError`
    for pulls over different numbers of prompts.
    """
    if first.squared.shape != second.squared.shape:
        raise InputError(
            f"pulls: expected both over the same prompts; got {first.squared.shape[1]} and {second.squared.shape[1]}."
        )
    shared = np.isfinite(first.squared).all(axis=0) & np.isfinite(second.squared).all(axis=0)
    n = int(shared.sum())
    if not (np.isfinite(first.pull.value) and np.isfinite(second.pull.value)):
        return Estimate(np.nan, np.nan, np.nan, n, SHARE)
    (one, push), (other, pushed) = (_ratio(each.squared[:, shared]) for each in (first, second))
    varies = min(push.std(), pushed.std()) > ROUNDING
    return difference_of(_rooted(one), _rooted(other), float(np.corrcoef(push, pushed)[0, 1]) if varies else 0.0)


def _ratio(squared: Float[np.ndarray, "2 prompt"]) -> tuple[Estimate, PerPrompt]:
    """The ratio of mean squared shifts, and what each prompt adds to it."""
    back, whole = squared
    ratio = ratio_of_means(back, whole)
    return ratio, (back - ratio.value * whole) / whole.mean()


def _shifts(
    free: Float[np.ndarray, "prompt free dim"],
    mine: Bool[np.ndarray, "prompt free"],
    perturbed: Samples,
    followed: Samples,
    pairs: Bool[np.ndarray, "prompt sample"],
) -> tuple[Float[np.ndarray, "2 prompt"], PerPrompt]:
    """Squared shifts of perturbed and followed texts from the free ones, and the product of both shifts.

    What a mean's own noise adds to each on average is taken off: squares grow by the variances of both means; the
    product by that of the free mean, which both shifts share, and by what the two texts of a beginning share.
    """
    at, noise = _mean_and_noise(free, free, mine)
    back, _ = _mean_and_noise(perturbed, perturbed, pairs)
    away, both = _mean_and_noise(followed, perturbed, pairs)
    squares = [
        ((mean - at) ** 2).sum(-1) - _mean_and_noise(group, group, pairs)[1] - noise
        for mean, group in ((back, perturbed), (away, followed))
    ]
    return np.stack(squares), ((back - at) * (away - at)).sum(-1) - both - noise


def _mean_and_noise(
    values: Samples, others: Samples, known: Bool[np.ndarray, "prompt sample"]
) -> tuple[Float[np.ndarray, "prompt dim"], PerPrompt]:
    """Mean of the known values, and the trace of the covariance of that mean with the mean of the others."""
    count = known.sum(-1)
    mean, other = (
        np.where(known[..., None], each, 0.0).sum(1) / np.maximum(count, 1)[:, None] for each in (values, others)
    )
    products = ((values - mean[:, None]) * (others - other[:, None])).sum(-1)
    return mean, np.where(known, products, 0.0).sum(-1) / (np.maximum(count - 1, 1) * np.maximum(count, 1))


def _returns(
    free: Float[np.ndarray, "prompt free dim"],
    mine: Bool[np.ndarray, "prompt free"],
    perturbed: Samples,
    pairs: Bool[np.ndarray, "prompt sample"],
    quantile: float,
) -> tuple[PerPrompt, PerPrompt, PerPrompt]:
    """Per prompt: share of perturbed texts within the radius, share of other prompts' free texts, and the radius."""
    found = np.full((3, len(free)), np.nan)
    for prompt in range(len(free)):
        own = free[prompt, mine[prompt]]
        centers = (own.sum(0) - own) / (len(own) - 1)  # without each text in turn
        radius = float(np.quantile(np.linalg.norm(own - centers, axis=-1), quantile, method="weibull"))
        others = np.delete(free, prompt, axis=0)[np.delete(mine, prompt, axis=0)]
        for row, texts in enumerate((perturbed[prompt, pairs[prompt]], others)):
            squares = (texts**2).sum(-1)[:, None] + (centers**2).sum(-1) - 2 * texts @ centers.T
            within = np.sqrt(np.maximum(squares, 0)) <= radius + ROUNDING
            found[row, prompt] = within.mean() if within.size else np.nan
        found[2, prompt] = radius
    rate, floor, radii = found
    return rate, floor, radii


def _mean_share(shares: PerPrompt, seed: int) -> Estimate:
    known = shares[np.isfinite(shares)]
    return cluster_bootstrap(
        lambda weights: weights @ known / weights.sum(axis=1), len(known), seed=seed, unit=SHARE, bounds=(0.0, 1.0)
    )


def _rooted(ratio: Estimate) -> Estimate:
    """1 - root of a ratio of squares; the root is monotone, so it takes the ends along."""
    value, high, low = (1.0 - float(np.sqrt(max(end, 0.0))) for end in (ratio.value, ratio.low, ratio.high))
    return Estimate(value, low, high, ratio.n, SHARE)


def _less_than_1(ratio: Estimate) -> Estimate:
    return Estimate(1.0 - ratio.value, 1.0 - ratio.high, 1.0 - ratio.low, ratio.n, SHARE)


def _check(free: np.ndarray, perturbed: np.ndarray, followed: np.ndarray, quantile: float) -> None:
    ends = {(group.shape[0], group.shape[-1]) for group in (free, perturbed, followed)}
    if len(ends) > 1 or perturbed.shape != followed.shape:
        raise InputError(
            "embeddings: expected the same prompts and dimensions in all groups, and as many perturbed as followed "
            f"texts; got {free.shape}, {perturbed.shape} and {followed.shape}."
        )
    if not 0 < quantile <= 1:
        raise InputError(f"quantile: expected a number above 0 and at most 1, got {quantile}.")
