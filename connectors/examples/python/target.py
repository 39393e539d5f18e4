"""The target: tables of one SQLite database, and in the same database what was answered.

The change and the memory of its answer are one transaction, so that neither is ever there without the other.
"""

import json
import sqlite3
import time
from dataclasses import dataclass

RECALLED = "recalled"
FINAL = {"removed", "changed", "absent", "unchanged", "refused", "blocked"}


@dataclass(frozen=True)
class Table:
    name: str
    key: tuple[str, ...]
    # Category to its columns.
    fields: dict[str, tuple[str, ...]]


DATASETS = {
    "crm.people": Table("people", ("id",), {"user.contact.email": ("email",), "user.name": ("name",)}),
    # What `quietus connector conform` works on; a record that is `stubborn` comes back when it is deleted.
    "conform.people": Table("conform_people", ("id",), {"user.contact.email": ("email",)}),
}

SCHEMA = """
CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, email TEXT, name TEXT);
CREATE TABLE IF NOT EXISTS conform_people (id TEXT PRIMARY KEY, email TEXT, stubborn INTEGER NOT NULL DEFAULT 0);
CREATE TRIGGER IF NOT EXISTS conform_stubborn AFTER DELETE ON conform_people WHEN OLD.stubborn
    BEGIN INSERT INTO conform_people VALUES (OLD.id, OLD.email, OLD.stubborn); END;
CREATE TABLE IF NOT EXISTS quietus_answers (
    id TEXT PRIMARY KEY, attempt INTEGER NOT NULL, answer TEXT NOT NULL, looked INTEGER NOT NULL);
"""


class Target:
    def __init__(self, path: str, dedupe: bool = True, verify: bool = True, not_after: bool = True):
        self.path = path
        self.dedupe, self.verify, self.not_after = dedupe, verify, not_after
        self.db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.db.executescript(SCHEMA)

    def handle(self, command: dict) -> dict:
        """One confirmation for one command."""
        action = command["action"]
        try:
            if action == "verify":
                return self.look(command)
            if action == "prepare":
                return self.prepare(command)
            if action == "recall":
                return self.recall(command)
            return self.change(command)
        except Refused as why:
            return answer(command, "refused", detail=str(why))
        except sqlite3.OperationalError as error:
            # Locked, full, unreadable: nothing was committed.
            return answer(command, "failed", detail=type(error).__name__, may_retry=True)

    def change(self, command: dict) -> dict:
        kept = self.remembered(command)
        if kept:
            return kept
        table, where, values = located(command)
        statement, arguments = statement_of(command, table, where)
        self.db.execute("BEGIN IMMEDIATE")
        try:
            found = self.count(self.db, table, where, values)
            changed = self.db.execute(statement, arguments + values).rowcount if found else 0
            # Right before the commit: what is late is not carried out.
            if self.not_after and now() > command["not_after"]:
                self.db.execute("ROLLBACK")
                return answer(command, "failed", detail="past its not_after", may_retry=True)
            said = answer(command, outcome_of(command, found, changed), count=changed, at=now())
            self.remember(command, said, looked=False)
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        return self.looked_after(command, said)

    def looked_after(self, command: dict, said: dict) -> dict:
        """Success is told only of what another session sees, after the commit."""
        if self.verify and said["outcome"] == "removed" and self.look(command)["outcome"] == "found":
            said = answer(command, "failed", detail="deleted, and there again", may_retry=True)
            said["might_have_happened"] = True
        self.remember(command, said, looked=True)
        return said

    def remembered(self, command: dict) -> dict | None:
        """What was answered to this attempt or a later one: it is answered again, and nothing is done."""
        row = self.db.execute(
            "SELECT attempt, answer, looked FROM quietus_answers WHERE id = ?", (command["id"],)
        ).fetchone()
        if row is None or command["attempt"] > row[0]:
            return None
        said = json.loads(row[1])
        if not self.dedupe and command["action"] != "recall" and said["detail"] != RECALLED:
            return None
        return said if row[2] else self.looked_after(command, said)

    def remember(self, command: dict, said: dict, looked: bool) -> None:
        if said["outcome"] in FINAL:
            row = (command["id"], command["attempt"], json.dumps(said), int(looked))
            self.db.execute("INSERT OR REPLACE INTO quietus_answers VALUES (?, ?, ?, ?)", row)
        else:
            self.db.execute("DELETE FROM quietus_answers WHERE id = ?", (command["id"],))

    def recall(self, command: dict) -> dict:
        """What was carried out stays so, and is said again; what was not never is under this attempt."""
        kept = self.remembered(command)
        if kept:
            return kept
        said = answer(command, "blocked", detail=RECALLED)
        self.remember(command, said, looked=True)
        return said

    def look(self, command: dict) -> dict:
        table, where, values = located(command)
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as other:
            found = self.count(other, table, where, values)
        other.close()
        return answer(command, "found" if found else "gone", count=found, at=now())

    def prepare(self, command: dict) -> dict:
        if command["dataset"] != "conform.people":
            raise Refused("only conform.people is prepared")
        values = command["values"]
        row = (command["locator"]["id"], values.get("user.contact.email"), int("conform.stubborn" in values))
        self.db.execute("INSERT OR REPLACE INTO conform_people VALUES (?, ?, ?)", row)
        return answer(command, "changed", count=1)

    @staticmethod
    def count(db: sqlite3.Connection, table: Table, where: str, values: list) -> int:
        return db.execute(f"SELECT count(*) FROM {table.name} WHERE {where}", values).fetchone()[0]


class Refused(Exception):
    """Never, whatever the retry."""


def located(command: dict) -> tuple[Table, str, list]:
    table = DATASETS.get(command["dataset"])
    if table is None:
        raise Refused("no such dataset here")
    if sorted(command["locator"]) != sorted(table.key):
        raise Refused("the locator does not name the key")
    return table, " AND ".join(f"{k} = ?" for k in table.key), [command["locator"][k] for k in table.key]


def statement_of(command: dict, table: Table, where: str) -> tuple[str, list]:
    if command["action"] == "erase":
        return f"DELETE FROM {table.name} WHERE {where}", []
    if command["action"] == "mask":
        new = {column: None for category in command["categories"] for column in columns(table, category)}
    elif command["action"] == "correct":
        new = {c: value for category, value in command["values"].items() for c in columns(table, category)}
    else:
        raise Refused(f"{command['action']} is not done here")
    if not new:
        raise Refused("nothing to change")
    differs = " OR ".join(f"{c} IS NOT ?" for c in new)
    sets = ", ".join(f"{c} = ?" for c in new)
    return f"UPDATE {table.name} SET {sets} WHERE ({differs}) AND {where}", [*new.values(), *new.values()]


def columns(table: Table, category: str) -> tuple[str, ...]:
    if category not in table.fields:
        raise Refused(f"no field carries {category}")
    return table.fields[category]


def outcome_of(command: dict, found: int, changed: int) -> str:
    if not found:
        return "absent"
    if command["action"] == "erase":
        return "removed"
    return "changed" if changed else "unchanged"


def answer(command: dict, outcome: str, count: int = 0, **more) -> dict:
    blank = {"detail": None, "may_retry": False, "might_have_happened": False, "until": None, "at": None, "position": None}
    same = {key: command[key] for key in ("id", "attempt", "system")}
    return {**blank, **same, "outcome": outcome, "count": count, **more}


def now() -> int:
    return int(time.time() * 1000)
