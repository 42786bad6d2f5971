"""Names and versions are compared in the form that `packaging` gives them."""

from __future__ import annotations

import packaging.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from installguard.model import parse_version, version_key, version_key_of
from installguard.names import canonicalize_name, canonicalize_version

NUMBERS = st.integers(min_value=0, max_value=20).map(str)
RELEASES = st.lists(st.sampled_from(["0", "0", "1", "10", "100"]), min_size=1, max_size=5).map(".".join)
ENDINGS = st.sampled_from(["", "a0", "b1", "rc0", ".post0", ".dev0", "a1.post2.dev0", "+local.0.0", "rc1+0"])


@given(st.text(max_size=20) | st.text(alphabet="aZ0-_.İß", max_size=8))
def test_a_name_is_normalised_as_pep_503_says(name: str) -> None:
    assert canonicalize_name(name) == packaging.utils.canonicalize_name(name)


@given(st.sampled_from(["", "0!", "1!", "10!"]), RELEASES, ENDINGS)
def test_zeros_at_the_end_of_a_release_do_not_count(epoch: str, release: str, ending: str) -> None:
    version = Version(f"{epoch}{release}{ending}")
    assert canonicalize_version(version) == packaging.utils.canonicalize_version(version)


@pytest.mark.parametrize(("written", "key"), [("1.0.0", "1"), ("0.0", "0"), ("1!2.0.0rc0", "1!2rc0"), ("10", "10")])
def test_examples(written: str, key: str) -> None:
    assert canonicalize_version(Version(written)) == key


@given(
    st.builds("{}{}{}".format, st.sampled_from(["", "v", "0!", "1!", " ", "0", "."]), RELEASES, ENDINGS | st.just(".0"))
    | st.text(alphabet="0１19.!-aZ \n", max_size=8)
)
def test_a_version_need_not_be_taken_apart_to_be_compared(text: str) -> None:
    assert version_key_of(text) == version_key(parse_version(text))
