"""Labels keep apart what was measured differently."""

from hypothesis import given
from hypothesis import strategies as st

from xtra.protocol.families import ANY_FAMILY, FAMILIES, PROTOCOLS, Protocol

MEASURES = st.sampled_from(sorted(PROTOCOLS)).flatmap(
    lambda name: st.tuples(
        st.just(PROTOCOLS[name]),
        st.dictionaries(st.sampled_from(sorted(PROTOCOLS[name].settings)), st.sampled_from([2, 3, 0.25]), max_size=2),
    )
)
"""A protocol, and what a suite overrides of it."""


def test_a_label_without_changes_is_the_protocols_name_and_no_name_looks_like_a_change() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol.label(protocol.settings) == protocol.name == name
        assert not set("+=, \n") & set(name)


@given(MEASURES, MEASURES)
def test_labels_are_equal_exactly_where_protocol_and_settings_are(
    one: tuple[Protocol, dict[str, float]], other: tuple[Protocol, dict[str, float]]
) -> None:
    (a, changes_a), (b, changes_b) = one, other
    same = a.name == b.name and {**a.settings, **changes_a} == {**b.settings, **changes_b}
    assert (a.label(changes_a) == b.label(changes_b)) == same


def test_sticky_atari_differs_from_atari_in_the_sticky_actions_alone() -> None:
    plain, sticky = PROTOCOLS["atari100k"].settings, PROTOCOLS["atari100k-sticky"].settings
    assert sticky.items() - plain.items() == {("environment.repeat_action_probability", 0.25)}
    assert sticky.keys() == plain.keys()


def test_every_family_of_games_has_a_protocol() -> None:
    assert FAMILIES.keys() | {ANY_FAMILY} == {protocol.family for protocol in PROTOCOLS.values()}
