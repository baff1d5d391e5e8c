"""The same random events into every store give the same tables, whatever is killed meanwhile. READSIDE_SEED chooses the events."""
import base64
import datetime
import decimal
import json
import os
import random
import uuid

from servers import eventually

EVENTS = 4000
SEED = int(os.environ.get("READSIDE_SEED", random.SystemRandom().randrange(1 << 32)))
WORDS = ["", "a", "A", "a ", "\u00e4", "a\u0308", "'; DROP TABLE things; --", "\\", "\n", "\U0001f600", "%_", "null", "0"]
DOCS = [{}, [], {"b": [1, None, {"c": "\u00e9"}], "a": True}, "text", 17, {"long": "x" * 5000}]
DAYS = ["0001-01-01", "1969-12-31", "1970-01-01", "2026-11-23", "9999-12-31"]
MOMENTS = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2026-11-23T04:00:00.123456Z", "2026-03-29T02:30:00+02:00",
           "9999-12-31T23:59:59.999999Z"]
REALS = [0.0, 0.1, -1.5, 5e-324, 1.7976931348623157e308, 2.0 ** 53 + 2, 1e-7]
WHOLES = [0, 1, -1, 2 ** 63 - 1, -2 ** 63]
EXACTS = ["0", "0.0000000001", "-" + "9" * 28 + "." + "9" * 10, "12.5", "1e3"]
# What each column is compared as. The keys come first.
THINGS = {"thing": "text", "number": "whole", "whole": "whole", "real_": "real", "exact": "exact", "words": "text", "name": "text",
          "flag": "flag", "data": "bytes", "doc": "doc", "moment": "moment", "day": "day", "id": "uuid", "count": "whole",
          "amount": "exact", "top": "exact", "least": "moment"}
SUMS = {"on_": "day", "n": "whole", "sum_": "exact", "last_": "moment", "first_": "whole", "last_words": "text", "last_id": "uuid",
        "least_data": "bytes"}
KEYS = {"things": ["thing", "number"], "days": ["on_"]}


def some(rng, choices):
    """Each with even chances to be there; a value is drawn anyway, so that one choice does not change the next."""
    drawn = {name: make() for name, make in choices.items()}
    return {name: value for name, value in drawn.items() if rng.random() < 0.5}


def random_records(seed):
    rng = random.Random(seed)
    for _ in range(EVENTS):
        thing = f"{rng.choice(WORDS)}-{rng.randrange(40)}"
        kind = rng.choices(["Set", "Add", "Clear", "Copy", "Remove"], [50, 30, 5, 10, 5])[0]
        value = {"type": kind, "thing": thing, "number": rng.randrange(3), "on": rng.choice(DAYS), "moment": rng.choice(MOMENTS),
                 "amount": f"{rng.randrange(-10 ** 6, 10 ** 6) / 100:.2f}"}
        fields = some(rng, {
            "whole": lambda: rng.choice(WHOLES), "real": lambda: rng.choice(REALS) * rng.choice([1, -1]),
            "exact": lambda: rng.choice(EXACTS), "words": lambda: rng.choice(WORDS) * rng.choice([1, 1, 30000]),
            "name": lambda: rng.choice(WORDS), "flag": lambda: rng.random() < 0.5,
            "data": lambda: base64.b64encode(rng.randbytes(rng.choice([0, 1, 40]))).decode(), "doc": lambda: rng.choice(DOCS),
            "day": lambda: rng.choice(DAYS), "id_": lambda: str(uuid.UUID(int=rng.getrandbits(128)))})
        yield thing, {**value, **(fields if kind == "Set" else {})}


def moment(value):
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value


FORMS = {
    "text": str, "whole": int, "real": float, "flag": bool, "bytes": bytes, "moment": moment,
    "exact": lambda value: decimal.Decimal(value).normalize(decimal.Context(prec=60)),
    "doc": lambda value: json.loads(value) if isinstance(value, str) else value,
    "day": str,
    "uuid": lambda value: uuid.UUID(bytes=bytes(value)) if isinstance(value, (bytes, memoryview)) else uuid.UUID(value),
}


# What the plugin declares: the value of a column that nothing has set, and the field that Set takes each column from.
FALLBACKS = {"name": "no'body \\", "flag": True, "day": "1999-12-31", "count": 0, "amount": decimal.Decimal(0)}
FIELDS = {"whole": "whole", "real_": "real", "exact": "exact", "words": "words", "name": "name", "flag": "flag", "data": "data",
          "doc": "doc", "moment": "moment", "day": "day", "id": "id_"}
NULLABLE = ["whole", "real_", "exact", "words", "data", "doc", "moment", "day", "id"]


