"""The project's tests.

`tests.support` holds what they share; `tests.support.services` starts the broker and the Redis that they run against.
"""

import pytest

# A failed assert in there shows what it compared, as one in a test does.
pytest.register_assert_rewrite("tests.support")
