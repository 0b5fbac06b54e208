"""What is sent is received; what was cut off is noticed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from recbole_baselines.messages import receive, send

SOME = arrays.arrays(np.float32, arrays.array_shapes(max_dims=2, min_side=0, max_side=4))


@given(SOME, arrays.arrays(np.int64, 3))
def test_arrays_of_any_shape_arrive(scores: np.ndarray, users: np.ndarray) -> None:
    pipe = io.BytesIO()
    send(pipe, {"tell": "scores"}, {"scores": scores, "users": users})
    send(pipe, {"ask": "memory"})
    pipe.seek(0)
    message, found = receive(pipe)
    assert message == {"tell": "scores"}
    np.testing.assert_array_equal(found["scores"], scores)
    np.testing.assert_array_equal(found["users"], users)
    assert found["scores"].shape == scores.shape
    assert receive(pipe) == ({"ask": "memory"}, {})


@pytest.mark.parametrize("cut", [1, 10, -1])
def test_a_broken_message_is_the_end(cut: int) -> None:
    pipe = io.BytesIO()
    send(pipe, {"tell": "scores"}, {"scores": np.ones(4)})
    with pytest.raises(EOFError):
        receive(io.BytesIO(pipe.getvalue()[:cut]))
    with pytest.raises(EOFError):
        receive(io.BytesIO())
