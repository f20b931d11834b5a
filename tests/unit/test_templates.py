"""Names made of what is captured: what they say, and what they can never be."""

from __future__ import annotations

import os
import time
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wayshot_cli.cli.names import read_template
from wayshot_cli.cli.templates import FIELDS, Template
from wayshot_cli.errors import InvalidArgumentError
from wayshot_cli.geometry import Size
from wayshot_cli.still import Subject
from wayshot_cli.waiting import Waiter
from wayshot_cli.wayland.toplevels import Window

LONGEST = 255


def names(
    text: str,
    *,
    outputs: tuple[str, ...] = ("DP-1",),
    app_id: str = "org.foot",
    title: str = "~ in a shell",
    count: int = 1,
) -> list[str]:
    """Return the first names of a template for a window, 640x480 pixels large."""
    template = Template(text)
    with Waiter() as waiter:
        window = Window("id", app_id, title)
        template.note(Subject(waiter, None, [], outputs, window))
    return list(islice(template.names(".png", Size(640, 480)), count))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always the same second."""
    moment = time.strptime("2024-02-03 04:05:06", "%Y-%m-%d %H:%M:%S")
    monkeypatch.setattr(time, "localtime", lambda: moment)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("%Y-%m-%d/{output}.png", "2024-02-03/DP-1.png"),
        ("{app_id} - {title}.png", "org.foot - ~ in a shell.png"),
        ("{width}x{height}.jpeg", "640x480.jpeg"),
        ("./{output}%%{{}}.png", "./DP-1%{}.png"),
        ("/a//{output}.png", "/a//DP-1.png"),
        ("%Y/", "2024/wayshot-20240203-040506.png"),
        # What has no extension gets one, and what is captured says none.
        ("{app_id}", "org.foot.png"),
        ("%Y.%m", "2024.02.png"),
        ("a.{output}-b", "a.DP-1-b.png"),
        ("%Y/.hidden", "2024/.hidden.png"),
        ("{title}.tar.gz", "~ in a shell.tar.gz"),
    ],
)
def test_fields_are_filled_in(text: str, name: str) -> None:
    assert names(text) == [name]


def test_what_has_no_fields_is_no_template() -> None:
    for file in (None, "-", "a.png", "a}b.png", "folder/", ""):
        assert read_template(file) is None
    assert read_template("100%%.png") is not None
    assert read_template("{{.png") is not None


@pytest.mark.parametrize(
    "text",
    ["%", "%Q.png", "100%.png", "% d", "%-d", "%D", "%n", "%c", "%/", "{", "}{title}", "{}",
     "{foo}", "{title:03}", "{counter:3}", "{counter:0}", "{counter:010}", "{{title}", "{Title}",
     "{title }", "{ti/tle}", "{counter!r}", "{0}", "{counter}/a.png", "%é"],
)  # fmt: skip
def test_what_means_nothing_is_refused_with_the_fields_and_the_way_out(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as info:
        Template(text)
    assert info.value.exit_code == 2
    assert info.value.hint
    for field in FIELDS:
        assert f"{{{field}}}" in info.value.hint
    assert "twice" in info.value.hint


@pytest.mark.parametrize("text", ["../%Y.png", "{title}/../a.png", "/a/../{output}", "%Y/.."])
def test_no_template_leads_up(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"may not lead up by \.\.$") as info:
        Template(text)
    assert (info.value.exit_code, info.value.hint) == (2, "name that folder itself")


def test_a_field_that_is_not_known_yet_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidArgumentError, match=r"\{width\} is not known") as info:
        Template("{output}-{width}", ("output", "counter"))
    assert "{output} {counter}" in str(info.value.hint)
    assert "{height}" not in str(info.value.hint)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("text", "tried"),
    [
        ("%Y.png", ["2024.png", "2024-2.png", "2024-3.png"]),
        ("{output}", ["DP-1.png", "DP-1-2.png", "DP-1-3.png"]),
        ("a{counter}.png", ["a1.png", "a2.png", "a3.png"]),
        ("{counter:03}-{counter}", ["001-1.png", "002-2.png", "003-3.png"]),
    ],
)
def test_names_that_are_taken_are_counted_on(text: str, tried: list[str]) -> None:
    assert names(text, count=3) == tried


def test_several_outputs_are_joined() -> None:
    assert names("{output}", outputs=("DP-1", "HDMI-A-2")) == ["DP-1+HDMI-A-2.png"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("", "untitled"),
        (" \t\n", "untitled"),
        ("..", "untitled"),
        ("../../etc/passwd", "etc_passwd"),
        ("/etc/passwd", "etc_passwd"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a\nb\tc\x1b[31md\x00e", "a b c_[31md_e"),
        ("right\u202eto left", "right_to left"),
        ("{app_id} %Y", "{app_id} %Y"),
        ("caf\u00e9 \u6f22\u5b57", "caf\u00e9 \u6f22\u5b57"),
        ("a\udc80b", "a?b"),
    ],
    ids=ascii,
)
def test_titles_are_cleaned(title: str, name: str) -> None:
    assert names("{title}", title=title) == [f"{name}.png"]


def test_words_stand_for_what_nobody_tells() -> None:
    template = Template("{output} {app_id} {title}")
    assert next(template.names(".png")) == "screen unknown untitled.png"


def test_only_what_is_captured_is_cut() -> None:
    (name,) = names("{title} by {app_id} on {output}.jpeg", title="\u00e9" * 200)
    assert name.endswith(" by org.foot on DP-1.jpeg")
    assert LONGEST - 10 <= len(os.fsencode(name)) <= LONGEST
    assert set(name.partition(" ")[0]) == {"\u00e9"}


texts = st.text(st.characters() | st.sampled_from("/.-\0\n\u202e{}%"), max_size=300)


@given(app_id=texts, title=texts, outputs=st.lists(texts, max_size=3).map(tuple))
@example(app_id="..", title="..", outputs=("..",))
@example(app_id="\u6f22" * 100, title="\U0001f600" * 100, outputs=("/" * 300,))
@pytest.mark.parametrize(
    "text",
    [
        "{title}", "{title}.png", "a/{app_id}/{title}-{output}", "{output}.{title}.", "{counter}",
        ".{title}", "./{app_id}/..{title}{counter:03}", "/{title}/%Y", "{title}{title}{app_id}",
        "{title}/.{app_id}./..{output}..",
    ],
)  # fmt: skip
def test_no_name_leaves_its_folder_or_is_illegal(
    text: str, app_id: str, title: str, outputs: tuple[str, ...]
) -> None:
    path = names(text, app_id=app_id, title=title, outputs=outputs)[0]
    words, parts = text.split("/"), path.split("/")
    assert len(parts) == len(words)
    for word, part in zip(words, parts, strict=True):
        if "{" not in word and "%" not in word:
            assert part == word  # the user's own
        else:
            assert part not in {"", ".", ".."}
            assert len(os.fsencode(part)) <= LONGEST
            assert all(c.isprintable() for c in part)
            assert word.startswith(".") or not part.startswith((".", "-"))
    assert path.endswith(".png") or text.endswith(".")


@given(title=st.text(max_size=400), count=st.integers(2, 30))
@pytest.mark.parametrize("text", ["{title}", "{title}.png", "{counter:09} {title}"])
def test_numbers_make_other_names_however_long_they_are(text: str, title: str, count: int) -> None:
    tried = names(text, title=title, count=count)
    assert len(set(tried)) == count
    assert max(len(os.fsencode(name)) for name in tried) <= LONGEST
