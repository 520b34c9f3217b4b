"""How often a search finds what belongs to a query.

Nothing here knows whether texts look for images or images for texts.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from coursekit.errors import SettingsError, ShapeError
from coursekit.features.embeddings import Embeddings
from coursekit.features.inputs import as_matrix
from coursekit.features.neighbors import find_neighbors

__all__ = ["recall_at_k"]


def recall_at_k(
    queries: Embeddings | Tensor,
    bank: Embeddings | Tensor,
    *,
    k: Sequence[int] = (1, 5),
    keys: Sequence[Hashable] | None = None,
) -> dict[int, float]:
    """Return the share of queries that find their own row among the k most similar.

    Parameters
    ----------
    queries, bank : Embeddings or Tensor of shape (n_rows, n_features)
        Row i of one belongs to row i of the other: a text and its image, or the other way
        round.
    k : sequence of int, default=(1, 5)
        How far down to look.
    keys : sequence, optional
        One a row; rows with equal keys belong together, such as images with the same
        caption: then finding one of them is enough.

    Returns
    -------
    dict of int to float
        For each `k`, from 0 to 1.

    Raises
    ------
    ShapeError
        If there are not as many queries, rows of the bank and keys.
    SettingsError
        If `k` is not between 1 and their number.

    Examples
    --------
    >>> rows = torch.eye(3)
    >>> recall_at_k(rows, rows.roll(1, 0), k=(1, 3))
    {1: 0.0, 3: 1.0}
    """
    queries = as_matrix(queries, "queries", metric="cosine")
    bank = as_matrix(bank, "bank", metric="cosine")
    keys = range(len(queries)) if keys is None else keys
    if not len(queries) == len(bank) == len(keys):
        msg = (
            "Row i of queries belongs to row i of bank, so both and the keys must be as many, "
            f"got {len(queries)}, {len(bank)} and {len(keys)}."
        )
        raise ShapeError(msg)
    if not k:
        msg = "k must name at least one number, such as (1, 5)."
        raise SettingsError(msg)
    numbers: dict[Hashable, int] = {}
    own = torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys])
    found = find_neighbors(queries, bank, k=max(k)).indices.cpu()
    hits = own[found] == own[:, None]
    return {depth: float(hits[:, :depth].any(dim=1).float().mean()) for depth in k}
