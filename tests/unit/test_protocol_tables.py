"""Every interface table against the protocol's definition.

The definitions are those that pywayland was generated from; for wlr's protocols, which it does
not have, the golden files, which state for each message its name, libwayland's signature and
the interfaces of its objects. A table may stop at a lower version than the definition.
"""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pywayland import ffi
from pywayland import protocol as definitions_of_pywayland

from wayshot_cli.wayland import interface, protocols
from wayshot_cli.wayland.interface import Interface, Message

Row = tuple[str, ...]
"""Name, signature, interface of each object."""


class Definition(NamedTuple):
    version: int
    requests: list[Row]
    events: list[Row]


def tables() -> list[Interface]:
    modules = [
        import_module(f"{protocols.__name__}.{module.name}")
        for module in pkgutil.iter_modules(protocols.__path__)
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Interface)
    ]


def rows_of_pywayland(messages: list[Any]) -> list[Row]:
    rows: list[Row] = []
    for message in messages:
        signature = "".join(argument.signature for argument in message.arguments)
        since = "" if message.version in {None, 1} else str(message.version)
        objects = [a for a in message.arguments if a.signature[-1] in "on"]
        names = [a.interface.name if a.interface else "" for a in objects]
        rows.append((message.name, since + signature, *names))
    return rows


def definitions() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for path in (Path(__file__).parent / "golden").glob("*.json"):
        for name, facts in json.loads(path.read_text()).items():
            messages = ([tuple(row) for row in facts[kind]] for kind in ("requests", "events"))
            found[name] = Definition(facts["version"], *messages)
    for module in pkgutil.iter_modules(definitions_of_pywayland.__path__):
        if module.name == "xdg_shell_unstable_v5":  # whose names xdg-shell has taken over
            continue
        for value in vars(
            import_module(f"{definitions_of_pywayland.__name__}.{module.name}")
        ).values():
            if hasattr(value, "proxy_class") and value.__module__.endswith(module.name):
                found[value.name] = Definition(
                    value.version,
                    rows_of_pywayland(value.requests),
                    rows_of_pywayland(value.events),
                )
    return found


TABLES = tables()
DEFINITIONS = definitions()


def rows(messages: tuple[Message, ...]) -> list[Row]:
    return [(message.name, message.signature, *message.types) for message in messages]


def up_to(version: int, defined: list[Row]) -> list[Row]:
    return [row for row in defined if Message(*row).since <= version]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_says_what_the_definition_says(table: Interface) -> None:
    assert table.name in DEFINITIONS, "no definition: transcribe the XML into tests/unit/golden"
    definition = DEFINITIONS[table.name]
    assert 1 <= table.version <= definition.version
    # A table may leave out requests at the end that wayshot never makes, but no event that
    # its version brings: libwayland takes an unknown opcode for a broken connection.
    requests, own = up_to(table.version, definition.requests), rows(table.requests)
    assert own == requests[: len(own)]
    assert rows(table.events) == up_to(table.version, definition.events)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_finds_every_interface_that_it_refers_to(table: Interface) -> None:
    for message in (*table.requests, *table.events):
        objects = [kind for kind in message.kinds if kind in "on"]
        assert len(message.types) == len(objects), message.name
        for name in filter(None, message.types):
            assert interface.Protocol.find(name).name == name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_libwayland_gets_what_the_table_says(table: Interface) -> None:
    struct = interface.compiled(table)
    text = ffi.string
    assert text(struct.name).decode() == table.name
    assert struct.version == table.version
    for messages, structs, count in (
        (table.requests, struct.methods, struct.method_count),
        (table.events, struct.events, struct.event_count),
    ):
        assert count == len(messages)
        for index, message in enumerate(messages):
            assert text(structs[index].name).decode() == message.name
            assert text(structs[index].signature).decode() == message.signature
            types = iter(message.types)
            for argument, kind in enumerate(message.kinds):
                named = next(types) if kind in "on" else ""
                pointer = structs[index].types[argument]
                assert (text(pointer.name).decode() if pointer else "") == named


def test_there_are_tables_and_each_interface_has_one() -> None:
    names = {table.name for table in TABLES}
    assert {"wl_display", "wl_output", "zwlr_screencopy_manager_v1"} <= names
    assert len(names) == len({id(table) for table in TABLES})


def test_a_signature_is_taken_apart() -> None:
    message = Message("all", "12iuf?sn?oah", "a", "b")
    assert message.kinds == "iufsnoah"
    assert message.since == 12
    assert Message("none", "").since == 1
