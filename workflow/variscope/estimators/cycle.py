r"""The cycle: Shapley effects, S1, ST, neighbouring S2 and the variance from the same 2 D rows.

A block has two independent points x and y of all variables and a uniform random permutation pi.
Row 0 is x; row k replaces pi(1..k) by their values from y, up to row D = y; row D + k puts
pi(1..k) back to x. Rows are numbered modulo 2 D. With i = pi(k), j = pi(k + 1) write

    D_k = F_k - F_{k-1}                 the step that moves variable i,
    E_k = F_k - F_{k+D}                 a row less its complement,
    T_k = W_k - Wbar_k                  W_k: sum of the D rows that hold y_i, Wbar_k of the others.

Derivation (this project). D_k and D_{k+D} move the same variable i, with x and y exchanged in all
others; so, with V_i the variance of E[f | X_i],

    E[D_k D_{k+D}] = -2 V_i,     E[D_k^2] = E[D_{k+D}^2] = 2 VT_i        (Jansen 1999 for VT)

and for neighbours on the circle, k = 1..D, the four products of rows in D_k D_{k+1+D} share x_j,
nothing, {i, j} and x_i (for k = D, where the second step is D_1, likewise), so that

    E[D_k D_{k+1+D}] = V_j - V_{ij}^closed + V_i = -V_ij.

For the Shapley effect let c(S) be the variance of E[f | X_S]. Row F_{k+m}, m = 0..D-1, has with
F_k the variables S = all but pi(k+1..k+m) in common, and with F_{k-1} those of S but i. Hence
E[D_k F_{k+m}] = c(S) - c(S \ i) with S \ i a uniform subset of uniform size 0..D-1, which is
Shapley's average (Owen 2014): E[D_k W_k] = D phi_i. The other three products of
(D_k - D_{k+D}) (W_k - Wbar_k) give the same, so

    phi_i = E[(D_k - D_{k+D}) T_k] / 4 D.

Since D_k - D_{k+D} = E_k - E_{k-1} and T_{k+1} = T_k - 2 E_k, summation by parts gives

    sum_k (D_k - D_{k+D}) T_k / 4 D = sum_{j<D} E_j^2 / 2 D = V          exactly, in every block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.layout import Layout


def cycle_terms(
    outputs: NDArray[np.floating[Any]], order: NDArray[np.integer[Any]]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Evaluate the cycle's terms of every block: the formulas as they stand, for any array.

    The compiled `kernels.add_cycle` sums the same terms; this is what it is held against.

    Args:
        outputs: network outputs, ``(block, 2 D, *unit)``.
        order: the block's permutation pi of the variables, ``(block, D)``.

    Returns:
        ``S1``, ``ST``, ``shapley`` ``(block, D, *unit)`` and ``variance`` ``(block, *unit)``, each
        unbiased for its numerator; ``S2`` ``(block, pair, *unit)``, the sum of the pair's products,
        and ``S2_count`` ``(block, pair)``, how many times the pair was neighbours in the block.

    Example:
        The rows of x + 2 y, in the order x, y, of uniform x and y: shares of 0.2 and 0.8.

        >>> (a, b), (c, d) = np.random.default_rng(0).random((2, 2, 4096))
        >>> outputs = np.stack([a + 2 * b, c + 2 * b, c + 2 * d, a + 2 * d], axis=1)
        >>> terms = cycle_terms(outputs, np.tile([0, 1], (4096, 1)))
        >>> (terms["shapley"].mean(axis=0) / terms["variance"].mean()).round(1)
        array([0.2, 0.8])
    """
    blocks, rows = outputs.shape[:2]
    variables = rows // 2
    layout = Layout("cycle", variables)
    before = np.roll(outputs, 1, axis=1)
    step = outputs - before  # step[:, k] = D_k, with D_0 = D_{2 D}
    complement = outputs - np.roll(outputs, -variables, axis=1)  # E_k

    terms = {
        name: np.zeros((blocks, variables, *outputs.shape[2:]), outputs.dtype)
        for name in layout.indices
    }
    terms["S2"] = np.zeros((blocks, len(layout.pairs), *outputs.shape[2:]), outputs.dtype)
    counts = np.zeros((blocks, len(layout.pairs)), dtype=np.int64)
    table = layout.pair_table()
    block = np.arange(blocks)
    held = complement[:, 1 : variables + 1].sum(axis=1)  # T_1
    for k in range(1, variables + 1):
        i = order[:, k - 1]
        forth, back = step[:, k], step[:, (k + variables) % rows]
        terms["S1"][block, i] = -forth * back / 2
        terms["ST"][block, i] = (forth**2 + back**2) / 4
        terms["shapley"][block, i] = (forth - back) * held / (4 * variables)
        held = held - 2 * complement[:, k]
        if variables > 1:
            pair = table[i, order[:, k % variables]]
            next_forth = step[:, (k + 1) % rows]
            next_back = step[:, (k + 1 + variables) % rows]
            terms["S2"][block, pair] += -(forth * next_back + back * next_forth) / 2
            counts[block, pair] += 1
    terms["variance"] = (complement[:, :variables] ** 2).sum(axis=1) / (2 * variables)
    terms["S2_count"] = counts
    return terms
