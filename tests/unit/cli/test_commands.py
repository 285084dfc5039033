"""Every command there is: its help by both names, and what each noun can do."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tieline.cli.commands import invoke, root
from tieline.core.errors import SettingsError


def commands(found: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with the words that name it, groups too."""
    yield words, found
    for name, each in getattr(found, "commands", {}).items():
        yield from commands(each, (*words, name))


ALL = dict(commands(typer.main.get_command(root)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_two_names(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """``-h`` prints what ``--help`` does and ends with 0."""
    printed = []
    for name in ("-h", "--help"):
        assert invoke([*words, name]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""


@pytest.mark.parametrize("words", [words for words in ALL if words], ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    """So does every command; a document says more, help says enough."""
    assert ALL[words].help
    silent = [each.name for each in ALL[words].params if each.param_type_name == "option" and not each.help]
    assert silent == []


@pytest.mark.parametrize("noun", ["api", "call", "app", "key"])
def test_what_can_change_is_shown_updated_and_edited(noun: str) -> None:
    """And listed, and made and ended by the verbs of the contract."""
    verbs = {words[1] for words in ALL if words[:1] == (noun,) and len(words) == 2}
    assert {"list", "show", "update", "edit"} <= verbs
    assert verbs & {"add", "create"}
    assert verbs & {"remove", "revoke"}


def test_what_a_budget_is_made_with_can_be_changed() -> None:
    """By options of the same names; its name and its amount are told in another place."""
    made, changed = ({opt for each in ALL["budget", verb].params for opt in each.opts} for verb in ("create", "update"))
    assert made - changed == {"name"}
    assert {"--key", "--each", "--time-zone", "--alert"} <= made


def test_what_ends_something_takes_yes() -> None:
    """Every command that removes, revokes or retires."""
    ending = [words for words in ALL if words and words[-1] in {"remove", "revoke", "retire"}]
    assert len(ending) >= 7
    assert [words for words in ending if "--yes" not in {opt for each in ALL[words].params for opt in each.opts}] == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("api", "delete"), "remove"),
        (("key", "delete"), "revoke"),
        (("key", "get"), "show"),
        (("api", "create"), "add"),
        (("app", "add"), "create"),
        (("credential", "add"), "set"),
        (("start",), "serve"),
        (("api", "lits"), "list"),
    ],
)
def test_a_verb_of_other_programs_leads_to_ours(words: tuple[str, ...], meant: str) -> None:
    """As does one that is written wrong."""
    with pytest.raises(SettingsError, match=rf"Did you mean '{meant}'\? See `tieline"):
        invoke(words)


def test_a_wrong_option_is_told_in_whole_sentences() -> None:
    """Whatever the library ends its own with."""
    with pytest.raises(SettingsError, match=r"No such option: --nope\. See `tieline api list -h`\."):
        invoke(("api", "list", "--nope"))
