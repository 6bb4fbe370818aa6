"""Names of entries: by index, by named blocks; and what is said about blocks that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from fastgrad._layout import Layout, make_layout


@pytest.mark.parametrize(
    ("shape", "position", "name", "index"),
    [
        ((5,), 3, "x[3]", (3,)),
        ((2, 3), 4, "x[1, 1]", (1, 1)),
        ((2, 2, 2), 7, "x[1, 1, 1]", (1, 1, 1)),
        ((), 0, "x", ()),
    ],
)
def test_entries_are_named_by_index(shape, position, name, index):
    layout = make_layout(shape, None)
    assert layout == Layout(shape)
    assert layout.name(position) == name
    assert layout.index(position) == index


def test_blocks_cover_x_in_order():
    layout = make_layout((12,), {"W1": (2, 3), "b1": 2, "scale": (), "W2": [1, 3]})
    names = [layout.name(k) for k in range(12)]
    assert names == [
        *("W1[0, 0]", "W1[0, 1]", "W1[0, 2]", "W1[1, 0]", "W1[1, 1]", "W1[1, 2]"),
        *("b1[0]", "b1[1]", "scale", "W2[0, 0]", "W2[0, 1]", "W2[0, 2]"),
    ]
    assert layout.index(7) == (7,)  # an index is always one of x
    assert [(block.start, block.stop) for block in layout.blocks] == [(0, 6), (6, 8), (8, 9), (9, 12)]


def test_blocks_of_a_matrix_count_its_flat_entries():
    layout = make_layout((2, 3), {"first": 4, "rest": np.int64(2)})
    assert layout.name(4) == "rest[0]"
    assert layout.index(4) == (1, 1)


def test_names_need_not_be_strings():
    assert make_layout((2,), {1: 2}).name(1) == "1[1]"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"W": 3, "b": 1},
            "blocks hold 4 entries (W: 3, b: 1), but x has 6; need consecutive pieces that cover x exactly",
        ),
        ({"W": (2, 4)}, "blocks hold 8 entries (W: 8), but x has 6"),
        ({}, "blocks hold 0 entries (), but x has 6"),
        ({"W": (2, 0), "b": 6}, "block 'W' has shape (2, 0); need positive whole numbers"),
        ({"W": -6}, "block 'W' has shape -6; need positive whole numbers"),
        ({"W": 6.0}, "block 'W' has shape 6.0; need positive whole numbers"),
        ({"W": (2.0, 3)}, "block 'W' has shape (2.0, 3); need positive whole numbers"),
        ({"W": "six"}, "block 'W' has shape 'six'; need positive whole numbers"),
        ({"W": None}, "block 'W' has shape None; need positive whole numbers"),
        ({"W": True, "b": 5}, "block 'W' has shape True; need positive whole numbers"),
    ],
)
def test_blocks_that_do_not_fit(blocks, message):
    with pytest.raises(ValueError) as raised:
        make_layout((6,), blocks)
    assert message in str(raised.value)


def test_blocks_of_another_kind():
    with pytest.raises(TypeError, match="blocks is a list; need a dict of names and shapes"):
        make_layout((6,), [("W", 6)])
