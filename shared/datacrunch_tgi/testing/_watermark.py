"""The green tokens of TGI's watermark: those it prefers after another token.

The servers draw them with PyTorch's random permutation (arXiv 2301.10226); the same generator and
the same shuffle give the same tokens here. No other part of PyTorch is emulated.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_HASH_KEY = 15_485_863
_SHARE = 0.5
BIAS = 2.0
"""Added to a green token's logit."""


@lru_cache(maxsize=1024)
def green_ids(previous_id: int, vocabulary: int) -> NDArray[np.int64]:
    """Return the tokens preferred after `previous_id`."""
    generator = np.random.RandomState(_HASH_KEY * previous_id % 2**32)
    draws = generator.randint(0, 2**32, size=vocabulary - 1, dtype=np.uint32)
    order = list(range(vocabulary))
    for place, offset in enumerate(draws % np.arange(vocabulary, 1, -1, dtype=np.uint32)):
        other = place + int(offset)
        order[place], order[other] = order[other], order[place]
    return np.array(order[: int(vocabulary * _SHARE)])
