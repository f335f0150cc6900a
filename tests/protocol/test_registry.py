"""Families that packages register: found without a list of ours, checked at first use, part of a job's identity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xtra import plugins
from xtra.protocol import families
from xtra.protocol.families import ANY_FAMILY, GAME_KEYS, GROUP, Family, families_in, family_problem
from xtra.registry import Origin, RegistrationError, Registry, source_sha256

CODE = """
from xtra.protocol.families import Family
from xtra.protocol.families import Protocol

FAMILY = Family(
    name="corridor",
    games={"Corridor": (0, 3, 4)},
    emulators="corridor_games:CorridorEmulators",
    protocols=(Protocol("corridor", "corridor", "Ten cells.", {"training.env_steps": 100}),),
)
NUMBER = 3
"""
Install = Callable[..., Registry[Family]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays a distribution of one module beside the installed ones; returns a registry that has not looked yet."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def lay(value: str = "FAMILY", name: str = "corridor", code: str = CODE) -> Registry[Family]:
        (tmp_path / "corridor_games.py").write_text(code)
        metadata = tmp_path / "corridor_games-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor-games\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = corridor_games:{value}\n")
        return Registry(GROUP, Family, family_problem, dict.fromkeys(GAME_KEYS, families_in))

    yield lay
    sys.modules.pop("corridor_games", None)


def test_our_own_families_are_registered_like_any_other(install: Install) -> None:
    registry = install()
    assert list(registry) == ["atari", "catch", "corridor", "gymnasium", "minatar"]
    assert registry["corridor"].games == {"Corridor": (0, 3, 4)}


def test_a_plugin_is_known_by_its_version_and_its_source_and_ours_by_their_stages(install: Install, tmp_path: Path) -> None:
    registry = install()
    assert registry.origin("catch") is None
    origin = registry.origin("corridor")
    assert origin == Origin("corridor-games", "1.2", source_sha256("corridor_games"), "corridor_games")
    assert origin.identity == f"1.2, source sha256:{origin.source_sha256}"
    (tmp_path / "corridor_games.py").write_text(CODE + "# other\n")
    assert source_sha256("corridor_games") != origin.source_sha256


def test_where_something_comes_from_is_read_once_however_many_jobs_ask(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = install()
    assert len(registry) == 5
    origin = registry.origin("corridor")
    for module, name in (("importlib.metadata.Distribution", "metadata"), ("xtra.registry", "source_sha256")):
        monkeypatch.delattr(f"{module}.{name}")
    assert registry.origin("catch") is None
    assert registry.origin("corridor") is origin


def test_jobs_on_a_plugins_games_name_it_and_others_are_keyed_as_ever(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = install()
    monkeypatch.setattr(families, "FAMILIES", registry)
    monkeypatch.setattr(plugins, "REGISTRIES", (registry,))
    assert plugins.plugins_of({"environment": {"game": "Catch"}, "seed": 1}) == {}
    origin = registry.origin("corridor")
    assert origin is not None
    for games in ({"games": ["Catch", "Corridor"]}, {"sources": ("Corridor",)}, {"game": "Corridor"}):
        named = plugins.plugins_of({"environment": {"frame_size": 10}, "finetuning": games})
        assert named == {"corridor-games": origin.identity}, games


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": "NOTHING"}, "corridor-games registers 'corridor' as corridor_games:NOTHING: AttributeError: "),
        ({"value": "NUMBER"}, "corridor-games registers 'corridor' as corridor_games:NUMBER, a int; it takes a Family"),
        ({"name": "hall"}, "corridor-games registers 'hall' as corridor_games:FAMILY, whose own name is another"),
        ({"name": "catch"}, "corridor-games and xtra-bench both register 'catch'; uninstall one"),
        ({"code": "import absent_package\n"}, "ModuleNotFoundError: No module named 'absent_package'"),
        ({"code": CODE.replace('Corridor"', 'Pong"')}, "registers 'corridor': Pong is a name of family atari too"),
        ({"code": CODE.replace('Corridor"', 'A/B"')}, "the game 'A/B' has more than letters and digits in its name"),
        (
            {"code": CODE.replace("3, 4", "4, 3")},
            "Corridor understands [0, 4, 3]; at least one id of 0 to 17",
        ),
        ({"code": CODE.replace("3, 4", "3, 18")}, "Corridor understands [0, 3, 18]; at least one id of 0 to 17"),
        ({"code": CODE.replace("(0, 3, 4)", "()")}, "Corridor understands []; at least one id"),
        ({"code": CODE.replace("(Protocol(", "() and (Protocol(")}, "it needs at least one game and one protocol"),
        ({"code": CODE.replace('"corridor", "Ten', '"catch", "Ten')}, "its protocol corridor measures family 'catch'"),
        ({"code": CODE.replace("games=", "num_actions=200, games=")}, "it declares 200 actions; 1 to 128"),
        (
            {"code": CODE.replace("3, 4", "3").replace("games=", "num_actions=3, games=")},
            "[0, 3]; at least one id of",
        ),
        ({"code": "FAMILY = (\n"}, "SyntaxError: '(' was never closed"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_package(install: Install, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        len(install(**arguments))
    assert message in str(caught.value)


def test_without_our_own_entries_the_package_wants_to_be_installed_again() -> None:
    with pytest.raises(RegistrationError, match="install this version of it again"):
        len(Registry("xtra_bench.nothing", Family, family_problem))


def test_every_family_has_games_protocols_and_emulators() -> None:
    for name, family in families.FAMILIES.items():
        assert (family.games or family.find) and family.protocols, name
        assert name in {protocol.family for protocol in family.protocols} <= {name, ANY_FAMILY}