def field_of(event, name, form):
    """In the form that rows are compared in; None where the event has no such field."""
    if name not in event or form == "doc":
        return event.get(name)
    return base64.b64decode(event[name]) if form == "bytes" else FORMS[form](event[name])


def keep(row, name, choose, value):
    if value is not None:
        row[name] = value if row[name] is None else choose(row[name], value)


class Model:
    """What the plugin says of the events, taken one by one: {keys: {column: value}}."""

    def __init__(self):
        self.things, self.days = {}, {}

    def apply(self, event):
        self.count(event)
        keys = event["thing"], event["number"]
        if event["type"] == "Remove":
            self.things.pop(keys, None)
        elif event["type"] != "Copy" or keys in self.things:
            row = self.things.setdefault(keys, {**dict.fromkeys(THINGS), **FALLBACKS, "thing": keys[0], "number": keys[1]})
            getattr(self, event["type"].lower())(row, event)

    def count(self, event):
        row = self.days.setdefault((event["on"],), {**dict.fromkeys(SUMS), "on_": event["on"], "n": 0})
        row["n"] += 1
        row["sum_"] = (row["sum_"] or 0) + decimal.Decimal(event["number"]).scaleb(-2)
        keep(row, "last_", max, field_of(event, "moment", "moment"))
        keep(row, "first_", min, event["number"])
        keep(row, "last_words", max, event.get("name"))  # by code points, as UTF-8 by bytes
        keep(row, "last_id", max, field_of(event, "id_", "uuid"))
        keep(row, "least_data", min, field_of(event, "data", "bytes"))

    @staticmethod
    def set(row, event):
        row.update({column: field_of(event, name, THINGS[column]) for column, name in FIELDS.items() if name in event})

    @staticmethod
    def clear(row, _event):
        row.update(dict.fromkeys(NULLABLE))

    @staticmethod
    def add(row, event):
        amount = decimal.Decimal(event["amount"])
        row["count"] += 1
        row["amount"] += amount
        keep(row, "top", max, amount)
        keep(row, "least", min, field_of(event, "moment", "moment"))

    @staticmethod
    def copy(row, _event):
        row.update(words=row["name"], whole=row["count"], exact=row["amount"])


def doc_of(store):
    """PostgreSQL's client reads documents by itself, and could not tell the text "17" from the number."""
    return "doc::text" if store.kind == "postgresql" else "doc"


def rows_of(store, table, columns):
    """{keys: {column: value}}, as Model's."""
    names = ", ".join(doc_of(store) if name == "doc" else name for name in columns)
    rows = [{name: None if value is None else FORMS[form](value) for value, (name, form) in zip(row, columns.items())}
            for row in store.query(f"SELECT {names} FROM {table}")]
    return {tuple(row[name] for name in KEYS[table]): row for row in rows}


def differences(table, expected, found):
    """Column by column; a row that one of them lacks differs as a whole."""
    for keys in sorted(expected.keys() | found.keys()):
        theirs, ours = expected.get(keys), found.get(keys)
        if theirs is None or ours is None:
            yield f"{table} {keys}: expected {theirs}, found {ours}"
            continue
        yield from (f"{table} {keys}: {name} is {ours[name]!r:.200} instead of {theirs[name]!r:.200}"
                    for name in theirs if ours[name] != theirs[name])


def taken(made):
    return sum(events for events, in made.store.query("SELECT events FROM readside_positions")) if made.positions() else 0


def fill(made, records):
    """A quarter at a time, with a kill in the middle of each; half way it goes on with other tasks and larger batches."""
    rng = random.Random(SEED)
    worker = made.worker(tasks=2, batch_rows=37)
    for part in range(4):
        if part == 2:
            worker.stop()
            worker = made.worker(tasks=3, batch_rows=150)
        before = taken(made)
        made.produce(records[part * len(records) // 4:(part + 1) * len(records) // 4])
        tasks = eventually(lambda: taken(made) > before and worker.tasks(2), 30, every=0.01)
        worker.kill_task(rng.randrange(len(tasks)))
    made.reaches_end(120)


def test_all_stores_agree(scene, store, name):
    """With what the plugin says, and so with each other."""
    print(f"READSIDE_SEED={SEED} gives the same events again")
    model, records = Model(), list(random_records(SEED))
    for _, event in records:
        model.apply(event)
    assert len(model.things) > 300 and len(model.days) == len(DAYS)
    made = scene(store, partitions=4, plugin="every", commit_interval="20ms", group_id=name, group_instance_id="every")
    fill(made, records)
    found = [line for table, rows, columns in (("things", model.things, THINGS), ("days", model.days, SUMS))
             for line in differences(table, rows, rows_of(store, table, columns))]
    assert not found, f"{len(found)} differences: " + "\n".join(found[:10])
